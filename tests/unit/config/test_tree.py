# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging: the rules as a table, and what holds for any layers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._config.documents import Document
from ansible_collections.homelab.proxmox.plugins.module_utils._config.schema import UNSET
from ansible_collections.homelab.proxmox.plugins.module_utils._config.tree import (
    Branch,
    find,
    leaves,
    merge,
    of_document,
    plain,
    statements,
)
from hypothesis import given
from hypothesis import strategies as st

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "default": 1},
        "whole": {"type": "object", "x-merge": "replace"},
        "lines": {
            "type": "array",
            "x-merge": "by_key:name",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "tags": {"type": "array", "x-merge": "union"}},
            },
        },
        "added": {"type": "array", "x-merge": "append"},
        "once": {"type": "array", "x-merge": "union"},
        "list": {"type": "array"},
        "free": {"type": "object"},
    },
}


def tree(data: dict[str, Any], layer: str = "system") -> Branch:
    return of_document(Document(data=data), layer, f"{layer}.yml")


def merged(*layers: dict[str, Any], default: dict[str, Any] | None = None) -> Branch:
    base = tree(default or {}, "default")
    found = base
    for number, data in enumerate(layers):
        result = merge(found, tree(data, ("system", "user", "profile")[number]), SCHEMA, base)
        assert isinstance(result, Branch)
        found = result
    return found


RULES = [
    ({"free": {"a": 1, "b": {"c": 1}}}, {"free": {"b": {"d": 2}}}, {"free": {"a": 1, "b": {"c": 1, "d": 2}}}),
    ({"whole": {"a": 1}}, {"whole": {"b": 2}}, {"whole": {"b": 2}}),
    ({"list": [1, 2]}, {"list": [3]}, {"list": [3]}),
    ({"free": {"x": [1]}}, {"free": {"x": [2]}}, {"free": {"x": [2]}}),
    ({"added": [1, 2]}, {"added": [2, 3]}, {"added": [1, 2, 2, 3]}),
    ({"once": [1, 2]}, {"once": [2, 3]}, {"once": [1, 2, 3]}),
    ({"once": [1, 2]}, {"once": {"$replace": [3]}}, {"once": [3]}),
    (
        {"lines": [{"name": "a", "x": 1, "tags": ["t"]}, {"name": "b"}]},
        {"lines": [{"name": "c"}, {"name": "a", "y": 2, "tags": ["u", "t"]}]},
        {"lines": [{"name": "a", "x": 1, "tags": ["t", "u"], "y": 2}, {"name": "b"}, {"name": "c"}]},
    ),
    (
        {"lines": [{"name": "a"}, {"name": "b"}]},
        {"lines": [{"name": "a", "$remove": True}]},
        {"lines": [{"name": "b"}]},
    ),
    ({"lines": [{"name": "a", "x": 1}]}, {"lines": [{"name": "a", "x": None}]}, {"lines": [{"name": "a"}]}),
    (
        {"lines": [{"name": "a", "x": 1}, {"name": "b"}]},
        {"lines": [{"name": "a", "$remove": True}, {"name": "a", "y": 2}]},
        {"lines": [{"name": "a", "y": 2}, {"name": "b"}]},
    ),
    ({"n": 5}, {"n": None}, {"n": 1}),
    ({"free": {"a": 1, "b": 2}}, {"free": {"a": None}}, {"free": {"b": 2}}),
    ({"free": {"a": {"b": 1}}}, {"free": {"a": "text"}}, {"free": {"a": "text"}}),
    ({"free": {"a": "text"}}, {"free": {"a": {"b": 1}}}, {"free": {"a": {"b": 1}}}),
    ({"free": {"a": 1}}, {"free": {}}, {"free": {"a": 1}}),
    ({"n": 2}, {}, {"n": 2}),
    (
        {"free": {"s": {"ref": "env", "name": "A"}}},
        {"free": {"s": {"ref": "file", "path": "/x"}}},
        {"free": {"s": {"ref": "file", "path": "/x"}}},
    ),
]


