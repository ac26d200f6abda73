# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a disk to another storage, and a VM to another node. Not recorded: follows API2/Qemu.pm and QemuMigrate.pm."""

from __future__ import annotations

import typing as t

from fakepve.model import TaskError
from fakepve.qemu import is_cdrom, join_drive, split_drive, volume_ref
from fakepve.routing import die, param_error, split_list

from .disks import transfer_lines
from .vm import Vm, is_cloudinit

VM = "/nodes/{node}/qemu/{vmid}"


class MoveMixin:
    """Mixin of FakeCluster: move_disk and migrate."""

    def _routes_zz_move(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("POST", VM + "/move_disk", self._move_disk),
            ("POST", VM + "/migrate", self._migrate_vm),
        ]

    async def _move_disk(self, v: dict, user: str) -> str:
        vm, key, storage = self.find(v["node"], v["vmid"]), v["disk"], v.get("storage")
        self.need_quorum()
        self.need_unlocked(vm, {})
        if v.get("digest") and v["digest"] != vm.digest():
            raise die("checksum mismatch (file change by other user?)")
        if key not in vm.config:
            raise param_error(disk=f"disk '{key}' does not exist")
        volid, props = split_drive(str(vm.config[key]))
        if is_cdrom(volid, props) and not is_cloudinit(volid):
            raise die("you can't move a cdrom")
        if not storage:
            raise param_error(storage="property is missing and it is not optional")
        if storage == volume_ref(volid)[0] and not v.get("format"):
            raise die("you can't move to the same storage with same format")
        if "images" not in split_list(self._check_enabled(storage, vm.node).get("content")):
            raise param_error(storage=f"storage '{storage}' does not support vm images")

        async def body(log: list[str]) -> None:
            origin = self.volume(volid, vm.node)
            if origin is None:
                raise TaskError(f"volume '{volid}' does not exist")
            log.append(f"create full clone of drive {key} ({volid})")
            name = f"vm-{vm.vmid}-cloudinit" if is_cloudinit(volid) else None
            fmt = v.get("format") or origin.format
            made = self.allocate(vm.node, storage, vm.vmid, origin.size, fmt=fmt, name=name, used=origin.used)
            log.extend([*self.allocation_lines(made, vm.node), *transfer_lines(origin.size)])
            self.fill(made, vm.node, origin)
            vm.config[key] = join_drive(made, props)
            if not v.get("delete"):
                vm.add_unused(volid)
            elif line := self.free(volid, vm.node):
                log.append(line)

        return await self.run_task(vm.node, "qmmove", vm.vmid, user, body)

    async def _migrate_vm(self, v: dict, user: str) -> str:
        vm, target = self.find(v["node"], v["vmid"]), v["target"]
        self.need_quorum()
        if target == vm.node:
            raise param_error(target="target is local node.")
        if target not in self.nodes:
            raise die(f"no such cluster node '{target}'")
        if vm.running and not v.get("online"):
            raise die("can't migrate running VM without --online")
        self.need_unlocked(vm, {})

        async def body(log: list[str]) -> None:
            self.carry(vm, target, v.get("targetstorage"))
            log.append("migration finished successfully")

        return await self.run_task(vm.node, "qmigrate", vm.vmid, user, body)

    def carry(self, vm: Vm, target: str, storage_map: str | None) -> None:
        """Move the VM and its local volumes; a local ISO cannot follow."""
        for key, volid, props in vm.drives():
            storage = volume_ref(volid)[0]
            if storage is None or self.storages[storage].get("shared"):
                continue
            if is_cdrom(volid, props) and not is_cloudinit(volid):
                raise TaskError(f"migration aborted: can't migrate local cdrom '{volid}'")
            if self.dependants(volid, vm.node):
                raise TaskError(f"migration aborted: can't migrate '{volid}' as it's a clone of '{volid}'")
            goal = storage_map if storage_map and storage_map != "1" else storage
            self._check_enabled(goal, target)
            origin = self.volume(volid, vm.node)
            if origin is None:
                raise TaskError(f"volume '{volid}' does not exist")
            name = volid.partition(":")[2].rsplit("/", 1)[-1].partition(".")[0]
            made = self.allocate(target, goal, vm.vmid, origin.size, fmt=origin.format, name=name, used=origin.used)
            self.fill(made, target, origin)
            self.free(volid, vm.node)
            vm.config[key] = join_drive(made, props)
        vm.node = target
