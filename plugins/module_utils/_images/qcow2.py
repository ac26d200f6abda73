# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk image says about itself: its format by magic, a qcow2's header, sizes, references to other files."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from .errors import BadQcow2, ExternalData, FormatMismatch

HEAD_SIZE = 4096 * 2
"""Bytes from the start that tell the format: a GPT on 4 KiB sectors begins at 4096."""
_QCOW2 = struct.Struct(">4sIQIIQIIQQIIQ")
_INCOMPATIBLE = struct.Struct(">Q")
# Incompatible feature bits, and header extensions (QEMU, docs/interop/qcow2.txt).
_CORRUPT, _EXTERNAL_DATA = 1 << 1, 1 << 2
_DATA_FILE_NAME = 0x44415441
_KNOWN_FEATURES = (1 << 5) - 1  # dirty, corrupt, external data, compression type, extended L2
# Bytes at the start that are no image, and what they are.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"vhdxfile", "a Hyper-V disk (vhdx)"),
    (b"conectix", "a Hyper-V disk (vhd)"),
    (b"<<< ", "a VirtualBox disk (vdi)"),
    (b"QED\x00", "a QED disk"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Qcow2Header:
    """The part of a qcow2 header that decides about an import; C(virtual_size) is in bytes."""

    version: int
    virtual_size: int
    cluster_size: int
    backing_file: str | None
    external_data: bool
    encrypted: bool
    corrupt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """What the content is; C(virtual_size) is in bytes."""

    format: str
    virtual_size: int


def read_qcow2_header(head: bytes, *, source: str) -> Qcow2Header:
    """Read the header from the first bytes of the file. Raises BadQcow2."""
    if len(head) < _QCOW2.size or not head.startswith(b"QFI\xfb"):
        raise BadQcow2(f"{source} has no complete qcow2 header ({len(head)} bytes)")
    _magic, version, backing_at, backing_size, bits, size, crypt, *_rest = _QCOW2.unpack_from(head)
    if version not in (2, 3):
        raise BadQcow2(f"{source} is a qcow2 of version {version}; versions 2 and 3 are known")
    if not 9 <= bits <= 21 or size == 0:
        raise BadQcow2(f"{source} has a damaged qcow2 header: cluster_bits {bits}, virtual size {size} bytes")
    features = _INCOMPATIBLE.unpack_from(head, 72)[0] if version == 3 and len(head) >= 104 else 0
    if version == 3 and len(head) < 104:
        raise BadQcow2(f"{source} has no complete qcow2 header ({len(head)} bytes)")
    if features & ~_KNOWN_FEATURES:
        raise BadQcow2(f"{source} needs qcow2 features that are not known here (bits {features:#x})")
    name = head[backing_at : backing_at + min(backing_size, 1023)] if backing_at else b""
    return Qcow2Header(
        version=version,
        virtual_size=size,
        cluster_size=1 << bits,
        backing_file=(name.decode("utf-8", "replace") or "?") if backing_at or backing_size else None,
        external_data=bool(features & _EXTERNAL_DATA) or _DATA_FILE_NAME in _extensions(head, version),
        encrypted=crypt != 0,
        corrupt=bool(features & _CORRUPT),
    )


def detect_format(head: bytes) -> str | None:
    """C(qcow2), C(vmdk) or C(raw) by magic; None for anything else. C(head) should have HEAD_SIZE bytes."""
    if head.startswith(b"QFI\xfb"):
        return "qcow2"
    if head.startswith((b"KDMV", b"COWD")) or head.lstrip(b"\r\n ").startswith(b"# Disk DescriptorFile"):
        return "vmdk"
    if describe_other(head) is not None:
        return None
    if head[510:512] == b"\x55\xaa" or b"EFI PART" in (head[512:520], head[4096:4104]):
        return "raw"
    return None


def describe_other(head: bytes) -> str | None:
    """What a file is that is no disk image, in words."""
    if head[:512].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return next((words for magic, words in _OTHERS if head.startswith(magic)), None)


def inspect_disk(path: Path, declared: str, *, source: str) -> DiskFacts:
    """Check that a file is what it is declared to be and stands alone; C(source) names it in messages.

    Proxmox refuses images that refer to other files, and trusts the extension: a qcow2 stored as raw passes there and
    does not boot. Raises FormatMismatch, ExternalData or BadQcow2.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_SIZE)
    found = detect_format(head)
    if found != declared:
        seen = f"its content is {found}" if found else f"it is {describe_other(head) or _unknown(head)}"
        raise FormatMismatch(
            f"{source} is declared as {declared}, but {seen}; set the format to what the file really is"
        )
    if found == "qcow2":
        return DiskFacts(format=found, virtual_size=_standalone(read_qcow2_header(head, source=source), source))
    if found == "vmdk":
        return DiskFacts(format=found, virtual_size=_vmdk_size(head, source))
    return DiskFacts(format=found, virtual_size=path.stat().st_size)


def _standalone(header: Qcow2Header, source: str) -> int:
    if header.backing_file is not None:
        raise ExternalData(
            f"{source} is an overlay on {header.backing_file!r}, a file of the machine that opens it; flatten it with: "
            f"qemu-img convert -O qcow2"
        )
    if header.external_data:
        raise ExternalData(f"{source} keeps its data in another file; join them with: qemu-img convert -O qcow2")
    if header.encrypted:
        raise BadQcow2(f"{source} is encrypted, which Proxmox cannot import")
    if header.corrupt:
        raise BadQcow2(f"{source} is marked as corrupt; repair it with: qemu-img check -r all")
    return header.virtual_size


def _vmdk_size(head: bytes, source: str) -> int:
    if not head.startswith(b"KDMV"):
        raise ExternalData(
            f"{source} is a vmdk descriptor whose data lies in other files; join them with: qemu-img convert -O qcow2"
        )
    return int(struct.unpack_from("<Q", head, 12)[0]) * 512


def _extensions(head: bytes, version: int) -> set[int]:
    """Types of the header extensions (they follow the header; type 0 ends them)."""
    position = int(struct.unpack_from(">I", head, 100)[0]) if version == 3 else 72
    found: set[int] = set()
    while position + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, position)
        if kind == 0:
            break
        found.add(kind)
        position += 8 + (length + 7) // 8 * 8
    return found


def _unknown(head: bytes) -> str:
    return f"nothing known (it begins with {head[:8].hex(' ')})" if head else "empty"
