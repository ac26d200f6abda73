# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images are what QEMU would have written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.pve.images import GIB, Probe, probe, qcow2, raw


def test_an_empty_qcow2_is_byte_for_byte_that_of_qemu_7_2() -> None:
    image = qcow2(2 * GIB)
    assert len(image) == 196_640
    # The digest of the recorded download.
    assert hashlib.sha256(image).hexdigest() == "08587a3503226a49b8739afba6a79783190995c042d6f0c330a988bd44ec0d49"


@pytest.mark.parametrize("size", [1024**2, 3 * GIB, 100 * GIB])
def test_the_virtual_size_is_read_back(size: int, tmp_path: Path) -> None:
    path = tmp_path / "x.qcow2"
    path.write_bytes(qcow2(size))
    assert probe(path) == Probe("qcow2", size, "")


def test_a_backing_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.qcow2"
    path.write_bytes(qcow2(GIB, backing="/etc/shadow"))
    assert probe(path).backing == "/etc/shadow"


def test_raw_is_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "x.raw"
    path.write_bytes(raw(4096))
    assert probe(path) == Probe("raw", 4096, "")
