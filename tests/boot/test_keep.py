# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept and shared, with real disks and without booting anything: the same data comes back."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.boot import LabCluster
from tests.support.boot.tools import run
from tests.support.door import run_module
from tests.support.workbench import IMAGE, Bench, bench, bench_vendor

__all__ = ["bench", "bench_vendor"]

pytestmark = [
    pytest.mark.usefixtures("programs"),
    pytest.mark.parametrize("bench", [LabCluster], indirect=True, ids=["lab"]),
]

DATA = hashlib.sha256(b"what a vendor publishes").digest() * (2 * 1024**2 // 32)


def lines(bench: Bench, **options: Any) -> dict[str, Any]:
    line = {"line": "debian-13", "image": IMAGE, "storage": "local-lvm", **options}
    return {"lines": [line], "nodes": ["pve1"], "catalog_files": [str(bench.catalog)]}


@pytest.fixture
def built(bench: Bench, tmp_path: Path) -> Bench:
    """A line of a small image with data in it."""
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    raw.write_bytes(DATA)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, packed)
    bench.publish(packed.read_bytes())
    assert succeeded(bench.call("vm_template_fleet", lines(bench)))["changed"]
    assert data_of(bench, 9000) == DATA
    bench.later(hours=1)
    return bench


def succeeded(result: dict[str, Any]) -> dict[str, Any]:
    assert not result.get("failed"), result
    return result


def data_of(bench: Bench, vmid: int) -> bytes:
    """What a linked clone of a template reads from its disk."""
    disk = bench.clone(vmid, 700).config["scsi0"].partition(",")[0]
    volume = bench.cluster.volume(disk, "pve1")
    assert volume is not None
    assert volume.path is not None
    out = bench.folder / "content"
    run("qemu-img", "convert", "-U", "-O", "raw", volume.path, out)
    destroy(bench, 700)
    return out.read_bytes()[: len(DATA)]


def destroy(bench: Bench, vmid: int) -> None:
    bench.server.call(bench.cluster._qm_destroy, {"node": "pve1", "vmid": vmid}, "root@pam")
    bench.settle()


def test_a_lost_template_comes_back_from_its_backup(built: Bench) -> None:
    succeeded(built.call("vm_template_backup", {"line": "debian-13", "storage": "local"}))
    destroy(built, 9000)
    restored = succeeded(
        built.call(
            "vm_template_restore",
            {"line": "debian-13", "node": "pve1", "backup_storage": "local", "publish": True},
        )
    )
    assert restored["template"]["state"] == "current"
    assert data_of(built, restored["template"]["vmid"]) == DATA
    assert succeeded(built.call("vm_template_fleet", lines(built)))["changed"] is False


def test_a_line_is_built_from_a_bundle_where_no_vendor_is(built: Bench) -> None:
    bundle, dest = str(built.folder / "debian-13.tar"), built.folder / "imported"
    dest.mkdir()
    options = {**lines(built), "line": "debian-13", "path": bundle, "include_image": True}
    made = succeeded(built.call("vm_template_bundle", options))
    destroy(built, 9000)
    built.unreachable()
    for volid in built.imports():
        built.cluster.free(volid, "pve1")
    took = {"path": bundle, "dest": str(dest), "allow_unsigned": True}
    imported = succeeded(run_module("vm_template_bundle_import", took))
    fleet = {
        **lines(built, **imported["line"], transfer="upload"),
        "catalog_files": imported["catalog_files"],
        "download_dir": imported["download_dir"],
    }
    current = succeeded(built.call("vm_template_fleet", fleet))["templates"][0]["current"]
    assert (current["recipe"], current["source"]) == (made["recipe"], made["identity"]["source"])
    assert data_of(built, current["vmid"]) == DATA
