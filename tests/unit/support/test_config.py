# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing the config: disks come and go, values are normalised, a running VM keeps changes pending."""

from __future__ import annotations

import re

import pytest

from tests.support.pve_client import Api

VM = "/nodes/pve1/qemu/100"
CONFIG = VM + "/config"
KEY = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMRXd4PolxJgEknmxum7bMWDQ%2FHl2qSp%2Bn6MKO0gUq8G%20lab%40pve"


@pytest.fixture
def made(api: Api) -> Api:
    api.done(
        "POST",
        "/nodes/pve1/qemu",
        vmid=100,
        name="a",
        scsi0="local-lvm:2",
        agent="enabled=1",
        net0="virtio,bridge=vmbr0",
    )
    return api


def test_a_put_allocates_and_a_delete_leaves_an_unused_disk(made: Api) -> None:
    made.ok("PUT", CONFIG, scsi3="fast:1")
    assert made.config(100)["scsi3"] == "fast:100/vm-100-disk-0.raw,size=1G"
    made.ok("PUT", CONFIG, delete="scsi3")
    assert made.config(100)["unused0"] == "fast:100/vm-100-disk-0.raw"
    made.ok("PUT", CONFIG, delete="unused0")
    assert "fast:100/vm-100-disk-0.raw" not in made.cluster.volumes()


def test_a_replaced_disk_stays_as_unused(made: Api) -> None:
    made.ok("PUT", CONFIG, scsi0="local-lvm:0,import-from=local:import/empty.qcow2")
    config = made.config(100)
    assert config["scsi0"] == "local-lvm:vm-100-disk-1,size=2G"
    assert config["unused0"] == "local-lvm:vm-100-disk-0"
    made.ok("PUT", CONFIG, scsi5="local-lvm:vm-100-disk-0")
    assert "unused0" not in made.config(100)


def test_the_post_form_does_the_work_in_a_task(made: Api) -> None:
    assert (
        "import/empty.qcow2" in made.done("POST", CONFIG, scsi1="local-lvm:0,import-from=local:import/empty.qcow2")[0]
    )
    assert made.config(100)["scsi1"].endswith("size=2G")
    failed = made.ended("POST", CONFIG, scsi2="local-lvm:0,import-from=local:import/nope.qcow2")
    assert failed.status == "failed to stat '/var/lib/vz/import/nope.qcow2'"


def test_a_cloudinit_drive_is_freed_when_it_goes(made: Api) -> None:
    made.ok("PUT", CONFIG, scsi1="fast:cloudinit")
    assert made.config(100)["scsi1"] == "fast:100/vm-100-cloudinit.qcow2,media=cdrom"
    made.ok("PUT", CONFIG, delete="scsi1")
    assert not [volid for volid in made.cluster.volumes() if "cloudinit" in volid]
    assert "unused0" not in made.config(100)


def test_boot_follows_cd_drives(made: Api) -> None:
    made.cluster.put_file("local:iso/x.iso", bytes(1024))
    assert made.config(100)["boot"] == "order=scsi0;net0"
    made.ok("PUT", CONFIG, ide2="local:iso/x.iso,media=cdrom")
    assert made.config(100)["boot"] == "order=scsi0;net0;ide2"
    made.ok("PUT", CONFIG, delete="ide2")
    assert made.config(100)["boot"] == "order=scsi0;net0"
    assert made.refused("PUT", CONFIG, boot="order=scsi9").message.startswith("invalid bootorder: device 'scsi9'")


@pytest.mark.parametrize(("given", "kept"), [("Foo,bar;baz foo", "bar;baz;foo"), ("", " "), ("One", "one")])
def test_tags_are_normalised_on_put(made: Api, given: str, kept: str) -> None:
    made.ok("PUT", CONFIG, tags=given)
    assert made.config(100)["tags"] == kept


def test_a_json_array_is_a_list_of_tags(made: Api) -> None:
    reply = made.session.put(made.server.url + CONFIG, json={"tags": ["b", "a"], "onboot": True})
    assert reply.status_code == 200
    assert {key: made.config(100)[key] for key in ("tags", "onboot")} == {"tags": "a;b", "onboot": 1}


def test_a_new_mac_each_time_net_has_none(made: Api) -> None:
    seen = {made.config(100)["net0"]}
    for _unused in range(2):
        made.ok("PUT", CONFIG, net0="virtio,bridge=vmbr0")
        seen.add(made.config(100)["net0"])
    assert len(seen) == 3
    assert all(re.fullmatch(r"virtio=BC:24:11(:[0-9A-F]{2}){3},bridge=vmbr0", value) for value in seen)


def test_every_change_changes_the_digest(made: Api) -> None:
    first = made.config(100)["digest"]
    assert made.config(100)["digest"] == first
    made.ok("PUT", CONFIG, description="x", digest=first)
    assert made.config(100)["digest"] != first
    for method in ("PUT", "POST"):
        refusal = made.refused(method, CONFIG, description="y", digest=first)
        assert (refusal.status, refusal.message) == (500, "checksum mismatch (file change by other user?)")


