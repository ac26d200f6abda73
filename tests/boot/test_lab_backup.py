# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup and restore in the lab, without booting anything: the data of a disk comes back."""

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

import pytest

from tests.support.boot import LabCluster
from tests.support.boot.tools import run
from tests.support.pve import Server
from tests.support.pve_client import Api

MIB = 1024**2
QEMU = "/nodes/pve1/qemu"
DATA = hashlib.sha256(b"data").digest() * (2 * MIB // 32)


def content(lab: LabCluster, volid: str, folder: Path) -> bytes:
    found = lab.volume(volid, "pve1")
    assert found is not None
    assert found.path is not None
    out = folder / "content"
    run("qemu-img", "convert", "-U", "-O", "raw", found.path, out)
    return out.read_bytes()


@pytest.mark.parametrize("storage", ["local-lvm", "local"])
def test_a_template_comes_back_with_its_data(small: Server, tmp_path: Path, storage: str) -> None:
    lab = t.cast(LabCluster, small.cluster)
    api = Api(small, patience=300)
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    raw.write_bytes(DATA)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, packed)
    lab.put_file("local:import/small.qcow2", packed.read_bytes())
    api.done(
        "POST", QEMU, vmid=9000, scsi0=f"{storage}:0,import-from=local:import/small.qcow2", scsi1=f"{storage}:cloudinit"
    )
    api.done("POST", f"{QEMU}/9000/template")
    api.done("POST", "/nodes/pve1/vzdump", vmid=9000, storage="local", mode="stop", compress="zstd")
    (volid,) = (row["volid"] for row in api.ok("GET", "/nodes/pve1/storage/local/content", content="backup"))
    api.done("DELETE", f"{QEMU}/9000")
    api.done("POST", QEMU, vmid=9001, archive=volid, storage=storage, unique=1, template=0)
    assert "vm-9001-disk-0" in lab.vms[9001].config["scsi0"]
    api.done("POST", f"{QEMU}/9001/template")
    disk = lab.vms[9001].config["scsi0"].partition(",")[0]
    assert "base-9001-disk-0" in disk
    assert content(lab, disk, tmp_path)[: len(DATA)] == DATA
    api.done("POST", f"{QEMU}/9001/clone", newid=120, full=0)
    assert content(lab, lab.vms[120].config["scsi0"].partition(",")[0], tmp_path)[: len(DATA)] == DATA
