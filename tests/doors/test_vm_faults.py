# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every write of a VM's life goes wrong in every way: nothing half-made goes unsaid, and the next run finishes."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.pve import serve
from tests.support.runs import started
from tests.support.site import plain
from tests.support.vms import LINE, NEWER, Result, VmLab, add_line, new_cluster

Options = dict[str, t.Any]


def nothing(_lab: VmLab) -> None:
    """No VM is there yet."""


def made(lab: VmLab) -> None:
    lab.make(started=True, pool="web")


def outdated(lab: VmLab) -> None:
    made(lab)
    lab.cluster.vms[9000].config["tags"] = lab.cluster.vms[9000].config["tags"].replace("current", "retired")
    add_line(lab.cluster, 9001, generation=NEWER)


@dataclass(frozen=True)
class Life:
    """A part of a VM's life: what is there before, what is declared, and which writes that takes."""

    prepare: Callable[[VmLab], None]
    options: Options
    writes: tuple[str, ...]
    after: tuple[str, ...] = ("web1",)


LIVES = {
    "make": Life(
        nothing,
        {
            "pool": "web",
            "memory": 4096,
            "cipassword": "correct-horse-7",
            "disks": [{"size": "8G"}, {"slot": "scsi2", "size": "1G"}],
            "ha": {"state": "started"},
            "started": True,
        },
        ("POST /9000/clone$", "PUT /100/config$", "PUT /100/resize$", "POST /ha/resources$", "POST /100/status/start$"),
    ),
    "change": Life(
        made,
        {"pool": "db", "memory": 4096, "disks": [{"size": "8G", "storage": "fast"}], "reboot": "when_required"},
        ("PUT /100/config$", "POST /100/move_disk$", "PUT /100/resize$", "PUT /pools$", "POST /100/status/reboot$"),
    ),
    "stop": Life(made, {"started": False}, ("POST /100/status/shutdown$",)),
    "replace": Life(
        outdated,
        {"replace": True, "force_stop": True, "started": True, "pool": "web"},
        ("POST /100/status/stop$", "DELETE /100$", "POST /9001/clone$", "POST /100/status/start$"),
    ),
    "remove": Life(made, {"state": "absent", "force_stop": True}, ("POST /100/status/stop$", "DELETE /100$"), after=()),
}
EFFECTS = ("cut_before", "cut_after", "500", "403", "fail_task")
TASKS = ("clone", "resize", "move_disk", "start", "stop", "shutdown", "reboot", "DELETE")
CASES = [
    pytest.param(name, write, effect, id=f"{name}-{write.split('/')[-1].strip('$')}-{effect}")
    for name, life in LIVES.items()
    for write in life.writes
    for effect in EFFECTS
    if effect != "fail_task" or any(word in write for word in TASKS)
    if effect != "403" or write == life.writes[0]
]


def hurt(lab: VmLab, effect: str, write: str) -> None:
    method, _blank, path = write.partition(" ")
    if effect in ("500", "403"):
        text = "Permission check failed (/, X)" if effect == "403" else "something broke"
        lab.cluster.faults.add("status", method, path, code=int(effect), message=text)
    elif effect == "fail_task":
        lab.cluster.faults.add("fail_task", method, path, exitstatus="something broke", log=["it broke here"])
    else:
        lab.cluster.faults.add(effect, method, path)


def judge(lab: VmLab, result: Result, vmids: set[int]) -> None:
    """A failed run says what it leaves."""
    if not result.get("failed"):
        return
    told = plain(" ".join([result["msg"], *result["left_behind"], *result["done"]]))
    for vm in lab.guests():
        if vm.vmid not in vmids:
            assert f"VM {vm.vmid}" in " ".join(result["left_behind"]), told
            assert result["changed"] is True
    if vmids - set(lab.cluster.vms):
        assert "VM 100" in told, told
    assert "correct-horse-7" not in str(result)


