# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a VM is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import (
    DESCRIPTION_LIMIT,
    Foreign,
    Identity,
    Role,
    State,
    describe,
    human_text,
    identity_tags,
    read_identity,
    tag_value,
    tagged_state,
    user_tags,
)
from hypothesis import given
from hypothesis import strategies as st

BLOCK = Identity(
    vmid=9000, role=Role.TEMPLATE, line="debian-13", generation="20261123120000", recipe="sha256:" + "a" * 64
)

texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40).map(str.strip)


def test_what_is_written_is_read_back() -> None:
    assert read_identity(9000, describe("# Debian\n\nfor people", BLOCK)) == BLOCK
    assert human_text(describe("# Debian\n\nfor people", BLOCK)) == "# Debian\n\nfor people"


@given(url=texts, build=texts, human=texts)
def test_any_value_survives(url: str, build: str, human: str) -> None:
    block = replace(BLOCK, url=url, source_build=build)
    if "```homelab" not in human:
        assert read_identity(9000, describe(human, block)) == block


def test_windows_line_ends_and_trailing_white_space_do_not_matter() -> None:
    assert read_identity(9000, describe("x", BLOCK).replace("\n", "\r\n") + "\r\n  ") == BLOCK


def test_no_block_is_nobodys() -> None:
    assert read_identity(9000, "a template of my own") is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("vmid: 9000", "vmid: 9001"), "inherited from VM 9001"),
        (lambda text: text.replace("schema: 1", "schema: 2"), "schema 2, newer than this collection's 1"),
        (lambda text: text.replace("schema: 1\n", ""), "damaged: no schema number"),
        (lambda text: text.replace("line: debian-13\n", ""), "damaged: no line"),
        (lambda text: text.replace("vmid: 9000", "vmid: nine"), "damaged"),
        (lambda text: text.replace("role: template", "role: king"), "damaged"),
        (lambda text: text.replace("line: debian-13", "no colon here"), "damaged"),
        (lambda text: text.replace("line: debian-13", "line: a\nline: b"), "damaged"),
        (lambda text: text.removesuffix("\n```"), "cut off"),
        (lambda text: text + "\n\n" + text, "more than one"),
    ],
)
def test_inherited_damaged_and_newer_blocks_are_foreign(change: object, reason: str) -> None:
    found = read_identity(9000, change(describe("human", BLOCK)))
    assert isinstance(found, Foreign)
    assert reason in found.reason


def test_keys_of_a_later_collection_with_the_same_schema_are_ignored() -> None:
    assert read_identity(9000, describe("", BLOCK).replace("role:", "colour: blue\nrole:")) == BLOCK


def test_a_description_that_would_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="Proxmox VE stores 8192 at most"):
        describe("x" * DESCRIPTION_LIMIT, BLOCK)


def test_tags_mirror_the_identity() -> None:
    tags = identity_tags(BLOCK, State.CURRENT)
    assert tags == {"line-debian-13", "gen-20261123120000", "recipe-aaaaaaaaaaaa", "state-current"}
    assert tagged_state(tags) is State.CURRENT
    assert tag_value(tags, "line-") == "debian-13"
    assert user_tags(tags | {"web"}) == {"web"}


@pytest.mark.parametrize("tags", [set(), {"state-current", "state-retired"}, {"state-unheard"}])
def test_a_state_that_is_not_plain_is_none(tags: set[str]) -> None:
    assert tagged_state(tags) is None
