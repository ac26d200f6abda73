# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML that seeds are written in: PyYAML, which cloud-init reads with, gets back what was put in."""

from __future__ import annotations

import math

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.yaml_text import dump
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_reads_back_as_it_was(value):
    text = dump(value)
    assert yaml.safe_load(text) == value
    assert text.isascii()


@pytest.mark.parametrize(
    "value",
    [
        "0644",
        "yes",
        "null",
        "~",
        "2026-01-01",
        "1e3",
        "0x10",
        "a: b",
        "# no comment",
        " blanks ",
        "a\tb\r\n",
        "\x7f\x85",
        "\U0001f600",
    ],
)
def test_texts_stay_texts(value):
    assert yaml.safe_load(dump({value: [value]})) == {value: [value]}


@pytest.mark.parametrize("value", [1e16, 1e-7, -2.5e300, 0.1, -0.0])
def test_numbers_with_an_exponent_stay_numbers(value):
    assert yaml.safe_load(dump({"a": value})) == {"a": value}


def test_the_order_of_keys_does_not_count():
    assert dump({"a": 1, "b": {"c": 1, "d": 2}}) == dump({"b": {"d": 2, "c": 1}, "a": 1})


def test_golden():
    assert dump({"b": [1, {"x": True}, []], "a": {}, "c": "ü"}) == (
        '{\n  "a": {},\n  "b": [\n    1,\n    {\n      "x": true\n    },\n    []\n  ],\n  "c": "\\u00fc"\n}\n'
    )


@pytest.mark.parametrize(
    "value", [{1: "a"}, {"a": math.nan}, {"a": math.inf}, {"a": b"x"}, {"a": "\udc80"}, {"a" * 1001: 1}]
)
def test_what_has_no_plain_form_is_refused(value):
    with pytest.raises(ValueError, match="."):
        dump(value)
