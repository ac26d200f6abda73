# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creating VMs: imports, new disks, cloud-init drives, what is refused before and within the task."""

from __future__ import annotations

import re

import pytest

from tests.support.pve.images import GIB, qcow2, raw
from tests.support.pve_client import Api

QEMU = "/nodes/pve1/qemu"
IMPORT = "local-lvm:0,import-from=local:import/empty.qcow2"


def test_an_import_becomes_a_disk_of_the_images_virtual_size(api: Api) -> None:
    log = api.done("POST", QEMU, vmid=100, name="a", scsi0=IMPORT + ",discard=on")
    config = api.config(100)
    assert config["scsi0"] == "local-lvm:vm-100-disk-0,discard=on,size=2G"
    assert "create full clone of drive (local:import/empty.qcow2)" in log
    assert api.cluster.volumes()["local-lvm:vm-100-disk-0"].size == 2 * GIB
    assert config["boot"] == "order=scsi0"
    assert re.fullmatch(r"creation-qemu=[\d.]+,ctime=\d+", config["meta"])


def test_a_missing_source_fails_the_task_and_leaves_nothing(api: Api) -> None:
    task = api.ended(
        "POST", QEMU, vmid=100, scsi0="local-lvm:0,import-from=local:import/nope.qcow2", scsi1="local-lvm:1"
    )
    assert task.status == "unable to create VM 100 - failed to stat '/var/lib/vz/import/nope.qcow2'"
    assert task.log == [f"TASK ERROR: {task.status}"]
    assert 100 not in api.cluster.vms
    assert not [volid for volid in api.cluster.volumes() if "vm-100" in volid]


@pytest.mark.parametrize(
    ("drive", "parameter", "text"),
    [
        ("local-lvm:0,import-from=local:iso/x.iso", "scsi0", "local:iso/x.iso has wrong type 'iso' - needs"),
        ("local-lvm:4,import-from=local:import/empty.qcow2", "scsi0", "'import-from' requires special syntax"),
        ("isos:4", "storage", "storage 'isos' does not support vm images"),
        ("local:iso/x.iso", "scsi0", "explicit 'media=cdrom' is required for iso images"),
    ],
)  # fmt: skip
def test_bad_drives_are_refused_by_parameter(api: Api, drive: str, parameter: str, text: str) -> None:
    api.cluster.add_storage("isos", type="dir", path="/isos", content="iso")
    refusal = api.refused("POST", QEMU, vmid=100, scsi0=drive)
    assert refusal.status == 400
    assert refusal.errors[parameter].startswith(text)


@pytest.mark.parametrize(
    ("drive", "text"),
    [
        ("local-lvm:0,import-from=/tmp/x.qcow2", "Only root can pass arbitrary filesystem paths. at /usr/share/"),
        ("nosuch:4", "storage 'nosuch' does not exist"),
        ("local-lvm:1G", "unable to parse lvm volume name '1G'"),
    ],
)
def test_bad_drives_are_refused_by_dying(api: Api, drive: str, text: str) -> None:
    refusal = api.refused("POST", QEMU, vmid=100, scsi0=drive)
    assert (refusal.status, refusal.message[: len(text)]) == (500, text)


def test_directories_keep_the_format_of_the_source(api: Api) -> None:
    api.cluster.put_file("local:import/r.raw", raw(8 * 1024**2))
    api.done(
        "POST",
        QEMU,
        vmid=100,
        scsi0="fast:0,import-from=local:import/empty.qcow2",
        scsi1="fast:0,import-from=local:import/r.raw",
    )
    config = api.config(100)
    assert config["scsi0"] == "fast:100/vm-100-disk-0.qcow2,size=2G"
    assert config["scsi1"] == "fast:100/vm-100-disk-1.raw,size=8M"


def test_the_extension_must_be_the_real_format(api: Api) -> None:
    api.cluster.put_file("local:import/liar.qcow2", raw())
    task = api.ended("POST", QEMU, vmid=100, scsi0="local-lvm:0,import-from=local:import/liar.qcow2")
    assert "Image is not in qcow2 format" in task.status
    # The other way round it is imported as it is, and would not boot (recorded).
    api.cluster.put_file("local:import/liar.raw", qcow2())
    api.done("POST", QEMU, vmid=101, scsi0="local-lvm:0,import-from=local:import/liar.raw")
    assert api.cluster.volumes()["local-lvm:vm-101-disk-0"].size == 196_640


def test_the_disk_of_another_vm_is_a_source_too(api: Api) -> None:
    api.done("POST", QEMU, vmid=100, scsi0="local-lvm:3")
    api.done("POST", QEMU, vmid=101, scsi0="fast:0,import-from=local-lvm:vm-100-disk-0")
    assert api.config(101)["scsi0"] == "fast:101/vm-101-disk-0.raw,size=3G"


