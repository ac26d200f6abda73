# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small but real disk images: an empty qcow2 of any virtual size, raw files, and a probe of both.

The bytes are those of ``qemu-img create -f qcow2 FILE SIZE`` of QEMU 7.2 (the recorded 2 GiB image has the same
SHA-256). Layout: https://www.qemu.org/docs/master/interop/qcow2.html.
"""

from __future__ import annotations

import struct
import typing as t
from pathlib import Path

GIB = 1024**3
CLUSTER = 65536
MAGIC = b"QFI\xfb"
HEADER_LENGTH = 112
FEATURE_NAMES = 0x6803F857
# (kind, bit, name): kind 0 incompatible, 1 compatible, 2 autoclear.
FEATURES = (
    (0, 0, "dirty bit"),
    (0, 1, "corrupt bit"),
    (0, 2, "external data file"),
    (0, 3, "compression type"),
    (0, 4, "extended L2 entries"),
    (1, 0, "lazy refcounts"),
    (2, 0, "bitmaps"),
    (2, 1, "raw external data"),
)


class Probe(t.NamedTuple):
    """What an image really is: ``qcow2`` or ``raw``, the guest's disk size in bytes, the backing file's name."""

    format: str
    virtual_size: int
    backing: str


def qcow2(virtual_size: int = 2 * GIB, *, backing: str = "") -> bytes:
    """An empty qcow2 version 3 image (about 192 KiB whatever its virtual size)."""
    entries = -(-virtual_size // (CLUSTER * CLUSTER // 8))
    names = b"".join(struct.pack(">BB46s", kind, bit, name.encode()) for kind, bit, name in FEATURES)
    extensions = struct.pack(">II", FEATURE_NAMES, len(names)) + names + struct.pack(">II", 0, 0)
    offset = HEADER_LENGTH + len(extensions) if backing else 0
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        MAGIC, 3, offset, len(backing), 16, virtual_size, 0, entries, 3 * CLUSTER, CLUSTER, 1, 0, 0, 0, 0, 0, 4,
        HEADER_LENGTH,
    )  # fmt: skip
    header = header.ljust(HEADER_LENGTH, b"\0") + extensions + backing.encode()
    table = struct.pack(">Q", 2 * CLUSTER)
    counts = struct.pack(">H", 1) * (3 + max(1, -(-entries * 8 // CLUSTER)))
    return b"".join(part.ljust(CLUSTER, b"\0") for part in (header, table, counts)) + bytes(8 * entries)


def raw(size: int = 1024 * 1024) -> bytes:
    """A raw image: zeros with a boot signature, so that it is not empty."""
    return bytes(510) + b"\x55\xaa" + bytes(size - 512)


def probe(path: Path) -> Probe:
    """Look into an image file as ``qemu-img info`` does."""
    with path.open("rb") as stream:
        head = stream.read(32)
        if len(head) < 32 or not head.startswith(MAGIC):
            return Probe("raw", path.stat().st_size, "")
        offset, length, _bits, size = struct.unpack(">QIIQ", head[8:32])
        stream.seek(offset)
        return Probe("qcow2", size, stream.read(length).decode(errors="replace") if offset else "")
