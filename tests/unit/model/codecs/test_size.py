# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes: what Proxmox prints, and what it takes."""

from __future__ import annotations

import re

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.size import (
    GIB,
    MIB,
    TIB,
    format_gib,
    format_size,
    from_gib,
    parse_size,
    to_gib,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "size", "printed"),
    [
        ("3G", 3 * GIB, "3G"),
        ("10240M", 10 * GIB, "10G"),
        ("4194304", 4 * MIB, "4M"),
        ("2252M", 2252 * MIB, "2252M"),
        ("366K", 366 * 1024, "366K"),
        ("0.5T", TIB // 2, "512G"),
        ("1.5G", 3 * GIB // 2, "1536M"),
        ("0.3G", 322122547, "322122547"),
        ("1025", 1025, "1025"),
        ("2T", 2 * TIB, "2T"),
        ("0", 0, "0T"),
        ("007M", 7 * MIB, "7M"),
    ],
)
def test_sizes(text: str, size: int, printed: str) -> None:
    assert parse_size(text) == size
    assert format_size(size) == printed
    assert parse_size(printed) == size


@pytest.mark.parametrize("text", ["", "G", "3GB", "3g", "3 G", "-1G", "+1G", ".5G", "1.G", "1e3", "3G\n", "٣G", "5Gi"])
def test_no_sizes(text: str) -> None:
    message = f"{text!r} is no size; write it as bytes or with K, M, G or T: 4194304, 2252M, 3G, 0.5T"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_size(text)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="^-1 is no size: it is negative$"):
        format_size(-1)


@pytest.mark.parametrize(
    ("size", "text"), [(4 * GIB, "4"), (GIB // 2, "0.5"), (4 * MIB, "0.00390625"), (0, "0"), (10 * GIB, "10")]
)
def test_gib_as_the_allocation_syntax_takes_it(size: int, text: str) -> None:
    assert format_gib(size) == text
    assert from_gib(float(text)) == size
    assert to_gib(size) == float(text)


@given(st.integers(min_value=0, max_value=1 << 60))
def test_printing_then_reading_a_size_gives_it_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(min_value=0, max_value=1 << 50))
def test_gib_are_exact_for_every_size_that_a_float_holds(size: int) -> None:
    text = format_gib(size)
    assert re.fullmatch(r"\d+(\.\d+)?", text)
    assert from_gib(float(text)) == size
