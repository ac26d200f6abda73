# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing a file in place: the values change, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._config.documents import parse
from ansible_collections.homelab.proxmox.plugins.module_utils._config.edit import Edit, changed, dump, edited
from ansible_collections.homelab.proxmox.plugins.module_utils._config.problems import ConfigError
from ansible_collections.homelab.proxmox.plugins.module_utils._config.schema import UNSET
from hypothesis import given, reject
from hypothesis import strategies as st

TEXT = """\
# What this is
templates:   # about templates
  keep: 3  # three

  # lines follow
  lines:
    - line: a
      memory: 2
    # the last one

# one line
hardening: {umask: "027"}
access:
  pool: x
# the end
"""

EDITS: list[tuple[tuple[str | int, ...], Any, str, str]] = [
    (("templates", "keep"), 4, "  keep: 3  # three\n", "  keep: 4  # three\n"),
    (("templates", "keep"), None, "  keep: 3  # three\n", "  keep: null  # three\n"),
    (("templates", "keep"), UNSET, "  keep: 3  # three\n", ""),
    (("templates", "workers"), 6, "      memory: 2\n", "      memory: 2\n  workers: 6\n"),
    (("templates", "defaults", "cores"), 2, "      memory: 2\n", "      memory: 2\n  defaults:\n    cores: 2\n"),
    (("templates", "lines", 0, "memory"), 5, "    - line: a\n      memory: 2\n", "  - line: a\n    memory: 5\n"),
    (("access", "pool"), UNSET, "access:\n  pool: x\n", ""),
    (("access",), UNSET, "access:\n  pool: x\n", ""),
    (("access", "pool"), "0644", "  pool: x\n", "  pool: '0644'\n"),
    (("access", "pool"), "a\nb", "  pool: x\n", "  pool: 'a\n\n    b'\n"),
    (("access", "nodes"), ["p1", "p2"], "  pool: x\n", "  pool: x\n  nodes:\n  - p1\n  - p2\n"),
    (("hardening", "umask"), UNSET, 'hardening: {umask: "027"}\n', ""),
    (("hardening", "state"), "absent", 'hardening: {umask: "027"}\n', "hardening:\n  umask: '027'\n  state: absent\n"),
    (("runs", "keep"), 5, "  pool: x\n", "  pool: x\nruns:\n  keep: 5\n"),
]


@pytest.mark.parametrize(("key", "value", "old", "new"), EDITS, ids=lambda part: str(part)[:30])
def test_only_the_place_changes(key: tuple[str | int, ...], value: Any, old: str, new: str) -> None:
    edit = edited(TEXT, [(key, value)])
    assert edit.faithful
    assert edit.text == TEXT.replace(old, new)
    assert parse(edit.text, "").data == changed(parse(TEXT, "").data, key, value)


@pytest.mark.parametrize(
    ("text", "changes", "result"),
    [
        ("", [(("a", "b"), 1)], "a:\n  b: 1\n"),
        ("# only words\n", [(("a",), 1)], "# only words\na: 1\n"),
        ("a: 1", [(("b",), 2)], "a: 1\nb: 2\n"),
        ("a: 1\n", [(("a",), UNSET)], ""),
        ("a: 1\n", [(("b",), UNSET), (("a", "x"), UNSET)], "a: 1\n"),
        ("a:\nb: 1\n", [(("a", "x"), 2)], "a:\n  x: 2\nb: 1\n"),
        ("a: |\n  text\n  more\n\nb: 1\n", [(("a",), "x")], "a: x\nb: 1\n"),
        ("a: 1\nb: 1\n", [(("a",), 2), (("b",), 3)], "a: 2\nb: 3\n"),
        ("a: {b: 1}\n", [(("a", "c", "d"), 2)], "a:\n  b: 1\n  c:\n    d: 2\n"),
    ],
)
def test_texts_at_the_edge(text: str, changes: list[Any], result: str) -> None:
    assert edited(text, changes).text == result


def test_what_cannot_be_edited_is_written_anew_and_said() -> None:
    edit = edited("{a: 1}  # all of it\n", [(("b", "x"), 2)])
    assert not edit.faithful
    assert parse(edit.text, "").data == {"a": 1, "b": {"x": 2}}
    assert edited("{a: 1}\n", [(("b", "x"), 2)]).faithful, "there was nothing to lose"


def test_an_alias_is_replaced_and_its_anchor_stays() -> None:
    edit = edited("base: &b {x: 1}  # shared\nuse: *b\n", [(("use", "x"), 2)])
    assert edit == Edit("base: &b {x: 1}  # shared\nuse:\n  x: 2\n")


def test_names_in_lists_and_numbers_in_mappings_are_refused() -> None:
    for text, key in [("a: []\n", ("a", "b")), ("a: [1]\n", ("a", 2)), ("a: {b: 1}\n", ("a", 0))]:
        with pytest.raises(ConfigError, match="items of lists are named by numbers"):
            edited(text, [(key, 1)])
    assert edited("", [(("a", 0), 1)]).text == "a:\n- 1\n"


NAMES = st.sampled_from(["a", "b", "c d", "é", "no", "1"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 900) | st.text(max_size=6) | st.sampled_from(["no", "12:30", "#x"])
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(
    data=st.dictionaries(NAMES, DATA, min_size=1, max_size=3),
    key=st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    value=DATA | st.just(UNSET),
)
def test_any_edit_comes_to_what_was_wanted(data: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    text = dump(data)
    assert parse(text, "").data == data
    try:
        changed(data, key, value)
    except ConfigError:
        reject()
    once = edited(text, [(key, value)])
    assert parse(once.text, "").data == changed(data, key, value)
    assert edited(once.text, [(key, value)]) == once
