# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting one fixed date into an ISO image: pycdlib writes the time and time zone of the moment, and takes no other.

The places are those of ECMA-119 (volume descriptors, directory records) and of Rock Ridge's TF entry.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .errors import SeedError

SECTOR = 2048
# 2000-01-01 00:00:00 UTC, as a volume descriptor and as a directory record have it.
LONG_DATE = b"2000010100000000\x00"
SHORT_DATE = bytes([100, 1, 1, 0, 0, 0, 0])

_PRIMARY, _SUPPLEMENTARY, _TERMINATOR = 1, 2, 255
_ROOT_RECORD = 156
# Creation, modification and effective date; the expiry date between them says "none".
_VOLUME_DATES = (813, 830, 864)
_DIRECTORY = 0x02


def fix_dates(image: bytes) -> bytes:
    """The image with C(LONG_DATE) wherever a date stands. Raises SeedError for what is no ISO image."""
    data = bytearray(image)
    try:
        for start in _descriptors(data):
            for offset in _VOLUME_DATES:
                data[start + offset : start + offset + 17] = LONG_DATE
            _fix_tree(data, start + _ROOT_RECORD)
    except (IndexError, struct.error) as exc:
        raise SeedError("the ISO image is damaged") from exc
    return bytes(data)


def _descriptors(data: bytearray) -> Iterator[int]:
    start = 16 * SECTOR
    while data[start] != _TERMINATOR:
        if data[start + 1 : start + 6] != b"CD001":
            raise SeedError("this is no ISO image")
        if data[start] in {_PRIMARY, _SUPPLEMENTARY}:
            yield start
        start += SECTOR


def _fix_tree(data: bytearray, root: int) -> None:
    """Every record of every directory below the record at C(root)."""
    data[root + 18 : root + 25] = SHORT_DATE
    todo, seen = [_extent(data, root)], set[int]()
    while todo:
        start, length = todo.pop()
        if start in seen:
            continue
        seen.add(start)
        for record in _records(data, start, length):
            data[record + 18 : record + 25] = SHORT_DATE
            name = data[record + 32]
            # A name of even length is followed by a padding byte.
            first = record + 33 + name + (1 - name % 2)
            _fix_entries(data, first, record + data[record])
            if data[record + 25] & _DIRECTORY:
                todo.append(_extent(data, record))


def _extent(data: bytearray, record: int) -> tuple[int, int]:
    """Where the extent of a record begins and how long it is, in bytes."""
    (block,) = struct.unpack_from("<I", data, record + 2)
    (length,) = struct.unpack_from("<I", data, record + 10)
    return block * SECTOR, length


def _records(data: bytearray, start: int, length: int) -> Iterator[int]:
    """The records of one directory; none crosses a sector, the rest of which is zero."""
    for sector in range(start, start + length, SECTOR):
        place = sector
        while place < sector + SECTOR and data[place]:
            yield place
            place += data[place]


def _fix_entries(data: bytearray, place: int, end: int) -> None:
    """The dates of Rock Ridge's entries of one record, and of where they are continued."""
    while place + 4 <= end and data[place + 2] >= 4:
        kind, length = bytes(data[place : place + 2]), data[place + 2]
        if kind == b"CE":
            block, offset, size = (struct.unpack_from("<I", data, place + at)[0] for at in (4, 12, 20))
            _fix_entries(data, block * SECTOR + offset, block * SECTOR + offset + size)
        elif kind == b"TF":
            date = LONG_DATE if data[place + 4] & 0x80 else SHORT_DATE
            for stamp in range(place + 5, place + length, len(date)):
                data[stamp : stamp + len(date)] = date
        place += length
