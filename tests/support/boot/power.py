# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power: a start starts QEMU, a shutdown asks the guest, and a guest that switches itself off is found stopped."""

from __future__ import annotations

import typing as t
from pathlib import Path

from aiohttp import web
from fakepve.model import TaskError
from fakepve.qemu import is_cdrom

from ..pve.vm import NET, Vm
from .hardware import Drive, Unsupported, arguments
from .machine import AgentRefusal, AgentSilent, Machine, MachineError
from .turns import slow

# Seconds, vm_stop's own when the caller gives none.
SHUTDOWN_LIMIT = 60


class PowerMixin:
    """Mixin of LabCluster. ``machines``: {vmid: Machine} of the running VMs."""

    def _init_zz_machines(self) -> None:
        self.machines: dict[int, Machine] = {}
        # Arguments that are added to the command of every VM started from now on.
        self.more_arguments: list[str] = []

    def _middlewares_zz_machines(self) -> list[t.Any]:
        @web.middleware
        async def reap(request: web.Request, handler: t.Any) -> web.StreamResponse:
            self.reap()
            return await handler(request)

        return [reap]

    def reap(self) -> None:
        """Guests that have switched themselves off are stopped."""
        for vmid, machine in list(self.machines.items()):
            if machine.ended() and vmid in self.vms and self.vms[vmid].running:
                self.halt(self.vms[vmid])

    # ------------------------------------------------------------------- start

    def boot(self, vm: Vm, log: list[str] | None = None) -> None:
        try:
            super().boot(vm, log)
        finally:
            if vm.vmid not in self.machines:
                vm.status = vm.qmpstatus = "stopped"

    def wake_guest(self, vm: Vm) -> None:
        """Start QEMU, or reset the one that runs."""
        vm.inside = None
        if vm.vmid in self.machines:
            self.machines[vm.vmid].qmp("system_reset")
            self.machines[vm.vmid].wedged = False
            return
        self.start_machine(vm)

    def start_machine(self, vm: Vm, *more: str) -> None:
        """Raises TaskError with what QEMU said."""
        try:
            argv = arguments(
                vm, self.drives_of(vm), self.sockets(vm.vmid), self.serial_log(vm.vmid), restrict=self.restrict
            )
            self.machines[vm.vmid] = slow(lambda: Machine([*argv, *self.more_arguments, *more], self.sockets(vm.vmid)))
            if any(map(NET.fullmatch, vm.config)):
                self.port_file(vm.vmid).write_text(str(slow(self.machines[vm.vmid].ssh_port)), encoding="ascii")
        except (MachineError, Unsupported) as exc:
            raise TaskError(f"start failed: {exc}") from exc

    def drives_of(self, vm: Vm) -> list[Drive]:
        """The drives of a VM and the files behind them."""
        drives = []
        for key, volid, props in vm.drives():
            volume = self.volume(volid, vm.node) if ":" in volid else None
            if volid not in ("none", "cdrom") and (volume is None or volume.path is None):
                raise TaskError(f"volume '{volid}' does not exist")
            path, form = (volume.path, self.form(volume, volid)) if volume else (None, "raw")
            drives.append(Drive(key, path, form, is_cdrom(volid, props)))
        return drives

    def sockets(self, vmid: int) -> Path:
        return self.workdir / str(vmid)

    def port_file(self, vmid: int) -> Path:
        """Where other processes read which port of 127.0.0.1 leads to the SSH server of a VM that was started."""
        return self.sockets(vmid) / "ssh-port"

    # -------------------------------------------------------------------- stop

    def halt(self, vm: Vm) -> None:
        machine = self.machines.pop(vm.vmid, None)
        if machine is not None:
            machine.kill()
        super().halt(vm)

    def agent_answers(self, vm: Vm) -> bool:
        machine = self.machines.get(vm.vmid)
        return bool(machine and vm.agent_enabled() and slow(machine.agent_up))

    def power_down(self, vm: Vm, force: bool, log: list[str], timeout: int | None = None) -> None:
        """Ask the agent, else press the button; C(patience) stretches what the caller allows."""
        machine = self.machines[vm.vmid]
        try:
            if self.agent_answers(vm):
                slow(lambda: machine.agent("guest-shutdown"))
            else:
                if vm.agent_enabled():
                    note = f"VM {vm.vmid} qmp command 'guest-ping' failed - got timeout"
                    log.append(f"QEMU Guest Agent is not running - {note}")
                machine.qmp("system_powerdown")
        except (AgentSilent, AgentRefusal, MachineError):
            log.append("the guest went away while it was asked to")
        if not slow(lambda: machine.wait((timeout or SHUTDOWN_LIMIT) * self.patience)):
            if not force:
                raise TaskError("VM quit/powerdown failed - got timeout")
            log.append("VM still running - terminating now with SIGTERM")
        self.halt(vm)

    async def _power_suspend(self, v: dict, user: str) -> str:
        def work(vm: Vm, log: list[str]) -> None:
            if v.get("todisk"):
                raise TaskError("the lab suspends to memory only")
            self.machines[vm.vmid].qmp("stop")
            vm.qmpstatus = "paused"

        self.need_running(self.find(v["node"], v["vmid"]))
        return await self.in_worker(v, user, "qmpause", work)

    async def _power_resume(self, v: dict, user: str) -> str:
        def work(vm: Vm, log: list[str]) -> None:
            self.machines[vm.vmid].qmp("cont")
            vm.qmpstatus = "running"

        self.need_running(self.find(v["node"], v["vmid"]))
        return await self.in_worker(v, user, "qmresume", work)

    def remove_vm(self, vmid: int) -> None:
        machine = self.machines.pop(vmid, None)
        if machine is not None:
            machine.kill()
        super().remove_vm(vmid)

    def attach(self, vm: Vm, volume: str, props: dict[str, str]) -> str:
        """A file of this machine cannot be attached: the lab's storages hold everything that it knows."""
        if volume.startswith("/"):
            raise TaskError(f"the lab attaches volumes only, not '{volume}'")
        return super().attach(vm, volume, props)