@pytest.mark.parametrize(("name", "write", "effect"), CASES)
def test_a_write_that_goes_wrong(lab: VmLab, name: str, write: str, effect: str) -> None:
    life = LIVES[name]
    lab.cluster.pools |= {"web": set(), "db": set()}
    life.prepare(lab)
    before = {vm.vmid for vm in lab.guests()}
    hurt(lab, effect, write)
    result = lab.vm(**life.options)
    lab.cluster.faults.assert_all_fired()
    if effect in ("500", "403", "fail_task"):
        assert result.get("failed"), result
        assert "broke" in result["msg"] or "lacks a privilege" in result["msg"]
    judge(lab, result, before)
    lab.heal()
    again = lab.vm(**life.options)
    assert not again.get("failed"), again["msg"]
    lab.assert_whole(*life.after)
    lab.settled(**life.options)
    for vm in lab.guests():
        wanted = life.options.get("memory")
        assert wanted is None or vm.config["memory"] == str(wanted)


@pytest.mark.parametrize("write", ["PUT /100/config$", "POST /9000/clone$"])
def test_a_clone_of_a_fleet_whose_connection_is_cut_is_found_by_looking(lab: VmLab, write: str) -> None:
    """Clones of one template go out side by side, so that the list of tasks cannot tell which one was which."""
    for effect in ("cut_after", "cut_before"):
        method, _blank, path = write.partition(" ")
        lab.cluster.faults.add(effect, method, path, nth=3 if "clone" in write else 1)
    lab.cluster.durations["qmclone"] = 0.02
    names = [f"w{number}" for number in range(8)]
    result = lab.fleet(*({"name": name} for name in names))
    assert not result.get("failed"), result["msg"]
    lab.assert_whole(*names)


def test_a_digest_that_changed_between_read_and_write_is_planned_once_more(lab: VmLab) -> None:
    lab.make()
    lab.cluster.faults.add("digest_bump", "PUT", "/100/config$")
    result = lab.vm(memory=4096)
    assert not result.get("failed"), result["msg"]
    assert lab.cluster.vms[100].config["memory"] == "4096"


def test_a_lock_is_waited_for(lab: VmLab) -> None:
    lab.make()
    lab.cluster.faults.add("status", "PUT", "/100/config$", code=500, message="VM is locked (backup)", times=3)
    assert lab.vm(memory=4096)["changed"] is True
    assert len(lab.writes()) == 4


def test_a_clone_that_died_is_told_and_not_taken_for_anything(lab: VmLab) -> None:
    lab.cluster.add_vm(150, config={"lock": "clone"})
    result = lab.vm(vmid_range="150-160")
    said = "VM 150 on pve1 is locked (clone) and no task that these credentials see works on it"
    assert said in str(result["warnings"])
    assert result["vm"]["vmid"] == 151


@pytest.mark.slow
def test_a_killed_run_is_finished_by_the_next_one_without_a_double() -> None:
    """The clone goes on when its process is gone; until it is whole nobody can tell whose it is."""
    cluster = new_cluster(("pve1",))
    add_line(cluster)
    cluster.faults.add("hang_task", "POST", "/9000/clone$")
    with serve(cluster) as server:
        lab = VmLab(server)
        params = {"name": "web1", "line": LINE, "memory": 4096}
        with started(server, "one", "vm", params) as run:
            while 100 not in cluster.vms:
                time.sleep(0.01)
            run.process.kill()
            run.process.wait()
        assert cluster.vms[100].config == {"lock": "clone"}
        with started(server, "two", "vm", params) as run:
            while not any(entry.path.endswith("/tasks") for entry in server.requests):
                time.sleep(0.01)
            server.call(cluster.faults.release)
            again = run.result()
        assert not again.get("failed"), again["msg"]
        assert again["steps"] == ["complete, and set memory, tags of VM 100 (web1)"]
        lab.assert_whole("web1")
        lab.settled(memory=4096)


def test_a_vm_that_somebody_else_has_put_in_place_of_the_clone_is_not_called_made(lab: VmLab) -> None:
    lab.cluster.faults.add("steal_vmid", "GET", "/100/pending$", instead=True)
    result = lab.fleet({"name": "web1"})
    assert result["failed"]
    assert "VM 100 on pve1 is not the clone that was made: it was not made by this collection" in plain(result["msg"])
    assert result["summary"]["created"] == []
    # The next run makes another one, and leaves that VM alone.
    assert result["left_behind"] == []
    assert lab.fleet({"name": "web1"})["vms"][0]["vmid"] == 101
    assert lab.cluster.vms[100].config["name"] == "racing-client"
