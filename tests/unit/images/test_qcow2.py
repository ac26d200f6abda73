# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk image says about itself."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images import errors
from ansible_collections.homelab.proxmox.plugins.module_utils._images.qcow2 import (
    detect_format,
    inspect_disk,
    read_qcow2_header,
)
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import qcow2, raw_disk


def test_header() -> None:
    header = read_qcow2_header(qcow2(), source="x")
    assert (header.version, header.virtual_size, header.cluster_size, header.backing_file) == (3, 2**30, 65536, None)
    assert read_qcow2_header(qcow2(version=2), source="x").version == 2


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (qcow2(), "qcow2"),
        (raw_disk(), "raw"),
        (bytes(512) + b"EFI PART" + bytes(4000), "raw"),
        (bytes(4096) + b"EFI PART" + bytes(4000), "raw"),
        (b"KDMV" + bytes(600), "vmdk"),
        (b"# Disk DescriptorFile\nversion=1\n", "vmdk"),
        (b"\xfd7zXZ\x00" + bytes(504) + b"\x55\xaa", None),
        (b"<!DOCTYPE html>", None),
        (bytes(4096), None),
        (b"", None),
    ],
)
def test_detect(head: bytes, found: str | None) -> None:
    assert detect_format(head) == found


@pytest.mark.parametrize(
    ("content", "declared", "error", "told"),
    [
        (qcow2(backing=b"/etc/shadow"), "qcow2", errors.ExternalData, "/etc/shadow"),
        (qcow2(features=4), "qcow2", errors.ExternalData, "another file"),
        (qcow2(extra=struct.pack(">II", 0x44415441, 8) + b"data.raw"), "qcow2", errors.ExternalData, "another file"),
        (qcow2(features=2), "qcow2", errors.BadQcow2, "corrupt"),
        (qcow2(features=1 << 40), "qcow2", errors.BadQcow2, "features"),
        (qcow2(crypt=2), "qcow2", errors.BadQcow2, "encrypted"),
        (qcow2(version=4), "qcow2", errors.BadQcow2, "version 4"),
        (qcow2(bits=40), "qcow2", errors.BadQcow2, "cluster_bits 40"),
        (qcow2(size=0), "qcow2", errors.BadQcow2, "virtual size 0"),
        (qcow2()[:90], "qcow2", errors.BadQcow2, "no complete"),
        (qcow2()[:40], "qcow2", errors.BadQcow2, "no complete"),
        (qcow2(), "raw", errors.FormatMismatch, "declared as raw, but its content is qcow2"),
        (raw_disk(), "qcow2", errors.FormatMismatch, "its content is raw"),
        (b"\x1f\x8b" + bytes(100), "raw", errors.FormatMismatch, "gzip"),
        (b"<html>" + bytes(100), "qcow2", errors.FormatMismatch, "web page"),
        (b"", "qcow2", errors.FormatMismatch, "empty"),
        (b"abcdefghij", "qcow2", errors.FormatMismatch, "61 62 63"),
        (b"# Disk DescriptorFile\n", "vmdk", errors.ExternalData, "other files"),
    ],
)
def test_refused(tmp_path: Path, content: bytes, declared: str, error: type[errors.ImageError], told: str) -> None:
    path = tmp_path / "disk"
    path.write_bytes(content)
    with pytest.raises(error, match=told):
        inspect_disk(path, declared, source="disk")


def test_accepted(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    for content, declared, size in (
        (qcow2(features=1), "qcow2", 2**30),
        (raw_disk(), "raw", 4096),
        (b"KDMV" + struct.pack("<IIQ", 1, 3, 2048) + bytes(600), "vmdk", 2**20),
    ):
        path.write_bytes(content)
        assert inspect_disk(path, declared, source="disk").virtual_size == size
