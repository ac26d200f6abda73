# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of hardware and packages, answered from the recording of the real node (recorded/reads.json)."""

from __future__ import annotations

import copy
import functools
import json
import typing as t

from .schema import RECORDED

NODE = "/nodes/{node}"
RECORDED_PATHS = (
    NODE + "/status",
    NODE + "/network",
    NODE + "/capabilities/qemu/cpu",
    NODE + "/capabilities/qemu/machines",
    NODE + "/certificates/info",
    NODE + "/apt/versions",
    "/cluster/options",
    "/cluster/backup",
)
# Nothing of this is modelled; fakepve would answer invented samples.
EMPTY_PATHS = (
    "/cluster/sdn/zones",
    "/cluster/sdn/vnets",
    "/cluster/ha/groups",
    "/cluster/replication",
    "/cluster/mapping/pci",
    "/cluster/mapping/usb",
)


@functools.cache
def recorded() -> dict[str, t.Any]:
    """{path template: data} of the recorded reads."""
    with (RECORDED / "reads.json").open() as stream:
        exchanges = json.load(stream)["exchanges"]
    return {
        one["request"]["path"].replace("/nodes/pve1", NODE): one["response"]["body"]["data"]
        for one in exchanges
        if one["response"]["status"] == 200
    }


class StaticMixin:
    """Mixin of FakeCluster: reads that nothing in the fake changes."""

    def _routes_zz_static(self) -> list[tuple[str, str, t.Callable]]:
        recorded_ones = [("GET", path, functools.partial(self._from_recording, path)) for path in RECORDED_PATHS]
        return recorded_ones + [("GET", path, self._nothing) for path in EMPTY_PATHS]

    async def _nothing(self, v: dict, user: str) -> list:
        return []

    async def _from_recording(self, template: str, v: dict, user: str) -> t.Any:
        data = copy.deepcopy(recorded()[template])
        if template == NODE + "/status":
            data["pveversion"] = f"pve-manager/{self.version}/2606ac850d46da29"
        if template == "/cluster/options":
            tags = {tag for vm in self.vms.values() for tag in str(vm.config.get("tags", "")).split(";") if tag.strip()}
            data["allowed-tags"] = sorted(tags)
        if template == NODE + "/network" and v.get("type"):
            wanted = "bridge" if str(v["type"]).startswith("any_") else v["type"]
            data = [row for row in data if row["type"] == wanted]
        return data
