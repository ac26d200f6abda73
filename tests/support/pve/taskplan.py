# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to become of the next task that a request starts: faults and late permission checks end it badly."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import typing as t
from dataclasses import dataclass, field

from fakepve.model import TaskError

Body = t.Callable[[list[str]], t.Awaitable[None]]
_PLAN: contextvars.ContextVar[TaskPlan | None] = contextvars.ContextVar("task_plan", default=None)


@dataclass
class TaskPlan:
    """End the task with ``exit_status`` instead of running it, or keep it running until ``release`` is set.

    ``run`` executes the real work first (the failure comes last). ``crash`` leaves the guest of a create with its lock,
    as a killed worker does; otherwise the server's clean-up is played. ``known`` are the guests before the request.
    """

    exit_status: str | None = None
    log: tuple[str, ...] = ()
    run: bool = False
    crash: bool = False
    release: asyncio.Event | None = None
    known: frozenset[int] = frozenset()
    then: t.Callable[[], None] | None = None
    used: bool = field(default=False, init=False)


@contextlib.contextmanager
def planned(plan: TaskPlan | None) -> t.Iterator[None]:
    """Within the block the first task started gets this plan (an outer plan has precedence)."""
    if plan is None or _PLAN.get() is not None:
        yield
        return
    token = _PLAN.set(plan)
    try:
        yield
    finally:
        _PLAN.reset(token)


def take() -> TaskPlan | None:
    """The plan for the task being started; it serves one task."""
    plan = _PLAN.get()
    if plan is None or plan.used:
        return None
    plan.used = True
    return plan


def install(cluster: t.Any) -> None:
    """Make ``cluster.run_task`` follow plans; called by every mixin that needs it, effective once."""
    if getattr(cluster, "_follows_plans", False) or not hasattr(cluster, "run_task"):
        return
    cluster._follows_plans = True
    start = cluster.run_task

    async def run_task(node: str, kind: str, ident: object, user: str, body: Body) -> str:
        plan = take()
        if plan is None:
            return await start(node, kind, ident, user, body)
        if plan.release is None:
            half_made = int(str(ident)) if kind == "qmcreate" else None
            if kind == "qmrestore":
                body = _half_restored(cluster, plan, body, int(str(ident)))
            return await start(node, kind, ident, user, _failing(cluster, plan, body, half_made))
        patience, cluster.inline_wait = cluster.inline_wait, 0
        try:
            return await start(node, kind, ident, user, _waiting(plan.release, body))
        finally:
            cluster.inline_wait = patience

    cluster.run_task = run_task


def _failing(cluster: t.Any, plan: TaskPlan, body: Body, half_made: int | None) -> Body:
    async def fail(log: list[str]) -> None:
        if plan.run:
            await body(log)
        elif half_made in cluster.vms and half_made not in plan.known:
            if plan.crash:
                cluster.vms[half_made].config["lock"] = "create"
            else:
                del cluster.vms[half_made]
                cluster._pool_leave(half_made)
        log.extend(plan.log)
        if plan.then is not None:
            plan.then()
        if plan.exit_status is not None:
            raise TaskError(plan.exit_status)

    return fail


def _half_restored(cluster: t.Any, plan: TaskPlan, body: Body, vmid: int) -> Body:
    """A restore that fails takes its lock away and leaves the VM; one whose worker dies leaves both."""
    if plan.run:
        return body
    plan.run = True

    async def leave(log: list[str]) -> None:
        if vmid not in plan.known and not plan.crash:
            cluster.vms[vmid].config.pop("lock", None)
            log.append(f"VM {vmid} state is NOT cleaned up.")

    return leave


def _waiting(release: asyncio.Event, body: Body) -> Body:
    async def wait(log: list[str]) -> None:
        await release.wait()
        await body(log)

    wait.begin = getattr(body, "begin", bool)  # type: ignore[attr-defined] - read by the worker
    return wait
