# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking VMs back to a snapshot: what is lost by it, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._model.cluster import Cluster
from .._model.snapshot import Snapshot, Snapshots
from .chosen import choice_refusals, lock_refusal, privilege_refusals, renamed
from .plan import Plan, Refusal, Step
from .privileges import Call
from .snapshot import SnapshotActual


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackToWish:
    guests: tuple[str, ...]
    name: str
    start: bool
    confirm: bool
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBackTo:
    """C(start): start the VM afterwards; one whose snapshot has its memory runs anyway."""

    of: Snapshots
    name: str
    start: bool
    runs: bool

    def describe(self) -> str:
        then = ", and start it" if self.start else ""
        return f"roll {self.of.subject} back to snapshot {self.name}{then}"


def plan_snapshot_rollback(wish: RollbackToWish, actual: SnapshotActual) -> Plan:
    """Every VM or none."""
    refusals = choice_refusals(actual.cluster, actual.choices, option="guests", what="vm_snapshot_rollback")
    refusals += renamed(actual.choices, {one.vmid: one.name for one in actual.found}, option="guests")
    steps: list[RollBackTo] = []
    for found in actual.found:
        one = found.get(wish.name)
        refusals += _refusals(wish, actual.cluster, found, one)
        if one is not None:
            start = wish.start and not one.memory
            steps.append(RollBackTo(of=found, name=wish.name, start=start, runs=wish.start or one.memory))
    calls = [
        Call(name=name, node=step.of.row.node, vmid=step.of.vmid, pool=step.of.row.pool)
        for step in steps
        for name in ("snapshot_rollback", *(("start",) if step.start else ()))
    ]
    refusals += privilege_refusals(actual.permissions, calls, auth_id=actual.auth_id)
    if refusals:
        return Plan(refusals=tuple(refusals))
    tracks: tuple[tuple[str, tuple[Step, ...]], ...] = tuple((step.of.subject, (step,)) for step in steps)
    return Plan(
        before={step.of.subject: _side("what is there now", step.of.running) for step in steps},
        after={step.of.subject: _side(f"snapshot {step.name}", step.runs) for step in steps},
        steps=tuple(steps),
        result={"guests": {str(found.vmid): found.view() for found in actual.found}},
        tracks=tracks,
    )


def confirmation(plan: Plan) -> str:
    """What is asked before anything is lost."""
    running = [step.of.subject for step in plan.steps if isinstance(step, RollBackTo) and step.of.running]
    stops = f" {', '.join(running)} would be stopped for it." if running else ""
    told = "; ".join(step.describe() for step in plan.steps)
    return (
        f"confirm=False: {told}. What has been written since then would be lost.{stops} Nothing was touched. Set "
        "confirm to true if that is meant"
    )


def _side(state: str, running: bool) -> dict[str, Any]:
    return {"state": state, "status": "running" if running else "stopped"}


def _refusals(wish: RollbackToWish, cluster: Cluster, found: Snapshots, one: Snapshot | None) -> list[Refusal]:
    def no(reason: str, remedy: str) -> list[Refusal]:
        return [Refusal(subject=found.subject, option="name", value=wish.name, reason=reason, remedy=remedy)]

    if one is None:
        names = ", ".join(other.name for other in found.taken) or "none"
        return no("it has no snapshot of that name", f"There are: {names}")
    if one.state:
        return no(f"this snapshot is not whole ({one.state})", "Choose another one, or delete it with vm_snapshot")
    if found.config.is_template:
        return no("it is a template", "Leave it out")
    if found.config.lock:
        return [lock_refusal(found.subject, found.config.lock, option="name", value=wish.name, vmid=found.vmid)]
    newer = [other.name for other in found.taken if other.taken > one.taken]
    disks = [disk.storage or "" for disk in found.config.disks().values() if disk.media != "cdrom"]
    on_zfs = [name for name in disks if (row := cluster.storage(found.row.node, name)) and row.type == "zfspool"]
    if newer and on_zfs:
        # ZFSPoolPlugin volume_rollback_is_possible; zfs itself would throw the newer ones away.
        return no(
            f"storage {on_zfs[0]} is ZFS, which goes back to its newest snapshot only; newer are {', '.join(newer)}",
            "Delete those first with vm_snapshot, state=absent",
        )
    return []
