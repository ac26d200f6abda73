# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself, without booting anything: disks, the cloud-init drive, processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.boot import LabCluster, Machine
from tests.support.boot.cidata import LIMIT, TooBig, write_drive
from tests.support.boot.lab import remove_left_behind
from tests.support.boot.tools import run
from tests.support.pve import Server
from tests.support.pve_client import Api

MIB = 1024**2
QEMU = "/nodes/pve1/qemu"


@pytest.fixture
def api(small: Server) -> Api:
    return Api(small, patience=300)


@pytest.fixture
def lab(small: Server) -> LabCluster:
    assert isinstance(small.cluster, LabCluster)
    return small.cluster


def pattern(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest() * (MIB // 32)


def publish(lab: LabCluster, tmp_path: Path, volid: str = "local:import/small.qcow2") -> None:
    """Lay an image of 2 MiB with data in it on the lab's storage."""
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    raw.write_bytes(pattern(1) + pattern(2))
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, packed)
    lab.put_file(volid, packed.read_bytes())


def volume(lab: LabCluster, volid: str) -> Path:
    found = lab.volume(volid, "pve1")
    assert found is not None
    assert found.path is not None
    return found.path


def info(path: Path) -> dict[str, object]:
    return json.loads(run("qemu-img", "info", "-U", "--output=json", path))


def content(path: Path, tmp_path: Path) -> bytes:
    out = tmp_path / "content"
    run("qemu-img", "convert", "-U", "-O", "raw", path, out)
    return out.read_bytes()


def create(api: Api, storage: str, **more: object) -> dict[str, str]:
    """Create VM 100 from the image; its config."""
    scsi0 = f"{storage}:0,import-from=local:import/small.qcow2"
    api.done("POST", QEMU, vmid=100, name="base", memory=64, scsihw="virtio-scsi-single", scsi0=scsi0, **more)
    return api.ok("GET", f"{QEMU}/100/config")


def disk(config: dict[str, str], slot: str = "scsi0") -> str:
    return config[slot].partition(",")[0]


def end(pid: int) -> bool:
    """Does a process end within a minute?"""
    for _number in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # A zombie is nobody's child here any more, but its new parent may be slow to look.
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


# --------------------------------------------------------------------- disks


@pytest.mark.parametrize("storage", ["local-lvm", "fast"])
def test_the_life_of_a_disk(api: Api, lab: LabCluster, tmp_path: Path, storage: str) -> None:
    publish(lab, tmp_path)
    config = create(api, storage)
    path = volume(lab, disk(config))
    whole = content(path, tmp_path)
    assert whole[: 2 * MIB] == pattern(1) + pattern(2)

    api.done("PUT", f"{QEMU}/100/resize", disk="scsi0", size="64M")
    assert info(path)["virtual-size"] == 64 * MIB

    api.done("POST", f"{QEMU}/100/template")
    base = volume(lab, disk(api.ok("GET", f"{QEMU}/100/config")))
    assert base.name.startswith("base-100-disk-0")
    assert not path.exists()

    api.done("POST", f"{QEMU}/100/clone", newid=101, name="linked")
    api.done("POST", f"{QEMU}/100/clone", newid=102, name="full", full=1)
    linked = volume(lab, disk(api.ok("GET", f"{QEMU}/101/config")))
    full = volume(lab, disk(api.ok("GET", f"{QEMU}/102/config")))
    assert Path(str(info(linked)["full-backing-filename"])).resolve() == base
    assert "backing-filename" not in info(full)
    for clone in (linked, full):
        assert content(clone, tmp_path)[: 2 * MIB] == pattern(1) + pattern(2)

    for vmid in (101, 102, 100):
        api.done("DELETE", f"{QEMU}/{vmid}")
    assert [clone for clone in (base, linked, full) if clone.exists()] == []


def test_a_linked_clone_on_a_directory_names_its_base_as_proxmox_does(
    api: Api, lab: LabCluster, tmp_path: Path
) -> None:
    publish(lab, tmp_path)
    create(api, "fast")
    api.done("POST", f"{QEMU}/100/template")
    api.done("POST", f"{QEMU}/100/clone", newid=101)
    volid = disk(api.ok("GET", f"{QEMU}/101/config"))
    assert volid == "fast:100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2"
    assert info(volume(lab, volid))["backing-filename"] == "../100/base-100-disk-0.qcow2"


def test_an_image_that_cannot_be_read_fails_the_task_and_leaves_nothing(api: Api, lab: LabCluster) -> None:
    broken = b"QFI\xfb\x00\x00\x00\x03" + bytes(16) + (2 * MIB).to_bytes(8, "big") + bytes(4096)
    lab.put_file("local:import/small.qcow2", broken)
    scsi0 = "local-lvm:0,import-from=local:import/small.qcow2"
    ended = api.ended("POST", QEMU, vmid=100, scsi0=scsi0)
    assert ended.status.startswith("unable to create VM 100 - copy failed: qemu-img:")
    assert 100 not in lab.vms
    assert [name for name in lab.volumes() if "100" in name] == []
    assert not list(lab.home.rglob("*100*disk*"))


# --------------------------------------------------------- the cloud-init drive


@pytest.mark.parametrize(("storage", "fmt"), [("local-lvm", "raw"), ("fast", "qcow2")])
def test_the_cloud_init_drive_is_what_proxmox_writes(
    api: Api, lab: LabCluster, tmp_path: Path, storage: str, fmt: str
) -> None:
    publish(lab, tmp_path)
    options = {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0", "ipconfig0": "ip=dhcp", "ciuser": "ops"}
    config = create(api, storage, scsi1=f"{storage}:cloudinit", **options)
    api.ok("PUT", f"{QEMU}/100/cloudinit")
    path = volume(lab, disk(config, "scsi1"))
    assert (info(path)["format"], info(path)["virtual-size"]) == (fmt, 4 * MIB)
    iso = tmp_path / "iso"
    iso.write_bytes(content(path, tmp_path))
    assert "Volume id: cidata\n" in run("isoinfo", "-d", "-i", iso)
    names = ("meta-data", "network-config", "user-data", "vendor-data")
    files = {name: run("isoinfo", "-R", "-x", f"/{name}", "-i", iso) for name in names}
    assert sorted(run("isoinfo", "-R", "-f", "-i", iso).split()) == [f"/{name}" for name in names]
    assert files["user-data"] == api.ok("GET", f"{QEMU}/100/cloudinit/dump", type="user")
    assert "user: ops\n" in files["user-data"]
    digest = hashlib.sha1((files["user-data"] + files["network-config"]).encode()).hexdigest()
    assert files["meta-data"] == f"instance-id: {digest}\n"
    assert files["vendor-data"] == ""


def test_documents_of_more_than_three_megabytes_do_not_fit(programs: None, tmp_path: Path) -> None:
    with pytest.raises(TooBig, match="too big"):
        write_drive({"user": "x" * (LIMIT + 1)}, tmp_path / "drive", "raw")


# ------------------------------------------------------------------- processes


def test_a_vm_runs_while_it_is_started(api: Api, lab: LabCluster, tmp_path: Path) -> None:
    publish(lab, tmp_path)
    create(api, "local-lvm", agent=1)
    ping = f"{QEMU}/100/agent/ping"
    assert api.refused("POST", ping).message == "VM 100 is not running"
    api.done("POST", f"{QEMU}/100/status/start")
    pid = lab.machines[100].pid
    assert b"qemu-system" in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert api.ended("POST", f"{QEMU}/100/status/start").status == "VM 100 already running"
    # There is nothing to boot on this disk.
    assert api.refused("POST", ping).message == "QEMU guest agent is not running"
    api.done("PUT", f"{QEMU}/100/resize", disk="scsi0", size="96M")
    assert lab.machines[100].qmp("query-block")[0]["inserted"]["image"]["virtual-size"] == 96 * MIB
    api.done("POST", f"{QEMU}/100/status/suspend")
    assert lab.machines[100].qmp("query-status")["status"] == "paused"
    api.done("POST", f"{QEMU}/100/status/stop")
    assert end(pid)
    assert api.ok("GET", f"{QEMU}/100/status/current")["status"] == "stopped"


def test_a_guest_that_does_not_listen_is_ended_by_force_only(api: Api, lab: LabCluster, tmp_path: Path) -> None:
    publish(lab, tmp_path)
    lab.patience = 1
    create(api, "local-lvm")
    api.done("POST", f"{QEMU}/100/status/start")
    refused = api.ended("POST", f"{QEMU}/100/status/shutdown", timeout=1)
    assert refused.status == "VM quit/powerdown failed - got timeout"
    assert not lab.machines[100].ended()
    forced = api.ended("POST", f"{QEMU}/100/status/shutdown", timeout=1, forceStop=1)
    assert (forced.status, forced.log[-2]) == ("OK", "VM still running - terminating now with SIGTERM")


def test_a_guest_that_went_away_is_seen_as_stopped(api: Api, lab: LabCluster, tmp_path: Path) -> None:
    publish(lab, tmp_path)
    create(api, "local-lvm")
    api.done("POST", f"{QEMU}/100/status/start")
    os.kill(lab.machines[100].pid, signal.SIGTERM)
    assert lab.machines[100].wait(60)
    assert api.ok("GET", f"{QEMU}/100/status/current")["status"] == "stopped"


def test_hardware_that_qemu_refuses_fails_the_start(api: Api, lab: LabCluster, tmp_path: Path) -> None:
    publish(lab, tmp_path)
    create(api, "local-lvm", scsi1="none,media=cdrom")
    lab.more_arguments = ["-device", "no-such-device"]
    failed = api.ended("POST", f"{QEMU}/100/status/start")
    assert failed.status.startswith("start failed: ")
    assert "no-such-device" in failed.status
    assert api.ok("GET", f"{QEMU}/100/status/current")["status"] == "stopped"


def test_a_frozen_vm_thaws_as_it_was(api: Api, lab: LabCluster, tmp_path: Path) -> None:
    publish(lab, tmp_path)
    config = create(api, "local-lvm")
    api.done("POST", f"{QEMU}/100/status/start")
    kept = lab.freeze(100)
    first = lab.machines[100].pid
    assert lab.machines[100].qmp("query-status")["status"] == "running"
    api.done("POST", f"{QEMU}/100/status/stop")
    api.ok("PUT", f"{QEMU}/100/config", name="other")
    api.done("DELETE", f"{QEMU}/100")
    for _again in range(2):
        lab.thaw(kept)
        assert lab.machines[100].pid != first
        assert api.ok("GET", f"{QEMU}/100/config")["name"] == "base"
        assert content(volume(lab, disk(config)), tmp_path)[:MIB] == pattern(1)
        assert api.ok("GET", f"{QEMU}/100/status/current")["status"] == "running"


ORPHAN = """
import sys, time
from pathlib import Path
from tests.support.boot.machine import Machine
folder = Path(sys.argv[1])
machine = Machine(["qemu-system-x86_64", "-nodefaults", "-display", "none", "-S",
                   "-qmp", f"unix:{folder / 'qmp'},server=on,wait=off"], folder)
print(machine.pid, flush=True)
time.sleep(600)
"""


def test_no_qemu_outlives_a_killed_test_run(
    programs: None, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("o")
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN, str(folder)], cwd=root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert end(pid)


def test_the_end_of_the_server_ends_everything_but_the_serial_logs(programs: None, tmp_path: Path) -> None:
    lab = LabCluster(home=tmp_path / "disks", logs=tmp_path / "serial")
    try:
        publish(lab, tmp_path)
        folder = lab.sockets(100)
        machine = lab.machines[100] = Machine(
            ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-S"]
            + ["-qmp", f"unix:{folder / 'qmp'},server=on,wait=off"],
            folder,
        )
        lab.serial_log(100).write_text("kept")
    finally:
        lab.close()
    assert machine.ended()
    assert not lab.home.exists()
    assert not folder.exists()
    assert lab.serial(100) == "kept"


def test_disks_of_a_killed_run_are_removed_by_the_next_one(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead, alive = tmp_path / f"run-{ended.pid}-abc", tmp_path / f"run-{os.getpid()}-abc"
    for folder in (dead, alive):
        (folder / "pve1").mkdir(parents=True)
    remove_left_behind(tmp_path)
    assert (dead.exists(), alive.exists()) == (False, True)
