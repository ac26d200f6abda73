# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a bundle: the same bytes for the same line, and nothing odd is let in."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.bundle import (
    BundleProblem,
    Indexed,
    Manifest,
    identity_of,
    read_index,
    read_manifest,
    render_index,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, Role

SOURCE = "sha512:" + "ab" * 64
IDENTITY = Identity(
    vmid=9000,
    role=Role.TEMPLATE,
    line="debian-13",
    generation="20261123100000",
    source=SOURCE,
    run="place-1-1",
    deadline="2026-11-23T10:00:00+00:00",
)
MANIFEST = Manifest(
    line="debian-13",
    options={"line": "debian-13", "image": "debian-13", "disk": {"size": "10G"}},
    recipe="sha256:" + "0" * 64,
    recipe_schema=1,
    identity=identity_of(IDENTITY),
)


@pytest.mark.parametrize("manifest", [MANIFEST, replace(MANIFEST, catalog={"id": "debian-13"}, image=SOURCE)])
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert read_manifest(manifest.render()) == manifest


def test_the_order_of_options_does_not_change_the_bytes() -> None:
    turned = dict(reversed(list(MANIFEST.options.items())))
    assert replace(MANIFEST, options=turned).render() == MANIFEST.render()


def test_what_is_of_one_site_only_is_no_part_of_an_identity() -> None:
    assert identity_of(IDENTITY) == {"generation": "20261123100000", "source": SOURCE}


def document(**changes: Any) -> bytes:
    found = {**json.loads(MANIFEST.render()), **changes}
    return json.dumps({key: value for key, value in found.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[]", "is no mapping"),
        (document(bundle_schema=True), "has no bundle_schema"),
        (document(bundle_schema="1"), "has no bundle_schema"),
        (document(bundle_schema=0), "has no bundle_schema"),
        (document(bundle_schema=2, surprise=1), "newer than this collection's 1. Update the collection"),
        (document(options=...), "lacks options"),
        (document(options=[]), "lacks options"),
        (document(catalog=[]), "no mapping as catalog"),
        (document(options={"line": "other"}), "does not say which line"),
        (document(line="../x", options={"line": "../x"}), "does not say which line"),
        (document(recipe="md5:0"), "damaged digest"),
        (document(image=SOURCE.replace("ab", "cd")), "not the one that its generation was built from"),
        (document(identity={"run": "x"}), "identity in its manifest is damaged"),
        (document(identity={"source": 1}), "identity in its manifest is damaged"),
    ],
)
def test_a_damaged_manifest_is_refused_with_its_reason(raw: bytes, said: str) -> None:
    with pytest.raises(BundleProblem, match=said):
        read_manifest(raw)


# --- indexes

INDEXED = Indexed(file="debian-13.tar", digest="sha256:" + "1" * 64, manifest=MANIFEST)


def test_an_index_is_read_as_it_was_written() -> None:
    other = replace(INDEXED, file="a.tar")
    assert read_index(render_index([INDEXED, other])) == (other, INDEXED)
    assert read_index(render_index([])) == ()


def listed(**changes: Any) -> bytes:
    found = json.loads(render_index([INDEXED]))
    found["bundles"][0].update(changes)
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (MANIFEST.render(), "its index has no index_schema"),
        (render_index([]).replace(b'"index_schema": 1', b'"index_schema": 2'), "newer than this collection's 1"),
        (b'{"index_schema": 1, "bundles": {}}', "lists no bundles"),
        (b'{"index_schema": 1, "bundles": [1]}', "damaged entry"),
        (listed(extra=1), "damaged entry"),
        (listed(file="../x.tar"), "names a file '../x.tar'"),
        (listed(file="x/../../y.tar"), "names a file"),
        (listed(file=".tar"), "names a file"),
        (listed(digest="sha256:0"), "damaged digest"),
        (listed(digest=1), "damaged digest"),
        (listed(manifest={}), "its manifest has no bundle_schema"),
    ],
)
def test_a_damaged_index_is_refused_with_its_reason(raw: bytes, said: str) -> None:
    with pytest.raises(BundleProblem, match=re.escape(said)):
        read_index(raw)
