# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloning a template to a VM that bears its own identity from its first moment, whoever else clones at the same time.

A VMID that is taken shows in one of two ways: the call is refused, or its task fails, because Proxmox VE makes the
file only in the worker. In both cases nothing was made, and another VMID is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .._model.identity import Identity, describe, read_identity
from .._model.vm_config import VmConfig
from .._plan.vm_steps import CloneVm
from .._pve.client import api_path
from .._pve.errors import ApiError, Kind, ProxmoxError, TaskFailed, WriteLost
from .._pve.reconcile import LOOKS
from .._read.vms import is_cloning
from .removal import NotAsPlanned
from .together import Together
from .vm_calls import VmCalls

MAX_CLASHES = 200
"""How many VMIDs are tried while other clients take them."""


class Rival(ProxmoxError):
    """Another run has made, or makes, a VM of the same name. The plan has to be made again."""


class CloneLost(ProxmoxError):
    """It cannot be told what became of a clone whose connection was cut."""


def make_clone(vm: VmCalls, step: CloneVm, together: Together) -> Identity:
    """The identity of the VM that was made. Raises NotAsPlanned when no VMID is to be had."""
    for vmid in _candidates(step, together):
        vm.at = vmid
        identity = replace(step.identity, vmid=vmid)
        try:
            _clone(vm, step, identity)
        except (ApiError, TaskFailed) as error:
            if error.kind is not Kind.ALREADY_EXISTS or vmid == step.vm.place.vmid:
                raise
            together.release(vmid)
            continue
        return identity
    first, last = step.vm.place.vmid_range
    raise NotAsPlanned(
        f"{step.vm.subject}: vmid_range={first}-{last}: every VMID of it is taken by now, or by guests that these "
        "credentials do not see. Give a wider vmid_range"
    )


def refuse_rivals(step: CloneVm, vmid: int, together: Together) -> None:
    """Now that this VM can be seen, look for one of another run: of two that overlap, one sees the other."""
    for row in together.cluster().guests.values():
        if row.type != "qemu" or row.vmid == vmid or row.vmid in step.known or together.is_ours(row.vmid):
            continue
        if together.name_of(row) == step.vm.name:
            raise Rival(f"{step.vm.subject}: another run has meanwhile made VM {row.vmid} of this name")


def _candidates(step: CloneVm, together: Together) -> Iterator[int]:
    """The planned VMID, then others of the block by the draw; a declared one has no other."""
    yield step.vmid
    if step.vm.place.vmid is not None:
        return
    tried = {step.vmid}
    first, last = step.vm.place.vmid_range
    for _attempt in range(MAX_CLASHES):
        vmid = together.draw(first, last, frozenset(tried))
        if vmid is None:
            return
        tried.add(vmid)
        yield vmid


def _clone(vm: VmCalls, step: CloneVm, identity: Identity) -> None:
    place = step.vm.place
    params = {
        "newid": identity.vmid,
        "name": step.vm.name,
        "description": describe(step.human, identity),
        "full": int(step.full),
        "pool": place.pool or None,
        "storage": place.storage or None,
        "format": place.format or None,
        "target": step.node if step.node != step.source.row.node else None,
    }
    node, template = step.source.row.node, step.source.vmid
    path = api_path("nodes", node, "qemu", template, "clone")

    def clone() -> None:
        upid = vm.client.submit("POST", path, params, node=node, type="qmclone", id=template, alone=False)
        vm.warnings += vm.client.wait(upid).warnings

    for attempt in (1, 2):
        try:
            vm.client.retry_locked(clone)
            return
        except (WriteLost, ApiError, TaskFailed) as error:
            clashes = not isinstance(error, WriteLost) and error.kind is Kind.ALREADY_EXISTS
            # A clash of the second attempt may be the first one, which began late.
            if not isinstance(error, WriteLost) and not (attempt == 2 and clashes):
                raise
            if _was_made(vm, step, identity):
                return
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


def _was_made(vm: VmCalls, step: CloneVm, identity: Identity) -> bool:
    """Whether a clone call that was cut has made the VM. Raises CloneLost when that cannot be told."""
    subject = f"VM {identity.vmid} ({step.vm.name}) on {step.node}"
    ended = False
    for delay in LOOKS:
        vm.client.deadline.pause(delay, f"a sign of the clone {subject}")
        # In this order: what ends between the two reads has left its trace in the config.
        busy = is_cloning(vm.client, step.source.row.node)
        config = _config(vm, step, identity.vmid)
        if config is not None and config.lock != "clone":
            return read_identity(identity.vmid, config.description) == identity
        ended = config is None and not busy
    while not ended:
        vm.client.deadline.pause(1.0, f"the clone {subject}")
        busy = is_cloning(vm.client, step.source.row.node)
        config = _config(vm, step, identity.vmid)
        if config is not None and config.lock != "clone":
            return read_identity(identity.vmid, config.description) == identity
        if config is not None and not busy:
            raise CloneLost(f"{subject} is locked (clone) and no task works on it")
        ended = config is None and not busy
    return False


def _config(vm: VmCalls, step: CloneVm, vmid: int) -> VmConfig | None:
    """A clone is made on the template's node, and given to its own node at the end."""
    for node in dict.fromkeys((step.node, step.source.row.node)):
        try:
            return vm.config(node, vmid)
        except ApiError as error:
            # Under limited privileges a VM that is not there answers 403.
            if error.kind not in (Kind.NOT_FOUND, Kind.PERMISSION):
                raise
    return None
