# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, and reading YAML: plain values, lines, and every trap."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._config.documents import (
    MAX_BYTES,
    MAX_NODES,
    parse,
    parse_value,
    read_text,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._config.keys import KeyProblem, parse_key, show_key
from ansible_collections.homelab.proxmox.plugins.module_utils._config.problems import ConfigError
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(min_size=1, max_size=8)


@given(first=NAMES, rest=st.lists(NAMES | st.integers(0, 99), max_size=4))
def test_a_key_that_is_shown_reads_back(first: str, rest: list[str | int]) -> None:
    key = (first, *rest)
    assert parse_key(show_key(key)) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("templates.keep", ("templates", "keep")),
        ("templates.lines[0].tags[2]", ("templates", "lines", 0, "tags", 2)),
        ('docker.daemon."log-opts".max-size', ("docker", "daemon", "log-opts", "max-size")),
        ('a."b.c"', ("a", "b.c")),
    ],
)
def test_keys_are_read(text: str, key: tuple[str | int, ...]) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize("text", ["", ".a", "a.", "a..b", "[0]", "a[x]", "a[0", "a.[0]", 'a"b"', "a b.[", " a"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(KeyProblem):
        parse_key(text)


def test_values_come_with_their_lines() -> None:
    document = parse("# head\na:\n  b: 1\n  c:\n    - x\n    - {y: 2}\n", "f")
    assert document.data == {"a": {"b": 1, "c": ["x", {"y": 2}]}}
    assert [document.line(key) for key in [("a",), ("a", "b"), ("a", "c", 1, "y"), ("a", "c", 1, "z")]] == [2, 3, 6, 6]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-28", "2026-11-28"),
        ("1e3", "1e3"),
        ("0x10", 16),
        ("~", None),
        ("!reset", None),
        (
            "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3030\n",
            {"ref": "vault", "text": "$ANSIBLE_VAULT;1.1;AES256\n3030\n"},
        ),
    ],
)
def test_scalars_are_what_json_knows(text: str, value: Any) -> None:
    assert parse(f"a: {text}", "f").data == {"a": value}


def test_anchors_and_merges_work() -> None:
    document = parse("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b, *b]\n", "f")
    assert document.problems == []
    assert document.data["use"] == {"y": 3, "x": 1}
    assert document.data["list"] == [{"x": 1, "y": 2}] * 2


TRAPS = [
    ("a: 1\na: 2\n", 2, "already stands in line 1"),
    ("a:\n  b: 1\n  c: 2\n  b: 3\n", 4, "already stands in line 2"),
    ("on: 1\n", 1, "reads the name on as a boolean"),
    ("1: x\n", 1, "reads the name 1 as a number"),
    ("? [a]\n: 1\n", 1, "name that is no text"),
    ("a: .inf\n", 1, "no number"),
    ("a: !!python/object/apply:os.system [id]\n", 1, "tag"),
    ("a: !unsafe x\n", 1, "tag"),
    ("- a\n- b\n", 1, "no mapping"),
    ("a: [1\nb: 2\n", 2, "no YAML"),
    ("a:\n\tb: 1\n", 2, "no YAML"),
    ("a: 1\n---\nb: 2\n", 2, "no YAML"),
    ("a: &x [*x]\n", 1, "contains itself"),
    ("a: *nowhere\n", 1, "no YAML"),
    ("a:\n  <<: [1]\n", 2, "merges"),
]


@pytest.mark.parametrize(("text", "line", "message"), TRAPS)
def test_a_trap_is_a_problem_with_its_line(text: str, line: int, message: str) -> None:
    document = parse(text, "f.yml", "system")
    assert document.data == {}
    assert [problem.line for problem in document.problems][:1] == [line]
    assert message in document.problems[0].message
    assert str(document.problems[0]).startswith(f"f.yml:{line}: system layer: ")


def test_all_traps_are_told_together() -> None:
    assert len(parse("a: 1\na: 2\non: 3\nb: .nan\n", "f").problems) == 3


def test_what_was_quoted_wrong_is_not_told() -> None:
    (problem,) = parse("password: *hunter2\n", "f").problems
    assert "hunter2" not in str(problem)


def test_aliases_of_aliases_end() -> None:
    levels = "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefg", "bcdefgh", strict=True))
    document = parse(f"a: &a [1]\n{levels}\n", "f")
    assert f"more than {MAX_NODES}" in document.problems[0].message
    assert len(document.problems) == 1


def test_files_that_cannot_be_read_are_problems(tmp_path: Any) -> None:
    path = tmp_path / "x.yml"
    assert read_text(path, "system") is None
    for content, message in [(b"a: \xff", "UTF-8"), (b"#" * (MAX_BYTES + 1), "bytes")]:
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            read_text(path, "system")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_text(tmp_path, "system")
    path.write_bytes("\ufeffa: ä".encode())
    assert read_text(path, "system") == "a: ä"


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("[a, b]", ["a", "b"]), ("a: 1\nb: 2", {"a": 1, "b": 2}), ("", None)]
)
def test_a_value_alone_is_read(text: str, value: Any) -> None:
    assert parse_value(text, "x") == value
