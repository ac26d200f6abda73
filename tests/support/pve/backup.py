# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vzdump and restore: the archive of the fake holds the config and the sizes of the disks, no data.

Restore follows PVE::API2::Qemu create_vm with C(archive) and PVE::QemuServer restore_vma_archive: options beside the
archive override the archived ones, a template is converted again, and what failed is not cleaned up: a VM with an
empty config stays.
"""

from __future__ import annotations

import json
import time
import typing as t
import uuid
from pathlib import Path
from urllib.parse import quote

from fakepve.lxc import format_size
from fakepve.model import PveError, TaskError
from fakepve.qemu import DRIVE_KEY, join_drive, with_mac
from fakepve.routing import die, param_error, split_list

from .qemu import OTHER_CREATE_ONLY, reason
from .vm import NET, UNUSED, Vm, is_cloudinit

# PVE::Tools encode_text: everything but printable ASCII, and the colon, is escaped.
PLAIN = "".join(chr(number) for number in range(0x20, 0x7F) if chr(number) != ":")
NOT_OVERRIDING = frozenset({*OTHER_CREATE_ONLY, "node", "vmid", "archive", "force", "unique", "storage", "pool"})
SUFFIX = {"zstd": ".vma.zst", "gzip": ".vma.gz", "lzo": ".vma.lzo", "0": ".vma"}


class BackupMixin:
    """Mixin of FakeCluster: backups."""

    def _routes_zz_backup(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("POST", "/nodes/{node}/vzdump", self._vzdump),
            ("GET", "/nodes/{node}/vzdump/extractconfig", self._extractconfig),
        ]

    async def _extractconfig(self, v: dict, user: str) -> str:
        volume = self.volume(v["volume"], v["node"])
        if volume is None or volume.path is None or not volume.path.exists():
            raise die(f"volume '{v['volume']}' does not exist")
        try:
            return config_text(json.loads(volume.path.read_text()))
        except ValueError:
            raise die(f"command 'vma config {volume.path.name}' failed: exit code 255") from None

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
        self.keep_data(vm, path)
        volume = self.enter(storage, vm.node, name, path)
        volume.notes = v.get("notes-template")
        volume.protected = bool(v.get("protected"))
        if volume.notes:
            log.append("INFO: adding notes to backup")
            volume.notes = volume.notes.replace("{{guestname}}", vm.name).replace("{{vmid}}", str(vm.vmid))
            volume.notes = volume.notes.replace("\\n", "\n")
        self.prune_by_retention(vm, v, log)
        log += [f"INFO: Finished Backup of VM {vm.vmid} (00:00:01)", f"INFO: Backup finished at {stamp()}"]

    def keep_data(self, vm: Vm, archive: Path) -> None:
        """Put the data of the disks beside the archive; the fake's disks have none."""

    def bring_data(self, volid: str, node: str, archive: Path, key: str) -> None:
        """Put the data of one disk into a new volume."""

    def prune_by_retention(self, vm: Vm, v: dict, log: list[str]) -> None:
        """The storage's own retention, of which the fake knows keep-last: by VMID, whoever had it before."""
        storage = v.get("storage", "local")
        keep = str(self.storages[storage].get("prune-backups", "")).partition("keep-last=")[2]
        if not keep or not int(v.get("remove", 1)):
            return
        shelf = self.shelf(storage, vm.node)
        mine = sorted(
            (volume.path.name, name)
            for name, volume in shelf.items()
            if volume.content == "backup" and volume.vmid == vm.vmid and not volume.protected and volume.path
        )
        for _file, name in mine[: -int(keep)]:
            self.free(f"{storage}:{name}", vm.node)
            log.append(f"INFO: removing backup '{storage}:{name}'")

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
        for key in v:
            if DRIVE_KEY.match(key):
                raise param_error(**{key: "option conflicts with option 'archive'"})
        old = self.vms.get(vmid)
        if old is None or not v.get("force"):
            self.need_free_to_restore(vmid)
        if old is not None and old.running:
            raise die(f"unable to restore VM {vmid} - vm is running")
        if old is not None and old.option_on("protection"):
            raise die(f"unable to restore VM {vmid} - protection mode enabled")
        if old is None:
            self.vms[vmid] = Vm(vmid, node=node, config={"lock": "create"})

        async def body(log: list[str]) -> None:
            volume = self.volume(archive, node)
            try:
                if volume is None or volume.path is None:
                    raise die(f"volume '{archive}' does not exist")
                self.put_back(v, vmid, volume.path, log)
            except (PveError, ValueError) as exc:
                self.vms[vmid].config.pop("lock", None)
                log.append(
                    "error before or during data restore, some or all disks were not completely restored. "
                    f"VM {vmid} state is NOT cleaned up."
                )
                raise TaskError(reason(exc) if isinstance(exc, PveError) else "vma extract failed") from exc

        return await self.run_task(node, "qmrestore", vmid, user, body)

    def need_free_to_restore(self, vmid: int) -> None:
        other = self.guest(vmid)
        if other is not None:
            kind = "VM" if isinstance(other, Vm) else "CT"
            raise die(f"unable to restore VM {vmid} - {kind} {vmid} already exists on node '{other.node}'")

    def put_back(self, v: dict, vmid: int, archive: Path, log: list[str]) -> None:
        node = v["node"]
        made: list[str] = []
        config = self.restored_config(v, vmid, json.loads(archive.read_text()))
        try:
            for key, volid, props in Vm(vmid, node=node, config=config).drives():
                if ":" not in volid or volid.split(":")[1].startswith("iso/"):
                    continue
                storage = v.get("storage") or volid.split(":")[0]
                size = parse(props.get("size", "4M"))
                name = f"vm-{vmid}-cloudinit" if is_cloudinit(volid) else None
                made.append(self.allocate(node, storage, vmid, size, fmt="raw", name=name))
                log.extend(self.allocation_lines(made[-1], node))
                self.bring_data(made[-1], node, archive, key)
                config[key] = join_drive(made[-1], {**props, "size": format_size(size)})
        except PveError:
            for volid in made:
                self.free(volid, node)
            raise
        old = self.vms.pop(vmid, None)
        if old is not None:
            self.destroy_volumes(old, False, log)
        vm = self.vms[vmid] = Vm(vmid, node=node, config=config)
        if v.get("pool"):
            self._pool_join(v["pool"], vmid)
        if str(config.get("template", 0)) == "1":
            log.append("Convert to template.")
            self.convert_restored(vm, log)

    def restored_config(self, v: dict, vmid: int, archived: dict[str, t.Any]) -> dict[str, t.Any]:
        """restore_update_config_line for every line, and restore_merge_config with what the caller overrides."""
        config: dict[str, t.Any] = {}
        for key, value in archived.items():
            if key in ("lock", "parent") or UNUSED.fullmatch(key):
                continue
            config[key] = with_mac(str(value), fresh=True) if v.get("unique") and NET.fullmatch(key) else value
        if config.get("vmgenid", "0") != "0":
            config["vmgenid"] = str(uuid.uuid4())
        if v.get("unique") and "smbios1" in config:
            config["smbios1"] = f"uuid={uuid.uuid4()}"
        for key, value in v.items():
            if key not in NOT_OVERRIDING:
                config[key] = self.stored(key, value)
        return config

    def convert_restored(self, vm: Vm, log: list[str]) -> None:
        """template_create after a restore: what fails there is only a warning in the log."""
        for key, volid, props in vm.drives(cdrom=False):
            if self.storages[volid.split(":")[0]]["type"] == "lvm":
                log.append("can't create base images in lvm storage")
                return
            vm.config[key] = join_drive(self.make_base(volid, vm.node)[0], props)


def config_text(config: dict[str, t.Any]) -> str:
    """The config file inside of an archive: the description as comments, and vzdump's map of the disks."""
    lines = [f"#{quote(line, safe=PLAIN)}" for line in str(config.get("description", "")).split("\n") if config]
    lines += [f"{key}: {value}" for key, value in sorted(config.items()) if key != "description"]
    drives = Vm(0, node="", config=config).drives(cdrom=False)
    lines += [f"#qmdump#map:{key}:drive-{key}:{volid.partition(':')[0]}:raw:" for key, volid, _props in drives]
    return "\n".join(lines) + "\n"


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
