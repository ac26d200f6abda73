# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only one who switches guests: side by side, each awaited until it is what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from .._model.guest_state import PAUSED, GuestState
from .._plan.plan import Plan, Step
from .._plan.power import BOOTS_ANEW, ENDS_AS, Power, guest_view
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, DeadlineExceeded, Kind, ProxmoxError, TaskFailed, WriteLost
from .._pve.upid import TaskResult
from .._read.guest_states import read_state
from .outcome import ApplyFailed, Outcome, PartlyFailed
from .scheduler import run_all

_TASKS = {
    "qemu": {"suspend": "qmpause"},
    "lxc": {},
}
_PREFIX = {"qemu": "qm", "lxc": "vz"}
_REQUESTS = {"start": "hastart", "stop": "hastop", "shutdown": "hastop"}
"""What the tasks of guests are called that high availability manages."""
_SILENT_AGENT = "QEMU Guest Agent is not running"
"""What qemu-server writes into the log of a shutdown whose agent did not answer; the task goes well all the same."""

_SETTLE = 60.0
"""Seconds from the end of a task until the guest is what it was asked to be. A reboot's task ends when the guest is
off, and qmeventd starts it again; high availability acts on requests every ten seconds."""

_LINES = 50
_GRACE = 15
"""Seconds that are left for Proxmox VE itself after the guest's own time."""


class NotReached(ProxmoxError):
    """The task went well, and the guest is not what was asked for."""


def apply_power(client: Client, plan: Plan, workers: int) -> Outcome:
    """Raises PartlyFailed with every guest that did not become what it should; the others are not held up by them."""
    jobs = [partial(_carry_out, client, step) for step in plan.steps if isinstance(step, Power)]
    guests = {key: dict(view) for key, view in plan.result["guests"].items()}
    failures: dict[str, ApplyFailed] = {}
    warnings: list[str] = []
    done: list[str] = []
    for step, end in zip(plan.steps, run_all(jobs, workers), strict=True):
        if isinstance(end, ApplyFailed):
            failures[_key(step)] = end
            continue
        state, told = end
        guests[str(state.vmid)] |= {**guest_view(state), "after": state.power}
        warnings += told
        done.append(step.describe())
    outcome = Outcome(result={"guests": guests}, warnings=tuple(warnings))
    if failures:
        partly = PartlyFailed(failures, done=tuple(done), outcome=outcome)
        partly.plan = plan
        raise partly
    return outcome


def _key(step: Step) -> str:
    return step.guest.subject if isinstance(step, Power) else step.describe()


def _carry_out(client: Client, step: Power) -> tuple[GuestState, list[str]] | ApplyFailed:
    try:
        return _switch(client, step)
    except ProxmoxError as cause:
        return ApplyFailed(cause, step=step, left=_left(step, cause), advice=_advice(step, cause))


def _switch(client: Client, step: Power) -> tuple[GuestState, list[str]]:
    warnings: list[str] = []
    try:
        result = _ask(client, step, step.action, _params(step))
    except (ApiError, TaskFailed) as error:
        if error.kind in (Kind.RUNNING, Kind.NOT_RUNNING):
            state = read_state(client, step.guest.row)
            if state.power == ENDS_AS[step.action] and step.action not in BOOTS_ANEW:
                # Somebody else was faster.
                return state, warnings
        if not (step.force and step.action == "reboot" and isinstance(error, TaskFailed)):
            raise
        warnings.append(f"{step.guest.subject}: it did not shut down in {step.patience} s, and was stopped by force")
        _ask(client, step, "stop", {})
        result = _ask(client, step, "start", {})
    warnings += _told(client, step, result)
    return _await(client, step), warnings


def _params(step: Power) -> dict[str, Any]:
    if step.action == "shutdown":
        return {"timeout": step.patience, "forceStop": True if step.force else None}
    return {"timeout": step.patience} if step.action == "reboot" else {}


def _ask(client: Client, step: Power, action: str, params: dict[str, Any]) -> TaskResult:
    guest = step.guest
    path = api_path("nodes", guest.node, guest.kind, guest.vmid, "status", action)
    kind = _TASKS[guest.kind].get(action, _PREFIX[guest.kind] + action)
    if guest.managed:
        kind = _REQUESTS.get(action, kind)
    return client.retry_locked(partial(client.run, "POST", path, params, node=guest.node, type=kind, id=guest.vmid))


def _told(client: Client, step: Power, result: TaskResult) -> list[str]:
    """The warnings of a task, and that an agent was waited for which does not run."""
    told = [f"{step.guest.subject}: {text}" for text in result.warnings]
    if step.action in ("shutdown", "reboot") and step.guest.agent:
        lines = _glance(client, result)
        if any(_SILENT_AGENT in line for line in lines):
            told.append(f"{step.guest.subject}: {_agent_advice()}")
        told += [f"{step.guest.subject}: {line}" for line in lines if line.startswith("VM still running")]
    return told


def _glance(client: Client, result: TaskResult) -> Sequence[str]:
    """The log of a task that went well; it is short."""
    try:
        rows = client.get(api_path("nodes", result.upid.node, "tasks", result.upid, "log"), limit=_LINES)
    except ApiError:
        # A log that cannot be read must not make it fail.
        return ()
    return [str(row.get("t", "")) for row in rows or ()]


def _agent_advice() -> str:
    return (
        "its config says that a guest agent runs (agent), and none answers, so each shutdown waits for it in vain. "
        "Install the agent in the guest, or switch it off in the config"
    )


def _await(client: Client, step: Power) -> GuestState:
    """Until the node says that the guest is what was asked for."""
    clock = client.clock
    end = clock.monotonic() + max(_SETTLE, float(step.patience if step.guest.managed else 0) + _GRACE)
    goal = ENDS_AS[step.action]
    delay = 0.2
    while True:
        state = read_state(client, step.guest.row)
        if state.power == goal:
            return state
        if clock.monotonic() > end:
            raise NotReached(f"{step.guest.subject}: {step.action} ended well, and it is {state.power}, not {goal}")
        client.deadline.pause(delay, f"{step.guest.subject} to be {goal}")
        delay = min(delay * 1.5, 2.0)


def _left(step: Power, cause: ProxmoxError) -> tuple[str, ...]:
    subject = step.guest.subject
    if isinstance(cause, DeadlineExceeded):
        return (f"{subject}: {step.action} may still be under way",) if cause.upid or step.guest.managed else ()
    if isinstance(cause, WriteLost):
        return (f"{subject}: it is not known whether {step.action} was begun",)
    return ()


def _advice(step: Power, cause: ProxmoxError) -> str:
    vmid = step.guest.vmid
    if isinstance(cause, TaskFailed) and "got timeout" in cause.exit_status and step.action in ("shutdown", "reboot"):
        silent = any(_SILENT_AGENT in line for line in cause.log_tail)
        why = f" I{_agent_advice()[1:]}." if silent else ""
        return (
            f"The guest did not end within guest_timeout={step.patience} s.{why} "
            "Raise guest_timeout, or set force to true"
        )
    kind = getattr(cause, "kind", None)
    if kind is Kind.LOCKED:
        return (
            f"Another operation holds the lock of {step.guest.subject}. Run again when it has ended; "
            f"a lock that nobody holds any more goes by: qm unlock {vmid}"
        )
    if isinstance(cause, ApiError) and f"VM is {PAUSED}" in cause.message:
        return "It was paused meanwhile. Use action='resume' first"
    return ""
