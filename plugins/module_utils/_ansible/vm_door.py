# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to VMs and back: what the doors C(vm) and C(vm_fleet) are made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import ApplyFailed, Outcome, PartlyFailed
from .._apply.scheduler import Limits
from .._apply.vm_wait import Awaited, Reached, await_vms
from .._apply.vms import apply_vms
from .._model.vm import Vm, VmSurvey, WaitFor
from .._plan.plan import Plan
from .._plan.vm import VmRun, plan_vms
from .._pve.client import Client
from .._read.vms import Wanted, survey_vms
from .run import Door, run
from .run_id import run_id
from .vm_options import desired_vm

BUILDER = "homelab.proxmox 0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What is asked for. C(limits) None: one VM, which may fail by itself."""

    vms: tuple[Vm, ...]
    limits: Limits | None = None
    max_deletions: int | None = None


def run_vm(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm) through."""
    door: Door[Fleet, VmSurvey] = Door(
        desired=lambda params: Fleet(vms=(desired_vm(params),)),
        read=read_fleet,
        plan=plan_fleet,
        apply=apply_fleet,
        settle=settle,
        result=_single,
    )
    run(module, door)


def read_fleet(client: Client, fleet: Fleet) -> VmSurvey:
    return survey_vms(client, Wanted(vms=fleet.vms, auth_id=client.identity), client.deadline.pause)


def plan_fleet(fleet: Fleet, survey: VmSurvey) -> Plan:
    now = datetime.now(UTC)
    return plan_vms(fleet.vms, survey, VmRun(id=run_id(), now=now, builder=BUILDER, max_deletions=fleet.max_deletions))


def apply_fleet(client: Client, fleet: Fleet, plan: Plan) -> Outcome:
    """Carry the plan out. Where work on a VM failed, the others are waited for all the same."""
    try:
        return apply_vms(client, plan, fleet.limits)
    except PartlyFailed as failure:
        if failure.stale:
            raise
        rest = replace(fleet, vms=tuple(vm for vm in fleet.vms if vm.name not in failure.failures))
        try:
            failure.outcome = settle(client, rest, plan, failure.outcome)
        except PartlyFailed as more:
            both = PartlyFailed({**failure.failures, **more.failures}, done=failure.done, outcome=more.outcome)
            both.plan = plan
            raise both from more
        raise


def settle(client: Client, fleet: Fleet, plan: Plan, outcome: Outcome) -> Outcome:
    """Wait for the VMs that are to be waited for, and add the addresses that they have.

    Raises ApplyFailed, for a fleet PartlyFailed, when one does not come to what is asked for.
    """
    views: dict[str, dict[str, t.Any]] = {name: dict(view) for name, view in outcome.result["vms"].items()}
    awaited = [_awaited(vm, views[vm.name]) for vm in fleet.vms if _is_awaited(vm, views[vm.name], plan)]
    if not awaited:
        return outcome
    reached = await_vms(client, awaited)
    warnings = list(outcome.warnings)
    failures: dict[str, ApplyFailed] = {}
    for name, one in reached.items():
        if isinstance(one, Reached):
            views[name] |= {"addresses": list(one.addresses), "address": next(iter(one.addresses), None)}
            warnings += one.warnings
        else:
            failures[name] = ApplyFailed(one, done=tuple(step.describe() for step in _steps_of(plan, name)))
    whole = Outcome(result={**outcome.result, "vms": views}, warnings=tuple(warnings))
    if not failures:
        return whole
    if fleet.limits is None:
        raise next(iter(failures.values()))
    partly = PartlyFailed(failures, done=tuple(step.describe() for step in plan.steps), outcome=whole)
    partly.plan = plan
    raise partly


def _steps_of(plan: Plan, name: str) -> tuple[t.Any, ...]:
    return next((steps for track, steps in plan.tracks if track == name), ())


def _is_awaited(vm: Vm, view: Mapping[str, t.Any], plan: Plan) -> bool:
    """Nobody waits for a VM that is switched off and is to stay as it is."""
    if vm.absent or vm.name in plan.refused or vm.wait.wanted is WaitFor.NONE or view["vmid"] is None:
        return False
    return bool(vm.started) or view["status"] == "running"


def _awaited(vm: Vm, view: Mapping[str, t.Any]) -> Awaited:
    return Awaited(
        name=vm.name,
        vmid=view["vmid"],
        node=view["node"],
        wait=vm.wait,
        macs=tuple(view["macs"].values()),
        fixed=tuple(view["addresses"]),
    )


def _single(_plan: Plan, result: Mapping[str, t.Any], _failed: tuple[str, ...]) -> dict[str, t.Any]:
    """The one VM that C(vm) was asked for."""
    (view,) = result["vms"].values()
    return {"vm": view}
