# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One way through every door: options, read, plan, refuse or show or apply, result.

Check mode is decided here and nowhere else. Until a plan is accepted the client can only read.
"""

from __future__ import annotations

import os
import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import ApplyFailed, Outcome, PartlyFailed
from .._images.errors import ImageError
from .._plan.plan import OptionProblems, Plan
from .._pve.auth import ConnectionOptionError, connection_from
from .._pve.client import Client
from .._pve.errors import ProxmoxError, as_fields
from .._pve.transport import ProxmoxerTransport
from .deps import require_libraries
from .interrupt import interruptible

D = t.TypeVar("D")
A = t.TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door(t.Generic[D, A]):
    """What makes one door different from another: pure functions, a reader and an executor."""

    desired: Callable[[Mapping[str, t.Any]], D]
    read: Callable[[Client, D], A]
    plan: Callable[[D, A], Plan]
    apply: Callable[[Client, D, Plan], Outcome] | None = None
    """None for doors that only read."""
    result: Callable[[Plan, Mapping[str, t.Any], tuple[str, ...]], Mapping[str, t.Any]] = lambda _p, found, _f: found
    """The shape of the result, the same for a plan and for what was done; at last the tracks that failed."""
    settle: Callable[[Client, D, Plan, Outcome], Outcome] | None = None
    """What is waited for and read after the plan was carried out, or was found to be empty; not in check mode."""
    partial: bool = False
    """Whether what is not refused goes on. The module fails at its end, with everything that was refused."""


def run(module: AnsibleModule, door: Door[D, A]) -> t.NoReturn:
    """Lead one call through the door and end the module."""
    require_libraries(module)
    client: Client | None = None
    try:
        desired = door.desired(module.params)
        client = open_client(module.params)
        plan = _plan(module, client, door, desired)
        outcome = Outcome(result=plan.result)
        if not module.check_mode:
            with interruptible(client):
                if door.apply is not None and plan.steps:
                    client.allow_writes()
                    outcome = _apply(module, client, door, desired, plan)
                if door.settle is not None:
                    outcome = door.settle(client, desired, plan, outcome)
        _exit(module, client, plan, door.result(plan, outcome.result, ()), outcome.warnings, outcome.failure)
    except (OptionProblems, ConnectionOptionError) as problem:
        _fail(module, client, msg=_together(list(problem.problems)), problems=list(problem.problems))
    except PartlyFailed as failure:
        _fail_partly(module, client, door, failure)
    except ApplyFailed as failure:
        _fail(
            module, client, msg=_with_left(str(failure), failure.left), **_rest(failure), **_error_fields(failure.cause)
        )
    except (ProxmoxError, ImageError) as error:
        _fail(module, client, msg=str(error), **_error_fields(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDoor(t.Generic[D, A]):
    """A door that talks to no Proxmox VE: it reads and writes files where the module runs."""

    desired: Callable[[Mapping[str, t.Any]], D]
    read: Callable[[D], A]
    plan: Callable[[D, A], Plan]
    apply: Callable[[D, Plan], Outcome]


def run_here(module: AnsibleModule, door: LocalDoor[D, A]) -> t.NoReturn:
    """Lead one call through a door that talks to no server, the same way."""
    try:
        desired = door.desired(module.params)
        plan = door.plan(desired, door.read(desired))
        if plan.refusals:
            refusals = [str(refusal) for refusal in plan.refusals]
            _fail(module, None, msg=_together(refusals), refusals=refusals)
        if module.check_mode or not plan.steps:
            _exit(module, None, plan, plan.result)
        outcome = door.apply(desired, plan)
        _exit(module, None, plan, outcome.result, outcome.warnings)
    except OptionProblems as problem:
        _fail(module, None, msg=_together(list(problem.problems)), problems=list(problem.problems))
    except ApplyFailed as failure:
        text = _with_left(str(failure), failure.left)
        _fail(module, None, msg=text, **_rest(failure), **_error_fields(failure.cause))
    except ImageError as error:
        _fail(module, None, msg=str(error), **_error_fields(error))


def _plan(module: AnsibleModule, client: Client, door: Door[D, A], desired: D) -> Plan:
    plan = door.plan(desired, door.read(client, desired))
    if plan.refusals and not door.partial:
        refusals = [str(refusal) for refusal in plan.refusals]
        _fail(module, client, msg=_together(refusals), refusals=refusals)
    return plan


def _apply(module: AnsibleModule, client: Client, door: Door[D, A], desired: D, plan: Plan) -> Outcome:
    """Apply; when the plan turns out to be stale, read and plan once more."""
    apply = door.apply or _nothing
    try:
        return apply(client, desired, plan)
    except ApplyFailed as failure:
        if not failure.stale:
            raise
        again = _plan_again(module, client, door, desired, failure)
        if set(again.refused) - set(plan.refused):
            # What only the second plan refuses must not pass for done.
            raise
        if not again.steps:
            return Outcome(result=again.result)
        try:
            return apply(client, desired, again)
        except ApplyFailed as second:
            raise second.after(failure) from second


def _plan_again(module: AnsibleModule, client: Client, door: Door[D, A], desired: D, failure: ApplyFailed) -> Plan:
    """The plan for what is there now. What has been done and left must not be forgotten over a second trouble."""
    try:
        again = door.plan(desired, door.read(client, desired))
    except (ProxmoxError, ImageError) as error:
        raise ApplyFailed(error, step=failure.step, done=failure.done, left=failure.left) from error
    if again.refusals and not door.partial:
        refusals = [str(refusal) for refusal in again.refusals]
        _fail(module, client, msg=_with_left(_together(refusals), failure.left), refusals=refusals, **_rest(failure))
    if any(step in again.steps for step in failure.steps):
        raise failure
    return again


def _fail_partly(module: AnsibleModule, client: Client | None, door: Door[D, A], failure: PartlyFailed) -> t.NoReturn:
    """End with what every failed track says, beside what the others came to."""
    failures = [
        {
            "track": key,
            "msg": _with_left(str(one), one.left),
            "left_behind": list(one.left),
            **_error_fields(one.cause),
        }
        for key, one in failure.failures.items()
    ]
    texts = [f"{found['track']}: {found['msg']}" for found in failures]
    if failure.plan is not None:
        for text in failure.plan.notes:
            module.warn(text)
        refusals = [str(refusal) for refusal in failure.plan.refusals]
        found = door.result(failure.plan, failure.outcome.result, tuple(failure.failures))
        extra = {**found, "refusals": refusals}
        texts += refusals
    else:
        extra = {}
    _fail(module, client, msg=_together(texts), failures=failures, **_rest(failure), **extra)


def _rest(failure: ApplyFailed) -> dict[str, t.Any]:
    return {
        "changed": bool(failure.done or failure.left),
        "done": list(failure.done),
        "left_behind": list(failure.left),
    }


def _nothing(_client: Client, _desired: t.Any, plan: Plan) -> Outcome:
    return Outcome(result=plan.result)


def open_client(params: Mapping[str, t.Any]) -> Client:
    """A client for the connection options, the environment and the connection file. It may only read at first."""
    connection = connection_from(params, os.environ)
    return Client(
        ProxmoxerTransport(connection),
        timeout=connection.timeout,
        request_timeout=connection.request_timeout,
        read_only=True,
    )


def _exit(  # noqa: PLR0917
    module: AnsibleModule,
    client: Client | None,
    plan: Plan,
    result: Mapping[str, t.Any],
    warnings: tuple[str, ...] = (),
    failure: str = "",
) -> t.NoReturn:
    for text in (*plan.notes, *warnings):
        module.warn(text)
    extra: dict[str, t.Any] = dict(result)
    if plan.steps:
        extra["steps"] = [step.describe() for step in plan.steps]
        extra["diff"] = {"before": dict(plan.before), "after": dict(plan.after)}
    if plan.refusals:
        refusals = [str(refusal) for refusal in plan.refusals]
        _fail(module, client, msg=_together(refusals), refusals=refusals, changed=plan.changed, **extra)
    if failure:
        _fail(module, client, msg=failure, changed=plan.changed, **extra)
    if client is not None:
        extra["requests"] = client.counts()
    module.exit_json(changed=plan.changed, **extra)
    raise AssertionError("unreachable: the module has ended")


def _fail(module: AnsibleModule, client: Client | None, *, msg: str, **fields: t.Any) -> t.NoReturn:
    if client is not None:
        fields["requests"] = client.counts()
    module.fail_json(msg=msg, **fields)
    raise AssertionError("unreachable: the module has ended")


def _error_fields(error: Exception) -> dict[str, t.Any]:
    if isinstance(error, ProxmoxError):
        return {"error": as_fields(error)}
    return {"error": {"kind": type(error).__name__}}


def _together(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems:\n" + "\n".join(f"- {problem}" for problem in problems)


def _with_left(message: str, left: tuple[str, ...]) -> str:
    sentence = message.rstrip().rstrip(".")
    return f"{sentence}. " + (f"Left behind: {'; '.join(left)}." if left else "Nothing was left behind.")
