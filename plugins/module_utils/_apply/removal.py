# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Destroying a VM after one more look that it is the one that was meant."""

from __future__ import annotations

from .._model.identity import Identity, read_identity
from .._model.vm_config import VmConfig
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, Kind, ProxmoxError, TaskFailed
from .._pve.upid import TaskResult

SEED_SLOT = "scsi2"
"""Where a builder has its seed: a slot of its own, of a bus that every cloud kernel has a driver for."""


def seed_name(vmid: int) -> str:
    """The file of a builder's seed. There is one for each VMID, so that what is left of one is overwritten."""
    return f"homelab-seed-{vmid}.iso"


class NotAsPlanned(ProxmoxError):
    """The server did what was asked and the result is not what the plan says."""


class Replaced(NotAsPlanned):
    """A VMID has another VM than the plan saw. The plan has to be made again."""


def remove_vm(
    client: Client, node: str, vmid: int, identity: Identity, *, running: bool = False, may_stop: bool = True
) -> tuple[str, ...] | None:
    """Destroy the VM that bears this identity, with its disks; returns the task's warnings.

    C(running): it is known to run, and is stopped first. C(may_stop) false: one that turns out to run is left alone.

    None where there is no such VM any more. Raises Replaced for a VM that bears another identity, NotAsPlanned for one
    that cannot be seen.
    """
    try:
        config = VmConfig(client.get(api_path("nodes", node, "qemu", vmid, "config")))
    except ApiError as error:
        # Under limited privileges a VM that is gone answers 403: the pool's rights went with it.
        if error.kind not in (Kind.NOT_FOUND, Kind.PERMISSION):
            raise
        _refuse_unseen(client, node, vmid)
        return None
    found = read_identity(vmid, config.description)
    if not isinstance(found, Identity) or _origin(found) != _origin(identity):
        raise Replaced(f"VM {vmid} on {node} is no longer what the plan saw; it was left alone")
    try:
        warnings = _stop(client, node, vmid) if running else ()
        warnings += _destroy(client, node, vmid, may_stop=may_stop)
    except ApiError as error:
        if error.kind is Kind.NOT_FOUND:
            return None
        raise
    return (*warnings, *_remove_seed(client, node, vmid, config))


def _destroy(client: Client, node: str, vmid: int, *, may_stop: bool) -> tuple[str, ...]:
    path = api_path("nodes", node, "qemu", vmid)

    def delete() -> TaskResult:
        # Not destroy-unreferenced-disks: that would scan storages for volumes which only bear this VMID.
        return client.run("DELETE", path, {"purge": 1}, node=node, type="qmdestroy", id=vmid)

    try:
        return client.retry_locked(delete).warnings
    except (ApiError, TaskFailed) as error:
        if error.kind is not Kind.RUNNING or not may_stop:
            raise
    # A builder that was left in the middle.
    return (*_stop(client, node, vmid), *client.retry_locked(delete).warnings)


def _stop(client: Client, node: str, vmid: int) -> tuple[str, ...]:
    """Switch it off: nothing in a builder or in a clone of a proof is worth a shutdown."""
    path = api_path("nodes", node, "qemu", vmid, "status", "stop")
    return client.retry_locked(lambda: client.run("POST", path, node=node, type="qmstop", id=vmid)).warnings


def _remove_seed(client: Client, node: str, vmid: int, config: VmConfig) -> tuple[str, ...]:
    """A builder's seed goes with it; one that cannot be removed is said, and hinders nothing."""
    seeds = [disk.volume for disk in config.disks().values() if disk.is_cdrom and disk.volume is not None]
    warnings: list[str] = []
    for volid in seeds:
        storage, _colon, name = volid.partition(":")
        if name != f"iso/{seed_name(vmid)}":
            continue
        path = api_path("nodes", node, "storage", storage, "content", volid)
        try:
            client.run("DELETE", path, node=node, type="imgdel", id=storage)
        except ProxmoxError as error:
            warnings.append(f"the seed {volid} on {node} could not be removed: {error}")
    return tuple(warnings)


def _refuse_unseen(client: Client, node: str, vmid: int) -> None:
    """A VM that cannot be read is gone only if its VMID is free."""
    try:
        # Whoever can log in may ask; a VMID that is taken is refused with a 400.
        client.get("/cluster/nextid", vmid=vmid)
    except ApiError as error:
        if error.kind is not Kind.ALREADY_EXISTS:
            raise
        raise NotAsPlanned(
            f"VM {vmid} is no longer on {node}, or may not be read any more; it was left alone"
        ) from error


def _origin(identity: Identity) -> tuple[str, str, str]:
    """What tells builds apart: lines of one run have the same generation, since that is its time."""
    return identity.run, identity.line, identity.generation
