# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls on one VM after another that a track makes, and what their tasks warned of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._model.identity import Identity
from .._model.vm_config import VmConfig
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, Kind
from .removal import remove_vm


class VmCalls:
    """C(at) is the VM that was written to last, C(warnings) are those of all tasks so far."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.at: int | None = None
        self.warnings: list[str] = []

    def config(self, node: str, vmid: int) -> VmConfig:
        """What is configured now."""
        return VmConfig(self.client.get(api_path("nodes", node, "qemu", vmid, "config")))

    def task(
        self,
        method: str,
        node: str,
        vmid: int,
        action: str,
        params: Mapping[str, Any] | None = None,
        *,
        task: str = "",
    ) -> None:
        """Carry out C(action) of the VM and wait for its task, whose type is C(task) where it is called otherwise."""
        path = api_path("nodes", node, "qemu", vmid, *action.split("/"))
        result = self.client.retry_locked(
            lambda: self.client.run(method, path, params, node=node, type=task or action, id=vmid)
        )
        self.warnings += result.warnings

    def write(
        self, node: str, vmid: int, changes: dict[str, str], *, delete: tuple[str, ...] = (), digest: str | None = None
    ) -> None:
        """Change the configuration, as soon as nothing locks it."""

        def put() -> None:
            try:
                self.client.write_config(node, vmid, changes, delete=delete, digest=digest)
            except ApiError as error:
                # The lock of another operation stands in the config file: it changes the digest, which is looked at
                # first, and changes it back when it goes.
                lock = self.config(node, vmid).lock if error.kind is Kind.DIGEST_MISMATCH else None
                if lock is None:
                    raise
                raise ApiError(Kind.LOCKED, f"VM is locked ({lock})", error.http_status, "PUT", error.path) from error

        self.at = vmid
        self.client.retry_locked(put)

    def write_if_there(self, node: str, vmid: int, changes: dict[str, str], *, digest: str | None) -> bool:
        """The same; False for a VM that another run has destroyed meanwhile."""
        try:
            self.write(node, vmid, changes, digest=digest)
        except ApiError as error:
            if error.kind is Kind.NOT_FOUND:
                return False
            raise
        return True

    def remove(self, node: str, vmid: int, identity: Identity, *, running: bool = False) -> None:
        """Destroy the VM if it bears this identity still; one that is known to run is stopped first."""
        self.at = vmid
        self.warnings += remove_vm(self.client, node, vmid, identity, running=running) or ()
