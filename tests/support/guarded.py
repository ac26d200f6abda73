# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake cluster that never takes its eyes off the current generations, and can be put back to where it was."""

from __future__ import annotations

import copy
import re
import shutil
import threading
import typing as t
from dataclasses import dataclass

from aiohttp import web
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity
from fakepve.server import USER

from .pve import FakeCluster
from .pve.storage import Volume
from .pve.vm import Vm, normal_tags

NODES = ("pve1", "pve2")

Body = t.Callable[[list[str]], t.Awaitable[None]]


@dataclass
class Blow:
    """What happens at the n-th write that fits, before it is carried out (which it then is not) or after it."""

    fits: str
    """Searched in C(METHOD /path)."""
    countdown: int
    before: bool
    deal: t.Callable[[], None]
    dealt: str = ""
    """The request that it was dealt at."""


class GuardedCluster(FakeCluster):
    """C(lost) collects when, after a write or a task, a line of C(guarded) had no whole current generation."""

    def _init_guarded(self) -> None:
        self.guarded: tuple[str, ...] = ()
        self.lost: list[str] = []
        self.blow: Blow | None = None
        self.gates: list[Gate] = []

    def _middlewares_zz_guarded(self) -> list[t.Callable]:
        return [self._guard]

    @web.middleware
    async def _guard(self, request: web.Request, handler: t.Callable) -> web.StreamResponse:
        user = str(request.get(USER) or "")
        for gate in self.gates:
            await gate.hold(self, user, request)
        if request.method == "GET":
            return await handler(request)
        blow = self._due(f"{request.method} {request.path}")
        if blow and blow.before:
            blow.deal()
            self._cut(request)
        try:
            return await handler(request)
        finally:
            self._look(f"{request.method} {request.path}")
            if blow and not blow.before:
                blow.deal()

    def _due(self, request: str) -> Blow | None:
        """The blow, if it is to be dealt at this write."""
        blow = self.blow
        if blow is None or blow.dealt or not re.search(blow.fits, request):
            return None
        blow.countdown -= 1
        if blow.countdown:
            return None
        blow.dealt = request
        return blow

    async def _work(self, record: dict[str, t.Any], body: Body, seconds: float) -> None:
        await super()._work(record, body, seconds)
        self._look(f"the task {record['type']} {record['id']}")

    def _look(self, when: str) -> None:
        held = current(self)
        self.lost += [f"{key} after {when}" for key in self.guarded if key not in held]


class Gate:
    """Holds the n-th request of a user that fits, from C(reached) until C(open) is set."""

    def __init__(self, user: str, method: str, path: str, nth: int = 1) -> None:
        self.user, self.method, self.path, self.nth = user, method, path, nth
        self.reached = threading.Event()
        self.open = threading.Event()

    async def hold(self, cluster: FakeCluster, user: str, request: web.Request) -> None:
        fits = user == self.user and request.method == self.method and self.path in request.path
        self.nth -= fits
        if self.nth or not fits:
            return
        self.reached.set()
        while not self.open.is_set():
            await cluster.faults.hold(cluster, 0.01)


@dataclass(frozen=True)
class Moment:
    """All that a cluster holds while no task runs."""

    vms: dict[int, Vm]
    shelves: dict[tuple[str, str], dict[str, Volume]]
    files: dict[str, bytes]
    tasks: list[dict[str, t.Any]]
    archived: list[str]


def remember(cluster: FakeCluster) -> Moment:
    """What put_back() makes of the cluster again."""
    paths = [volume.path for shelf in cluster.shelves.values() for volume in shelf.values() if volume.path]
    return Moment(
        vms=copy.deepcopy(cluster.vms),
        shelves=copy.deepcopy(cluster.shelves),
        files={str(path): path.read_bytes() for path in paths},
        tasks=copy.deepcopy(cluster.tasklog),
        archived=[record["upid"] for record in cluster.archive],
    )


def put_back(cluster: FakeCluster, moment: Moment) -> None:
    """Call it in the server's thread, while no task runs."""
    cluster.vms.clear()
    cluster.vms.update(copy.deepcopy(moment.vms))
    cluster.shelves.clear()
    cluster.shelves.update(copy.deepcopy(moment.shelves))
    shutil.rmtree(cluster.workdir, ignore_errors=True)
    for shelf in cluster.shelves.values():
        for volume in shelf.values():
            if volume.path:
                volume.path.parent.mkdir(parents=True, exist_ok=True)
                volume.path.write_bytes(moment.files[str(volume.path)])
    records = {record["upid"]: record for record in copy.deepcopy(moment.tasks)}
    cluster.tasks.clear()
    cluster.tasks.update(records)
    cluster.tasklog[:] = records.values()
    cluster.archive[:] = [records[upid] for upid in moment.archived]


# ------------------------------------------------------------- what is there


def state_of(vm: Vm) -> str:
    """What the tags of a VM say of it; empty for a VM without a state."""
    tags = normal_tags(str(vm.config.get("tags", ""))).split(";")
    return next((tag.removeprefix("state-") for tag in tags if tag.startswith("state-")), "")


def generations(cluster: FakeCluster) -> dict[str, list[tuple[Vm, Identity, str]]]:
    """VMs that are ours by line@node, each with its identity and its state."""
    found: dict[str, list[tuple[Vm, Identity, str]]] = {}
    for vmid, vm in sorted(cluster.vms.items()):
        identity = read_identity(vmid, str(vm.config.get("description", "")))
        if isinstance(identity, Identity):
            found.setdefault(f"{identity.line}@{vm.node}", []).append((vm, identity, state_of(vm)))
    return found


def is_whole(cluster: FakeCluster, vm: Vm) -> bool:
    """A template whose disks are base volumes that exist."""
    disks = [volid for _key, volid, _props in vm.drives(cdrom=False)]
    stored = cluster.volumes(vm.node)
    return bool(vm.template and disks and all(f"base-{vm.vmid}-" in volid and volid in stored for volid in disks))


def current(cluster: FakeCluster) -> dict[str, list[int]]:
    """VMIDs of the whole current generations by line@node."""
    found = {
        key: [vm.vmid for vm, _identity, state in some if state == "current" and is_whole(cluster, vm)]
        for key, some in generations(cluster).items()
    }
    return {key: vmids for key, vmids in found.items() if vmids}


def orphans(cluster: FakeCluster) -> list[str]:
    """Disks that no VM of their node has."""
    found = []
    for node in cluster.nodes:
        configs = " ".join(str(value) for vm in cluster.vms.values() if vm.node == node for value in vm.config.values())
        disks = [volid for volid in cluster.volumes(node) if ":import/" not in volid]
        found += [f"{node} {volid}" for volid in disks if volid not in configs]
    return found


def assert_one_of_each(cluster: FakeCluster, keys: t.Collection[str], digest: str, foreign: t.Collection[int]) -> None:
    """One generation of each line and node, whole and current, of that source; beside them the foreign VMs only."""
    found = generations(cluster)
    shown = {key: [(vm.vmid, state) for vm, _identity, state in some] for key, some in found.items()}
    assert sorted(found) == sorted(keys), shown
    assert all(len(some) == 1 for some in found.values()), shown
    assert sorted(current(cluster)) == sorted(keys), shown
    assert {identity.source for some in found.values() for _vm, identity, _state in some} == {f"sha256:{digest}"}
    assert len(cluster.vms) == len(keys) + len(foreign), sorted(cluster.vms)
    assert [vm.vmid for vm in cluster.vms.values() if vm.lock] == []
    assert orphans(cluster) == []
    assert cluster.running_tasks() == []
