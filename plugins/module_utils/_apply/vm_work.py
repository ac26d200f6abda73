# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work on one VM of a plan: how each step is done, and what is said of it when it stops half-way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatchmethod
from typing import Any

from .._model.cluster import GuestRow
from .._model.identity import Identity
from .._model.vm import FoundVm
from .._plan.plan import Step
from .._plan.vm_changes import vm_changes
from .._plan.vm_steps import (
    CloneVm,
    ConfigureVm,
    DestroyVm,
    GrowDisk,
    JoinPool,
    KeepHa,
    MoveDisk,
    RebootVm,
    StartVm,
    StopVm,
)
from .._plan.vm_views import absent_view, vm_view
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, DeadlineExceeded, Kind, ProxmoxError, TaskFailed, WriteLost
from .._read.vms import read_vms
from .clone_vm import Rival, make_clone, refuse_rivals
from .removal import NotAsPlanned, remove_vm
from .scheduler import Turns
from .together import Together
from .vm_calls import VmCalls


class VmWork:
    """One run over the steps of one VM. C(vmid) is the one that a clone really got."""

    def __init__(self, client: Client, together: Together, turns: Turns) -> None:
        self.client = client
        self.vm = VmCalls(client)
        self.together = together
        self.turns = turns
        self.partly: list[str] = []
        self.vmid: int | None = None
        self.node = ""
        self.made: Identity | None = None
        self.gone: DestroyVm | None = None
        self.doomed: CloneVm | None = None
        """The clone under way, whose outcome is not known yet."""

    def of(self, step: ConfigureVm | MoveDisk | GrowDisk | JoinPool | KeepHa | StartVm | StopVm | RebootVm) -> int:
        """The VMID that a step is about: that of the clone, where this run made one."""
        self.node = step.node
        self.vmid = self.made.vmid if self.made is not None else step.vmid
        self.vm.at = self.vmid
        return self.vmid

    @singledispatchmethod
    def do(self, step: Step) -> None:
        raise TypeError(f"no way to do {step!r}")

    @do.register
    def _clone(self, step: CloneVm) -> None:
        self.doomed = step
        storage = step.vm.place.storage or next(iter(sorted(step.source.storages)), "")
        turn = self.turns.heavy if step.full else self.turns.linked
        with turn(step.node, storage):
            self.made = make_clone(self.vm, step, self.together)
        self.doomed = None
        self.gone = None
        self.vmid, self.node = self.made.vmid, step.node
        self.partly.append(f"created VM {self.vmid} ({step.vm.name})")
        refuse_rivals(step, self.vmid, self.together)

    @do.register
    def _configure(self, step: ConfigureVm) -> None:
        vmid = self.of(step)
        changes, delete, digest = dict(step.changes), step.delete, step.digest
        if step.identity is None and step.needs_look:
            changes, delete, digest = self._of_clone_itself(step, vmid)
        if step.password and step.vm.password is not None:
            changes["cipassword"] = step.vm.password.value
        if changes or delete:
            self.vm.write(step.node, vmid, changes, delete=delete, digest=digest)

    def _of_clone_itself(self, step: ConfigureVm, vmid: int) -> tuple[dict[str, str], tuple[str, ...], str | None]:
        if self.made is None:
            raise TypeError(f"{step.vm.subject}: there is no clone to be configured")
        config = self.vm.config(step.node, vmid)
        found = vm_changes(step.vm, self.made, config)
        if found.refusals:
            raise NotAsPlanned("; ".join(map(str, found.refusals)))
        return found.changes, found.delete, config.digest

    @do.register
    def _move(self, step: MoveDisk) -> None:
        params = {"disk": step.slot, "storage": step.storage, "format": step.format or None, "delete": 1}
        vmid = self.of(step)
        with self.turns.heavy(step.node, step.storage):
            self.vm.task("POST", step.node, vmid, "move_disk", params, task="qmmove")

    @do.register
    def _grow(self, step: GrowDisk) -> None:
        self.vm.task("PUT", step.node, self.of(step), "resize", {"disk": step.slot, "size": str(step.size)})

    @do.register
    def _join(self, step: JoinPool) -> None:
        self.client.put("/pools", {"poolid": step.vm.place.pool, "vms": self.of(step), "allow-move": 1})

    @do.register
    def _keep_ha(self, step: KeepHa) -> None:
        sid = f"vm:{self.of(step)}"
        path = api_path("cluster", "ha", "resources")
        if step.action == "add":
            self.client.post(path, {"sid": sid, **step.settings})
        elif step.action == "change":
            self.client.put(f"{path}/{sid}", dict(step.settings))
        else:
            self.client.delete(f"{path}/{sid}")

    @do.register
    def _start(self, step: StartVm) -> None:
        try:
            self.vm.task("POST", step.node, self.of(step), "status/start", task="qmstart")
        except TaskFailed as error:
            if error.kind is not Kind.RUNNING:
                raise

    @do.register
    def _stop(self, step: StopVm) -> None:
        vmid = self.of(step)
        if step.force:
            self.vm.task("POST", step.node, vmid, "status/stop", task="qmstop")
        else:
            params = {"timeout": step.vm.shutdown_timeout}
            self.vm.task("POST", step.node, vmid, "status/shutdown", params, task="qmshutdown")

    @do.register
    def _reboot(self, step: RebootVm) -> None:
        vmid = self.of(step)
        found = self.look(step.node, vmid)
        if found is None or not found.pending:
            return
        params = {"timeout": step.vm.shutdown_timeout}
        self.vm.task("POST", step.node, vmid, "status/reboot", params, task="qmreboot")

    @do.register
    def _destroy(self, step: DestroyVm) -> None:
        self.vmid, self.node, self.vm.at = step.vmid, step.node, step.vmid
        may_stop = step.vm.force_stop
        self.vm.warnings += remove_vm(self.client, step.node, step.vmid, step.identity, may_stop=may_stop) or ()
        self.gone = step

    def look(self, node: str, vmid: int) -> FoundVm | None:
        """The VM as it is now."""
        row = GuestRow(
            vmid=vmid,
            node=node,
            type="qemu",
            name="",
            status="unknown",
            template=False,
            tags=frozenset(),
            lock="",
            pool="",
        )
        return read_vms(self.client, [row]).get(vmid)

    def result(self, planned: dict[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
        """What the VM is after its steps, read back."""
        if self.gone is not None:
            return absent_view(self.gone.vm)
        if self.vmid is None:
            return planned
        found = self.look(self.node, self.vmid)
        lost = ""
        if found is None:
            lost = "is gone: somebody else has removed it"
        elif self.made is not None and found.identity is None:
            lost = f"is not the clone that was made: {found.reason}"
        if found is None or lost:
            # Nothing of ours is left there that a next run could complete.
            self.made = None
            raise NotAsPlanned(f"VM {self.vmid} on {self.node} {lost}. Run it again, which makes what is missing")
        status = planned["status"]
        pool = planned["pool"]
        for step in steps:
            if isinstance(step, StartVm):
                status = "running"
            elif isinstance(step, StopVm):
                status = "stopped"
            elif isinstance(step, CloneVm):
                status, pool = "stopped", step.vm.place.pool or None
            elif isinstance(step, JoinPool):
                pool = step.vm.place.pool
        newest = "" if self.made is not None else planned["newest"]
        view = vm_view(found, newest or "")
        return {**view, "status": status, "pool": pool, "created": self.made is not None}

    def clean_up(self, step: Step, cause: Exception) -> tuple[str, ...]:
        """Remove the clone that another run has made meanwhile; returns what stays, in words."""
        if isinstance(cause, Rival) and self.made is not None:
            return self._withdraw(self.made)
        if self.doomed is not None:
            return (*self._of_clone(self.doomed, cause), *self._of_gone())
        if self.made is not None:
            half = f"VM {self.made.vmid} on {self.node} was made, but is not all that is declared"
            return (f"{half}; the next run completes it",)
        if isinstance(step, DestroyVm) and isinstance(cause, DeadlineExceeded | WriteLost):
            return (f"VM {step.vmid} on {step.node}: it is not known whether it was destroyed; the next run looks",)
        return self._of_gone()

    def _of_gone(self) -> tuple[str, ...]:
        if self.gone is None:
            return ()
        return (f"VM {self.gone.vmid} was destroyed and its successor is not made; the next run makes it",)

    def _of_clone(self, step: CloneVm, cause: Exception) -> tuple[str, ...]:
        """A task that failed has removed what it made."""
        vmid = self.vm.at if self.vm.at is not None else step.vmid
        if isinstance(cause, TaskFailed) or (isinstance(cause, ApiError) and cause.method == "POST"):
            return ()
        task = f"; the task {cause.upid} goes on" if isinstance(cause, DeadlineExceeded) and cause.upid else ""
        return (f"VM {vmid} on {step.node}, if it is there: it may be made yet{task}; the next run looks",)

    def _withdraw(self, identity: Identity) -> tuple[str, ...]:
        try:
            self.vm.warnings += remove_vm(self.client, self.node, identity.vmid, identity, may_stop=False) or ()
        except ProxmoxError as error:
            return (f"VM {identity.vmid} on {self.node}, a double: it could not be removed ({error})",)
        self.partly.clear()
        return ()
