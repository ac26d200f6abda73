# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values: what people type and what surveys deliver become the same."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.values import text, typed, wanted, wire
from hypothesis import given
from hypothesis import strategies as st

BOOLEAN = {"type": "boolean"}
INTEGER = {"type": "integer", "minimum": 1, "maximum": 4}
LIST = {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}}
CHOSEN = {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}

GOOD: list[tuple[dict[str, t.Any], object, object]] = [
    (BOOLEAN, "yes", "true"),
    (BOOLEAN, "TRUE", "true"),
    (BOOLEAN, True, "true"),
    (BOOLEAN, "0", "false"),
    (INTEGER, "3", 3),
    (INTEGER, " 3 ", 3),
    (INTEGER, 4, 4),
    ({"type": "number"}, "2.5", 2.5),
    (LIST, "a, b,,c", "a,b,c"),
    (LIST, ["a", "b"], "a,b"),
    (LIST, "a\nb", "a,b"),
    (CHOSEN, "b,a", ["b", "a"]),
    ({"type": "string", "enum": ["x", "y"]}, "x", "x"),
    ({}, "any text = ok", "any text = ok"),
]

BAD: list[tuple[dict[str, t.Any], object, str]] = [
    (BOOLEAN, "maybe", "'maybe' is neither true nor false"),
    (INTEGER, "5", "5 is not a whole number from 1 to 4"),
    (INTEGER, "two", "'two' is not a whole number from 1 to 4"),
    (INTEGER, "0x3", "'0x3' is not a whole number"),
    (INTEGER, "٣", "is not a whole number"),
    ({"type": "integer", "minimum": 0}, "-1", "-1 is not a whole number of 0 or more"),
    ({"type": "number"}, "nan", "'nan' is not a number"),
    (LIST, "a,B", "'B' is not a text of the form"),
    ({"type": "array"}, ["a,b"], "holds a comma"),
    (CHOSEN, "c", "'c' is not one of a, b"),
    ({"type": "string", "enum": ["x"]}, "z", "'z' is not one of x"),
    ({}, "two\nlines", "control characters"),
    ({"maxLength": 3}, "four", "longer than 3"),
    ({"minLength": 3}, "ab", "shorter than 3"),
    ({**LIST, "minItems": 2}, "a", "has 1 values; give at least 2"),
    ({**LIST, "maxItems": 1}, "a,b", "has 2 values; give at most 1"),
    ({**LIST, "minItems": 1, "maxItems": 2}, "a,b,c", "give 1 to 2"),
]


@pytest.mark.parametrize(("schema", "value", "found"), GOOD)
def test_a_value_becomes_what_a_survey_delivers(schema: dict[str, t.Any], value: object, found: object) -> None:
    assert wire(schema, value) == found
    assert type(wire(schema, value)) is type(found)


@pytest.mark.parametrize(("schema", "value", "problem"), BAD)
def test_a_bad_value_says_what_would_be_right(schema: dict[str, t.Any], value: object, problem: str) -> None:
    with pytest.raises(ValueError, match="^") as caught:
        wire(schema, value)
    assert problem in str(caught.value)


@pytest.mark.parametrize(("schema", "value", "_found"), GOOD)
def test_a_delivered_value_stays_what_it_is(schema: dict[str, t.Any], value: object, _found: object) -> None:
    once = wire(schema, value)
    assert wire(schema, once) == once
    assert wire(schema, text(once)) == once, "also typed anew"


def test_typed_values_have_the_type_of_the_schema() -> None:
    assert typed(BOOLEAN, "no") is False
    assert typed(LIST, "a,b") == ["a", "b"]
    assert typed(LIST, "") == []
    assert typed(INTEGER, "2") == 2


def test_what_is_wanted_is_said_in_words() -> None:
    assert wanted(LIST).startswith("a list with commas between, each a text")
    assert wanted({"type": "number", "maximum": 3}) == "a number of at most 3"


SCHEMAS = st.sampled_from([BOOLEAN, INTEGER, LIST, CHOSEN, {"type": "number"}, {"type": "string"}])


@given(SCHEMAS, st.text(max_size=20))
def test_any_text_is_taken_or_refused_and_nothing_else(schema: dict[str, t.Any], said: str) -> None:
    try:
        found = wire(schema, said)
    except ValueError as problem:
        assert str(problem)
    else:
        assert wire(schema, found) == found
