# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clones at once: a hundred in one task, and two processes that take VMIDs from one block."""

from __future__ import annotations

import typing as t

import pytest

from tests.support.pve import serve
from tests.support.runs import started
from tests.support.vms import LINE, VmLab, add_line, new_cluster

BLOCK = "200-309"
"""A hundred VMIDs, and ten that are stolen."""
HUNDRED = [f"node-{number:03}" for number in range(100)]


def declared(names: t.Iterable[str], **options: t.Any) -> list[dict[str, t.Any]]:
    return [{"name": name, "line": LINE, "memory": 1024, "tags": ["web"], **options} for name in names]


def test_a_hundred_clones_in_one_task_are_a_hundred_vms_and_a_second_run_changes_nothing(lab: VmLab) -> None:
    for number, node in enumerate(("pve2", "pve3"), start=1):
        add_line(lab.cluster, 9000 + number, node=node)
    first = lab.fleet(*declared(HUNDRED, spread="crowd"), vmid_range="200-299")
    assert not first.get("failed"), first["msg"]
    assert first["summary"]["created"] == HUNDRED
    assert sorted(vm["vmid"] for vm in first["vms"]) == list(range(200, 300))
    lab.assert_whole(*HUNDRED)
    nodes = [vm.node for vm in lab.guests()]
    assert sorted(nodes.count(node) for node in set(nodes)) == [33, 33, 34]
    # A clone and one change of its config for each.
    assert len(lab.writes()) == 200
    second = lab.fleet(*declared(HUNDRED, spread="crowd"), vmid_range="200-299")
    assert second["changed"] is False
    assert lab.writes() == []
    assert second["summary"]["unchanged"] == HUNDRED
    assert second["requests"] == {"reads": 101, "writes": 0, "polls": 0}


@pytest.mark.slow
def test_two_processes_with_fifty_each_share_a_block_of_a_hundred() -> None:
    """Three workers, listings that lag, clones that take a while, and somebody else who takes ten VMIDs late."""
    cluster = new_cluster(("pve1",))
    add_line(cluster)
    cluster.faults.add("steal_vmid", "POST", "/clone$", nth=5, times=10, late=True)
    cluster.limits.proxy_workers = cluster.limits.daemon_workers = 3
    cluster.limits.resources_lag = 10.0
    cluster.limits.latency = 0.003
    cluster.durations["qmclone"] = 0.05
    with serve(cluster) as server:
        lab = VmLab(server)
        halves = HUNDRED[:50], HUNDRED[50:]
        params = [{"vms": declared(half), "vmid_range": BLOCK} for half in halves]
        with (
            started(server, "one", "vm_fleet", params[0]) as one,
            started(server, "two", "vm_fleet", params[1]) as two,
        ):
            results = [one.result(), two.result()]
        for result, half in zip(results, halves, strict=True):
            assert not result.get("failed"), result["msg"]
            assert result["summary"]["created"] == half
        assert set(cluster.vms) <= {*range(200, 310), 9000}
        early = [entry for entry in server.requests if entry.status >= 400]
        late = [task for task in cluster.tasks.values() if "already exists" in str(task.get("exitstatus"))]
        assert early
        assert late
        for thief in lab.named("racing-client"):
            server.call(cluster.vms.pop, thief.vmid)
        lab.assert_whole(*HUNDRED)
        again = lab.call("vm_fleet", {"vms": declared(HUNDRED), "vmid_range": BLOCK})
        assert again["changed"] is False, again.get("diff") or again["msg"]


@pytest.mark.slow
def test_two_processes_that_want_the_same_vms_make_each_of_them_once() -> None:
    cluster = new_cluster(("pve1",))
    add_line(cluster)
    cluster.limits.proxy_workers = cluster.limits.daemon_workers = 3
    cluster.limits.resources_lag = 10.0
    cluster.durations["qmclone"] = 0.05
    names = HUNDRED[:20]
    with serve(cluster) as server:
        lab = VmLab(server)
        params = {"vms": declared(names), "vmid_range": "200-299"}
        with started(server, "one", "vm_fleet", params) as one, started(server, "two", "vm_fleet", params) as two:
            results = [one.result(), two.result()]
        for result in results:
            assert not result.get("failed") or "another run has meanwhile made VM" in result["msg"], result["msg"]
        last = lab.call("vm_fleet", params)
        assert not last.get("failed"), last["msg"]
        lab.assert_whole(*names)