def test_secrets(made: Api) -> None:
    made.ok("PUT", CONFIG, cipassword="s3cret")
    assert made.config(100)["cipassword"] == "**********"
    assert made.cluster.stored_secret(100).startswith("$5$")


@pytest.mark.parametrize(
    ("keys", "status", "text"),
    [
        ("ssh-ed25519 AAAA x", 400, "invalid format - invalid urlencoded string: ssh-ed25519 AAAA x\n"),
        (KEY.replace("%2F", "/"), 400, "invalid format - invalid urlencoded string: "),
        ("ssh-ed25519%20AAAA%20x", 500, "SSH public key validation error"),
        (KEY.replace("MRX", "MRX"[:2]), 500, "SSH public key validation error"),
    ],
)
def test_bad_ssh_keys(made: Api, keys: str, status: int, text: str) -> None:
    refusal = made.refused("PUT", CONFIG, sshkeys=keys)
    assert refusal.status == status
    assert refusal.errors.get("sshkeys", refusal.message).startswith(text)


def test_good_ssh_keys_come_back_verbatim(made: Api) -> None:
    made.ok("PUT", CONFIG, sshkeys=KEY + "%0A")
    assert made.config(100)["sshkeys"] == KEY + "%0A"


def test_description(made: Api) -> None:
    made.ok("PUT", CONFIG, description='a\n\n```x\n\\ "q" ü\n```\n<!-- c -->  \n')
    assert made.config(100)["description"] == 'a\n\n```x\n\\ "q" ü\n```\n<!-- c -->'
    assert made.refused("PUT", CONFIG, description="x" * 8193).errors == {
        "description": "value may only be 8192 characters long"
    }


def test_deletes(made: Api) -> None:
    made.ok("PUT", CONFIG, delete="description,onboot")
    assert made.refused("PUT", CONFIG, delete="bogus").errors == {"delete": "unknown option 'bogus'"}
    assert made.refused("PUT", CONFIG, delete="memory", memory=512).errors == {
        "delete": "you can't use '-memory' and -delete memory' at the same time"
    }


def test_a_locked_vm(made: Api) -> None:
    made.cluster.vms[100].lock = "backup"
    assert made.cluster.locks == {100: "backup"}
    for method, path in (("PUT", CONFIG), ("POST", VM + "/template"), ("POST", VM + "/clone")):
        extra = {"onboot": 1} if method == "PUT" else {"newid": 101} if path.endswith("clone") else {}
        assert made.refused(method, path, **extra).message == "VM is locked (backup)"
    for method, path, extra in (
        ("POST", VM + "/status/start", {}),
        ("DELETE", VM, {}),
        ("PUT", VM + "/resize", {"disk": "scsi0", "size": "9G"}),
    ):
        assert made.ended(method, path, **extra).status == "VM is locked (backup)"


def test_a_running_vm_keeps_changes_pending(made: Api) -> None:
    made.cluster.put_file("local:iso/x.iso", bytes(1024))
    made.ok("PUT", CONFIG, ide2="local:iso/x.iso,media=cdrom")
    made.done("POST", VM + "/status/start")
    made.ok("PUT", CONFIG, memory=2048, name="b", scsi4="local-lvm:1")
    assert made.config(100)["memory"] == "2048"
    assert "memory" not in made.ok("GET", CONFIG, current=1)
    assert made.ok("GET", CONFIG, current=1)["name"] == "b"
    made.ok("PUT", CONFIG, delete="ide2")
    rows = {row["key"]: row for row in made.ok("GET", VM + "/pending")}
    assert rows["memory"] == {"key": "memory", "pending": "2048"}
    assert rows["ide2"]["delete"] == 1
    made.ok("PUT", CONFIG, ide2="none,media=cdrom")
    assert made.ok("GET", CONFIG, current=1)["ide2"] == "none,media=cdrom"
    made.done("POST", VM + "/status/stop")
    assert made.ok("GET", CONFIG, current=1)["memory"] == "2048"


@pytest.mark.parametrize(
    ("size", "status", "kept"),
    [
        ("3G", "OK", "3G"),
        ("+512M", "OK", "2560M"),
        ("2G", "OK", "2G"),
        ("1G", "shrinking disks is not supported", "2G"),
    ],
)
def test_resize(made: Api, size: str, status: str, kept: str) -> None:
    assert made.ended("PUT", VM + "/resize", disk="scsi0", size=size).status == status
    assert made.config(100)["scsi0"] == f"local-lvm:vm-100-disk-0,size={kept}"


def test_resize_finds_its_errors_in_the_task(made: Api) -> None:
    assert made.ended("PUT", VM + "/resize", disk="scsi9", size="3G").status == "disk 'scsi9' does not exist"
    missing = made.ended("PUT", "/nodes/pve1/qemu/777/resize", disk="scsi0", size="3G")
    assert missing.status == "Configuration file 'nodes/pve1/qemu-server/777.conf' does not exist"
    assert made.refused("PUT", VM + "/resize", disk="scsi0", size="5Gi").status == 400
