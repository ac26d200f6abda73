# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags: every separator, the normal form of a PUT, comparison as sets."""

from __future__ import annotations

import re

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.property_string import PropertyStringError
from ansible_collections.homelab.proxmox.plugins.module_utils._model.tags import Tags, parse_tags
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "names", "normal"),
    [
        ("a;b", ("a", "b"), "a;b"),
        # What a PUT was seen to make of it.
        ("Foo,bar;baz foo", ("Foo", "bar", "baz", "foo"), "bar;baz;foo"),
        ("Template,Debian;line-debian-13", ("Template", "Debian", "line-debian-13"), "debian;line-debian-13;template"),
        (" ", (), ""),
        ("", (), ""),
        (";,; a ;", ("a",), "a"),
        ("a_b;a.b;a-b;a+b;9", ("a_b", "a.b", "a-b", "a+b", "9"), "9;a+b;a-b;a.b;a_b"),
    ],
)
def test_reading_and_normal_form(text: str, names: tuple[str, ...], normal: str) -> None:
    tags = Tags.parse(text)
    assert str(tags) == text
    assert tags.names == names == parse_tags(text)
    assert str(tags.normal()) == normal
    assert tags.same_as(Tags(normal))


def test_the_datacenter_may_be_case_sensitive_or_keep_the_order() -> None:
    tags = Tags.parse("b,B,a")
    assert str(tags.normal()) == "a;b"
    assert str(tags.normal(case_sensitive=True)) == "B;a;b"
    assert str(tags.normal(keep_order=True)) == "b;a"
    assert str(tags.normal(case_sensitive=True, keep_order=True)) == "b;B;a"
    assert Tags("A").same_as(Tags("a"))
    assert not Tags("A").same_as(Tags("a"), case_sensitive=True)


def test_comparison_and_replacement() -> None:
    tags = Tags.parse("x,a")
    assert tags.same_as(Tags("a;x;x"))
    assert not tags.same_as(Tags("a"))
    assert tags.same_as(Tags("a"), ignore=["X"])
    assert tags.replace(names=["x", "a"]) is tags
    assert str(tags.replace(names=["a", "y"])) == "a;y"
    assert str(Tags.of([])) == ""


@pytest.mark.parametrize("name", ["tag!", "-a", ".a", "+a", "ä", "a/b", "a:b"])
def test_characters_that_no_tag_has(name: str) -> None:
    message = f"tags: {name!r} is no tag: letters, digits, '_', '-', '+' and '.' only, and none of '-+.' first"
    for text in (name, f"fine;{name}"):
        with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
            Tags.parse(text)
    assert parse_tags(f"fine;{name}") == ("fine", name)


@pytest.mark.parametrize("name", ["a b", "", "a;b", " a"])
def test_one_name_is_one_tag(name: str) -> None:
    with pytest.raises(PropertyStringError, match=f"^tags: {name!r} is not one tag$"):
        Tags.of(["fine", name])


NAME = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_+.\-]{0,6}", fullmatch=True)
SEPARATOR = st.sampled_from([";", ",", " ", "; ", ",,", "\t"])


@given(st.lists(st.tuples(NAME, SEPARATOR)), st.booleans(), st.booleans())
def test_the_normal_form_is_one(pieces: list[tuple[str, str]], case_sensitive: bool, keep_order: bool) -> None:
    tags = Tags.parse("".join(name + separator for name, separator in pieces))
    normal = tags.normal(case_sensitive=case_sensitive, keep_order=keep_order)
    assert normal.normal(case_sensitive=case_sensitive, keep_order=keep_order) == normal
    assert len(set(normal.names)) == len(normal.names)
    assert tags.same_as(normal, case_sensitive=case_sensitive)
    assert Tags.of(tags.names).names == tags.names
