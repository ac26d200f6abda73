# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: exact round trips, changes of one key, comparison by meaning, errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.property_string import (
    BOOL,
    INT,
    LIST,
    NUMBER,
    TEXT,
    Key,
    PropertyString,
    PropertyStringError,
)
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True, slots=True, repr=False)
class Sample(PropertyString):
    NOUN: ClassVar[str] = "sample"

    on = Key(BOOL, default=True)
    count = Key(INT, aliases=["number"])
    some_rate = Key(NUMBER, "some-rate")
    text = Key(TEXT)
    many = Key(LIST)


@dataclass(frozen=True, slots=True, repr=False)
class Keyed(PropertyString):
    NOUN: ClassVar[str] = "keyed"

    must = Key(TEXT, required=True)


@pytest.mark.parametrize("text", ["", " ", "1", "1,,count=2,", "on=yes", "text=a=b", "unknown=x,1", " key= ,"])
def test_a_text_is_printed_as_it_was_read(text: str) -> None:
    assert str(Sample.parse(text)) == text


def test_typed_values() -> None:
    sample = Sample.parse("1,number=-3,some-rate=1.5,text=a=b,many=x;y z,new=1")
    assert (sample.on, sample.count, sample.some_rate, sample.text) == (True, -3, 1.5, "a=b")
    assert sample.many == ("x", "y", "z")
    assert (sample.get("new"), sample.get("number"), sample.get("count"), sample.get("old")) == ("1", "-3", "-3", None)
    empty = Sample.parse("")
    assert (empty.on, empty.count, empty.some_rate, empty.text, empty.many) == (None,) * 5


@pytest.mark.parametrize("word", ["1", "on", "yes", "true", "ON", "Yes"])
def test_words_for_true(word: str) -> None:
    sample = Sample.parse(f"on={word}")
    assert sample.on is True
    assert sample.same_as(Sample.parse("1"))
    assert str(sample.replace(on=True)) == f"on={word}"
    assert str(sample.replace(on=False)) == "on=0"


@pytest.mark.parametrize("word", ["0", "off", "no", "false", "Off"])
def test_words_for_false(word: str) -> None:
    assert Sample.parse(f"on={word}").on is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count=2,number=3", "sample: 'count' is set twice"),
        ("1,0", "sample: 'on' is set twice"),
        ("on=1,1", "sample: 'on' is set twice"),
        ("x=1,x=1", "sample: 'x' is set twice"),
        ("count=", "sample: 'count=' has no value"),
        ("=5", "sample: '=5' has no key"),
        ("=", "sample: '=' has no key"),
        ("on", "sample option 'on': 'on' is no boolean; without its key it can only be 0 or 1"),
        ("on=2", "sample option 'on': '2' is no boolean; it can be 1, on, yes, true, 0, off, no or false"),
        ("count=1.0", "sample option 'count': '1.0' is no whole number"),
        ("number=1_0", "sample option 'count': '1_0' is no whole number"),
        ("some-rate=fast", "sample option 'some-rate': 'fast' is no number"),
        ("some-rate=nan", "sample option 'some-rate': 'nan' is no number"),
    ],
)
def test_texts_that_the_server_would_refuse(text: str, message: str) -> None:
    with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
        Sample.parse(text)


def test_a_required_key_and_a_missing_default_key() -> None:
    with pytest.raises(PropertyStringError, match="^keyed: 'must' is missing$"):
        Keyed.parse("")
    with pytest.raises(PropertyStringError, match="^keyed: 'x' is a value without a key$"):
        Keyed.parse("x")
    with pytest.raises(PropertyStringError, match="^keyed: 'must' is missing$"):
        Keyed.parse("must=1").replace(must=None)


