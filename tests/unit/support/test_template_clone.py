# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates and clones by the rules of each storage."""

from __future__ import annotations

import pytest

from tests.support.pve.images import GIB
from tests.support.pve_client import Api

QEMU = "/nodes/pve1/qemu"
CI = {
    "ciuser": "ops",
    "ipconfig0": "ip=10.0.0.9/24",
    "tags": "template",
    "description": "text",
    "net0": "virtio,bridge=vmbr0",
}


def template(api: Api, storage: str, **more: object) -> None:
    api.done("POST", QEMU, vmid=100, name="t", scsi0=f"{storage}:2", **more)
    api.done("POST", QEMU + "/100/template")


@pytest.mark.parametrize(
    ("storage", "base", "clone", "parent"),
    [
        ("fast", "100/base-100-disk-0.raw", "101/vm-101-disk-0.qcow2", "../100/base-100-disk-0.raw"),
        ("nfs", "100/base-100-disk-0.raw", "101/vm-101-disk-0.qcow2", "../100/base-100-disk-0.raw"),
        ("tank", "base-100-disk-0", "vm-101-disk-0", "base-100-disk-0@__base__"),
        ("ceph", "base-100-disk-0", "vm-101-disk-0", "base-100-disk-0@__base__"),
    ],
)
def test_storages_that_know_their_clones(api: Api, storage: str, base: str, clone: str, parent: str) -> None:
    template(api, storage)
    linked = f"{base}/{clone}"
    assert api.config(100)["scsi0"] == f"{storage}:{base},size=2G"
    api.done("POST", QEMU + "/100/clone", newid=101)
    assert api.config(101)["scsi0"] == f"{storage}:{linked},size=2G"
    rows = {row["volid"]: row for row in api.ok("GET", f"/nodes/pve1/storage/{storage}/content")}
    assert rows[f"{storage}:{linked}"]["parent"] == parent
    assert rows[f"{storage}:{base}"]["parent"] is None
    refused = api.ended("DELETE", QEMU + "/100", purge=1)
    assert refused.status == f"base volume '{storage}:{base}' is still in use by linked cloned"
    assert api.config(100)["template"] == 1
    api.done("DELETE", QEMU + "/101")
    api.done("DELETE", QEMU + "/100")
    assert not [volid for volid in api.cluster.volumes() if volid.startswith(storage)]


def test_lvmthin_forgets_whose_clone_a_disk_is(api: Api) -> None:
    template(api, "local-lvm")
    api.done("POST", QEMU + "/100/clone", newid=101)
    assert api.config(101)["scsi0"] == "local-lvm:vm-101-disk-0,size=2G"
    assert all("parent" not in row for row in api.ok("GET", "/nodes/pve1/storage/local-lvm/content"))
    assert all(isinstance(row["ctime"], str) for row in api.ok("GET", "/nodes/pve1/storage/local-lvm/content"))
    assert '  Logical volume "base-100-disk-0" successfully removed.' in api.done("DELETE", QEMU + "/100")
    assert api.config(101)["scsi0"] == "local-lvm:vm-101-disk-0,size=2G"


def test_thick_lvm_has_no_templates(api: Api) -> None:
    template(api, "thick")
    assert api.config(100)["template"] == 1
    assert api.config(100)["scsi0"] == "thick:vm-100-disk-0,size=2G"
    assert api.refused("POST", QEMU + "/100/clone", newid=101).message == (
        "Linked clone feature is not supported for 'thick:vm-100-disk-0' (scsi0)"
    )
    api.done("POST", QEMU + "/100/clone", newid=101, full=1)


def test_what_a_clone_inherits_and_what_is_its_own(api: Api) -> None:
    template(api, "local-lvm", scsi1="local-lvm:cloudinit", **CI)
    log = api.done("POST", QEMU + "/100/clone", newid=101)
    old, new = api.config(100), api.config(101)
    assert new["scsi1"] == "local-lvm:vm-101-cloudinit,media=cdrom,size=4M"
    assert "create full clone of drive scsi1 (local-lvm:vm-100-cloudinit)" in log
    assert new["name"] == "Copy-of-VM-t"
    for key in ("ciuser", "ipconfig0", "tags", "description", "meta", "boot"):
        assert new[key] == old[key]
    for key in ("net0", "smbios1", "vmgenid", "digest"):
        assert new[key] != old[key]
    assert "template" not in new


