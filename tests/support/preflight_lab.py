# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake cluster whose nodes also tell what a preflight asks for: versions, clocks, packages, datacenter options."""

from __future__ import annotations

import time
import typing as t

from .pve import FakeCluster
from .pve.cluster import cluster_storages
from .pve_lab import CONFIG

USER, TOKEN = "auto@pve", "auto@pve!ci"
EDK2 = "pve-edk2-firmware"

POOL = ("Pool.Audit", "VM.Allocate", "VM.Audit", *(f"VM.Config.{name}" for name in CONFIG))
GRANTS: dict[str, tuple[str, ...]] = {
    "/pool/templates": POOL,
    "/storage/local": ("Datastore.Allocate", "Datastore.AllocateTemplate", "Datastore.Audit"),
    "/storage/local-lvm": ("Datastore.AllocateSpace", "Datastore.Audit"),
    "/nodes/pve1": ("Sys.AccessNetwork",),
    "/nodes/pve2": ("Sys.AccessNetwork",),
    "/sdn/zones/localnetwork/vmbr0": ("SDN.Use",),
}
"""What docs/guides/least-privilege.md grants for the capability C(templates)."""


class PreflightCluster(FakeCluster):
    """C(datacenter) is datacenter.cfg as the API gives it, C(edk2) the package's version, C(ahead) a node's clock."""

    def __init__(self, **options: t.Any) -> None:
        super().__init__(**{"nodes": ("pve1", "pve2"), "storages": cluster_storages(), **options})
        self.datacenter: dict[str, t.Any] = {}
        self.edk2 = "4.2025.05-2"
        self.ahead: dict[str, float] = {}

    def limited(self, *without: str, more: t.Mapping[str, tuple[str, ...]] | None = None) -> dict[str, str]:
        """A separated token with the guide's grants but C(without) some privileges; returns its connection options."""
        self.pools.setdefault("templates", set())
        self.add_user(USER)
        self.add_token(TOKEN, privsep=1)
        for path, privileges in {**GRANTS, **(more or {})}.items():
            role = "R" + path.replace("/", "-")
            self.add_role(role, [one for one in privileges if one not in without])
            for who in (USER, TOKEN):
                self.grant(who, path, role, propagate=int(path.startswith("/pool")))
        return {"api_token_id": TOKEN, "api_token_secret": self.apitokens[TOKEN]}

    def _routes_zzz_preflight(self) -> list[tuple[str, str, t.Callable[..., t.Any]]]:
        return [
            ("GET", "/nodes/{node}/version", self._version_of),
            ("GET", "/nodes/{node}/time", self._time_of),
            ("GET", "/nodes/{node}/apt/versions", self._packages),
            ("GET", "/cluster/options", self._options),
        ]

    async def _version_of(self, values: dict[str, t.Any], user: str) -> dict[str, str]:
        return {"version": self.version, "release": self.release_version, "repoid": "2606ac850d46da29"}

    async def _time_of(self, values: dict[str, t.Any], user: str) -> dict[str, t.Any]:
        seconds = int(time.time() + self.ahead.get(values["node"], 0))
        return {"time": seconds, "localtime": seconds, "timezone": "UTC"}

    async def _packages(self, values: dict[str, t.Any], user: str) -> list[dict[str, str]]:
        """One package more than recorded; C(Version) is what could be installed."""
        row = {"Package": EDK2, "CurrentState": "Installed", "OldVersion": self.edk2, "Version": "4.2099.01-1"}
        return [*await self._from_recording("/nodes/{node}/apt/versions", values, user), row]

    async def _options(self, values: dict[str, t.Any], user: str) -> dict[str, t.Any]:
        """PVE::API2::Cluster get_options: without Sys.Audit on / only two of them."""
        shown = self.datacenter
        if not self.allowed(user, "/", "Sys.Audit"):
            shown = {key: value for key, value in shown.items() if key in ("console", "tag-style")}
        return {**shown, "allowed-tags": []}
