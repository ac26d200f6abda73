# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging by cloud-init's rules, on the cases of its page "Merging cloud-config" and of its own mergers."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.merge import (
    MergeError,
    merge_config,
    parse_rules,
)

APPEND = [
    {"name": "list", "settings": ["append"]},
    {"name": "dict", "settings": ["no_replace", "recurse_list"]},
]
PLAIN = "list()+dict()+str()"
CLOUD_INIT = "dict(replace)+list()+str()"


def test_the_example_of_the_page():
    """Both configs of the page's end, which ask for lists that grow, in the list form of the rules."""
    first = {"runcmd": ["bash1", "bash2"]}
    second = {"merge_how": APPEND, "runcmd": ["bash3", "bash4"]}
    assert merge_config(first, second) == {"runcmd": ["bash1", "bash2", "bash3", "bash4"]}


# base, addition, rules, result
CASES = [
    # Without further ado a key that is there stays (the page: no_replace is enabled by default) ...
    ({"a": 1}, {"a": 2, "b": 3}, PLAIN, {"a": 1, "b": 3}),
    ({"a": [1]}, {"a": [2]}, PLAIN, {"a": [1]}),
    ({"a": {"x": 1}}, {"a": {"x": 2, "y": 3}}, PLAIN, {"a": {"x": 1, "y": 3}}),
    # ... and between two cloud-configs of one seed the later one wins.
    ({"a": 1, "b": {"x": 1}}, {"a": 2, "b": {"y": 2}}, CLOUD_INIT, {"a": 2, "b": {"y": 2}}),
    # dict
    ({"a": 1}, {"a": None}, "dict(allow_delete,no_replace)", {}),
    ({"a": 1}, {"a": None}, "dict(no_replace)", {"a": 1}),
    ({"a": {"x": 1}}, {"a": 5}, "dict()", {"a": {"x": 1}}),
    # list: append, prepend, and by position
    ({"a": [1, 2]}, {"a": [3]}, "list(append)+dict(recurse_list)", {"a": [1, 2, 3]}),
    ({"a": [1, 2]}, {"a": [3]}, "list(prepend)+dict(recurse_array)", {"a": [3, 1, 2]}),
    ({"a": [1, 2]}, {"a": [3]}, "list(replace)+dict(recurse_array)", {"a": [3, 2]}),
    ({"a": [1]}, {"a": [3, 4]}, "list(replace)+dict(recurse_array)", {"a": [3]}),
    ({"a": [1, 2]}, {"a": [3]}, "list(no_replace)+dict(recurse_array)", {"a": [1, 2]}),
    ({"a": [{"x": 1}]}, {"a": [{"y": 2}]}, "list(recurse_dict)+dict(recurse_array)", {"a": [{"x": 1, "y": 2}]}),
    ({"a": [{"x": 1}]}, {"a": [{"y": 2}]}, "list()+dict(recurse_array)", {"a": [{"y": 2}]}),
    # str
    ({"a": "x"}, {"a": "y"}, "dict(recurse_str)+str(append)", {"a": "xy"}),
    ({"a": "x"}, {"a": "y"}, "dict(recurse_str)+str()", {"a": "y"}),
    ({"a": "x"}, {"a": "y"}, "dict()+str(append)", {"a": "x"}),
    # What no merger is named for stays; the spelling of names does not count.
    ({"a": [1]}, {"a": [2]}, "dict(recurse_array)", {"a": [1]}),
    ({"a": [1]}, {"a": [2]}, " LIST(Append) + Dict(Recurse-Array) ", {"a": [1, 2]}),
]


@pytest.mark.parametrize(("base", "addition", "rules", "result"), CASES)
def test_case(base, addition, rules, result):
    before = copy.deepcopy((base, addition))
    assert merge_config(base, {**addition, "merge_how": rules}) == result
    assert merge_config(base, {**addition, "merge_type": rules}) == result
    assert merge_config(base, addition, rules) == result
    assert (base, addition) == before


def test_without_rules_of_its_own_lists_grow_and_what_is_there_stays():
    base = {"users": ["default"], "timezone": "UTC", "apt": {"a": 1}}
    own = {"users": [{"name": "ops"}], "timezone": "Europe/Berlin", "apt": {"b": [2]}}
    assert merge_config(base, own) == {
        "users": ["default", {"name": "ops"}],
        "timezone": "UTC",
        "apt": {"a": 1, "b": [2]},
    }


def test_the_three_forms_of_rules_are_one():
    text = parse_rules("list(append)+dict(recurse_list,no_replace)")
    assert text == parse_rules([{"name": "list", "settings": ["append"]}, ["dict", "recurse_list", "no_replace"]])


@pytest.mark.parametrize(
    "rules",
    ["list", "list(append", "tuple()", 5, [{"name": "list"}], [["nothing"]], [[]], [{"name": 1, "settings": []}]],
)
def test_rules_that_cannot_be_read(rules):
    with pytest.raises(MergeError):
        parse_rules(rules)


@pytest.mark.parametrize(
    ("base", "addition", "rules"),
    [
        ({"a": [1]}, {"a": {"b": 1}}, "list(append)+dict()"),
        ({"a": [1]}, {"a": "text"}, "list(append)+dict(recurse_str)"),
        ({"a": "x"}, {"a": {"b": 1}}, "dict()+str(append)"),
    ],
)
def test_values_that_cannot_be_joined(base, addition, rules):
    """cloud-init would append the signs of a text, or the keys of a mapping, one by one."""
    with pytest.raises(MergeError):
        merge_config(base, addition, rules)
