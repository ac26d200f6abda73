# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots: may one be taken, what a deletion does to the tree, and what a rollback brings back.

Follows pve-guest-common's AbstractConfig.pm and qemu-server's QemuConfig.pm.
"""

from __future__ import annotations

import typing as t

from fakepve.model import PveError, TaskError

from .vm import UNUSED, Vm

SNAPSHOT = "/nodes/{node}/qemu/{vmid}/snapshot"
# What a snapshot keeps beside the config, and what a rollback therefore leaves out.
OWN = frozenset({"snaptime", "snapstate", "description", "vmstate", "runningmachine", "runningcpu"})


class SnapshotsMixin:
    """Mixin of FakeCluster. A snapshot is taken in qemu.py."""

    def _routes_zz_snapshots(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("GET", "/nodes/{node}/qemu/{vmid}/feature", self._snapshot_feature),
            ("DELETE", SNAPSHOT + "/{snapname}", self._snapshot_drop),
            ("POST", SNAPSHOT + "/{snapname}/rollback", self._snapshot_back),
        ]

    async def _snapshot_feature(self, v: dict, user: str) -> dict[str, t.Any]:
        vm = self.find(v["node"], v["vmid"])
        able = v["feature"] != "snapshot" or self._qm_can_snapshot(vm.config)
        return {"hasFeature": int(able), "nodes": [vm.node]}

    def snapshot_of(self, vm: Vm, name: str) -> dict[str, t.Any]:
        if name not in vm.snapshots:
            raise TaskError(f"snapshot '{name}' does not exist")
        return vm.snapshots[name]

    async def _snapshot_drop(self, v: dict, user: str) -> str:
        vm, name = self.find(v["node"], v["vmid"]), v["snapname"]
        self.need_quorum()

        async def body(log: list[str]) -> None:
            gone = self.snapshot_of(vm, name)
            self.need_unlocked(vm, {})
            if vm.template:
                raise TaskError("you can't delete a snapshot if vm is a template")
            for other in (vm.config, *vm.snapshots.values()):
                if other.get("parent") == name:
                    if gone.get("parent"):
                        other["parent"] = gone["parent"]
                    else:
                        other.pop("parent")
            del vm.snapshots[name]

        return await self.run_task(vm.node, "qmdelsnapshot", vm.vmid, user, body)

    async def _snapshot_back(self, v: dict, user: str) -> str:
        vm, name = self.find(v["node"], v["vmid"]), v["snapname"]
        self.need_quorum()

        async def body(log: list[str]) -> None:
            if vm.template:
                raise TaskError("you can't rollback if vm is a template")
            snapshot = self.snapshot_of(vm, name)
            self.check_newest(vm, name)
            if snapshot.get("snapstate"):
                raise TaskError(f"unable to rollback to incomplete snapshot (snapstate = {snapshot['snapstate']})")
            self.need_unlocked(vm, {})
            if vm.running:
                self.halt(vm)
            kept = {key: one for key, one in vm.config.items() if key == "description" or UNUSED.fullmatch(key)}
            vm.config = {**{key: one for key, one in snapshot.items() if key not in OWN}, **kept, "parent": name}
            vm.pending = {}
            if snapshot.get("vmstate") or v.get("start"):
                self.boot(vm, log)

        return await self.run_task(vm.node, "qmrollback", vm.vmid, user, body)

    def check_newest(self, vm: Vm, name: str) -> None:
        """ZFS goes back to the newest snapshot only (ZFSPoolPlugin.pm volume_rollback_is_possible)."""
        taken = vm.snapshots[name]["snaptime"]
        newer = [other for other, one in vm.snapshots.items() if one["snaptime"] > taken]
        for _key, volid, _props in vm.drives(cdrom=False):
            storage = self.storages.get(volid.partition(":")[0], {})
            if storage.get("type") == "zfspool" and newer:
                raise TaskError(f"can't rollback, '{name}' is not most recent snapshot on '{volid}'")


def refuse_name(name: str) -> None:
    """Names that Proxmox VE keeps for itself (API2/Qemu.pm snapshot)."""
    if name == "current" or name.lower() == "pending":
        raise PveError(500, f"unable to use snapshot name '{name}' (reserved name)")