def test_small_drives_and_default_boot_order(api: Api) -> None:
    api.cluster.put_file("local:iso/seed.iso", bytes(374_784))
    api.done(
        "POST", QEMU, vmid=100, scsi0="local-lvm:0.5", scsi1="local-lvm:cloudinit",
        ide3="local:iso/seed.iso,media=cdrom", efidisk0="local-lvm:1,efitype=4m",
        tpmstate0="fast:1,version=v2.0", net0="virtio,bridge=vmbr99",
    )  # fmt: skip
    config = api.config(100)
    assert config["scsi0"].endswith("size=512M")
    assert config["scsi1"] == "local-lvm:vm-100-cloudinit,media=cdrom"
    assert config["ide3"] == "local:iso/seed.iso,media=cdrom,size=366K"
    assert config["efidisk0"].endswith("efitype=4m,size=4M")
    assert config["tpmstate0"].endswith("size=4M,version=v2.0")
    assert config["boot"] == "order=scsi0;ide3;net0"
    assert re.match(r"virtio=BC:24:11:..:..:..,bridge=vmbr99", config["net0"])


def test_the_id_is_taken_before_the_worker_forks(api: Api) -> None:
    api.done("POST", QEMU, vmid=100)
    assert (
        api.refused("POST", QEMU, vmid=100).message == "unable to create VM 100 - VM 100 already exists on node 'pve1'"
    )
    assert api.refused("GET", "/cluster/nextid", vmid=100).errors == {"vmid": "VM 100 already exists"}
    assert api.ok("GET", "/cluster/nextid") == "101"


def test_tags_and_password_are_stored_as_they_came(api: Api) -> None:
    api.done("POST", QEMU, vmid=100, tags="Template;debian,debian", cipassword="s3cret", description="text \n\n")
    config = api.config(100)
    assert config["tags"] == "Template;debian,debian"
    assert config["description"] == "text"
    assert config["cipassword"] == "**********"
    assert api.cluster.stored_secret(100) == "s3cret"
    assert api.server.writes()[-1].params["cipassword"] == "***"


def test_values_are_numbers_or_texts_as_the_server_has_them(api: Api) -> None:
    api.done("POST", QEMU, vmid=100, cores=2, memory=512, agent=1, onboot=1, cpulimit=0.5, balloon=0)
    shown = {key: api.config(100)[key] for key in ("cores", "memory", "agent", "onboot", "cpulimit", "balloon")}
    assert shown == {"cores": 2, "memory": "512", "agent": "1", "onboot": 1, "cpulimit": 0.5, "balloon": 0}


def test_one_shot_templates_are_broken(api: Api) -> None:
    api.done("POST", QEMU, vmid=100, scsi0=IMPORT, template=1)
    assert api.config(100)["scsi0"] == "local-lvm:vm-100-disk-0,size=2G"
    assert api.refused("POST", QEMU + "/100/template").message == "you can't convert a template to a template"
    assert api.refused("POST", QEMU + "/100/clone", newid=101).message == (
        "Linked clone feature is not supported for 'local-lvm:vm-100-disk-0' (scsi0)"
    )
    api.done("POST", QEMU, vmid=102, scsi0="local-lvm:1", template=1)
    assert api.config(102)["scsi0"].startswith("local-lvm:base-102-disk-0,")
    thick = api.ended("POST", QEMU, vmid=103, scsi0="thick:1", template=1)
    assert thick.status == "unable to create VM 103 - can't create base images in lvm storage"
    assert not [volid for volid in api.cluster.volumes() if volid.startswith("thick:")]


def test_a_full_storage_fails_the_task(api: Api) -> None:
    for storage in ("thick", "local-lvm"):
        api.cluster.storages[storage].update(total=4 * GIB, occupied=4 * GIB - 1024)
    thick = api.ended("POST", QEMU, vmid=100, scsi0="thick:2")
    assert "insufficient free space" in thick.status
    thin = api.ended("POST", QEMU, vmid=100, scsi0=IMPORT)
    assert "No space left on device" in thin.status
    assert not api.cluster.vms


def test_storages_of_nodes_are_apart_unless_shared(api: Api) -> None:
    api.done("POST", "/nodes/pve2/qemu", vmid=200, scsi0="local-lvm:1", scsi1="nfs:1")
    assert api.ok("GET", "/nodes/pve1/storage/local-lvm/content") == []
    assert len(api.ok("GET", "/nodes/pve2/storage/local-lvm/content")) == 1
    assert len(api.ok("GET", "/nodes/pve1/storage/nfs/content")) == 1
    missing = api.ended("POST", "/nodes/pve2/qemu", vmid=201, scsi0=IMPORT)
    assert "failed to stat" in missing.status
