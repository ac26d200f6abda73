# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots: what was asked for exists, what was not asked for stays, and going back takes the user's word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.guests import add_guest, guest_of
from tests.support.pve import FakeCluster
from tests.support.pve.cluster import cluster_storages
from tests.support.workbench import Bench, Result, warnings_of


def site() -> FakeCluster:
    """One node with a storage of every kind."""
    return FakeCluster(storages=cluster_storages(), password="Correct-Horse-1")


def keep(bench: Bench, *guests: str, check: bool = False, **options: Any) -> Result:
    return bench.call("vm_snapshot", {"guests": list(guests or ("web",)), **options}, check=check)


def kept(bench: Bench, *guests: str, **options: Any) -> Result:
    """A run that must go well."""
    result = keep(bench, *guests, **options)
    assert not result.get("failed"), result
    return result


def back(bench: Bench, *guests: str, check: bool = False, **options: Any) -> Result:
    params = {"guests": list(guests or ("web",)), "name": "before", **options}
    return bench.call("vm_snapshot_rollback", params, check=check)


def names(bench: Bench, vmid: int = 101) -> list[str]:
    return sorted(bench.cluster.vms[vmid].snapshots)


def age(bench: Bench, vmid: int = 101) -> None:
    """Let each snapshot be a day older than it is: those that follow are newer."""
    for one in bench.cluster.vms[vmid].snapshots.values():
        one["snaptime"] -= 86400


# --- taking, describing, deleting


def test_a_snapshot_is_taken_once_for_many_vms(bench: Bench) -> None:
    for vmid, name in ((101, "web"), (102, "db")):
        add_guest(bench, vmid, name)
    wish = {"name": "before", "description": "Before it\n"}
    planned = keep(bench, "web", "102", check=True, **wish)
    assert bench.writes() == []
    result = kept(bench, "web", "102", **wish)
    assert result["steps"] == planned["steps"]
    assert result["diff"] == planned["diff"]
    assert len(bench.writes()) == 2
    for vmid in (101, 102):
        (shown,) = guest_of(result, vmid)["snapshots"]
        assert (shown["name"], shown["description"], shown["vmstate"], shown["parent"]) == (
            "before",
            "Before it",
            False,
            None,
        )
        assert guest_of(result, vmid)["chain"] == ["before"]
    assert kept(bench, "web", "102", **wish)["changed"] is False
    assert bench.writes() == []


def test_a_description_that_drifted_is_written_again(bench: Bench) -> None:
    add_guest(bench)
    kept(bench, name="before", description="One")
    result = kept(bench, name="before", description="Two")
    assert result["diff"]["before"] == {"VM 101 (web)": {"description": "One"}}
    assert guest_of(result)["snapshots"][0]["description"] == "Two"
    assert kept(bench, name="before")["changed"] is False
    assert bench.writes() == []


def test_the_chain_is_told_and_deleting_a_link_keeps_the_rest(bench: Bench) -> None:
    add_guest(bench)
    for name in ("first", "second", "third"):
        kept(bench, name=name)
    result = kept(bench, name="second", state="absent")
    assert guest_of(result)["chain"] == ["first", "third"]
    assert result["diff"]["after"]["VM 101 (web)"]["names"] == ["first", "third"]
    assert kept(bench, name="second", state="absent")["changed"] is False


def test_memory_is_kept_of_what_runs(bench: Bench) -> None:
    add_guest(bench)
    add_guest(bench, 102, "off", running=False)
    result = kept(bench, "web", "off", name="before", vmstate=True)
    assert guest_of(result, 101)["snapshots"][0]["vmstate"] is True
    assert guest_of(result, 102)["snapshots"][0]["vmstate"] is False
    assert warnings_of(result) == ["VM 102 (off) does not run, so there is no memory to keep (vmstate)"]
    kept(bench, name="bare")
    told = kept(bench, name="bare", vmstate=True)
    assert told["changed"] is False
    assert "snapshot bare was taken without memory, and stays so" in warnings_of(told)[0]


@pytest.mark.parametrize("bench", [site], indirect=True)
@pytest.mark.parametrize(
    ("storage", "disk", "reason"),
    [
        ("local", "local:101/vm-101-disk-0.raw", "scsi0: it is a raw file on storage local, and only qcow2 files have"),
        ("thick", "thick:vm-101-disk-0", "scsi0: storage thick is of type lvm, which has none"),
    ],
)
def test_disks_without_snapshots_are_named_with_what_helps(bench: Bench, storage: str, disk: str, reason: str) -> None:
    bench.cluster.add_vm(101, "web", config={"scsi0": f"{disk},size=1G"})
    result = keep(bench, name="before")
    assert reason in result["msg"]
    assert "Move the disk to LVM-thin, ZFS, Ceph or BTRFS, or to a directory as qcow2" in result["msg"]
    assert bench.writes() == []


