# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots that are to exist, or not; and how many of a kind stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .._model.cluster import Cluster
from .._model.guest_state import Choice
from .._model.snapshot import Snapshot, Snapshots, without_snapshots
from .chosen import choice_refusals, lock_refusal, privilege_refusals, renamed
from .plan import Plan, Refusal, Step
from .privileges import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotWish:
    """C(name) None: only C(keep) is meant. C(description) None: it is not managed."""

    guests: tuple[str, ...]
    name: str | None
    absent: bool
    description: str | None
    memory: bool
    keep: int | None
    prefix: str
    confirm: bool
    workers: int

    def takes(self, found: Snapshots) -> bool:
        """Whether that VM gets a snapshot; one that is not whole is taken anew."""
        one = found.get(self.name) if self.name is not None else None
        return self.name is not None and not self.absent and (one is None or bool(one.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotActual:
    cluster: Cluster
    choices: tuple[Choice, ...]
    found: tuple[Snapshots, ...]
    permissions: Mapping[str, Mapping[str, int]]
    auth_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSnapshot:
    of: Snapshots
    name: str
    description: str
    memory: bool

    def describe(self) -> str:
        memory = " with its memory" if self.memory else ""
        return f"take snapshot {self.name} of {self.of.subject}{memory}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeSnapshot:
    of: Snapshots
    name: str
    description: str

    def describe(self) -> str:
        return f"describe snapshot {self.name} of {self.of.subject} anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSnapshot:
    of: Snapshots
    name: str
    reason: str

    def describe(self) -> str:
        return f"delete snapshot {self.name} of {self.of.subject}: {self.reason}"


SnapshotStep: TypeAlias = "TakeSnapshot | DescribeSnapshot | DropSnapshot"

_CALLS = {TakeSnapshot: "snapshot", DescribeSnapshot: "snapshot_change", DropSnapshot: "snapshot_delete"}


@dataclass(slots=True)
class _Draft:
    steps: list[SnapshotStep] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan_snapshot(wish: SnapshotWish, actual: SnapshotActual) -> Plan:
    """Every VM or none: what cannot be done is told before anything is touched."""
    refusals = choice_refusals(actual.cluster, actual.choices, option="guests", what="vm_snapshot")
    refusals += renamed(actual.choices, {one.vmid: one.name for one in actual.found}, option="guests")
    steps: list[SnapshotStep] = []
    tracks: list[tuple[str, tuple[Step, ...]]] = []
    notes: list[str] = []
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for found in actual.found:
        draft = _plan_one(wish, actual, found)
        refusals += draft.refusals
        notes += draft.notes
        steps += draft.steps
        if draft.steps:
            tracks.append((found.subject, tuple(draft.steps)))
            before[found.subject], after[found.subject] = _difference(found, draft.steps)
    calls = [
        Call(name=_CALLS[type(step)], node=step.of.row.node, vmid=step.of.vmid, pool=step.of.row.pool) for step in steps
    ]
    refusals += privilege_refusals(actual.permissions, calls, auth_id=actual.auth_id)
    if refusals:
        return Plan(refusals=tuple(refusals))
    return Plan(
        before=before,
        after=after,
        steps=tuple(steps),
        notes=tuple(notes),
        result={"guests": {str(found.vmid): found.view() for found in actual.found}},
        tracks=tuple(tracks),
    )


def confirmation(plan: Plan) -> str:
    """What is asked before retention deletes anything; empty where it does not."""
    gone = [step for step in plan.steps if isinstance(step, DropSnapshot) and step.reason.startswith("keep=")]
    if not gone:
        return ""
    told = "; ".join(step.describe() for step in gone)
    return (
        f"confirm=False: {len(gone)} snapshots would go: {told}. Nothing was touched. Look at them, and set confirm to "
        "true if they shall go"
    )


def _plan_one(wish: SnapshotWish, actual: SnapshotActual, found: Snapshots) -> _Draft:
    draft = _Draft()
    one = found.get(wish.name) if wish.name is not None else None
    if wish.absent:
        if one is not None:
            draft.steps.append(DropSnapshot(of=found, name=one.name, reason="it is to be absent"))
    elif wish.takes(found):
        _take(wish, actual, found, one, draft)
    elif one is not None:
        _compare(wish, found, one, draft)
    if wish.keep is not None:
        _retain(wish, found, draft)
    if draft.steps:
        draft.refusals += _standing(wish, found)
    return draft


def _standing(wish: SnapshotWish, found: Snapshots) -> list[Refusal]:
    """What keeps a VM from being touched at all."""
    if found.config.is_template:
        return [
            Refusal(
                subject=found.subject,
                option="guests",
                value=str(found.vmid),
                reason="it is a template, and those have no snapshots",
                remedy="Leave it out",
            )
        ]
    lock = found.config.lock
    if lock:
        return [lock_refusal(found.subject, lock, option="name", value=wish.name or "", vmid=found.vmid)]
    return []


def _take(wish: SnapshotWish, actual: SnapshotActual, found: Snapshots, broken: Snapshot | None, draft: _Draft) -> None:
    name = wish.name or ""
    if broken is not None:
        draft.steps.append(DropSnapshot(of=found, name=name, reason=f"it is not whole ({broken.state})"))
    draft.steps.append(
        TakeSnapshot(of=found, name=name, description=wish.description or "", memory=wish.memory and found.running)
    )
    if wish.memory and not found.running:
        draft.notes.append(f"{found.subject} does not run, so there is no memory to keep (vmstate)")
    if found.able is False:
        draft.refusals.append(_unable(actual.cluster, found, name))


def _unable(cluster: Cluster, found: Snapshots, name: str) -> Refusal:
    disks = without_snapshots(found.config, cluster, found.row.node)
    told = "; ".join(f"{key}: {reason}" for key, reason in disks.items())
    return Refusal(
        subject=found.subject,
        option="name",
        value=name,
        reason="its disks cannot have snapshots: " + (told or "Proxmox VE does not say which"),
        remedy="Move the disk to LVM-thin, ZFS, Ceph or BTRFS, or to a directory as qcow2, or back the VM up instead",
    )


def _compare(wish: SnapshotWish, found: Snapshots, one: Snapshot, draft: _Draft) -> None:
    if wish.description is not None and wish.description != one.description:
        draft.steps.append(DescribeSnapshot(of=found, name=one.name, description=wish.description))
    if wish.memory and not one.memory and found.running:
        draft.notes.append(
            f"{found.subject}: snapshot {one.name} was taken without memory, and stays so. Delete it, or take one of "
            "another name"
        )


def _retain(wish: SnapshotWish, found: Snapshots, draft: _Draft) -> None:
    """The oldest of the prefix go; the one that is asked for by name never does, and is one of those that stay."""
    whole = [one for one in found.taken if one.name.startswith(wish.prefix) and not one.state and one.name != wish.name]
    draft.notes += [
        f"{found.subject}: snapshot {one.name} is not whole ({one.state}), so it does not count and stays"
        for one in found.taken
        if one.name.startswith(wish.prefix) and one.state and one.name != wish.name
    ]
    room = (wish.keep or 0) - int(wish.name is not None and wish.name.startswith(wish.prefix))
    draft.steps += [
        DropSnapshot(of=found, name=one.name, reason=f"keep={wish.keep} of prefix {wish.prefix!r}")
        for one in whole[: max(0, len(whole) - room)]
    ]


def _difference(found: Snapshots, steps: list[SnapshotStep]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Names, and what is said of them, before and after."""
    names = [one.name for one in found.taken]
    then = list(names)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for step in steps:
        if isinstance(step, DropSnapshot):
            then.remove(step.name)
        elif isinstance(step, TakeSnapshot):
            then.append(step.name)
            broken = found.get(step.name)
            if broken is not None:
                before["state"], after["state"] = broken.state, None
        else:
            old = found.get(step.name)
            before["description"] = old.description if old is not None else None
            after["description"] = step.description
    if names != then:
        before["names"], after["names"] = names, then
    return before, after
