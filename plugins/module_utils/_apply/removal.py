# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Destroying a VM after one more look that it is the one that was meant."""

from __future__ import annotations

from .._model.identity import Identity, read_identity
from .._model.vm_config import VmConfig
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, Kind, ProxmoxError


class NotAsPlanned(ProxmoxError):
    """The server did what was asked and the result is not what the plan says."""


def remove_vm(client: Client, node: str, vmid: int, identity: Identity) -> tuple[str, ...] | None:
    """Destroy the VM that bears this identity, with its disks; returns the task's warnings.

    None where there is no VM that could be read. Raises NotAsPlanned for a VM that bears another identity.
    """
    try:
        config = VmConfig(client.get(api_path("nodes", node, "qemu", vmid, "config")))
    except ApiError as error:
        # Under limited privileges a VM that is gone answers 403: the pool's rights went with it.
        if error.kind in (Kind.NOT_FOUND, Kind.PERMISSION):
            return None
        raise
    found = read_identity(vmid, config.description)
    if not isinstance(found, Identity) or _origin(found) != _origin(identity):
        raise NotAsPlanned(f"VM {vmid} on {node} is no longer what the plan saw; it was left alone")
    try:
        result = client.retry_locked(
            lambda: client.run(
                "DELETE",
                api_path("nodes", node, "qemu", vmid),
                # Not destroy-unreferenced-disks: that would scan storages for volumes which only bear this VMID.
                {"purge": 1},
                node=node,
                type="qmdestroy",
                id=vmid,
            )
        )
    except ApiError as error:
        if error.kind is Kind.NOT_FOUND:
            return None
        raise
    return result.warnings


def _origin(identity: Identity) -> tuple[str, str, str]:
    """What tells builds apart: lines of one run have the same generation, since that is its time."""
    return identity.run, identity.line, identity.generation
