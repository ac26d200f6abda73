# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of VMs: what is declared against what was read, all VMs together, as one plan.

A VM that exists stays where it is and is changed in place. It is replaced only on request, and nothing is touched that
this collection did not make.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from .._model.identity import Identity, Role, describe, human_text
from .._model.net import Net
from .._model.property_string import PropertyStringError
from .._model.vm import FoundVm, Source, Vm, VmSurvey
from .._model.vm_config import VmConfig
from .draft import Draft
from .plan import Plan, Refusal, Step
from .vm_changes import VmChanges, inherited, is_raw, vm_changes
from .vm_checks import (
    inherited_addresses,
    meant,
    not_ours,
    pool_refusals,
    refusal,
    removal_refusals,
    source_refusals,
    twice,
)
from .vm_place import Placer, is_full, offers
from .vm_rights import rights_refusals
from .vm_steps import (
    CloneVm,
    ConfigureVm,
    DestroyVm,
    GrowDisk,
    JoinPool,
    KeepHa,
    MoveDisk,
    RebootVm,
    StartVm,
    StopVm,
)
from .vm_views import absent_view, newest_generation, vm_view

LIVE = frozenset({"name", "description", "tags", "onboot", "startup", "protection", "cipassword"})
"""What never waits for the next start of a running VM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VmRun:
    """Whose plan it is. C(max_deletions) None: as many as are declared."""

    id: str
    now: datetime
    builder: str
    max_deletions: int | None = None


@dataclass(slots=True)
class _Planning:
    """The plan as it grows, and what the VMs of it share."""

    survey: VmSurvey
    run: VmRun
    placer: Placer
    drafts: dict[str, Draft] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Task:
    """One VM, what is planned of it so far, and the plan that it is a part of."""

    vm: Vm
    draft: Draft
    planning: _Planning


def plan_vms(vms: Sequence[Vm], survey: VmSurvey, run: VmRun) -> Plan:
    """Plan all VMs together."""
    planning = _Planning(survey=survey, run=run, placer=Placer.of(vms, survey.cluster))
    for vm in vms:
        for found in survey.found[vm.name]:
            if vm.place.spread not in found.row.tags:
                planning.placer.count(vm, found.row.node)
    conflicts = twice(vms)
    for vm in vms:
        draft = planning.drafts[vm.name] = Draft(refusals=conflicts.get(vm.name, []))
        if draft.refusals:
            continue
        try:
            _plan_vm(_Task(vm, draft, planning))
        except PropertyStringError as error:
            reason = f"its configuration, or that of its template, cannot be understood: {error}"
            draft.refusals.append(refusal(vm, "name", vm.name, reason, "Mend it by hand first"))
    return _whole(vms, planning)


def _whole(vms: Sequence[Vm], planning: _Planning) -> Plan:
    drafts = planning.drafts
    refused = tuple(name for name, draft in drafts.items() if draft.refusals)
    tracks = tuple((name, tuple(draft.steps)) for name, draft in drafts.items() if draft.steps and name not in refused)
    refusals = tuple(one for draft in drafts.values() for one in draft.refusals)
    notes = (*planning.survey.notes, *(text for draft in drafts.values() for text in draft.notes))
    result = {"vms": {vm.name: planning.views.get(vm.name) or absent_view(vm) for vm in vms}}
    steps = tuple(step for _name, track in tracks for step in track)
    too_many = _too_many(steps, planning.run.max_deletions)
    if too_many is not None:
        return Plan(refusals=(*refusals, too_many), notes=notes, result=result)
    differing = {name: drafts[name] for name, _steps in tracks if drafts[name].before != drafts[name].after}
    return Plan(
        before={name: draft.before for name, draft in differing.items()},
        after={name: draft.after for name, draft in differing.items()},
        steps=steps,
        refusals=refusals,
        notes=notes,
        result=result,
        tracks=tracks,
        refused=refused,
        shared=frozenset(row.storage for row in planning.survey.cluster.storages.values() if row.shared),
    )


def _too_many(steps: Sequence[Step], limit: int | None) -> Refusal | None:
    doomed = [step for step in steps if isinstance(step, DestroyVm)]
    if limit is None or len(doomed) <= limit:
        return None
    named = ", ".join(f"{step.vmid} ({step.vm.name})" for step in doomed[:20])
    return Refusal(
        subject="all VMs",
        option="max_deletions",
        value=limit,
        reason=f"this run would destroy {len(doomed)} VMs: {named}",
        remedy=f"Raise max_deletions to {len(doomed)} if that is meant",
    )


def _plan_vm(task: _Task) -> None:
    vm, draft, planning = task.vm, task.draft, task.planning
    found = meant(vm, planning.survey)
    if isinstance(found, Refusal):
        draft.refusals.append(found)
        return
    if found is None:
        if not vm.absent:
            _plan_new(task)
        return
    planning.views[vm.name] = vm_view(found, newest_generation(found.identity, planning.survey.cluster))
    stranger = not_ours(vm, found)
    if stranger is not None:
        draft.refusals.append(stranger)
    elif vm.absent:
        _plan_removal(task, found, "state is absent", option="state", value="absent")
        draft.before["state"], draft.after["state"] = "present", "absent"
    else:
        _plan_kept(task, found)


def _plan_removal(task: _Task, found: FoundVm, reason: str, *, option: str, value: object) -> None:
    vm, draft = task.vm, task.draft
    if found.identity is None:
        raise TypeError(f"{vm.subject}: a VM that is not ours is to be removed")
    draft.refusals += removal_refusals(vm, found, option, value)
    if found.running:
        draft.steps.append(StopVm(vm=vm, vmid=found.vmid, node=found.row.node, force=True))
    draft.steps.append(DestroyVm(vm=vm, found=found, identity=found.identity, reason=reason))


# --- new VMs


def _plan_new(task: _Task) -> None:
    vm, draft, planning = task.vm, task.draft, task.planning
    survey = planning.survey
    found, reasons = offers(vm, survey)
    if not found or not (vm.line or vm.template):
        draft.refusals += source_refusals(vm, survey, reasons)
        return
    draft.refusals += pool_refusals(vm, survey)
    offer = planning.placer.choose(vm, found)
    vmid = planning.placer.vmid(vm)
    if vmid is None:
        first, last = vm.place.vmid_range
        text = f"{first}-{last}"
        draft.refusals.append(refusal(vm, "vmid_range", text, "every VMID of it is taken", "Give a wider vmid_range"))
        return
    _plan_clone(task, offer.source, offer.node, vmid)
    draft.before["state"] = "absent"
    if vm.started:
        draft.steps.append(StartVm(vm=vm, vmid=vmid, node=offer.node))
        draft.after["status"] = "running"
    draft.refusals += rights_refusals(vm, survey, draft.steps)


def _plan_clone(task: _Task, source: Source, node: str, vmid: int) -> None:
    """The clone, and everything that makes it what is declared."""
    vm, draft, run = task.vm, task.draft, task.planning.run
    full = is_full(vm, source)
    identity = Identity(
        vmid=vmid,
        role=Role.CLONE,
        line=source.line,
        generation=source.generation,
        image=source.image,
        origin=str(source.vmid),
        builder=run.builder,
        built=run.now.isoformat(timespec="seconds"),
        run=run.id,
    )
    human = human_text(vm.description if vm.description is not None else source.config.description)
    expected = inherited(source, vm, full=full, description=describe(human, identity))
    draft.refusals += inherited_addresses(vm, source, expected)
    clone = CloneVm(
        vm=vm,
        source=source,
        node=node,
        full=full,
        identity=identity,
        taken=frozenset(task.planning.placer.taken),
        known=frozenset(row.vmid for row in task.planning.survey.cluster.guests.values() if row.is_named),
        human=human,
    )
    draft.steps.append(clone)
    changes = vm_changes(vm, identity, expected)
    draft.after |= {"state": "present", "vmid": vmid, "node": node, "template": source.vmid, "full": full}
    shown = {key: value for key, value in changes.after.items() if key not in ("name", "tags")}
    draft.after |= shown
    blank = ConfigureVm(vm=vm, vmid=vmid, node=node, changes={})
    _add_changes(draft, blank, changes)
    if vm.ha is not None and vm.ha.managed:
        draft.steps.append(KeepHa(vm=vm, vmid=vmid, node=node, action="add", settings=vm.ha.settings))


def _add_changes(draft: Draft, blank: ConfigureVm, changes: VmChanges) -> None:
    """The steps for what differs; C(blank) says of which VM, and whether it exists."""
    vm, vmid, node = blank.vm, blank.vmid, blank.node
    draft.refusals += changes.refusals
    if changes.writes:
        configure = replace(blank, changes=changes.changes, delete=changes.delete, password=changes.password)
        draft.steps.append(configure)
    draft.steps += [MoveDisk(vm=vm, vmid=vmid, node=node, slot=a, storage=b, format=c) for a, b, c in changes.moves]
    draft.steps += [GrowDisk(vm=vm, vmid=vmid, node=node, slot=slot, size=size) for slot, size in changes.grows]


# --- VMs that exist


def _plan_kept(task: _Task, found: FoundVm) -> None:
    vm, draft, planning = task.vm, task.draft, task.planning
    vmid, node = found.vmid, found.row.node
    if vm.replace and found.identity is not None:
        successor = _successor(vm, found, planning.survey)
        if successor is not None:
            _plan_replacement(task, found, successor)
            return
    draft.notes += _notes(vm, found)
    identity = found.identity or _adopted(found, planning.run)
    changes = vm_changes(vm, identity, found.config)
    draft.before |= changes.before
    draft.after |= changes.after
    if found.identity is None:
        draft.before["state"], draft.after["state"] = "not ours", "present"
    blank = ConfigureVm(
        vm=vm,
        vmid=vmid,
        node=node,
        changes={},
        digest=found.config.digest,
        identity=identity,
        why="adopt" if found.identity is None else "complete" if is_raw(found.config) else "",
    )
    _add_changes(draft, blank, changes)
    if vm.place.pool and vm.place.pool != found.row.pool:
        draft.refusals += pool_refusals(vm, planning.survey)
        draft.steps.append(JoinPool(vm=vm, vmid=vmid, node=node))
        draft.before["pool"], draft.after["pool"] = found.row.pool or None, vm.place.pool
    draft.steps += _ha_steps(vm, found, planning.survey, draft)
    _plan_power(vm, found, changes, draft)


def _plan_power(vm: Vm, found: FoundVm, changes: VmChanges, draft: Draft) -> None:
    vmid, node = found.vmid, found.row.node
    if vm.started is not None and vm.started != found.running:
        step: Step = (
            StartVm(vm=vm, vmid=vmid, node=node)
            if vm.started
            else StopVm(vm=vm, vmid=vmid, node=node, force=vm.force_stop)
        )
        draft.steps.append(step)
        draft.before["status"] = found.row.status
        draft.after["status"] = "running" if vm.started else "stopped"
        return
    if not vm.reboot or not (found.running or found.pending):
        return
    if found.pending:
        draft.before["pending"], draft.after["pending"] = sorted(found.pending), []
        draft.steps.append(RebootVm(vm=vm, vmid=vmid, node=node, expected=True))
    elif not {*changes.changes, *changes.delete} <= LIVE:
        draft.steps.append(RebootVm(vm=vm, vmid=vmid, node=node))


def _ha_steps(vm: Vm, found: FoundVm, survey: VmSurvey, draft: Draft) -> Iterator[Step]:
    if vm.ha is None or survey.ha is None:
        return
    actual = survey.ha.get(found.vmid)
    blank = KeepHa(vm=vm, vmid=found.vmid, node=found.row.node, action="add", settings=vm.ha.settings)
    if not vm.ha.managed:
        if actual is not None:
            draft.before["ha"], draft.after["ha"] = {"state": actual.get("state", "started")}, None
            yield replace(blank, action="remove", settings={})
        return
    if actual is None:
        draft.before["ha"], draft.after["ha"] = None, dict(vm.ha.settings)
        yield blank
        return
    differing = {key: value for key, value in vm.ha.settings.items() if actual.get(key, _HA_DEFAULTS.get(key)) != value}
    if differing:
        draft.before["ha"] = {key: actual.get(key) for key in differing}
        draft.after["ha"] = differing
        yield replace(blank, action="change", settings=differing)


_HA_DEFAULTS = {"state": "started", "max_restart": "1", "max_relocate": "1"}


def _notes(vm: Vm, found: FoundVm) -> Iterator[str]:
    where = f"{vm.subject}: VM {found.vmid} stays on node {found.row.node}"
    allowed = (vm.place.node,) if vm.place.node else vm.place.nodes
    if allowed and found.row.node not in allowed:
        yield f"{where}, although {', '.join(allowed)} is declared: a VM that exists is not moved to another node"
    identity = found.identity
    if vm.line and identity is not None and identity.line != vm.line:
        was = f"line {identity.line}" if identity.line else f"VM {identity.origin}" if identity.origin else "elsewhere"
        yield f"{vm.subject}: VM {found.vmid} came from {was}, not line {vm.line}; replace=true makes it anew"


def _adopted(found: FoundVm, run: VmRun) -> Identity:
    claimed = found.claimed
    return Identity(
        vmid=found.vmid,
        role=Role.CLONE,
        line=claimed.line if claimed else "",
        generation=claimed.generation if claimed else "",
        image=claimed.image if claimed else "",
        origin=str(claimed.vmid) if claimed else "",
        builder=run.builder,
    )


# --- replacement


def _successor(vm: Vm, found: FoundVm, survey: VmSurvey) -> Source | None:
    """The template that the VM would be made of today, where that is another one."""
    here = replace(vm, place=replace(vm.place, node=found.row.node, nodes=()))
    offered, _reasons = offers(here, survey)
    if not offered or found.identity is None:
        return None
    source, identity = offered[0].source, found.identity
    if source.line and source.line == identity.line:
        return source if source.generation > identity.generation else None
    same = (source.line, str(source.vmid)) == (identity.line, identity.origin)
    return None if same else source


def _plan_replacement(task: _Task, found: FoundVm, source: Source) -> None:
    """Destroyed and made anew under its VMID, with its MAC addresses."""
    vm, draft, planning = task.vm, task.draft, task.planning
    node = found.row.node
    _plan_removal(task, found, f"replaced by a clone of VM {source.vmid}", option="replace", value=True)
    draft.refusals += pool_refusals(vm, planning.survey)
    settings = {**vm.settings, **_same_macs(vm, found.config, inherited(source, vm, full=False))}
    again = replace(vm, settings=settings, place=replace(vm.place, vmid=found.vmid))
    _plan_clone(replace(task, vm=again), source, node, found.vmid)
    draft.before |= {"state": "present", "vmid": found.vmid, "node": node, "template": _origin(found)}
    if vm.started or (vm.started is None and found.running):
        draft.steps.append(StartVm(vm=again, vmid=found.vmid, node=node))
        draft.after["status"] = "running"
    draft.refusals += rights_refusals(vm, planning.survey, draft.steps)


def _origin(found: FoundVm) -> int | None:
    origin = found.identity.origin if found.identity is not None else ""
    return int(origin) if origin.isdigit() else None


def _same_macs(vm: Vm, old: VmConfig, new: VmConfig) -> dict[str, str]:
    found = {}
    for key, net in old.nets().items():
        text = vm.settings.get(key) or new.text(key)
        if text is not None and key not in vm.clears and net.macaddr and Net.parse(text).macaddr is None:
            found[key] = str(Net.parse(text).replace(macaddr=net.macaddr))
    return found
