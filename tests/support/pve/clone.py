# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates and their clones, by the rules of each storage type."""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import dataclass, field

from fakepve.lxc import format_size, split_props
from fakepve.model import PveError, TaskError
from fakepve.qemu import CLONE_SKIP, is_cdrom, join_drive, volume_ref, with_mac
from fakepve.routing import die, param_error, split_list
from fakepve.storage import _is_file

from .disks import QCOW2, transfer_lines
from .qemu import reason
from .storage import Volume
from .vm import NET, UNUSED, Vm, is_cloudinit


@dataclass
class Plan:
    """One clone request after its checks."""

    source: Vm
    newid: int
    full: bool
    config: dict[str, t.Any]
    storage: str | None
    format: str | None
    target: str
    drives: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)


class CloneMixin:
    """Mixin of FakeCluster: template conversion and clones."""

    # -------------------------------------------------------------- template

    async def _qm_template(self, v: dict, user: str) -> str:
        vm, disk = self.find(v["node"], v["vmid"]), v.get("disk")
        self.need_quorum()
        self.need_unlocked(vm, {})
        if vm.snapshots:
            raise die("unable to create template, because VM contains snapshots")
        if vm.template and not disk:
            raise die("you can't convert a template to a template")
        if vm.running:
            raise die("you can't convert a VM to template if VM is running")

        async def body(log: list[str]) -> None:
            vm.config["template"] = 1
            for key, volid, props in vm.drives(cdrom=False):
                if ":" in volid and disk in (None, key):
                    new, line = self.make_base(volid, vm.node)
                    vm.config[key] = join_drive(new, props)
                    if line:
                        log.append(line)

        return await self.run_task(vm.node, "qmtemplate", vm.vmid, user, body)

    # ----------------------------------------------------------------- clone

    async def _qm_clone(self, v: dict, user: str) -> str:
        pool, newid = v.get("pool"), int(v["newid"])
        self._qm_check_pool(pool)
        self.need_quorum()
        plan = self.plan_clone(v)
        if self.guest(newid) is not None:
            raise die(f"unable to create VM {newid}: config file already exists")

        begun: list[Vm] = []

        def begin() -> None:
            """The worker's first act: a config file that holds nothing but the lock, until all is copied."""
            if self.guest(newid) is not None:  # another clone was faster: the file is made inside the worker
                raise TaskError(f"unable to create VM {newid}: config file already exists")
            begun.append(Vm(newid, node=plan.target, config={"lock": "clone"}))
            self.vms[newid] = begun[0]

        async def body(log: list[str]) -> None:
            if not begun:
                begin()
            (new,) = begun
            made: list[str] = []
            try:
                new.config = self.cloned_config(plan, v, new, log, made)
            except (PveError, TaskError) as exc:
                for volid in made:
                    self.free(volid, new.node)
                self.vms.pop(newid, None)
                raise TaskError(f"clone failed: {reason(exc)}") from exc
            if pool:
                self._pool_join(pool, newid)

        body.begin = begin  # type: ignore[attr-defined] - read by the worker
        return await self.run_task(v["node"], "qmclone", plan.source.vmid, user, body)

    def plan_clone(self, v: dict) -> Plan:
        """The checks before the fork."""
        node, storage, fmt = v["node"], v.get("storage"), v.get("format")
        target = node if v.get("target") in (None, "localhost") else v["target"]
        if target not in self.nodes:
            raise die(f"no such cluster node '{target}'")
        if storage:
            store = self._check_enabled(storage, node)
            if target != node:
                self._check_enabled(storage, target)
            if "images" not in split_list(store.get("content")):
                raise param_error(storage=f"storage '{storage}' does not support vm images")
            if target != node and not store.get("shared"):
                raise die(f"can't clone to non-shared storage '{storage}'")
        source = self.vms.get(int(v["vmid"]))
        if source is None or source.node != node:
            raise die(f"unable to find configuration file for VM {v['vmid']} on node '{node}'")
        self.need_unlocked(source, {})
        full = bool(v["full"]) if v.get("full") is not None else not source.template
        for name, given in (("storage", storage), ("format", fmt)):
            if given and not full:
                raise die(f"parameter '{name}' not allowed for linked clones")
        config = source.config
        if v.get("snapname"):
            if v["snapname"] not in source.snapshots:
                raise die(f"snapshot '{v['snapname']}' does not exist")
            config = source.snapshots[v["snapname"]]
        plan = Plan(source, int(v["newid"]), full, config, storage, fmt, target)
        self.plan_drives(plan)
        return plan

    def plan_drives(self, plan: Plan) -> None:
        """Which drives are copied; raises where the storage or the target forbids it."""
        for key, volid, props in plan.source.drives(plan.config):
            storage = volume_ref(volid)[0]
            if storage is None or (is_cdrom(volid, props) and not is_cloudinit(volid)):
                continue
            if storage not in self.storages:
                raise die(f"storage '{storage}' does not exist")
            if plan.target != plan.source.node and not self.storages[storage].get("shared"):
                raise die(f"can't clone VM to node '{plan.target}' (VM uses local storage)")
            if not plan.full and not is_cloudinit(volid) and "base-" not in volid.rsplit("/", 1)[-1]:
                raise die(f"Linked clone feature is not supported for '{volid}' ({key})")
            plan.drives[key] = (volid, props)

    def cloned_config(self, plan: Plan, v: dict, new: Vm, log: list[str], made: list[str]) -> dict[str, t.Any]:
        """The clone's config: everything is inherited but MACs, uuids, name, volumes; description only if not given."""
        conf: dict[str, t.Any] = {}
        for key, value in plan.config.items():
            if key not in CLONE_SKIP and not UNUSED.fullmatch(key):
                conf[key] = with_mac(str(value), fresh=True) if NET.fullmatch(key) else value
        for key, (volid, props) in plan.drives.items():
            linked = not plan.full and not is_cloudinit(volid)
            copy = self.link if linked else self.copy
            copied, size = copy(plan, new, key, volid, log)
            made.append(copied)
            conf[key] = join_drive(copied, {**props, "size": format_size(size)})
        smbios = split_props("x," + str(conf.get("smbios1", "")))[1]
        smbios["uuid"] = str(uuid.uuid4())
        conf["smbios1"] = ",".join(f"{key}={smbios[key]}" for key in sorted(smbios))
        if conf.get("vmgenid"):
            conf["vmgenid"] = str(uuid.uuid4())
        conf["name"] = v.get("name") or f"Copy-of-VM-{plan.source.config.get('name') or plan.source.vmid}"
        if v.get("description"):
            conf["description"] = str(v["description"]).rstrip()
        return conf

    def source_volume(self, plan: Plan, volid: str) -> Volume:
        found = self.volume(volid, plan.source.node)
        if found is None:
            raise die(f"volume '{volid}' does not exist")
        return found

    def link(self, plan: Plan, new: Vm, key: str, volid: str, log: list[str]) -> tuple[str, int]:
        """A linked clone of a base volume; LVM-thin keeps no reference, the others name the base."""
        base = self.source_volume(plan, volid)
        storage, name = volume_ref(volid)
        log.append(f"create linked clone of drive {key} ({volid})")
        files = _is_file(self.storages[storage])
        made = self.allocate(new.node, storage, new.vmid, base.size, fmt="qcow2" if files else None, base=name, used=0)
        log.extend(self.link_lines(made, name, base) if files else self.allocation_lines(made, new.node))
        return made, base.size

    def link_lines(self, volid: str, base: str, origin: Volume) -> list[str]:
        """What a directory storage prints for an overlay (recorded)."""
        storage, _unused, name = volid.partition(":")
        own = name.removeprefix(base + "/")
        vmid, filename = own.split("/")
        path = self._volume_path(storage, own, "images")
        return [
            f"clone {base}: images, {filename}, {vmid} to {filename} (base=../{base})",
            f"Formatting '{path}', {QCOW2} compression_type=zlib size={origin.size} backing_file=../{base} "
            f"backing_fmt={origin.format} lazy_refcounts=off refcount_bits=16",
        ]

    def copy(self, plan: Plan, new: Vm, key: str, volid: str, log: list[str]) -> tuple[str, int]:
        """A full copy; a cloud-init drive gets its own fixed name."""
        origin = self.source_volume(plan, volid)
        storage = plan.storage or volume_ref(volid)[0]
        log.append(f"create full clone of drive {key} ({volid})")
        name = f"vm-{new.vmid}-cloudinit" if is_cloudinit(volid) else None
        fmt = plan.format or origin.format
        if name and not plan.format and _is_file(self.storages[storage]):
            fmt = "qcow2"
        made = self.allocate(new.node, storage, new.vmid, origin.size, fmt=fmt, name=name, used=origin.used)
        log.extend(self.allocation_lines(made, new.node))
        if not name:
            log.extend(transfer_lines(origin.size))
        try:
            self.fill(made, new.node, origin)
        except (PveError, TaskError):
            self.free(made, new.node)
            raise
        return made, origin.size
