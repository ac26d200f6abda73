# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells of its own system: its version, its services, the packages that it could update.

The shapes are those of PVE/API2/Services.pm and PVE/API2/APT.pm; who may ask stands in the API's description.
"""

from __future__ import annotations

import typing as t

NODE = "/nodes/{node}"
Row = dict[str, t.Any]

RUNNING = ("running", "active", "enabled")
# state, active-state, unit-state of what is on a healthy node of 8.4 and does not run like the others.
SPECIAL = {
    "postfix": ("running", "active", "enabled-runtime"),
    "syslog": ("dead", "inactive", "not-found"),
    "systemd-journald": ("running", "active", "static"),
    "systemd-timesyncd": ("dead", "inactive", "not-found"),
}
SERVICES = (
    *("chrony", "corosync", "cron", "ksmtuned", "postfix", "pve-cluster", "pve-firewall", "pve-ha-crm", "pve-ha-lrm"),
    *("pvedaemon", "pvefw-logger", "pveproxy", "pvescheduler", "pvestatd", "spiceproxy", "sshd", "syslog"),
    *("systemd-journald", "systemd-timesyncd"),
)


def package(name: str, old: str | None, new: str, origin: str = "Debian", **more: str) -> Row:
    """A row of C(apt/update); without C(old) it is a package that another one needs by now."""
    row = {
        "Package": name, "Title": f"the package {name}", "Description": f"This is {name}.", "Origin": origin,
        "Section": "admin", "Priority": "optional", "Arch": "amd64", "Version": new, **more,
    }  # fmt: skip
    return row if old is None else {**row, "OldVersion": old}


class NodesMixin:
    """Mixin of FakeCluster: C(services) are states that differ from a healthy node's, C(packages) pending ones."""

    def _init_nodes(self) -> None:
        self.services: dict[str, dict[str, tuple[str, str, str]]] = {}
        self.packages: dict[str, list[Row]] = {}

    def _routes_zz_nodes(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("GET", NODE + "/version", self._show_node_version),
            ("GET", NODE + "/services", self._show_services),
            ("GET", NODE + "/apt/update", self._show_packages),
        ]

    async def _show_node_version(self, v: dict, user: str) -> dict[str, str]:
        return await self._show_version(v, user)

    async def _show_services(self, v: dict, user: str) -> list[Row]:
        """Corosync has a condition that no node without a cluster meets; the order is that of a Perl hash."""
        alone = {"corosync": ("dead", "inactive", "enabled")} if len(self.nodes) == 1 else {}
        states = {**SPECIAL, **alone, **self.services.get(v["node"], {})}
        return [self._service_row(name, *states.get(name, RUNNING)) for name in reversed(SERVICES)]

    def _service_row(self, name: str, state: str, active: str, unit: str) -> Row:
        return {
            "service": name, "name": name, "desc": f"the service {name}", "state": state, "active-state": active,
            "unit-state": unit,
        }  # fmt: skip

    async def _show_packages(self, v: dict, user: str) -> list[Row]:
        return [dict(row) for row in self.packages.get(v["node"], [])]
