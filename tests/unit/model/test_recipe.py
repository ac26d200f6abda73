# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden recipe digests: a change here would rebuild every template of every user."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.recipe import recipe_digest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.template import DiskWish, EfiWish

from tests.support.lines import IMAGE, NEW, line

GOLDEN = [
    ({}, "sha256:f6d3e7679e4c42e10c029d83d85b871f19a710277a25b0ba3962b15f96fa1958"),
    ({"disk": DiskWish(size=10 * 2**30)}, "sha256:d7cf0a131e6f1c536d205a27aee424ed58ec493e0245b86d07dfd1b5c02582e0"),
    (
        {"bios": "ovmf", "efi": EfiWish(secure_boot=True), "tpm": "v2.0"},
        "sha256:0cca56a8baa902180b10e787a5ef7eaa3e0fb994dd53be505c4fa1e00d83894c",
    ),
    ({"own_image": True}, "sha256:2f710bde50a089e47da78a62c8f8a85c7652da9176f64a974645d816658e570c"),
    (
        {"image": replace(IMAGE, arch="aarch64")},
        "sha256:decf53af71e6e77b1fdb6f090a220175bcb8c6aafc18c7db49b50bc69c881b91",
    ),
]


@pytest.mark.parametrize(("changes", "digest"), GOLDEN)
def test_golden_digests(changes: dict, digest: str) -> None:
    assert recipe_digest(line(**changes)) == digest


def test_the_golden_digests_differ() -> None:
    assert len({digest for _changes, digest in GOLDEN}) == len(GOLDEN)


@pytest.mark.parametrize(
    "changes",
    [
        {"node": "pve2"},
        {"storage": "zfs"},
        {"pool": "templates"},
        {"vmid": 9000},
        {"line": "web", "name": "other"},
        {"settings": {"memory": "4096"}},
        {"description": "text"},
        {"tags": frozenset({"a"})},
        {"protection": True},
        {"image": replace(IMAGE, name="renamed", min_disk_gib=9, cpu_level="x86-64-v3", digest=NEW)},
    ],
)
def test_place_and_what_changes_in_place_do_not_count(changes: dict) -> None:
    assert recipe_digest(line(**changes)) == recipe_digest(line())
