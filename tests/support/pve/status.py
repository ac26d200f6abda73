# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists and how it is: version, nodes, cluster resources, VM lists and states."""

from __future__ import annotations

import time
import typing as t

from fakepve.storage import _bytes

from .storage import GIB
from .vm import Vm

VM = "/nodes/{node}/qemu"
FINGERPRINT = ":".join(["55"] * 32)
COUNTERS = ("disk", "diskread", "diskwrite", "netin", "netout")


class StatusMixin:
    """Mixin of FakeCluster: the listing calls."""

    def _routes_zz_status(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("GET", "/version", self._show_version),
            ("GET", "/nodes", self._show_nodes),
            ("GET", "/cluster/status", self._show_cluster),
            ("GET", "/cluster/resources", self._show_resources),
            ("GET", VM, self._show_vms),
            ("GET", VM + "/{vmid}/status/current", self._show_vm),
        ]

    async def _show_version(self, v: dict, user: str) -> dict[str, str]:
        return {"version": self.version, "release": self.release_version, "repoid": "2606ac850d46da29"}

    # ----------------------------------------------------------------- nodes

    def node_row(self, name: str, user: str) -> dict[str, t.Any]:
        """The members of a node row; its figures need Sys.Audit (recorded)."""
        online = self.nodes[name].get("online", True)
        row: dict[str, t.Any] = {"id": f"node/{name}", "node": name, "type": "node", "level": ""}
        row["status"] = "online" if online else "offline"
        if online and self.allowed(user, "/nodes/" + name, "Sys.Audit"):
            row.update(cpu=0.02, maxcpu=4, mem=2 * GIB, maxmem=8 * GIB, disk=4 * GIB, maxdisk=64 * GIB, uptime=3600)
        return row

    async def _show_nodes(self, v: dict, user: str) -> list[dict[str, t.Any]]:
        return [{**self.node_row(name, user), "ssl_fingerprint": FINGERPRINT} for name in sorted(self.nodes)]

    async def _show_cluster(self, v: dict, user: str) -> list[dict[str, t.Any]]:
        """A single node knows no cluster row (recorded)."""
        rows: list[dict[str, t.Any]] = []
        names = sorted(self.nodes)
        alone = len(names) == 1
        if not alone:
            rows.append({
                "type": "cluster", "id": "cluster", "name": self.cluster_name, "nodes": len(names),
                "quorate": int(bool(self.quorate)), "version": len(names),
            })  # fmt: skip
        for number, name in enumerate(names):
            rows.append({
                "type": "node", "id": f"node/{name}", "name": name, "nodeid": 0 if alone else number + 1, "level": "",
                "ip": f"10.99.0.{number + 1}", "local": int(number == 0),
                "online": int(bool(self.nodes[name].get("online", True))),
            })  # fmt: skip
        return rows

    # ------------------------------------------------------------- resources

    async def _show_resources(self, v: dict, user: str) -> list[dict[str, t.Any]]:
        kind, rows = v.get("type"), []
        if kind in (None, "vm"):
            rows += [self.vm_row(vm) for vm in self.vms.values() if self.allowed(user, f"/vms/{vm.vmid}", "VM.Audit")]
            rows += self.ct_resources(user, "vm")
        if kind in (None, "node"):
            rows += [{"cgroup-mode": 1, **self.node_row(name, user)} for name in sorted(self.nodes)]
        if kind in (None, "storage"):
            rows += [
                self.storage_row(node, name)
                for node in sorted(self.nodes)
                for name in self.storages
                if self._storage_enabled(name, node) and self._can_audit(user, name)
            ]
        if kind is None:
            rows += [
                self.pool_row(name) for name in sorted(self.pools) if self.allowed(user, f"/pool/{name}", "Pool.Audit")
            ]
        if kind in (None, "sdn") and self.allowed(user, "/sdn/zones/localnetwork", "SDN.Audit"):
            rows += [
                {"id": f"sdn/{node}/localnetwork", "type": "sdn", "node": node, "sdn": "localnetwork", "status": "ok"}
                for node in sorted(self.nodes)
            ]
        return rows

    def told_of(self, vm: Vm) -> dict[str, t.Any] | None:
        """What pvestatd tells of a VM; None before its first round with that VM (see limits.py)."""
        if self.limits.resources_lag and self._broadcast is not None and vm.vmid not in self._broadcast:
            return None
        figures = self.vm_figures(vm)
        return {"name": vm.name, "status": vm.status, "template": int(vm.template), **figures, **vm.stats}

    def vm_row(self, vm: Vm) -> dict[str, t.Any]:
        """A VM in /cluster/resources: id, node, tags, lock and pool are live, the rest is pvestatd's."""
        row: dict[str, t.Any] = {"id": f"qemu/{vm.vmid}", "type": "qemu", "vmid": vm.vmid, "node": vm.node}
        told = self.told_of(vm) if self.nodes[vm.node].get("online", True) else None
        row.update(told if told is not None else {"status": "unknown"})
        row.update({key: vm.config[key] for key in ("tags", "lock") if vm.config.get(key)})
        if vm.pool:
            row["pool"] = vm.pool
        if vm.ha_managed:
            row["hastate"] = vm.ha_state
        return row

    def vm_figures(self, vm: Vm) -> dict[str, t.Any]:
        config = vm.config
        return {
            "cpu": 0, "maxcpu": int(config.get("cores", 1)) * int(config.get("sockets", 1)),
            "mem": 64 * 1024**2 if vm.running else 0, "maxmem": memory_of(vm) * 1024**2,
            "maxdisk": self.boot_disk_size(vm),
            "uptime": int(time.time() - vm.started_at) if vm.running and vm.started_at else 0,
            **dict.fromkeys(COUNTERS, 0),
        }  # fmt: skip

    @staticmethod
    def boot_disk_size(vm: Vm) -> int:
        """Bytes of the first disk, by the ``size`` of the config."""
        for _key, _volume, props in vm.drives(cdrom=False):
            if "size" in props:
                return _bytes(props["size"])
        return 0

    def storage_row(self, node: str, name: str) -> dict[str, t.Any]:
        store = self.storages[name]
        total, used, _avail = self.space(name, node)
        active = store.get("active", 1) and self.nodes[node].get("online", True)
        row = {
            "id": f"storage/{node}/{name}", "type": "storage", "storage": name, "node": node,
            "plugintype": store["type"],
            "status": "available" if active else "unknown", "content": store.get("content", ""),
            "shared": int(bool(store.get("shared"))), "disk": used, "maxdisk": total,
        }  # fmt: skip
        pool = self._pool_of_storage(name)
        return {**row, "pool": pool} if pool else row

    def pool_row(self, name: str) -> dict[str, t.Any]:
        running = [self.vm_figures(vm) for vm in self.vms.values() if vm.pool == name]
        row = {key: sum(one[key] for one in running) for key in ("cpu", "maxcpu", "mem", "maxmem", "uptime")}
        return {"id": f"/pool/{name}", "type": "pool", "pool": name, **(row if running else {})}

    def _members(self, name: str, kind: str | None) -> list[dict[str, t.Any]]:
        """The members of a pool with the figures of the resource list."""
        rows = []
        for vmid in sorted(self.pools.get(name, ())):
            if vmid in self.vms and kind in (None, "qemu"):
                rows.append(
                    {key: item for key, item in self.vm_row(self.vms[vmid]).items() if key not in ("pool", "tags")}
                )
        if kind in (None, "storage"):
            for storage in sorted(self._pool_meta(name)["storage"] & set(self.storages)):
                rows.append({**self.storage_row(next(iter(self.nodes)), storage)})
        return rows

    # -------------------------------------------------------------------- VMs

    def vm_state(self, vm: Vm) -> dict[str, t.Any]:
        """vmstatus: what the list and status/current share."""
        figures = {key: value for key, value in self.vm_figures(vm).items() if key not in ("diskread", "diskwrite")}
        state = {"vmid": vm.vmid, "name": vm.name, "status": vm.status, "cpus": figures.pop("maxcpu"), **figures}
        state["serial"] = int("serial0" in vm.config)
        state.update({key: vm.config[key] for key in ("tags", "lock") if vm.config.get(key)})
        if vm.template:
            state["template"] = 1
        if vm.running:
            state["pid"] = 1000 + vm.vmid
        return {key: value for key, value in {**state, **vm.stats}.items() if key != "serial" or value}

    async def _show_vms(self, v: dict, user: str) -> list[dict[str, t.Any]]:
        return [
            self.vm_state(vm)
            for vm in self.vms.values()
            if vm.node == v["node"] and self.allowed(user, f"/vms/{vm.vmid}", "VM.Audit")
        ]

    async def _show_vm(self, v: dict, user: str) -> dict[str, t.Any]:
        vm = self.find(v["node"], v["vmid"])
        state = self.vm_state(vm)
        state.update(qmpstatus=vm.qmpstatus, clipboard=None, ha={"managed": int(vm.ha_managed)})
        if vm.agent_enabled():
            state["agent"] = 1
        if vm.running:
            nics = sorted(key for key in vm.config if key.startswith("net"))
            state["nics"] = {f"tap{vm.vmid}i{key[3:]}": {"netin": 0, "netout": 0} for key in nics}
        return state


def memory_of(vm: Vm) -> int:
    """MiB; 512 without an option."""
    return int(str(vm.config.get("memory", 512)).partition(",")[0].removeprefix("current="))