@pytest.mark.parametrize(
    ("before", "fields", "after"),
    [
        ("1,x=9,count=2,text=a", {"count": 3}, "1,x=9,count=3,text=a"),
        ("1,x=9,number=2", {"count": 3}, "1,x=9,number=3"),
        ("1,x=9", {"on": False}, "0,x=9"),
        ("x=9", {"on": True}, "x=9,on=1"),
        ("", {"on": True}, "1"),
        (" ", {"count": 1}, "count=1"),
        ("1,x=9,count=2", {"count": None}, "1,x=9"),
        ("1,x=9", {"on": None}, "x=9"),
        ("1", {"count": None}, "1"),
        ("some-rate=1.50", {"some_rate": 1.5}, "some-rate=1.50"),
        ("some-rate=1.50", {"some_rate": 2}, "some-rate=2"),
        ("some-rate=1.50", {"some_rate": 2.0}, "some-rate=2"),
        ("many=a b", {"many": ["a", "b"]}, "many=a b"),
        ("many=a b", {"many": ("b", "a")}, "many=b;a"),
        ("1,,x=9", {"text": "t=u", "count": 0}, "1,,x=9,text=t=u,count=0"),
    ],
)
def test_replacing_changes_only_that_key(before: str, fields: dict[str, object], after: str) -> None:
    assert str(Sample.parse(before).replace(**fields)) == after


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"nope": 1}, TypeError, "sample has no property 'nope'; it has on, count, some_rate, text, many"),
        ({"on": "off"}, TypeError, "sample option 'on' takes bool, not str"),
        ({"on": 1}, TypeError, "sample option 'on' takes bool, not int"),
        ({"count": True}, TypeError, "sample option 'count' takes int, not bool"),
        ({"count": "4"}, TypeError, "sample option 'count' takes int, not str"),
        ({"many": "abc"}, TypeError, "sample option 'many' takes tuple, not str"),
        (
            {"text": "a,b"},
            PropertyStringError,
            "sample option 'text': 'a,b' cannot be sent: a value is not empty and has no comma or line break",
        ),
        (
            {"text": ""},
            PropertyStringError,
            "sample option 'text': '' cannot be sent: a value is not empty and has no comma or line break",
        ),
        ({"many": [1]}, TypeError, "sample option 'many' sequence item 0: expected str instance, int found"),
        ({"some_rate": float("inf")}, PropertyStringError, "sample option 'some-rate': 'inf' is no number"),
    ],
)
def test_values_that_cannot_be_set(fields: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Sample.parse("1").replace(**fields)


def test_of_puts_the_default_key_first_without_its_key() -> None:
    assert str(Sample.of(count=1, text=None, on=True, many=["a"])) == "1,count=1,many=a"
    assert str(Keyed.of(must="x")) == "must=x"
    with pytest.raises(PropertyStringError, match="^keyed: 'must' is missing$"):
        Keyed.of()


def test_texts_set_known_and_unknown_keys() -> None:
    sample = Sample.parse("1,number=2,new=a")
    changed = sample.replace_texts({"new": "b", "count": "3", "text": "t", "other": "o"})
    assert str(changed) == "1,number=3,new=b,text=t,other=o"
    assert str(changed.replace_texts({"new": None, "number": "3", "gone": None})) == "1,number=3,text=t,other=o"
    with pytest.raises(PropertyStringError, match="^sample option 'count': 'x' is no whole number$"):
        sample.replace_texts({"number": "x"})
    with pytest.raises(PropertyStringError, match="^sample option 'some-rate': 'x' is no number$"):
        sample.replace_texts({"some-rate": "x"})


def test_comparison_by_meaning() -> None:
    one = Sample.parse("1,count=2,new=a")
    assert one.same_as(Sample.parse("new=a,,number=+2,on=true"))
    assert not one.same_as(Sample.parse("1,count=2,new=A"))
    assert one.same_as(Sample.parse("1,count=7"), ignore=["number", "new"])
    assert one.same_as(Sample.parse("1,count=2,new=a,some-rate=1"), ignore=["some_rate"])
    assert not one.same_as(Sample.parse("1,count=2"))
    assert not Sample.parse("").same_as(Keyed.parse("must=1"))


def test_equality_is_textual_and_values_are_hashable_and_frozen() -> None:
    assert Sample.parse("on=1") == Sample.parse("on=1")
    assert Sample.parse("on=1") != Sample.parse("1")
    assert len({Sample.parse("1"), Sample.parse("1"), Sample.parse("0")}) == 2
    assert repr(Sample.parse("1,x=2")) == "Sample('1,x=2')"
    assert not hasattr(Sample.parse("1"), "__dict__")
    with pytest.raises(AttributeError):
        Sample.parse("1").parts = ()  # type: ignore[misc]


WORD = st.text("abz-_. äA9ß", min_size=1, max_size=6).filter(lambda key: key.strip() and key not in Sample.KEYS)
VALUE = st.text(st.characters(codec="utf-8", exclude_characters=",\r\n"), min_size=1, max_size=6)
PAIRS = st.dictionaries(WORD, VALUE, max_size=5)


@given(PAIRS, st.booleans(), st.integers(), st.sampled_from(["", ",", "1,", " ,"]))
def test_any_keys_and_values_survive(pairs: dict[str, str], last: bool, count: int, head: str) -> None:
    others = [f"{key}={value}" for key, value in pairs.items()]

    def text(count: int) -> str:
        return head + ",".join([*others, f"count={count}"] if last else [f"count={count}", *others])

    sample = Sample.parse(text(count))
    assert str(sample) == text(count)
    assert sample.count == count
    changed = sample.replace(count=count + 1, text="t")
    assert str(changed) == text(count + 1) + ",text=t"
    assert changed.same_as(sample, ignore=["count", "text"])
    assert {key: changed.get(key) for key in pairs} == pairs
    assert str(changed.replace(count=count, text=None)) == str(sample)


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_means_nothing(pairs: dict[str, str], random: object) -> None:
    pieces = [f"{key}={value}" for key, value in pairs.items()]
    shuffled = sorted(pieces, key=lambda _unused: random.random())  # type: ignore[attr-defined]
    assert Sample.parse(",".join(pieces)).same_as(Sample.parse(",".join(shuffled)))


@given(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.lists(st.sampled_from("abc")))
def test_typed_values_come_back(on: bool, count: int, rate: float, many: list[str]) -> None:
    sample = Sample.of(on=on, count=count, some_rate=rate, many=many or None)
    again = Sample.parse(str(sample))
    assert (again.on, again.count, again.some_rate, again.many) == (on, count, rate, tuple(many) or None)