def test_full_clones_to_another_storage(api: Api) -> None:
    template(api, "local-lvm", scsi1="local-lvm:cloudinit")
    api.done(
        "POST", QEMU + "/100/clone", newid=101, name="full", full=1, storage="fast", format="qcow2", description="d "
    )
    config = api.config(101)
    assert config["scsi0"] == "fast:101/vm-101-disk-0.qcow2,size=2G"
    assert config["scsi1"] == "fast:101/vm-101-cloudinit.qcow2,media=cdrom,size=4M"
    assert (config["name"], config["description"]) == ("full", "d")


def test_refusals_of_a_clone(api: Api) -> None:
    template(api, "local-lvm")
    clone = QEMU + "/100/clone"
    assert api.refused("POST", clone, newid=101, storage="fast").message == (
        "parameter 'storage' not allowed for linked clones"
    )
    assert api.refused("POST", clone, newid=100).message == "unable to create VM 100: config file already exists"
    assert api.refused("POST", clone, newid=101, target="pve2").message == (
        "can't clone VM to node 'pve2' (VM uses local storage)"
    )
    assert api.refused("POST", clone, newid=101, pool="nosuch").status == 403
    assert api.refused("POST", QEMU + "/777/clone", newid=101).message == (
        "unable to find configuration file for VM 777 on node 'pve1'"
    )


def test_shared_storages_clone_to_other_nodes(api: Api) -> None:
    template(api, "nfs")
    api.done("POST", QEMU + "/100/clone", newid=101, target="pve2")
    assert api.config(101, "pve2")["scsi0"].startswith("nfs:100/base-100-disk-0.raw/101/")


def test_two_clones_race_for_one_id(api: Api) -> None:
    template(api, "local-lvm")
    api.cluster.durations["qmclone"] = 0.05
    upids = [api.ok("POST", QEMU + "/100/clone", newid=101) for _unused in range(2)]
    ends = sorted(api.end_of(upid).status for upid in upids)
    assert ends == ["OK", "unable to create VM 101: config file already exists"]
    assert list(api.cluster.vms) == [100, 101]


def test_templates_do_not_start_but_can_be_edited(api: Api) -> None:
    template(api, "local-lvm")
    assert api.ended("POST", QEMU + "/100/status/start").status == "you can't start a vm if it's a template"
    api.ok("PUT", QEMU + "/100/config", memory=2048, protection=1)
    api.done("PUT", QEMU + "/100/resize", disk="scsi0", size="+1G")
    assert api.cluster.volumes()["local-lvm:base-100-disk-0"].size == 3 * GIB
    assert api.refused("DELETE", QEMU + "/100").message == "can't remove VM 100 - protection mode enabled"


def test_conversion_is_refused(api: Api) -> None:
    api.done("POST", QEMU, vmid=100, scsi0="fast:1,format=qcow2")
    api.done("POST", QEMU + "/100/snapshot", snapname="one")
    assert "because VM contains snapshots" in api.refused("POST", QEMU + "/100/template").message
    api.done("DELETE", QEMU + "/100/snapshot/one")
    api.done("POST", QEMU + "/100/status/start")
    assert "if VM is running" in api.refused("POST", QEMU + "/100/template").message
    assert api.refused("DELETE", QEMU + "/100").message == "VM 100 is running - destroy failed"


def test_a_move_and_a_migration(api: Api) -> None:
    api.done("POST", QEMU, vmid=100, scsi0="local-lvm:1", scsi1="local-lvm:cloudinit")
    api.done("POST", QEMU + "/100/move_disk", disk="scsi0", storage="fast")
    assert api.config(100)["unused0"] == "local-lvm:vm-100-disk-0"
    api.done("POST", QEMU + "/100/migrate", target="pve2")
    assert api.cluster.vms[100].node == "pve2"
    assert "fast:100/vm-100-disk-0.raw" in api.cluster.volumes("pve2")
    assert "fast:100/vm-100-disk-0.raw" not in api.cluster.volumes("pve1")


def test_a_backup_and_its_restore(api: Api) -> None:
    template(api, "local-lvm", scsi1="local-lvm:cloudinit")
    api.done(
        "POST", "/nodes/pve1/vzdump", vmid=100, storage="local", compress="zstd", **{"notes-template": "{{guestname}}"}
    )
    (archive,) = api.ok("GET", "/nodes/pve1/storage/local/content", content="backup")
    assert (archive["notes"], archive["format"], archive["vmid"]) == ("t", "vma.zst", 100)
    api.done("POST", QEMU, vmid=105, archive=archive["volid"], storage="fast")
    restored = api.config(105)
    assert restored["template"] == 1
    assert restored["scsi0"] == "fast:105/base-105-disk-0.raw,size=2G"
    missing = api.ended("POST", "/nodes/pve1/vzdump", vmid=777, storage="local")
    assert missing.status == "job errors"
    assert "ERROR: Backup of VM 777 failed - unable to find VM '777'" in missing.log