@pytest.mark.parametrize(("lower", "upper", "result"), RULES)
def test_rule(lower: dict[str, Any], upper: dict[str, Any], result: dict[str, Any]) -> None:
    assert plain(merged(lower, upper, default={"n": 1})) == {"n": 1, **result}


def test_what_was_removed_can_be_said_again() -> None:
    found = merged({"free": {"a": 1}}, {"free": {"a": None}}, {"free": {"a": 3}})
    assert plain(found) == {"free": {"a": 3}}
    chain = statements(find(found, ("free", "a")))
    assert [(said.layer, said.value, said.removes) for said in chain] == [
        ("system", 1, False),
        ("user", None, True),
        ("profile", 3, False),
    ]


def test_the_chain_of_an_item_is_its_own() -> None:
    found = merged({"lines": [{"name": "a", "x": 1}]}, {"lines": [{"name": "b"}, {"name": "a", "x": 2}]})
    said = statements(find(found, ("lines", 0, "x")))
    assert [(one.layer, one.value, one.key) for one in said] == [
        ("system", 1, ("lines", 0, "x")),
        ("user", 2, ("lines", 1, "x")),
    ]


# --- any layers

VALUES = st.none() | st.integers(0, 3) | st.sampled_from(["a", "b"])
FREE = st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6)
NUMBERS = st.lists(st.integers(0, 4), max_size=4)
ITEM = st.fixed_dictionaries({"name": st.sampled_from("xyz")}, optional={"v": VALUES, "$remove": st.just(True)})
LAYER = st.fixed_dictionaries(
    {},
    optional={
        "n": st.none() | st.integers(2, 9),
        "whole": st.dictionaries(st.sampled_from("ab"), st.integers(0, 3), max_size=2),
        "lines": st.lists(ITEM, max_size=3),
        "once": NUMBERS | st.fixed_dictionaries({"$replace": NUMBERS}),
        "list": NUMBERS,
        "free": st.dictionaries(st.sampled_from("abc"), FREE, max_size=3),
    },
)
DEFAULT = {"n": 1, "once": [7]}


@given(lower=LAYER, upper=LAYER)
def test_merging_the_same_layer_again_changes_nothing(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    """Of all rules but C(append), which says so by its name."""
    assert plain(merged(lower, upper, upper, default=DEFAULT)) == plain(merged(lower, upper, default=DEFAULT))


@given(layers=st.lists(LAYER, min_size=1, max_size=3))
def test_every_leaf_says_who_had_the_last_word(layers: list[dict[str, Any]]) -> None:
    found = merged(*layers, default=DEFAULT)
    values = plain(found)
    places = dict(leaves(found))
    assert rebuilt(places) == without_empty(values)
    for key, node in places.items():
        assert node.said, key
        last = node.said[-1]
        assert last.layer in ("default", "system", "user", "profile")
        if not isinstance(plain(node), list | dict):
            assert last.value == plain(node)
            assert not last.removes


@given(layers=st.lists(LAYER, min_size=1, max_size=3))
def test_layers_that_say_nothing_do_not_matter(layers: list[dict[str, Any]]) -> None:
    filled = [layers[0], {}, *layers[1:]][:3]
    assert plain(merged(*filled, default=DEFAULT)) == plain(merged(*[one for one in filled if one], default=DEFAULT))


def rebuilt(places: dict[tuple[str | int, ...], Any]) -> dict[str, Any]:
    """The values put together from their places."""
    return {str(key): plain(node) for key, node in places.items()}


def without_empty(value: Any, key: tuple[str | int, ...] = ()) -> dict[str, Any]:
    """The places of a value, independently of the tree."""
    if value is UNSET:
        return {}
    if isinstance(value, dict) and value:
        return {k: v for name, inner in value.items() for k, v in without_empty(inner, (*key, name)).items()}
    if isinstance(value, list) and value:
        return {k: v for n, inner in enumerate(value) for k, v in without_empty(inner, (*key, n)).items()}
    return {str(key): value}
