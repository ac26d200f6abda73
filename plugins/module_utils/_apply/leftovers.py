# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan that stopped half-way leaves on the cluster, in words: nothing half-made goes unsaid."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from .._model.identity import Identity, State, read_identity, tagged_state
from .._model.vm_config import VmConfig
from .._plan.plan import Step
from .._plan.steps import Destroy, FetchImage, Publish, Release, RemoveImage, Retire, Settle
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, ConnectionFailed, DeadlineExceeded, Kind, ProxmoxError, WriteLost

RUN_AGAIN = "run again to finish or remove it"


def stays_of_image(step: Step, cause: Exception) -> tuple[str, ...]:
    """Of a step about a stored image: a task that goes on or cannot be seen, or a write whose outcome is unknown.

    A task that failed leaves nothing: Proxmox VE downloads beside the file and moves it in place at the end.
    """
    if not isinstance(step, FetchImage | RemoveImage):
        return ()
    where = f"{step.volid} on {step.node}"
    end = "stored" if isinstance(step, FetchImage) else "removed"
    if isinstance(cause, DeadlineExceeded) and cause.upid is not None:
        return (f"{where}: the task {cause.upid} goes on, the file may yet be {end}; the next run looks",)
    blind = isinstance(cause, ApiError) and cause.method == "GET"
    if blind or isinstance(cause, WriteLost | DeadlineExceeded | ConnectionFailed):
        return (f"{where}: it is not known whether it was {end}; the next run looks",)
    return ()


def stays_of_steps(pending: Sequence[Step], made: Mapping[str, int], published: Collection[str]) -> Iterator[str]:
    """Of steps that failed or were not begun, where an earlier step has made them necessary.

    C(made) are the VMIDs of complete builds, C(published) the lines whose new current generation is out.
    """
    for step in pending:
        match step:
            case Publish() if step.generation is not None or step.line.key in made:
                vmid = step.generation.vmid if step.generation is not None else made[step.line.key]
                yield f"VM {vmid} is complete but not published, the next run publishes it"
            case Retire() if step.line.key in published:
                yield (
                    f"VM {step.generation.vmid} is still tagged as current; the newest complete generation counts, "
                    "and the next run retires this one"
                )
            case Settle() if step.generation is not None or step.line.key in made:
                vmid = step.generation.vmid if step.generation is not None else made[step.line.key]
                yield f"VM {vmid} is not under its fixed VMID {step.vmid} yet, the next run clones it there"
            case Release() if step.generation is not None or step.line.key in made:
                vmid = step.generation.vmid if step.generation is not None else made[step.line.key]
                yield f"VM {vmid} is still there, the next run removes it when VM {step.vmid} is its copy"
            case Destroy():
                yield f"VM {step.generation.vmid} was not destroyed ({step.reason}), the next run tries again"


def out_of_time(node: str, vmid: int, cause: DeadlineExceeded) -> str:
    """Of a build at the end of the time allowed: nothing can be asked any more."""
    task = f"; the task {cause.upid} goes on" if cause.upid else ""
    return f"VM {vmid} on {node}, unfinished, if it is there: the time was up{task}; {RUN_AGAIN}"


def unproven(client: Client, node: str, vmid: int, build: Identity) -> tuple[bool, str]:
    """Whether the VM is this unfinished build, and so may be removed; and what to say of it if it is not.

    Raises ProxmoxError when it cannot be looked at.
    """
    try:
        config = VmConfig(client.get(api_path("nodes", node, "qemu", vmid, "config")))
    except ApiError as error:
        if error.kind is Kind.NOT_FOUND:
            return False, ""
        if error.kind is Kind.PERMISSION:
            return False, _unseen(client, node, vmid)
        raise
    found = read_identity(vmid, config.description)
    if found is None and config.lock in ("create", "clone"):
        # create_and_lock_config writes no more than the lock; the rest follows when the worker has made the disks.
        return False, (
            f"VM {vmid} on {node} is locked ({config.lock}): its worker still runs, or died and left it half-made. "
            "It bears no sign of whose it is. If no task runs on it, remove it on the node: "
            f"qm unlock {vmid} && qm destroy {vmid}"
        )
    if not isinstance(found, Identity) or (found.run, found.line) != (build.run, build.line):
        return False, ""
    # Tags may have to wait for a second write; a build whose run ended before it has none. A clone under way to its
    # fixed VMID has inherited the tags of a current generation.
    state = tagged_state(config.tags.as_set())
    return state in (State.BUILDING, State.CANDIDATE, None) or bool(config.template_is_complete(vmid)), ""


def _unseen(client: Client, node: str, vmid: int) -> str:
    """Of a VM that limited credentials may not read: it is gone, or was left before it joined its pool."""
    try:
        # Whoever can log in may ask; a VMID that is taken is refused with a 400.
        client.get("/cluster/nextid", vmid=vmid)
    except ApiError as error:
        if error.kind is Kind.ALREADY_EXISTS:
            return (
                f"VM {vmid} on {node} exists and these credentials may not see it: it may be this build, half-made. "
                f"Look on the node: qm config {vmid}"
            )
        raise
    return ""


def not_removed(node: str, vmid: int, error: ProxmoxError) -> str:
    """Of a build that was to be removed and could not be."""
    return f"VM {vmid} on {node}, unfinished: it could not be removed ({error}); {RUN_AGAIN}"
