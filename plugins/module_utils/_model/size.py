# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as Proxmox VE writes them (C(4194304), C(2252M), C(3G), C(0.5T)) and as bytes."""

from __future__ import annotations

import re

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

_UNITS: dict[str, int] = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_SIZE = re.compile(r"(\d+)(\.\d+)?([KMGT]?)", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes of a size; the units are powers of 1024 and a fraction of a byte is cut off.

    Same grammar as C(parse_size) in pve-common's JSONSchema.pm. Raises ValueError that shows the forms it takes.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no size; write it as bytes or with K, M, G or T: 4194304, 2252M, 3G, 0.5T")
    whole, fraction, unit = match.groups()
    if fraction is None:
        return int(whole) * _UNITS[unit]
    return int(float(whole + fraction) * _UNITS[unit])


def format_size(size: int) -> str:
    """The shortest exact form, as C(format_size) in pve-common's JSONSchema.pm prints it: C(3072M) is C(3G).

    Zero is C(0T) there. Raises ValueError for a negative size.
    """
    if size < 0:
        raise ValueError(f"{size} is no size: it is negative")
    unit = next(unit for unit in ("T", "G", "M", "K", "") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


def to_gib(size: int) -> float:
    """Bytes as GiB, the unit of the allocation syntax C(storage:4)."""
    return size / GIB


def from_gib(gib: float) -> int:
    """GiB as bytes; a fraction of a byte is cut off."""
    return int(gib * GIB)


def format_gib(size: int) -> str:
    """Bytes as the number of GiB that C(storage:<number>) takes: C(4), C(0.5), C(0.00390625)."""
    whole, rest = divmod(size, GIB)
    if not rest:
        return str(whole)
    # A binary fraction with at most thirty digits: fixed notation, since Proxmox's pattern knows no exponent.
    return f"{to_gib(size):.30f}".rstrip("0")
