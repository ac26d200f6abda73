# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only writer of snapshots: VMs side by side, the steps of each in order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from .._model.snapshot import Snapshots
from .._plan.plan import Plan, Step
from .._plan.snapshot import DescribeSnapshot, DropSnapshot, TakeSnapshot
from .._plan.snapshot_rollback import RollBackTo
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, DeadlineExceeded, Kind, ProxmoxError, TaskFailed, WriteLost
from .._read.snapshots import read_one
from .outcome import ApplyFailed, Outcome, PartlyFailed
from .scheduler import run_all


class NotRolledBack(ProxmoxError):
    """The task went well, and the VM hangs on another snapshot."""


def apply_snapshots(client: Client, plan: Plan, workers: int) -> Outcome:
    """Raises PartlyFailed with every VM that went wrong; the others are not held up by them."""
    jobs = [partial(_carry_out, client, steps) for _key, steps in plan.tracks]
    guests = {key: dict(view) for key, view in plan.result["guests"].items()}
    failures: dict[str, ApplyFailed] = {}
    warnings: list[str] = []
    done: list[str] = []
    for (key, steps), end in zip(plan.tracks, run_all(jobs, workers), strict=True):
        if isinstance(end, ApplyFailed):
            failures[key] = end
            continue
        found, told = end
        guests[str(found.vmid)] |= found.view()
        warnings += told
        done += [step.describe() for step in steps]
    outcome = Outcome(result={"guests": guests}, warnings=tuple(warnings))
    if failures:
        partly = PartlyFailed(failures, done=tuple(done), outcome=outcome)
        partly.plan = plan
        raise partly
    return outcome


def _carry_out(client: Client, steps: Sequence[Step]) -> tuple[Snapshots, list[str]] | ApplyFailed:
    done: list[str] = []
    warnings: list[str] = []
    for step in steps:
        try:
            warnings += _do(client, step)
        except ProxmoxError as cause:
            return ApplyFailed(
                cause, step=step, done=tuple(done), left=_left(client, step, cause), advice=_advice(step, cause)
            )
        done.append(step.describe())
    try:
        return _read_back(client, steps[-1]), warnings
    except ProxmoxError as cause:
        return ApplyFailed(cause, step=steps[-1], done=tuple(done))


def _do(client: Client, step: Step) -> list[str]:
    match step:
        case TakeSnapshot():
            params: dict[str, Any] = {
                "snapname": step.name,
                "description": step.description or None,
                "vmstate": True if step.memory else None,
            }
            return _task(client, "POST", step.of, (), params, kind="qmsnapshot")
        case DescribeSnapshot():
            path = _path(step.of, step.name, "config")
            try:
                client.put(path, {"description": step.description})
            except WriteLost:
                # It says the same twice.
                client.put(path, {"description": step.description})
            return []
        case DropSnapshot():
            return _task(client, "DELETE", step.of, (step.name,), {}, kind="qmdelsnapshot")
        case RollBackTo():
            params = {"start": True if step.start else None}
            return _task(client, "POST", step.of, (step.name, "rollback"), params, kind="qmrollback")
        case _:
            raise TypeError(f"no way to do {step!r}")


def _task(  # noqa: PLR0917
    client: Client, method: str, of: Snapshots, rest: tuple[str, ...], params: dict[str, Any], kind: str
) -> list[str]:
    run = partial(client.run, method, _path(of, *rest), params, node=of.row.node, type=kind, id=of.vmid)
    try:
        return [f"{of.subject}: {text}" for text in client.retry_locked(run).warnings]
    except TaskFailed as error:
        if method == "DELETE" and error.kind is Kind.NOT_FOUND and read_one(client, of.row).get(rest[0]) is None:
            # Somebody else has deleted it meanwhile.
            return []
        raise


def _path(of: Snapshots, *rest: str) -> str:
    return api_path("nodes", of.row.node, "qemu", of.vmid, "snapshot", *rest)


def _read_back(client: Client, last: Step) -> Snapshots:
    if not isinstance(last, TakeSnapshot | DescribeSnapshot | DropSnapshot | RollBackTo):
        raise TypeError(f"no way to look at {last!r}")
    found = read_one(client, last.of.row)
    if isinstance(last, RollBackTo) and found.parent != last.name:
        raise NotRolledBack(
            f"{found.subject}: the rollback to {last.name} ended well, and it hangs on {found.parent or 'none'}"
        )
    return found


def _left(client: Client, step: Step, cause: ProxmoxError) -> tuple[str, ...]:
    """What a failed step leaves, in words."""
    if not isinstance(step, TakeSnapshot | DropSnapshot | RollBackTo):
        return ()
    what = f"snapshot {step.name} of {step.of.subject}"
    if isinstance(cause, DeadlineExceeded) and cause.upid is not None:
        return (f"{what}: its task goes on; the next run looks",)
    if isinstance(cause, DeadlineExceeded | WriteLost):
        return (f"{what}: it is not known what became of it; the next run looks",)
    try:
        found = read_one(client, step.of.row)
    except ProxmoxError as error:
        return (f"{what}, if there is any: it could not be looked at ({error})",)
    one = found.get(step.name)
    if one is not None and one.state:
        return (f"{what}, which is not whole ({one.state}): the next run takes it anew, or deletes it",)
    return ()


def _advice(step: Step, cause: ProxmoxError) -> str:
    kind = getattr(cause, "kind", None)
    vmid = getattr(getattr(step, "of", None), "vmid", "")
    if kind is Kind.LOCKED:
        return (
            f"Another operation holds the lock of VM {vmid}. Run again when it has ended; "
            f"a lock that nobody holds any more goes by: qm unlock {vmid}"
        )
    if kind is Kind.NO_SPACE:
        return "The storage has no space left. Free some, or delete older snapshots (keep)"
    if isinstance(cause, ApiError) and kind is Kind.NOT_FOUND:
        return "The VM is gone, or has moved to another node. Run again"
    return ""
