# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out what goes, one after the other: what cannot be removed does not stop the rest."""

from __future__ import annotations

from typing import Any

from .._plan.image import split_name
from .._plan.plan import Plan, Step
from .._plan.steps import Destroy, RemoveImage
from .._pve.client import Client
from .._pve.errors import ApiError, ConnectionFailed, DeadlineExceeded, ProxmoxError, TaskFailed, WriteLost
from .advice import advice
from .images import remove_image
from .leftovers import stays_of_image
from .outcome import ApplyFailed, Outcome, PartlyFailed
from .removal import remove_vm


class StillUsed(ProxmoxError):
    """A template that should have gone before is still there, and was built from this file."""


def apply_prune(client: Client, plan: Plan) -> Outcome:
    """VMs first, then images. Raises PartlyFailed with everything that could not be removed."""
    failures: dict[str, ApplyFailed] = {}
    removed: list[Step] = []
    needed: dict[str, int] = {}
    warnings: list[str] = []
    for key, (step,) in plan.tracks:
        try:
            told = _remove(client, step, needed)
        except ProxmoxError as cause:
            failures[key] = _failure(client, step, cause)
            if isinstance(step, Destroy) and step.generation.source:
                needed[step.generation.source.short] = step.generation.vmid
            continue
        if told is None:
            warnings.append(f"{key} was gone already")
            continue
        warnings += told
        removed.append(step)
    outcome = Outcome(result=_result(plan, removed), warnings=tuple(warnings))
    if failures:
        partly = PartlyFailed(failures, done=tuple(step.describe() for step in removed), outcome=outcome)
        partly.plan = plan
        raise partly
    return outcome


def _remove(client: Client, step: Step, needed: dict[str, int]) -> tuple[str, ...] | None:
    """The warnings of the task; None for what was not there any more."""
    match step:
        case Destroy():
            generation = step.generation
            return remove_vm(client, generation.row.node, generation.vmid, generation.identity)
        case RemoveImage():
            digest = split_name(step.volid.rpartition("/")[2])[1]
            if digest in needed:
                raise StillUsed(f"VM {needed[digest]} was built from it, and could not be destroyed; it was left alone")
            return remove_image(client, step)
    raise TypeError(f"no way to do {step!r}")


def _failure(client: Client, step: Step, cause: ProxmoxError) -> ApplyFailed:
    vmid = step.generation.vmid if isinstance(step, Destroy) else None
    told = advice(step, cause, identity=client.identity, vmid=vmid)
    return ApplyFailed(cause, step=step, left=_stays(step, cause), advice=told)


def _stays(step: Step, cause: ProxmoxError) -> tuple[str, ...]:
    """What is half-removed, or nobody knows whether it was removed."""
    if not isinstance(step, Destroy):
        return stays_of_image(step, cause)
    where = f"VM {step.generation.vmid} on {step.generation.row.node}"
    if isinstance(cause, DeadlineExceeded) and cause.upid is not None:
        return (f"{where}: the task {cause.upid} goes on, it may yet be destroyed; the next run looks",)
    blind = isinstance(cause, ApiError) and cause.method == "GET"
    if isinstance(cause, WriteLost | DeadlineExceeded | ConnectionFailed) or blind:
        return (f"{where}: it is not known whether it was destroyed; the next run looks",)
    if isinstance(cause, TaskFailed):
        # Proxmox VE frees volume by volume, and stops at the first that fails.
        return (f"{where}: it was not destroyed, or not wholly; the next run tries again",)
    return ()


def _result(plan: Plan, removed: list[Step]) -> dict[str, Any]:
    """The plan's result, cut to what is really gone."""
    vmids = {step.generation.vmid for step in removed if isinstance(step, Destroy)}
    files = {(step.node, step.volid) for step in removed if isinstance(step, RemoveImage)}
    return {
        **plan.result,
        "destroyed": [one for one in plan.result["destroyed"] if one["vmid"] in vmids],
        "removed_images": [one for one in plan.result["removed_images"] if (one["node"], one["volid"]) in files],
    }