@pytest.mark.parametrize("bench", [site], indirect=True)
@pytest.mark.parametrize("storage", ["local-lvm", "fast", "ceph", "tank"])
def test_storages_with_snapshots_take_them(bench: Bench, storage: str) -> None:
    add_guest(bench, storage=storage, running=False)
    assert kept(bench, name="before")["changed"]


def test_templates_locked_vms_and_containers_are_refused_together(bench: Bench) -> None:
    add_guest(bench, 101, "base", running=False, template=True)
    add_guest(bench, 102, "busy", running=False, lock="backup")
    bench.cluster.add_ct(103, "dns")
    result = keep(bench, "base", "busy", "dns", "nobody", name="before")
    for text in (
        "VM 101 (base): guests='101': it is a template",
        "VM 102 (busy): name='before': it is locked (backup)",
        "CT 103 (dns) is a container, and vm_snapshot is for VMs",
        "guests='nobody': there is no guest of this name",
    ):
        assert text in result["msg"]
    assert bench.writes() == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "current"}, "name='current': Proxmox VE keeps this name for itself"),
        ({"name": "2nd"}, "name='2nd': use 2 to 40 letters, digits, dashes and underscores, a letter first"),
        ({"name": "a" * 41}, "use 2 to 40 letters"),
        ({}, "name: it says which snapshot is meant"),
        ({"state": "absent"}, "name: it says which snapshot is meant"),
        ({"name": "before", "keep": 2}, "prefix: keep counts the snapshots of one prefix"),
        ({"name": "before", "keep": 0, "prefix": "auto-"}, "keep=0: give 1 or more"),
        ({"name": "before", "keep": 2, "prefix": "-"}, "prefix='-': names of snapshots begin with a letter"),
        ({"name": "before", "prefix": "auto-"}, "prefix='auto-': it belongs to keep"),
        ({"name": "before", "state": "absent", "keep": 1, "prefix": "b"}, "keep: it goes with state='present'"),
        ({"name": "before", "state": "absent", "vmstate": True}, "description and vmstate say nothing of a snapshot"),
        ({"name": "before", "description": "x" * 8193}, "description: it has 8193 characters"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant(bench: Bench, options: dict[str, Any], text: str) -> None:
    result = keep(bench, **options)
    assert text in result["msg"]
    assert bench.server.requests == []


# --- how many stay


def days(bench: Bench, *taken: str) -> None:
    add_guest(bench)
    for name in taken:
        kept(bench, name=name)
        age(bench)


def test_the_newest_of_a_prefix_stay_on_the_users_word(bench: Bench) -> None:
    days(bench, "auto-1", "by-hand", "auto-2", "auto-3")
    wish = {"name": "auto-4", "prefix": "auto-", "keep": 2}
    planned = keep(bench, check=True, **wish)
    assert not planned.get("failed")
    refused = keep(bench, **wish)
    assert "confirm=False: 2 snapshots would go: delete snapshot auto-1 of VM 101 (web)" in refused["msg"]
    assert names(bench) == ["auto-1", "auto-2", "auto-3", "by-hand"]
    result = kept(bench, **wish, confirm=True)
    assert result["steps"] == planned["steps"]
    assert [step.partition(" of")[0] for step in result["steps"]] == [
        "take snapshot auto-4",
        "delete snapshot auto-1",
        "delete snapshot auto-2",
    ]
    assert names(bench) == ["auto-3", "auto-4", "by-hand"]
    assert kept(bench, **wish)["changed"] is False


def test_tidying_up_needs_no_new_snapshot(bench: Bench) -> None:
    days(bench, "auto-1", "auto-2", "auto-3")
    kept(bench, prefix="auto-", keep=1, confirm=True)
    assert names(bench) == ["auto-3"]


def test_the_one_that_is_asked_for_stays_however_old_it_is(bench: Bench) -> None:
    days(bench, "auto-1", "auto-2", "auto-3")
    kept(bench, name="auto-1", prefix="auto-", keep=1, confirm=True)
    assert names(bench) == ["auto-1"]


def test_what_is_not_whole_does_not_count_and_stays(bench: Bench) -> None:
    days(bench, "auto-1", "auto-2", "auto-3")
    bench.cluster.vms[101].snapshots["auto-2"]["snapstate"] = "delete"
    result = kept(bench, prefix="auto-", keep=2, confirm=True)
    assert result["changed"] is False
    assert "snapshot auto-2 is not whole (delete)" in warnings_of(result)[0]


# --- what goes wrong


def test_a_snapshot_whose_task_died_is_taken_anew(bench: Bench) -> None:
    days(bench, "before")
    bench.cluster.vms[101].snapshots["before"]["snapstate"] = "prepare"
    result = kept(bench, name="before", description="Anew")
    assert result["steps"] == [
        "delete snapshot before of VM 101 (web): it is not whole (prepare)",
        "take snapshot before of VM 101 (web)",
    ]
    assert "snapstate" not in bench.cluster.vms[101].snapshots["before"]


def test_one_vm_that_fails_does_not_hinder_the_others_and_shows_its_log(bench: Bench) -> None:
    for vmid, name in ((101, "web"), (102, "db")):
        add_guest(bench, vmid, name)
    bench.cluster.faults.add(
        "fail_task", "POST", r"/101/snapshot$", exitstatus="lvcreate failed", log=["out of thin metadata"]
    )
    result = keep(bench, "web", "db", name="before")
    (failure,) = result["failures"]
    assert failure["track"] == "VM 101 (web)"
    assert "lvcreate failed" in failure["msg"]
    assert "out of thin metadata" in str(failure["error"]["task"]["log_tail"])
    assert names(bench, 102) == ["before"]
    assert result["done"] == ["take snapshot before of VM 102 (db)"]
    assert kept(bench, "web", "db", name="before")["steps"] == ["take snapshot before of VM 101 (web)"]


def test_an_answer_that_was_lost_is_no_second_snapshot(bench: Bench) -> None:
    add_guest(bench)
    bench.cluster.faults.add("cut_after", "POST", r"/snapshot$")
    kept(bench, name="before")
    bench.cluster.faults.assert_all_fired()
    assert [task["type"] for task in bench.cluster.tasks.values()].count("qmsnapshot") == 1


def test_a_run_that_is_out_of_time_says_that_the_task_goes_on(bench: Bench) -> None:
    add_guest(bench)
    bench.cluster.faults.add("hang_task", "POST", r"/snapshot$")
    result = keep(bench, name="before", timeout=1)
    assert result["left_behind"] == ["snapshot before of VM 101 (web): its task goes on; the next run looks"]
    bench.server.call(bench.cluster.faults.reset)
    bench.settle()
    assert kept(bench, name="before")["changed"] is False


def test_somebody_elses_deletion_is_no_failure(bench: Bench) -> None:
    days(bench, "before")
    real = bench.cluster._snapshot_drop

    async def drop(v: dict[str, Any], user: str) -> str:
        bench.cluster.vms[101].snapshots.clear()
        return await real(v, user)

    bench.cluster._table["DELETE", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}"] = drop
    assert guest_of(kept(bench, name="before", state="absent"))["snapshots"] == []


# --- going back


def test_going_back_takes_the_users_word_and_loses_what_came_after(bench: Bench) -> None:
    vm = add_guest(bench)
    kept(bench, name="before")
    vm.config["memory"] = 2048
    planned = back(bench, check=True)
    assert bench.writes() == []
    refused = back(bench)
    assert "confirm=False: roll VM 101 (web) back to snapshot before." in refused["msg"]
    assert "VM 101 (web) would be stopped for it" in refused["msg"]
    assert bench.writes() == []
    result = back(bench, confirm=True)
    assert not result.get("failed"), result
    assert result["diff"] == planned["diff"]
    assert vm.config["memory"] == 512
    assert vm.status == "stopped"
    assert guest_of(result)["chain"] == ["before"]


def test_a_vm_is_started_afterwards_on_demand_and_with_its_memory_anyway(bench: Bench) -> None:
    vm = add_guest(bench)
    kept(bench, name="before")
    assert back(bench, confirm=True, start=True)["changed"]
    assert vm.status == "running"
    assert bench.writes()[0].params == {"start": "1"}
    kept(bench, name="awake", vmstate=True)
    result = back(bench, name="awake", confirm=True)
    assert vm.status == "running"
    assert result["diff"]["after"]["VM 101 (web)"]["status"] == "running"


@pytest.mark.parametrize("bench", [site], indirect=True)
def test_what_stands_in_the_way_is_told_before_any_vm_is_touched(bench: Bench) -> None:
    add_guest(bench, 101, "web")
    add_guest(bench, 102, "zfs", storage="tank")
    add_guest(bench, 103, "none")
    add_guest(bench, 104, "half")
    kept(bench, "web", "zfs", "half", name="before")
    age(bench, 102)
    kept(bench, "zfs", name="later")
    bench.cluster.vms[104].snapshots["before"]["snapstate"] = "delete"
    result = back(bench, "web", "zfs", "none", "half", confirm=True)
    for text in (
        "storage tank is ZFS, which goes back to its newest snapshot only; newer are later. Delete those first",
        "VM 103 (none): name='before': it has no snapshot of that name. There are: none",
        "VM 104 (half): name='before': this snapshot is not whole (delete)",
    ):
        assert text in result["msg"]
    assert bench.writes() == []
    kept(bench, "zfs", name="later", state="absent")
    assert back(bench, "web", "zfs", confirm=True)["changed"]
