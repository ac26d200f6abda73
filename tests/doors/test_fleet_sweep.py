# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every request of a rebuild of two lines on two nodes goes wrong once, in every way: reads, polls and writes alike."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterator

import pytest

from tests.support.guarded import (
    NODES,
    GuardedCluster,
    assert_one_of_each,
    current,
    generations,
    orphans,
    put_back,
    remember,
)
from tests.support.pve.cluster import cluster_storages
from tests.support.site import Result, Site, open_site, plain
from tests.support.vendor import Vendor

ALL = ["alpha@pve1", "alpha@pve2", "beta@pve1", "beta@pve2"]
CLONE = 120
"""A full clone by hand that was made a template: it has the block, the tags and the base volumes of a generation."""

REQUESTS, STARTING = 72, 18
"""Of an undisturbed rebuild with one worker: all of them, and those that begin a task."""

FAULTS: dict[str, tuple[str, dict[str, t.Any]]] = {
    "cut before": ("cut_before", {}),
    "cut after": ("cut_after", {}),
    "500": ("status", {"code": 500, "message": "something broke"}),
    "403": ("status", {"code": 403, "message": "Permission check failed (/somewhere, Some.Right)"}),
}
FAILED = {
    "at once": {"exitstatus": "the disk is on fire"},
    "at its end": {"exitstatus": "the disk is on fire", "done": True},
}


class World:
    """A fleet with one generation of each line, a newer image at the vendor, and a clone made by hand."""

    def __init__(self, site: Site, cluster: GuardedCluster) -> None:
        self.site = site
        self.cluster = cluster
        self.works()
        template = current(cluster)[ALL[0]][0]
        values = {"node": "pve1", "vmid": template, "newid": CLONE, "full": 1, "name": "mine"}
        site.server.call(cluster._qm_clone, values, "root@pam")
        site.heal()
        site.server.call(cluster._qm_template, {"node": "pve1", "vmid": CLONE}, "root@pam")
        site.heal()
        self.clone = copy.deepcopy(cluster.vms[CLONE].config)
        cluster.guarded = tuple(ALL)
        site.new_image()
        self.start = remember(cluster)

    def begin(self) -> None:
        """Everything as it was at the start."""
        self.site.heal()
        self.site.server.call(put_back, self.cluster, self.start)
        self.cluster.lost.clear()

    def keep(self, workers: int = 1) -> Result:
        """One run of the fleet. With one worker its requests have an order that is the same every time."""
        own = {n: v for n, v in self.site.line().items() if n not in ("node", "line", "allow_unverified")}
        lines = [{**own, "line": "alpha", "storage": "local"}, {**own, "line": "beta", "memory": 3072}]
        whole = {"nodes": list(NODES), "allow_unverified": True, "keep": 1, "max_deletions": 99, "workers": workers}
        return self.site.run("vm_template_fleet", {"lines": lines, **whole})

    def works(self, workers: int = 1) -> Result:
        result = self.keep(workers)
        assert not result.get("failed"), result["msg"]
        return result

    def sent(self) -> list[str]:
        return [f"{entry.method} {entry.path}" for entry in self.site.server.requests]

    def in_order(self) -> bool:
        """Whether nothing is left to do."""
        states = [state for some in generations(self.cluster).values() for _vm, _identity, state in some]
        return states == ["current"] * len(ALL)

    def settled(self, workers: int = 1) -> None:
        """The fleet is whole, and a run writes nothing."""
        assert_one_of_each(self.cluster, ALL, self.site.digest, foreign=[CLONE])
        idle = self.works(workers)
        assert idle["changed"] is False
        assert self.site.writes() == []
        assert self.cluster.vms[CLONE].config == self.clone
        assert self.cluster.lost == []


@pytest.fixture(scope="module")
def made(bench_vendor: Vendor) -> Iterator[World]:
    cluster = GuardedCluster(nodes=NODES, storages=cluster_storages())
    with open_site(bench_vendor, cluster) as site:
        yield World(site, cluster)


@pytest.fixture
def world(made: World) -> World:
    made.begin()
    return made


def survive(world: World, workers: int = 1) -> Result:
    """A run with the planned fault, one that makes good what it left, and one that writes nothing."""
    site, cluster = world.site, world.cluster
    before = generations(cluster)
    result = world.keep(workers)
    site.faults.assert_all_fired()
    site.heal()
    assert cluster.lost == []
    assert sorted(current(cluster)) == ALL
    assert orphans(cluster) == []
    assert cluster.vms[CLONE].config == world.clone
    if result.get("failed"):
        assert_said(world, result, [vm.vmid for some in before.values() for vm, _identity, _state in some])
        world.works(workers)
    world.settled(workers)
    return result


def assert_said(world: World, result: Result, before: list[int]) -> None:
    """Each VM that stays although it should not is named, and how many lines it was."""
    message = plain(result["msg"])
    left = " ".join(result.get("left_behind", []))
    for key, some in generations(world.cluster).items():
        vmids = [vm.vmid for vm, _identity, state in some if state == "current"]
        for vm, _identity, state in some:
            if state == "building":
                assert f"VM {vm.vmid}" in left, f"{key}: VM {vm.vmid} is unfinished, which is not said: {message}"
            elif vm.vmid in before and len(some) > 1:
                assert f"VM {vm.vmid}" in message, f"{key}: VM {vm.vmid} stays ({state}), which is not said: {message}"
        assert len(vmids) == 1 or f"VM {min(vmids)}" in left, f"{key}: {vmids} are current, which is not said"
    assert result.get("changed", False) or sorted(before) == sorted(set(world.cluster.vms) - {CLONE})


def test_the_sweep_has_every_request_of_a_rebuild(world: World) -> None:
    world.works()
    sent = world.sent()
    assert len(sent) == REQUESTS, "\n".join(sent)
    assert len(starting(sent)) == STARTING, sent
    assert len(world.site.writes()) == STARTING + 8, "publish and retire"
    world.settled()


def starting(sent: list[str]) -> list[str]:
    return [line for line in sent if not line.startswith("GET") and not line.endswith("/config")]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("index", range(REQUESTS))
def test_any_request(world: World, index: int, fault: str) -> None:
    effect, options = FAULTS[fault]
    world.site.faults.add(effect, at=index, **options)
    survive(world)


@pytest.mark.parametrize("end", FAILED)
@pytest.mark.parametrize("number", range(1, STARTING + 1))
def test_any_task_that_fails(world: World, number: int, end: str) -> None:
    path = r"(/download-url|/resize|/template|/qemu|/qemu/\d+)$"
    world.site.faults.add("fail_task", "*", path, nth=number, **FAILED[end])
    result = survive(world)
    assert result["failed"]
    assert "the disk is on fire" in result["msg"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("index", range(2, REQUESTS - 4, 9))
def test_side_by_side(world: World, index: int, fault: str) -> None:
    """A sample with all tracks at once; which request comes at that place differs from run to run."""
    effect, options = FAULTS[fault]
    world.site.faults.add(effect, at=index, **options)
    survive(world, workers=8)
