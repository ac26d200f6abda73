# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines: create, resize, destroy, snapshot (the config calls are in config.py)."""

from __future__ import annotations

import re
import typing as t
import uuid

from fakepve.model import PveError, TaskError
from fakepve.qemu import CREATE_ONLY, DRIVE_KEY, SNAPSHOT_SKIP, with_mac
from fakepve.routing import die

from . import schema
from .disks import Work
from .snapshots import refuse_name
from .vm import NET, UNUSED, Vm, boot_default, check_sshkeys
from .wire import now

# What `meta` says the VM was created with: the QEMU of each release.
QEMU = {"8.3": "9.0.2", "8.4": "9.2.0", "9.0": "10.0.2", "9.1": "10.1.2"}
OTHER_CREATE_ONLY = frozenset(CREATE_ONLY) | {"digest"}


def reason(exc: Exception) -> str:
    return exc.message if isinstance(exc, PveError) else str(exc)


class QemuMixin:
    """Mixin of FakeCluster: the life of a VM."""

    def _init_qemu(self) -> None:
        self.vms: dict[int, Vm] = {}

    def _routes_zz_qemu(self) -> list[tuple[str, str, t.Callable]]:
        return [("PUT", "/nodes/{node}/qemu/{vmid}/resize", self._qm_resize)]

    # ---------------------------------------------------------------- lookup

    def add_vm(self, vmid: int, name: str | None = None, **options: t.Any) -> Vm:
        """Add a VM as it is (node, status, config, template, lock, pool: see FakeVm); no disks are allocated."""
        vm = Vm(vmid, name, **{"node": next(iter(self.nodes)), **options})
        self.vms[vmid] = vm
        if vm.pool:
            self.pools.setdefault(vm.pool, set()).add(vmid)
            self._pool_meta(vm.pool)
        return vm

    def remove_vm(self, vmid: int) -> None:
        """Take a VM and its volumes away at once, without a task (nothing happens when there is none)."""
        vm = self.vms.pop(vmid, None)
        if vm is not None:
            self.destroy_volumes(vm, True, [])
            self._pool_leave(vmid)

    def vm(self, vmid: int) -> Vm | None:
        return self.vms.get(int(vmid))

    def guest(self, vmid: int) -> t.Any:
        return self.vms.get(int(vmid)) or self.ct(int(vmid))

    def _guests(self) -> list[t.Any]:
        return [*self.vms.values(), *self.cts]

    def _guest_of(self, vmid: int) -> t.Any:
        return next((guest for guest in self._guests() if guest.vmid == vmid), None)

    def _sync_pools(self) -> None:
        for guest in self._guests():
            guest.pool = self._pool_of_vm(guest.vmid)

    def _sample_context(self, values: dict | None = None) -> dict[str, t.Any]:
        first = next(iter(self.nodes))
        return {
            "node": first,
            "storage": next(iter(self.storages), "local"),
            "_nodes": sorted(self.nodes),
            **(values or {}),
        }

    # ---------------------------------------------------------------- create

    async def _qm_create(self, v: dict, user: str) -> str:
        node, vmid, pool = v["node"], int(v["vmid"]), v.get("pool")
        self.need_quorum()
        self._qm_check_pool(pool)
        if v.get("archive"):
            return await self._restore(v, user)
        params = {key: value for key, value in v.items() if key not in OTHER_CREATE_ONLY}
        for key in sorted(filter(DRIVE_KEY.match, params)):
            self.check_drive(user, node, key, params[key], v.get("storage"))
        if params.get("sshkeys"):
            check_sshkeys(params["sshkeys"])
        self.need_free_id(vmid)
        vm = self.vms[vmid] = Vm(vmid, node=node, config={"lock": "create"})

        async def body(log: list[str]) -> None:
            work = Work(vm, log, default=v.get("storage"))
            try:
                vm.config = self.new_config(work, params)
            except (PveError, TaskError) as exc:
                for volid in work.made:
                    self.free(volid, node)
                self.vms.pop(vmid, None)
                raise TaskError(f"unable to create VM {vmid} - {reason(exc)}") from exc
            if pool:
                self._pool_join(pool, vmid)
            if v.get("ha-managed"):
                vm.ha_state = "started" if v.get("start") else "stopped"
            if v.get("start"):
                self.boot(vm)

        return await self.run_task(node, "qmcreate", vmid, user, body)

    def need_free_id(self, vmid: int) -> None:
        """The id is taken before the worker forks: a clash is an HTTP error."""
        other = self.guest(vmid)
        if other is not None:
            kind = "VM" if isinstance(other, Vm) else "CT"
            raise die(f"unable to create VM {vmid} - {kind} {vmid} already exists on node '{other.node}'")

    def new_config(self, work: Work, params: dict[str, t.Any]) -> dict[str, t.Any]:
        """The config file of a created VM; allocates its disks."""
        conf: dict[str, t.Any] = {}
        fresh = []
        for key in sorted(filter(DRIVE_KEY.match, params)):
            before = len(work.made)
            conf[key] = self.make_drive(work, key, params[key])
            if len(work.made) > before and "import-from" not in params[key] and "media=cdrom" not in conf[key]:
                fresh.append(key)
        for key, value in params.items():
            if key not in conf:
                conf[key] = self.stored(key, value)
        conf["meta"] = f"creation-qemu={QEMU.get(self.release_version, '9.2.0')},ctime={now()}"
        conf.setdefault("smbios1", f"uuid={uuid.uuid4()}")
        if str(conf.get("vmgenid", "1")) == "1":
            conf["vmgenid"] = str(uuid.uuid4())
        if not conf.get("boot") and boot_default(conf):
            conf["boot"] = boot_default(conf)
        if str(params.get("template", 0)) == "1":
            self.base_at_create(work, conf, fresh)
        return conf

    def base_at_create(self, work: Work, conf: dict[str, t.Any], fresh: list[str]) -> None:
        """template=1 at create makes bases of newly allocated disks only, never of imported ones (measured)."""
        for key in fresh:
            volid = conf[key].partition(",")[0]
            if self.storages[volid.split(":")[0]]["type"] == "lvm":
                raise die("can't create base images in lvm storage")
            new, _line = self.make_base(volid, work.vm.node)
            work.made[work.made.index(volid)] = new
            conf[key] = conf[key].replace(volid, new, 1)

    def stored(self, key: str, value: t.Any) -> t.Any:
        """An option as create writes it to the config: tags and cipassword as they came, types by the schema."""
        if NET.fullmatch(key):
            return with_mac(str(value))
        value = schema.typed(self.major, key, value)
        return value.rstrip() if key == "description" else value

    # ---------------------------------------------------------------- resize

    async def _qm_resize(self, v: dict, user: str) -> str:
        node, vmid = v["node"], int(v["vmid"])
        self.need_quorum()

        async def body(log: list[str]) -> None:
            vm = self.find(node, vmid)
            if v.get("digest") and v["digest"] != vm.digest():
                raise TaskError("checksum mismatch (file change by other user?)")
            self.need_unlocked(vm, v)
            self.grow(vm, v["disk"], str(v["size"]), log)

        return await self.run_task(node, "resize", vmid, user, body)

    @staticmethod
    def need_unlocked(vm: Vm, v: dict) -> None:
        """Raises for a locked VM unless the request skips the lock (only root@pam may, see the permission rules)."""
        if vm.lock and not v.get("skiplock"):
            raise PveError(500, f"VM is locked ({vm.lock})")

    # --------------------------------------------------------------- destroy

    async def _qm_destroy(self, v: dict, user: str) -> str:
        vm = self.find(v["node"], v["vmid"])
        self.need_quorum()
        if vm.option_on("protection"):
            raise die(f"can't remove VM {vm.vmid} - protection mode enabled")
        if vm.ha_managed and not v.get("purge"):
            raise die(f"unable to remove VM {vm.vmid} - used in HA resources and purge parameter not set.")
        if vm.running:
            raise die(f"VM {vm.vmid} is running - destroy failed")

        async def body(log: list[str]) -> None:
            self.need_unlocked(vm, v)
            self.need_no_dependants(vm)
            self.destroy_volumes(vm, bool(v.get("destroy-unreferenced-disks")), log)
            self.vms.pop(vm.vmid, None)
            self._pool_leave(vm.vmid)
            self._fw()["guests"].pop(vm.vmid, None)
            if v.get("purge"):
                log.append(f"purging VM {vm.vmid} from related configurations..")

        return await self.run_task(vm.node, "qmdestroy", vm.vmid, user, body)

    def need_no_dependants(self, vm: Vm) -> None:
        """Only where the storage knows whose clone a disk is; nothing has been deleted yet when this dies."""
        if not vm.template:
            return
        for _key, volid, _props in vm.drives(cdrom=False):
            if ":" in volid and self.dependants(volid, vm.node):
                raise TaskError(f"base volume '{volid}' is still in use by linked cloned")

    def destroy_volumes(self, vm: Vm, unreferenced: bool, log: list[str]) -> None:
        """Free what the config and the snapshots name (not ISOs), unused disks, and on demand everything of that id."""
        volids = [volid for config in (vm.config, *vm.snapshots.values()) for _key, volid, _props in vm.drives(config)]
        volids += [str(vm.config[key]).partition(",")[0] for key in sorted(filter(UNUSED.fullmatch, vm.config))]
        if unreferenced:
            owned = self.volumes(vm.node)
            volids += [
                volid for volid, volume in owned.items() if volume.vmid == vm.vmid and volume.content == "images"
            ]
        for volid in dict.fromkeys(volids):
            owned = self.volume(volid, vm.node) if ":" in volid else None
            if owned is not None and owned.vmid == vm.vmid and owned.content == "images":
                line = self.free(volid, vm.node)
                if line:
                    log.append(line)

    # -------------------------------------------------------------- snapshot

    async def _qm_snapshot(self, v: dict, user: str) -> str:
        vm, name = self.find(v["node"], v["vmid"]), v["snapname"]
        refuse_name(name)
        self.need_quorum()

        async def body(log: list[str]) -> None:
            if vm.template:
                raise TaskError("you can't take a snapshot if it's a template")
            self.need_unlocked(vm, {})
            if name in vm.snapshots:
                raise TaskError(f"snapshot name '{name}' already used")
            if not self._qm_can_snapshot(vm.config):
                raise TaskError("snapshot feature is not available")
            kept = {
                key: value for key, value in vm.config.items() if key not in SNAPSHOT_SKIP and not UNUSED.fullmatch(key)
            }
            vm.snapshots[name] = {**kept, "snaptime": now(), "description": v.get("description", "").rstrip()}
            if v.get("vmstate") and vm.running:
                vm.snapshots[name]["vmstate"] = f"local:vm-{vm.vmid}-state-{name}"
            vm.config["parent"] = name
            log.extend(f"snapshotting 'drive-{key}' ({volid})" for key, volid, _props in vm.drives(cdrom=False))

        return await self.run_task(vm.node, "qmsnapshot", vm.vmid, user, body)

    def stored_secret(self, vmid: int) -> str | None:
        """The cipassword as it lies in the config file: plain after a create, hashed after a PUT."""
        return self.vms[vmid].wanted().get("cipassword")

    @property
    def locks(self) -> dict[int, str]:
        """{vmid: lock} of the locked VMs."""
        return {vmid: vm.lock for vmid, vm in self.vms.items() if vm.lock}

    async def _nextid(self, v: dict, user: str) -> str:
        taken = {guest.vmid for guest in self._guests()}
        if v.get("vmid") not in (None, ""):
            if int(v["vmid"]) in taken:
                raise PveError(400, "Parameter verification failed.", {"vmid": f"VM {v['vmid']} already exists"})
            return str(v["vmid"])
        return str(next(vmid for vmid in range(100, 1_000_000) if vmid not in taken))

    def find(self, node: str, vmid: t.Any) -> Vm:
        """The VM on that node, or the server's 500."""
        vm = self.vms.get(int(vmid)) if re.fullmatch(r"\d+", str(vmid)) else None
        if vm is None or vm.node != node:
            raise die(f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
        return vm
