# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user can do about a step of a VM that failed."""

from __future__ import annotations

from .._plan.plan import Step
from .._plan.vm_steps import CloneVm, GrowDisk, JoinPool, KeepHa, MoveDisk, RebootVm, StopVm
from .._pve.errors import ApiError, Kind, TaskFailed

_ANYWHERE = {
    Kind.NO_QUORUM: "The cluster has too few nodes online to be written to (pvecm status). Run again when it has",
    Kind.BUSY: "The node has too much to do at once. Run again later, or with fewer workers",
    Kind.LOCKED: "Something else works on the VM. Run again when its lock is gone",
    Kind.AUTH: "Check api_user and api_password, or api_token_id and api_token_secret",
    Kind.DIGEST_MISMATCH: "Somebody else keeps changing this VM. Run again when nobody else writes to it",
    Kind.NO_SPACE: "Free space on the storage, or name another one with storage",
    Kind.PROTECTED: "Set protection=false first, in a run of its own",
    Kind.RUNNING: "Shut it down first (started=false), or set force_stop=true to switch it off",
    Kind.ALREADY_EXISTS: "Give another vmid, or leave it out and use vmid_range",
}


def vm_advice(step: Step, error: Exception, *, identity: str) -> str:
    """One or two sentences, empty where the message says it all. C(identity) is the user or token that acts."""
    if not isinstance(error, ApiError | TaskFailed):
        return ""
    if error.kind is Kind.PERMISSION:
        return _permission(step, identity)
    if isinstance(step, StopVm | RebootVm) and isinstance(error, TaskFailed) and error.kind is Kind.OTHER:
        return "The guest did not shut down: raise shutdown_timeout, or set force_stop=true to switch it off"
    if isinstance(step, CloneVm | MoveDisk | GrowDisk) and error.kind is Kind.NOT_SUPPORTED:
        return "The storage cannot do that: set full=true, or name another storage"
    return _ANYWHERE.get(error.kind, "")


def _permission(step: Step, identity: str) -> str:
    who = "api_token_id" if "!" in identity else "api_user"
    if isinstance(step, KeepHa | JoinPool):
        what = "HA needs Sys.Console on /" if isinstance(step, KeepHa) else "another pool needs Pool.Allocate on it"
        return f"{who}={identity!r} lacks a privilege; {what}, which the least privileges do not hold"
    return f"{who}={identity!r} lacks a privilege; the playbook homelab.proxmox.access grants all"
