# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM or container as an inventory sees it, and what its configuration and its agent add."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from .identity import TAG_GENERATION, TAG_LINE, tag_value
from .tags import parse_tags

QEMU, LXC = "qemu", "lxc"
RUNNING = "running"

# Never shown: the digest is a lock for writers, the password a row of stars.
_HIDDEN = frozenset({"digest", "cipassword"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One row of the cluster's list. Sizes in bytes, C(uptime) in seconds; None where its node is silent."""

    vmid: int
    type: str
    node: str
    name: str
    status: str
    template: bool
    tags: tuple[str, ...]
    pool: str
    lock: str
    ha_state: str
    cpus: float | None
    memory: int | None
    disk: int | None
    uptime: int | None

    @property
    def line(self) -> str:
        """The line that its tags name; a clone by hand inherits it from its template."""
        return tag_value(self.tags, TAG_LINE)

    @property
    def generation(self) -> str:
        return tag_value(self.tags, TAG_GENERATION)

    @property
    def running(self) -> bool:
        return self.status == RUNNING

    @classmethod
    def from_row(cls, row: Mapping[str, Any], node: str = "", kind: str = "") -> Self:
        """From GET /cluster/resources, or from a node's own list, which leaves out C(node) and a VM's type."""
        return cls(
            vmid=int(row["vmid"]),
            type=kind or row["type"],
            node=node or row["node"],
            name=str(row.get("name") or ""),
            status=row.get("status") or "unknown",
            template=bool(int(row.get("template") or 0)),
            tags=parse_tags(str(row.get("tags") or "")),
            pool=row.get("pool") or "",
            lock=row.get("lock") or "",
            ha_state=row.get("hastate") or "",
            cpus=row.get("maxcpu", row.get("cpus")),
            memory=_whole(row.get("maxmem")),
            disk=_whole(row.get("maxdisk")),
            uptime=_whole(row.get("uptime")),
        )

    def to_data(self) -> dict[str, Any]:
        """For a cache; from_data takes it back."""
        return {item.name: getattr(self, item.name) for item in fields(self)} | {"tags": list(self.tags)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{**data, "tags": tuple(data["tags"])})


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface as it is inside of the guest; C(mac) in upper case, addresses without their prefix length."""

    name: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """What one config read tells of a guest. C(interfaces) is None where they were not asked for, or gave no answer."""

    config: Mapping[str, Any]
    interfaces: tuple[Interface, ...] | None = None

    def to_data(self) -> dict[str, Any]:
        """For a cache; from_data takes it back."""
        seen = None if self.interfaces is None else [[i.name, i.mac, list(i.addresses)] for i in self.interfaces]
        return {"config": dict(self.config), "interfaces": seen}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        seen = data["interfaces"]
        if seen is None:
            return cls(data["config"])
        return cls(data["config"], tuple(Interface(name, mac, tuple(found)) for name, mac, found in seen))


def public_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A guest's config as the API gives it, without what is of no use or nobody's business.

    The names of options are shared between guests: thousands of configs repeat the same thirty.
    """
    return {sys.intern(key): value for key, value in config.items() if key not in _HIDDEN}


def agent_interfaces(reply: Any) -> tuple[Interface, ...]:
    """From C(agent/network-get-interfaces). What a guest says of itself is taken only in the form it should have."""
    result = reply.get("result") if isinstance(reply, Mapping) else None
    return tuple(_interface(row, "ip-address") for row in _rows(result))


def container_interfaces(reply: Any) -> tuple[Interface, ...]:
    """From C(lxc/VMID/interfaces): older servers have C(inet) and C(inet6) only, one address of each."""
    found = []
    for row in _rows(reply):
        if "ip-addresses" in row:
            found.append(_interface(row, "ip-address"))
        else:
            addresses = [str(row[key]).partition("/")[0] for key in ("inet", "inet6") if row.get(key)]
            found.append(Interface(str(row.get("name") or ""), str(row.get("hwaddr") or "").upper(), tuple(addresses)))
    return tuple(found)


def _interface(row: Mapping[str, Any], key: str) -> Interface:
    addresses = tuple(str(one[key]) for one in _rows(row.get("ip-addresses")) if one.get(key))
    mac = str(row.get("hardware-address") or row.get("hwaddr") or "").upper()
    return Interface(str(row.get("name") or ""), mac, addresses)


def _rows(value: Any) -> Iterable[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
