# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a VM: a tree, whose leaf C(current) is the VM as it is now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .cluster import FILE_STORAGES, Cluster, GuestRow
from .guest_state import subject
from .vm_config import VmConfig, normal_description

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]+", re.ASCII)
MAX_NAME = 40
_RESERVED = frozenset({"current", "pending", "vzdump"})

# Storage types whose volumes have snapshots whatever their format (volume_has_feature in each PVE::Storage::*Plugin).
# On those with files only qcow2 has; BTRFS makes snapshots of raw ones too.
_ALWAYS = frozenset({"lvmthin", "zfspool", "zfs", "rbd", "btrfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot; C(state) is empty when it is whole, else what was being done to it."""

    name: str
    description: str
    taken: int
    memory: bool
    parent: str
    state: str

    def view(self) -> dict[str, Any]:
        """How results show it."""
        return {
            "name": self.name,
            "description": self.description,
            "taken": datetime.fromtimestamp(self.taken, UTC).isoformat(),
            "vmstate": self.memory,
            "parent": self.parent or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """The snapshots of one VM, oldest first, and what decides about more of them.

    C(parent) is the one that the present state hangs on. C(able): whether another one can be taken, None where that
    was not asked.
    """

    row: GuestRow
    config: VmConfig
    taken: tuple[Snapshot, ...]
    parent: str
    running: bool
    able: bool | None = None

    @property
    def vmid(self) -> int:
        return self.row.vmid

    @property
    def name(self) -> str:
        return self.config.name or self.row.name

    @property
    def subject(self) -> str:
        return subject(self.row, self.name)

    def get(self, name: str) -> Snapshot | None:
        return next((one for one in self.taken if one.name == name), None)

    def chain(self) -> list[str]:
        """From the oldest ancestor to the one that the present state hangs on."""
        names: list[str] = []
        one = self.get(self.parent)
        while one is not None and one.name not in names:
            names.append(one.name)
            one = self.get(one.parent)
        return names[::-1]

    def view(self) -> dict[str, Any]:
        """How results show them."""
        return {
            "vmid": self.vmid,
            "name": self.name,
            "node": self.row.node,
            "chain": self.chain(),
            "snapshots": [one.view() for one in self.taken],
        }


def parse_snapshots(rows: Iterable[Mapping[str, Any]]) -> tuple[tuple[Snapshot, ...], str, bool]:
    """From C(GET …/snapshot): the snapshots, the parent of the present state, and whether the VM runs."""
    found: list[Snapshot] = []
    parent, running = "", False
    for row in rows:
        if row.get("name") == "current":
            parent, running = str(row.get("parent") or ""), bool(int(row.get("running") or 0))
            continue
        found.append(
            Snapshot(
                name=str(row["name"]),
                description=normal_description(str(row.get("description") or "")),
                taken=int(row.get("snaptime") or 0),
                memory=bool(int(row.get("vmstate") or 0)),
                parent=str(row.get("parent") or ""),
                state=str(row.get("snapstate") or ""),
            )
        )
    return _in_order(found), parent, running


def _in_order(found: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    """Oldest first; of those of one second, parents before their children."""
    by_name = {one.name: one for one in found}

    def depth(one: Snapshot) -> int:
        seen: set[str] = set()
        while one.parent in by_name and one.name not in seen:
            seen.add(one.name)
            one = by_name[one.parent]
        return len(seen)

    return tuple(sorted(found, key=lambda one: (one.taken, depth(one), one.name)))


def name_problem(name: str) -> str:
    """Why a snapshot cannot be called so; empty when it can (PVE::JSONSchema pve-configid, pve-snapshot-name)."""
    if name.lower() in _RESERVED:
        return "Proxmox VE keeps this name for itself. Choose another one"
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        return f"use 2 to {MAX_NAME} letters, digits, dashes and underscores, a letter first"
    return ""


def without_snapshots(config: VmConfig, cluster: Cluster, node: str) -> dict[str, str]:
    """The disks that cannot have snapshots, each with the reason."""
    found: dict[str, str] = {}
    for key, disk in config.disks().items():
        if key.startswith("unused") or disk.media == "cdrom" or not disk.storage:
            continue
        row = cluster.storage(node, disk.storage)
        kind = row.type if row is not None else ""
        if kind in _ALWAYS or not kind:
            continue
        if kind not in FILE_STORAGES:
            found[key] = f"storage {disk.storage} is of type {kind}, which has none"
        elif not (disk.volume_name or "").endswith(".qcow2"):
            found[key] = f"it is a raw file on storage {disk.storage}, and only qcow2 files have some there"
    return found
