# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vzdump and restore: the archive of the fake holds the config and the sizes of the disks, no data."""

from __future__ import annotations

import json
import time
import typing as t

from fakepve.lxc import format_size
from fakepve.model import PveError, TaskError
from fakepve.qemu import join_drive, with_mac
from fakepve.routing import die, split_list

from .qemu import reason
from .vm import NET, Vm, is_cloudinit

SUFFIX = {"zstd": ".vma.zst", "gzip": ".vma.gz", "lzo": ".vma.lzo", "0": ".vma"}


class BackupMixin:
    """Mixin of FakeCluster: backups."""

    def _routes_zz_backup(self) -> list[tuple[str, str, t.Callable]]:
        return [("POST", "/nodes/{node}/vzdump", self._vzdump)]

    async def _vzdump(self, v: dict, user: str) -> str:
        """One task; what fails in it is only told by its log and the exit status ``job errors`` (recorded)."""
        node, vmids = v["node"], split_list(v.get("vmid"))
        self._check_enabled(v.get("storage", "local"), node)

        async def body(log: list[str]) -> None:
            log.append("INFO: starting new backup job: vzdump " + " ".join(arguments(v)))
            failed = 0
            for vmid in vmids:
                vm = self.vms.get(int(vmid))
                if vm is None or vm.node != node:
                    log.append(f"ERROR: Backup of VM {vmid} failed - unable to find VM '{vmid}'")
                    log.append(f"INFO: Failed at {stamp()}")
                    failed += 1
                    continue
                self.dump(vm, v, log)
            log.append("INFO: Backup job finished with errors" if failed else "INFO: Backup job finished successfully")
            if failed:
                raise TaskError("job errors")

        return await self.run_task(node, "vzdump", ",".join(vmids) if len(vmids) == 1 else "", user, body)

    def dump(self, vm: Vm, v: dict, log: list[str]) -> None:
        storage = v.get("storage", "local")
        suffix = SUFFIX[str(v.get("compress", "0"))]
        name = self.archive_name(vm, storage, suffix)
        log += [f"INFO: Starting Backup of VM {vm.vmid} (qemu)", f"INFO: Backup started at {stamp()}"]
        log += [
            f"INFO: status = {vm.status}",
            f"INFO: backup mode: {v.get('mode', 'snapshot')}",
            "INFO: ionice priority: 7",
        ]
        log.append(f"INFO: VM Name: {vm.name}")
        for key, volid, props in vm.drives(cdrom=False):
            log.append(f"INFO: include disk '{key}' '{volid}' {props.get('size', '')}")
        log.append(f"INFO: creating vzdump archive '{self._volume_path(storage, name, 'backup')}'")
        path = self.place(storage, vm.node, name)
        path.write_text(json.dumps(vm.config))
        volume = self.enter(storage, vm.node, name, path)
        volume.notes = v.get("notes-template")
        volume.protected = bool(v.get("protected"))
        if volume.notes:
            log.append("INFO: adding notes to backup")
            volume.notes = volume.notes.replace("{{guestname}}", vm.name).replace("{{vmid}}", str(vm.vmid))
        log += [f"INFO: Finished Backup of VM {vm.vmid} (00:00:01)", f"INFO: Backup finished at {stamp()}"]

    def archive_name(self, vm: Vm, storage: str, suffix: str) -> str:
        """A name with the time of the backup, a later second when that one is taken."""
        seconds = time.time()
        while True:
            when = time.strftime("%Y_%m_%d-%H_%M_%S", time.localtime(seconds))
            name = f"backup/vzdump-qemu-{vm.vmid}-{when}{suffix}"
            if name not in self.shelf(storage, vm.node):
                return name
            seconds += 1

    async def _restore(self, v: dict, user: str) -> str:
        """POST qemu with ``archive``: new disks of the old sizes on the given storage or the old one."""
        node, vmid, archive = v["node"], int(v["vmid"]), v["archive"]
        old = self.vms.get(vmid)
        if old is not None and not v.get("force"):
            self.need_free_id(vmid)
        if old is not None and old.running:
            raise die(f"unable to restore VM {vmid} - vm is running")
        if old is not None and old.option_on("protection"):
            raise die(f"unable to restore VM {vmid} - protection mode enabled")

        async def body(log: list[str]) -> None:
            volume = self.volume(archive, node)
            if volume is None or volume.path is None:
                raise TaskError(f"unable to restore VM {vmid} - volume '{archive}' does not exist")
            try:
                self.put_back(v, vmid, json.loads(volume.path.read_text()), log)
            except PveError as exc:
                raise TaskError(f"unable to restore VM {vmid} - {reason(exc)}") from exc

        return await self.run_task(node, "qmrestore", vmid, user, body)

    def put_back(self, v: dict, vmid: int, config: dict[str, t.Any], log: list[str]) -> None:
        node = v["node"]
        old = self.vms.pop(vmid, None)
        if old is not None:
            self.destroy_volumes(old, False, log)
        template = str(config.pop("template", 0)) == "1"
        vm = self.vms[vmid] = Vm(vmid, node=node, config={})
        for key, value in config.items():
            vm.config[key] = with_mac(str(value), fresh=True) if v.get("unique") and NET.fullmatch(key) else value
        for key, volid, props in vm.drives():
            if ":" not in volid or "/" in volid.split(":")[1] and volid.split(":")[1].startswith("iso/"):
                continue
            storage = v.get("storage") or volid.split(":")[0]
            size = parse(props.get("size", "4M"))
            name = f"vm-{vmid}-cloudinit" if is_cloudinit(volid) else None
            made = self.allocate(node, storage, vmid, size, fmt="raw", name=name)
            log.extend(self.allocation_lines(made, node))
            if template and not name:
                made = self.make_base(made, node)[0]
            vm.config[key] = join_drive(made, {**props, "size": format_size(size)})
        if template:
            vm.config["template"] = 1
        if v.get("pool"):
            self._pool_join(v["pool"], vmid)


def parse(size: str) -> int:
    return int(float(size[:-1]) * 1024 ** " KMGT".index(size[-1])) if size[-1] in "KMGT" else int(size)


def stamp() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def arguments(v: dict) -> list[str]:
    """The options as the log repeats them."""
    words = []
    for key, value in v.items():
        if key != "vmid":
            words += [f"--{key}", str(value) if str(value).replace("-", "").isalnum() else f"'{value}'"]
    return [str(v.get("vmid", "")), *words]
