# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power of guests: what an action means for each, by how it is now, and what cannot be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._model.cluster import Cluster
from .._model.guest_state import PAUSED, RUNNING, STOPPED, SUSPENDED, Choice, GuestState
from .chosen import choice_refusals, lock_refusal, privilege_refusals, renamed
from .plan import Plan, Refusal, Step
from .privileges import Call

ACTIONS = ("start", "shutdown", "stop", "reboot", "reset", "suspend", "resume")
OF_CONTAINERS = frozenset({"start", "shutdown", "stop", "reboot"})
"""Proxmox VE calls suspending containers experimental, and has no reset for them."""

ENDS_AS = {
    "start": RUNNING,
    "shutdown": STOPPED,
    "stop": STOPPED,
    "reboot": RUNNING,
    "reset": RUNNING,
    "suspend": PAUSED,
    "resume": RUNNING,
}
BOOTS_ANEW = frozenset({"reboot", "reset"})

_ALREADY = {
    "start": {RUNNING},
    "shutdown": {STOPPED, SUSPENDED},
    "stop": {STOPPED, SUSPENDED},
    "suspend": {PAUSED, SUSPENDED},
    "resume": {RUNNING},
}
"""Where nothing is to be done. A VM that is suspended on disk is off, and cannot be stopped for its lock."""

_CALLS = {"shutdown": "power"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerWish:
    """C(patience): seconds that a guest may take; C(force): what does not end by then is ended."""

    guests: tuple[str, ...]
    action: str
    force: bool
    patience: int
    containers: bool
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerActual:
    cluster: Cluster
    choices: tuple[Choice, ...]
    states: tuple[GuestState, ...]
    permissions: Mapping[str, Mapping[str, int]]
    auth_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """One action on one guest."""

    guest: GuestState
    action: str
    patience: int
    force: bool

    def describe(self) -> str:
        forced = f", by force after {self.patience} s" if self.force else ""
        return f"{self.action} {self.guest.subject} on node {self.guest.node}{forced}"


def plan_power(wish: PowerWish, actual: PowerActual) -> Plan:
    """Every guest or none: what cannot be done is told before anything is touched."""
    refusals = choice_refusals(
        actual.cluster, actual.choices, option="guests", containers=wish.containers, what="vm_power without containers"
    )
    names = {state.vmid: state.name for state in actual.states}
    refusals += renamed(actual.choices, names, option="guests")
    steps: list[Power] = []
    for state in actual.states:
        if state.power in _ALREADY.get(wish.action, ()) and not state.template:
            continue
        refusal = _refusal(wish, state)
        if refusal is not None:
            refusals.append(refusal)
        else:
            steps.append(_step(wish, state))
    refusals += privilege_refusals(
        actual.permissions,
        [_call(step) for step in steps],
        auth_id=actual.auth_id,
    )
    if refusals:
        return Plan(refusals=tuple(refusals))
    acted = {step.guest.vmid for step in steps}
    result = {
        str(state.vmid): {**guest_view(state), "before": state.power, "after": _after(wish, state, acted)}
        for state in actual.states
    }
    tracks: tuple[tuple[str, tuple[Step, ...]], ...] = tuple((step.guest.subject, (step,)) for step in steps)
    return Plan(
        before={step.guest.subject: _shown(step, step.guest.power, None) for step in steps},
        after={step.guest.subject: _shown(step, ENDS_AS[wish.action], "<anew>") for step in steps},
        steps=tuple(steps),
        notes=tuple(_notes(steps)),
        result={"guests": result},
        tracks=tracks,
    )


def guest_view(state: GuestState) -> dict[str, Any]:
    """How results name a guest."""
    return {"vmid": state.vmid, "name": state.name, "node": state.node, "type": state.kind}


def _after(wish: PowerWish, state: GuestState, acted: set[int]) -> str:
    return ENDS_AS[wish.action] if state.vmid in acted else state.power


def _shown(step: Power, power: str, boot: str | None) -> dict[str, Any]:
    """A reboot ends as it began, so what it changes is said too."""
    return {"status": power, "boot": boot} if step.action in BOOTS_ANEW else {"status": power}


def _step(wish: PowerWish, state: GuestState) -> Power:
    action = wish.action
    force = wish.force and action in ("shutdown", "reboot") and state.power == RUNNING
    if state.power == PAUSED and action == "shutdown":
        # It cannot hear that it shall shut down, and would obey in the moment in which it is resumed.
        action, force = "stop", False
    return Power(guest=state, action=action, patience=wish.patience, force=force)


def _call(step: Power) -> Call:
    guest = step.guest
    return Call(name=_CALLS.get(step.action, step.action), node=guest.node, vmid=guest.vmid, pool=guest.row.pool)


def _refusal(wish: PowerWish, state: GuestState) -> Refusal | None:
    told = _cannot(wish, state)
    if told is not None:
        reason, remedy = told
        return Refusal(subject=state.subject, option="action", value=wish.action, reason=reason, remedy=remedy)
    wakes = state.lock == SUSPENDED and wish.action in ("start", "resume")
    if state.lock and not wakes:
        return lock_refusal(state.subject, state.lock, option="action", value=wish.action, vmid=state.vmid)
    return None


def _cannot(wish: PowerWish, state: GuestState) -> tuple[str, str] | None:
    if state.template:
        return "it is a template, which never runs", "Clone it, and name the clone"
    if state.kind == "lxc" and wish.action not in OF_CONTAINERS:
        return "it is a container", f"Containers take {', '.join(sorted(OF_CONTAINERS))}"
    return _at_odds(wish, state)


def _at_odds(wish: PowerWish, state: GuestState) -> tuple[str, str] | None:
    """Actions that its power does not allow."""
    if wish.action in ("reboot", "reset", "suspend") and state.power != RUNNING:
        hint = "resume" if state.power in (PAUSED, SUSPENDED) else "start"
        return f"it is {state.power}, not running", f"Use action={hint!r}, or leave it out"
    if wish.action == "resume" and state.power == STOPPED:
        return "it is stopped, not suspended", "Use action='start', or leave it out"
    if wish.action == "start" and state.power == PAUSED:
        return "it is paused, and so runs already for Proxmox VE", "Use action='resume'"
    if wish.action == "shutdown" and state.power == PAUSED and not wish.force:
        return (
            "it is paused, and cannot hear that it shall shut down",
            "Use action='resume' first, or set force to true, which stops it",
        )
    return None


def _notes(steps: list[Power]) -> list[str]:
    return [
        f"{step.guest.subject}: high availability manages it, so {step.action} is a request to it, and the state that "
        "is wanted of it from now on"
        for step in steps
        if step.guest.managed and step.action in ("start", "stop", "shutdown")
    ]
