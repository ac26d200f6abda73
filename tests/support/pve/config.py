# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config calls: read, change (PUT at once, POST as a task), pending values. Follows $update_vm_api in Qemu.pm."""

from __future__ import annotations

import re
import typing as t

from fakepve.model import PveError, TaskError
from fakepve.qemu import DRIVE_KEY, is_cdrom, split_drive
from fakepve.routing import die, param_error, split_list

from . import schema
from .disks import Work
from .qemu import reason
from .vm import LIVE, UNUSED, Vm, boot_devices, check_sshkeys, hashed, is_cloudinit, normal_tags

MASK = "**********"
CONFIG = "/nodes/{node}/qemu/{vmid}/config"
NOT_OPTIONS = frozenset({"node", "vmid", "digest", "delete", "revert", "force", "skiplock", "background_delay"})
# Options that Cloudinit.pm declares are plugged at once; ipconfigN waits for the next start.
CLOUDINIT = frozenset(
    ("cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain", "sshkeys")
)
HOTPLUG = re.compile(r"(?:scsi|virtio|net|unused)\d+")


class ConfigMixin:
    """Mixin of FakeCluster: the config of a VM."""

    def _routes_zz_config(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("GET", CONFIG, self._config_read),
            ("PUT", CONFIG, self._config_write),
            ("POST", CONFIG, self._config_submit),
            ("GET", "/nodes/{node}/qemu/{vmid}/pending", self._config_pending),
        ]

    # ------------------------------------------------------------------ read

    async def _config_read(self, v: dict, user: str) -> dict[str, t.Any]:
        vm = self.find(v["node"], v["vmid"])
        if v.get("snapshot"):
            if v["snapshot"] not in vm.snapshots:
                raise die(f"snapshot '{v['snapshot']}' does not exist")
            shown = vm.snapshots[v["snapshot"]]
        else:
            shown = vm.config if v.get("current") else vm.wanted()
        answer = {key: self.shown(key, value) for key, value in shown.items()}
        return {**answer, "digest": vm.digest()}

    def shown(self, key: str, value: t.Any) -> t.Any:
        """A stored value as an answer holds it."""
        return MASK if key == "cipassword" else schema.typed(self.major, key, value)

    async def _config_pending(self, v: dict, user: str) -> list[dict[str, t.Any]]:
        vm = self.find(v["node"], v["vmid"])
        rows: list[dict[str, t.Any]] = [{"key": "digest", "value": vm.digest()}]
        for key in {**vm.config, **vm.pending}:
            row: dict[str, t.Any] = {"key": key}
            if key in vm.config:
                row["value"] = self.shown(key, vm.config[key])
            if key in vm.pending:
                new = vm.pending[key]
                row.update({"delete": 1} if new is None else {"pending": self.shown(key, new)})
            rows.append(row)
        return rows

    # ----------------------------------------------------------------- write

    async def _config_write(self, v: dict, user: str) -> None:
        """PUT: everything within the request."""
        self.prepare_change(v, user)
        try:
            self.change(self.find(v["node"], v["vmid"]), v, [])
        except TaskError as exc:
            raise die(str(exc)) from exc

    async def _config_submit(self, v: dict, user: str) -> str:
        """POST: the checks within the request, the work in a task."""
        vm = self.prepare_change(v, user)

        async def body(log: list[str]) -> None:
            try:
                self.change(vm, v, log)
            except PveError as exc:
                raise TaskError(reason(exc)) from exc

        return await self.run_task(vm.node, "qmconfig", vm.vmid, user, body)

    def prepare_change(self, v: dict, user: str) -> Vm:
        """What is refused before anything is touched."""
        self.need_quorum()
        changes = {key: value for key, value in v.items() if key not in NOT_OPTIONS}
        deletes = split_list(v.get("delete"))
        if not changes and not deletes and not v.get("revert"):
            raise die("no options specified")
        if changes.get("sshkeys"):
            check_sshkeys(changes["sshkeys"])
        for key in deletes:
            if key in changes:
                raise param_error(delete=f"you can't use '-{key}' and -delete {key}' at the same time")
            if not self.knows_option(key):
                raise param_error(delete=f"unknown option '{key}'")
        for key in sorted(filter(DRIVE_KEY.match, changes)):
            self.check_drive(user, v["node"], key, changes[key], None)
        vm = self.find(v["node"], v["vmid"])
        if v.get("digest") and v["digest"] != vm.digest():
            raise die("checksum mismatch (file change by other user?)")
        self.need_unlocked(vm, v)
        check_boot(vm, changes, deletes)
        return vm

    def knows_option(self, key: str) -> bool:
        return schema.option(self.major, key) is not None or bool(UNUSED.fullmatch(key))

    def tags_are_checked_at_creation(self) -> bool:
        return tuple(int(part) for part in self.release_version.split(".")) >= (9, 2)

    def change(self, vm: Vm, v: dict, log: list[str]) -> None:
        """Apply deletes, then changes; a running VM keeps most of them pending."""
        for key in split_list(v.get("delete")):
            self.delete_option(vm, key)
        for key in split_list(v.get("revert")):
            vm.pending.pop(key, None)
        for key, value in v.items():
            if key not in NOT_OPTIONS:
                self.set_option(vm, key, value, log)

    def delete_option(self, vm: Vm, key: str) -> None:
        current = vm.config.get(key)
        new = vm.pending.pop(key, None)
        if current is None and new is None:
            return  # the server warns in its own log and answers 200
        devices = boot_devices(vm.wanted())
        if key in devices:
            self.write(vm, "boot", "order=" + ";".join(name for name in devices if name != key), live=not vm.running)
        if current is None:
            return
        if vm.running and not self.live(vm, key, None):
            vm.pending[key] = None
            return
        if DRIVE_KEY.match(key) or UNUSED.fullmatch(key):
            self.drop_drive(vm, key, str(current))
        vm.config.pop(key, None)

    def set_option(self, vm: Vm, key: str, value: t.Any, log: list[str]) -> None:
        if DRIVE_KEY.match(key):
            self.set_drive(vm, key, str(value), log)
            return
        if key == "cipassword":
            value = hashed(str(value))
        elif key == "tags":
            value = normal_tags(str(value))
        self.write(vm, key, self.stored(key, value), live=not vm.running or self.live(vm, key, value))

    def set_drive(self, vm: Vm, key: str, value: str, log: list[str]) -> None:
        """A drive: new volumes are made, the volume that was in the slot stays as unusedN."""
        work = Work(vm, log)
        try:
            new = self.make_drive(work, key, value)
        except (PveError, TaskError):
            for volid in work.made:
                self.free(volid, vm.node)
            raise
        old = str(vm.config.get(key, ""))
        volume, props = split_drive(new)
        live = not vm.running or self.live(vm, key, new)
        if live and old and split_drive(old)[0] != volume:
            self.drop_drive(vm, key, old)
        self.write(vm, key, new, live=live)
        unused = [
            name for name in vm.config if UNUSED.fullmatch(name) and str(vm.config[name]).partition(",")[0] == volume
        ]
        for name in unused:
            del vm.config[name]
        devices = boot_devices(vm.wanted())
        if devices and key not in devices and is_cdrom(volume, props) and not is_cloudinit(volume):
            # A new CD drive is appended to the boot order; pending on a running VM (recorded).
            self.write(vm, "boot", "order=" + ";".join([*devices, key]), live=not vm.running)

    @staticmethod
    def write(vm: Vm, key: str, value: t.Any, *, live: bool) -> None:
        if live:
            vm.config[key] = value
            vm.pending.pop(key, None)
        else:
            vm.pending[key] = value

    @staticmethod
    def live(vm: Vm, key: str, value: t.Any) -> bool:
        """Does a change reach a running VM at once? A medium in a CD drive does, an IDE drive itself does not."""
        if key in LIVE or key in CLOUDINIT:
            return True
        if DRIVE_KEY.match(key) and value is not None and key in vm.config:
            old_cd = is_cdrom(*split_drive(str(vm.config[key])))
            if old_cd and is_cdrom(*split_drive(str(value))):
                return True
        return bool(HOTPLUG.fullmatch(key))


def check_boot(vm: Vm, changes: dict[str, t.Any], deletes: list[str]) -> None:
    """Every device of a new boot order must exist after the change."""
    for name in boot_devices(changes):
        if name in deletes or name not in {**vm.wanted(), **changes}:
            raise die(f"invalid bootorder: device '{name}' does not exist'")
