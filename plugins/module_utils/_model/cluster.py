# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one read of /cluster/resources tells: nodes, storages and guests, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .tags import parse_tags

# Storage types that take files through the API; only they can hold content `import` (PVE::Storage::Plugin).
FILE_STORAGES = frozenset({"dir", "nfs", "cifs", "btrfs", "cephfs", "glusterfs"})

# Storage types whose plugin has the `template` feature (volume_has_feature in each PVE::Storage::*Plugin). On others
# the conversion is skipped silently or dies (LVM thick: "can't create base images in lvm storage").
BASE_STORAGES = frozenset({"dir", "nfs", "cifs", "btrfs", "lvmthin", "zfspool", "zfs", "rbd", "glusterfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A node; C(online) as the cluster sees it. C(memory_free) in bytes needs Sys.Audit on the node, None without."""

    node: str
    online: bool
    memory_free: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRow:
    """A storage as one node sees it. Sizes in bytes, None where the node is silent."""

    storage: str
    node: str
    type: str
    content: frozenset[str]
    shared: bool
    available: bool
    total: int | None
    used: int | None

    @property
    def free(self) -> int | None:
        return None if self.total is None or self.used is None else self.total - self.used


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRow:
    """A VM or container.

    C(tags), C(lock) and C(pool) are live; C(name), C(status) and C(template) lag by up to ten seconds.
    """

    vmid: int
    node: str
    type: str
    name: str
    status: str
    template: bool
    tags: frozenset[str]
    lock: str
    pool: str

    @property
    def is_named(self) -> bool:
        """Whether its name is known. PVE::QemuServer's vmstatus calls a VM without one C(VM <vmid>)."""
        return self.name not in ("", f"VM {self.vmid}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One reading of /cluster/resources, filtered by what the caller may see."""

    nodes: Mapping[str, NodeRow]
    storages: Mapping[tuple[str, str], StorageRow]
    guests: Mapping[int, GuestRow]
    pools: frozenset[str] = frozenset()
    """Those that the caller may audit; empty ones are listed as well."""

    @classmethod
    def from_resources(cls, rows: Iterable[Mapping[str, Any]]) -> Cluster:
        """Read the rows of GET /cluster/resources (without C(type))."""
        nodes: dict[str, NodeRow] = {}
        storages: dict[tuple[str, str], StorageRow] = {}
        guests: dict[int, GuestRow] = {}
        pools: set[str] = set()
        for row in rows:
            kind = row.get("type")
            if kind == "node":
                nodes[row["node"]] = _node(row)
            elif kind == "storage":
                storages[row["node"], row["storage"]] = _storage(row)
            elif kind in ("qemu", "lxc"):
                guests[int(row["vmid"])] = _guest(row)
            elif kind == "pool":
                pools.add(row["pool"])
        return cls(nodes, storages, guests, frozenset(pools))

    def storage(self, node: str, storage: str) -> StorageRow | None:
        return self.storages.get((node, storage))

    def storages_of(self, node: str) -> tuple[StorageRow, ...]:
        return tuple(row for (owner, _name), row in sorted(self.storages.items()) if owner == node)


def _node(row: Mapping[str, Any]) -> NodeRow:
    total, used = _integer(row.get("maxmem")), _integer(row.get("mem"))
    free = None if total is None or used is None else total - used
    return NodeRow(node=row["node"], online=row.get("status") == "online", memory_free=free)


def _storage(row: Mapping[str, Any]) -> StorageRow:
    return StorageRow(
        storage=row["storage"],
        node=row["node"],
        type=row.get("plugintype", ""),
        content=frozenset(part for part in row.get("content", "").split(",") if part),
        shared=bool(int(row.get("shared", 0))),
        available=row.get("status") == "available",
        total=_integer(row.get("maxdisk")),
        used=_integer(row.get("disk")),
    )


def _guest(row: Mapping[str, Any]) -> GuestRow:
    return GuestRow(
        vmid=int(row["vmid"]),
        node=row["node"],
        type=row["type"],
        name=row.get("name", ""),
        status=row.get("status", "unknown"),
        template=bool(int(row.get("template", 0))),
        tags=frozenset(parse_tags(row.get("tags", ""))),
        lock=row.get("lock", ""),
        pool=row.get("pool", ""),
    )


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)
