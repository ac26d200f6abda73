# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HA manager is told to keep, after PVE/API2/HA/Resources.pm of pve-ha-manager. It acts on nothing."""

from __future__ import annotations

import typing as t

from fakepve.routing import die

from .vm import Vm

RESOURCES = "/cluster/ha/resources"
OPTIONS = ("state", "group", "max_restart", "max_relocate", "comment")


class HaMixin:
    """Mixin of FakeCluster: the list of HA resources; ``vm.ha`` holds the settings of one."""

    def _routes_zz_ha(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("GET", RESOURCES, self._ha_list),
            ("POST", RESOURCES, self._ha_create),
            ("PUT", RESOURCES + "/{sid}", self._ha_update),
            ("DELETE", RESOURCES + "/{sid}", self._ha_delete),
        ]

    def ha_resources(self) -> dict[str, Vm]:
        return {f"vm:{vmid}": vm for vmid, vm in self.vms.items() if vm.ha_managed}

    async def _ha_list(self, v: dict, user: str) -> list[dict[str, t.Any]]:
        return [
            {"sid": sid, "type": "vm", "digest": "0" * 40, "state": vm.ha_state, **getattr(vm, "ha", {})}
            for sid, vm in sorted(self.ha_resources().items())
        ]

    async def _ha_create(self, v: dict, user: str) -> None:
        sid = str(v["sid"]) if ":" in str(v["sid"]) else f"vm:{v['sid']}"
        if sid in self.ha_resources():
            raise die(f"resource ID '{sid}' already defined")
        vm = self.vms.get(int(sid.partition(":")[2]))
        if vm is None:
            raise die(f"unable to add resource '{sid}' - no such VM")
        self._ha_set(vm, {"state": "started", **v})

    async def _ha_update(self, v: dict, user: str) -> None:
        self._ha_set(self._ha_find(v["sid"], "no such resource '{}'"), v)

    async def _ha_delete(self, v: dict, user: str) -> None:
        vm = self._ha_find(v["sid"], "cannot delete service '{}', not HA managed!")
        vm.ha_state, vm.ha = None, {}

    def _ha_find(self, sid: str, missing: str) -> Vm:
        found = self.ha_resources().get(sid)
        if found is None:
            raise die(missing.format(sid))
        return found

    def _ha_set(self, vm: Vm, v: dict) -> None:
        if self.major > 8 and v.get("group"):
            raise die("cannot set group: ha groups have been migrated to rules")
        vm.ha = {**getattr(vm, "ha", {}), **{key: v[key] for key in OPTIONS if v.get(key) is not None}}
        vm.ha_state = vm.ha["state"]
