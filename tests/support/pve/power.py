# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, stop, shutdown and the like; what a start generates and what it dies of."""

from __future__ import annotations

import asyncio
import time
import typing as t

from fakepve.model import PveError, TaskError
from fakepve.qemu import DRIVE_KEY, split_drive
from fakepve.storage import _is_file

from .vm import UNUSED, Vm, is_cloudinit

STATUS = "/nodes/{node}/qemu/{vmid}/status/"


class PowerMixin:
    """Mixin of FakeCluster: the power of a VM.

    ``restart_delay``: real seconds from the end of a reboot's task, when the guest is off, until qmeventd starts it
    again. ``ha_delay``: those until high availability does what its task only asks for.
    """

    def _init_power(self) -> None:
        self.restart_delay = 0.0
        self.ha_delay = 0.0

    def _routes_zz_power(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("POST", STATUS + "start", self._power_start),
            ("POST", STATUS + "stop", self._power_stop),
            ("POST", STATUS + "shutdown", self._power_shutdown),
            ("POST", STATUS + "reboot", self._power_reboot),
            ("POST", STATUS + "reset", self._power_reset),
            ("POST", STATUS + "suspend", self._power_suspend),
            ("POST", STATUS + "resume", self._power_resume),
        ]

    async def in_worker(self, v: dict, user: str, kind: str, work: t.Callable[[Vm, list[str]], None]) -> str:
        """A task that looks the VM up itself: a missing one is the task's failure, not the request's (measured)."""
        self.need_quorum()
        node, vmid = v["node"], v["vmid"]

        async def body(log: list[str]) -> None:
            work(self.find(node, vmid), log)

        return await self.run_task(node, kind, vmid, user, body)

    # ----------------------------------------------------------------- start

    def soon(self, seconds: float, act: t.Callable[[], None]) -> None:
        """Do it at once, or when other daemons would."""
        if seconds:
            asyncio.get_running_loop().call_later(seconds, act)
        else:
            act()

    async def by_ha(self, v: dict, user: str, kind: str, act: t.Callable[[Vm], None]) -> str | None:
        """For a VM that high availability manages: a task that only asks for it (qemu-server API2/Qemu.pm)."""
        vm = self.vms.get(int(v["vmid"]))
        if vm is None or not vm.ha_managed:
            return None

        def work(vm: Vm, log: list[str]) -> None:
            log.append(f"Requesting HA {kind.removeprefix('ha')} for VM {vm.vmid}")
            self.soon(self.ha_delay, lambda: act(vm))

        return await self.in_worker(v, user, kind, work)

    async def _power_start(self, v: dict, user: str) -> str:
        asked = await self.by_ha(v, user, "hastart", self.boot)
        if asked:
            return asked

        def work(vm: Vm, log: list[str]) -> None:
            if vm.template:
                raise TaskError("you can't start a vm if it's a template")
            if vm.lock != "suspended":
                self.need_unlocked(vm, v)
            if vm.running:
                raise TaskError(f"VM {vm.vmid} already running")
            if vm.start_error:
                raise TaskError(vm.start_error)
            self.boot(vm, log)

        return await self.in_worker(v, user, "qmstart", work)

    def boot(self, vm: Vm, log: list[str] | None = None) -> None:
        """Apply what is pending, generate the cloud-init drive, check the volumes, run the guest."""
        self.apply_pending(vm)
        if any(is_cloudinit(volid) for _key, volid, _props in vm.drives()):
            self.generate_cloudinit(vm)
            if log is not None:
                log.append("generating cloud-init ISO")
        for _key, volid, _props in vm.drives():
            storage, colon, _name = volid.partition(":")
            if colon and (storage not in self.storages or self.volume(volid, vm.node) is None):
                raise TaskError(missing_volume(self, volid))
        if vm.lock == "suspended":
            vm.lock = None
        vm.status = vm.qmpstatus = "running"
        vm.started_at = time.time()
        self.wake_guest(vm)

    def apply_pending(self, vm: Vm) -> None:
        for key, value in list(vm.pending.items()):
            old = str(vm.config.get(key, ""))
            replaced = value is None or split_drive(old)[0] != split_drive(str(value))[0]
            if old and replaced and (DRIVE_KEY.match(key) or UNUSED.fullmatch(key)):
                self.drop_drive(vm, key, old)
            if value is None:
                vm.config.pop(key, None)
            else:
                vm.config[key] = value
        vm.pending.clear()

    # ------------------------------------------------------------------ stop

    def halt(self, vm: Vm) -> None:
        """The QEMU process is gone; pending changes take effect."""
        vm.status = vm.qmpstatus = "stopped"
        vm.started_at = None
        vm.inside = None
        self.apply_pending(vm)

    async def _power_stop(self, v: dict, user: str) -> str:
        asked = await self.by_ha(v, user, "hastop", self.halt)
        if asked:
            return asked

        def work(vm: Vm, log: list[str]) -> None:
            self.need_unlocked(vm, v)
            if vm.running:
                self.halt(vm)

        return await self.in_worker(v, user, "qmstop", work)

    async def _power_shutdown(self, v: dict, user: str) -> str:
        """Asks the agent, then ACPI; a guest that ignores both needs forceStop. Stopped already: OK (recorded).

        A paused one would hear it when it is resumed, so it is refused, or stopped with forceStop (API2/Qemu.pm).
        """
        found = self.vms.get(int(v["vmid"]))
        paused = found is not None and found.qmpstatus == "paused"
        if paused and not v.get("forceStop"):
            raise PveError(500, "VM is paused - cannot shutdown")
        asked = await self.by_ha(v, user, "hastop", self.halt)
        if asked:
            return asked

        def work(vm: Vm, log: list[str]) -> None:
            self.need_unlocked(vm, v)
            if vm.running and paused:
                self.halt(vm)
            elif vm.running:
                self.power_down(vm, bool(v.get("forceStop")), log, v.get("timeout"))

        return await self.in_worker(v, user, "qmshutdown", work)

    def power_down(self, vm: Vm, force: bool, log: list[str], timeout: int | None = None) -> None:
        """``timeout``: seconds the caller gives the guest; scripted ones need none."""
        answers = self.agent_answers(vm)
        if vm.agent_enabled() and not answers:
            log.append(f"QEMU Guest Agent is not running - VM {vm.vmid} qmp command 'guest-ping' failed - got timeout")
        if not (vm.acpi or answers):
            if not force:
                raise TaskError("VM quit/powerdown failed - got timeout")
            log.append("VM still running - terminating now with SIGTERM")
        self.halt(vm)

    async def _power_reboot(self, v: dict, user: str) -> str:
        """The task ends when the guest is off; it is started by another daemon (QemuServer.pm vm_reboot)."""
        vm = self.find(v["node"], v["vmid"])
        if vm.qmpstatus == "paused":
            raise PveError(500, "VM is paused - cannot shutdown")
        self.need_running(vm)

        def work(vm: Vm, log: list[str]) -> None:
            self.need_unlocked(vm, v)
            self.power_down(vm, False, log, v.get("timeout"))
            self.soon(self.restart_delay, lambda: self.boot(vm))

        return await self.in_worker(v, user, "qmreboot", work)

    async def _power_reset(self, v: dict, user: str) -> str:
        self.need_running(self.find(v["node"], v["vmid"]))

        def work(vm: Vm, log: list[str]) -> None:
            self.need_unlocked(vm, v)
            self.wake_guest(vm)

        return await self.in_worker(v, user, "qmreset", work)

    async def _power_suspend(self, v: dict, user: str) -> str:
        self.need_running(self.find(v["node"], v["vmid"]))

        def work(vm: Vm, log: list[str]) -> None:
            if vm.lock != "backup" or v.get("todisk"):
                self.need_unlocked(vm, v)
            if v.get("todisk"):
                vm.status = vm.qmpstatus = "stopped"
                vm.lock = "suspended"
            else:
                vm.qmpstatus = "paused"

        return await self.in_worker(v, user, "qmsuspend" if v.get("todisk") else "qmpause", work)

    async def _power_resume(self, v: dict, user: str) -> str:
        """One that is suspended on disk is started from there."""
        found = self.find(v["node"], v["vmid"])
        if found.lock != "suspended":
            self.need_running(found)

        def work(vm: Vm, log: list[str]) -> None:
            if vm.lock == "suspended":
                self.boot(vm, log)
            else:
                self.need_unlocked(vm, v)
                vm.qmpstatus = "running"

        return await self.in_worker(v, user, "qmresume", work)

    @staticmethod
    def need_running(vm: Vm) -> None:
        if not vm.running:
            raise PveError(500, f"VM {vm.vmid} not running")


def missing_volume(cluster: t.Any, volid: str) -> str:
    """What a start says of a volume that is gone; for files as recorded, for block storages lvm's own words."""
    storage, _unused, name = volid.partition(":")
    store = cluster.storages.get(storage)
    if store is None:
        return f"storage '{storage}' does not exist"
    if _is_file(store):
        return f"volume '{volid}' does not exist"
    return f"can't activate LV '/dev/{store.get('vgname', storage)}/{name}': Failed to find logical volume"
