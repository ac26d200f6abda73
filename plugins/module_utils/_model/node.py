# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node of the cluster: how it is, which services it runs, which packages it could update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .preflight import Unanswered

# Values of `unit-state` that say a service is to run, and of `state` while systemd starts one again that has died.
_ENABLED = frozenset({"enabled", "enabled-runtime"})
_OFF = frozenset({"disabled", "masked", "masked-runtime", "not-found"})
_DYING = frozenset({"auto-restart", "auto-restart-queued", "dead-before-auto-restart", "failed-before-auto-restart"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One row of GET /cluster/resources. The figures need Sys.Audit on the node, None without."""

    node: str
    status: str
    """C(online), C(offline), or C(unknown) where its statistics have not arrived yet."""
    uptime: int | None = None
    cpu: float | None = None
    """The share of all processors that is in use."""
    cpus: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None

    @property
    def online(self) -> bool:
        return self.status == "online"

    @property
    def memory(self) -> float | None:
        """The share that is in use."""
        if self.memory_used is None or not self.memory_total:
            return None
        return round(self.memory_used / self.memory_total, 4)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> NodeState:
        cpu = row.get("cpu")
        return cls(
            node=row["node"],
            status=row.get("status") or "unknown",
            uptime=_integer(row.get("uptime")),
            cpu=None if cpu is None else round(float(cpu), 4),
            cpus=_integer(row.get("maxcpu")),
            memory_used=_integer(row.get("mem")),
            memory_total=_integer(row.get("maxmem")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that Proxmox VE knows of, in systemd's words."""

    name: str
    description: str
    state: str
    """C(SubState), such as C(running), C(exited), C(dead)."""
    active_state: str
    unit_state: str

    @property
    def down(self) -> bool:
        """Whether it is to run, and does not. One that has run and ended well (C(exited)) is active."""
        if self.unit_state in _OFF:
            return False
        if self.active_state == "failed" or self.state == "failed" or self.state in _DYING:
            return True
        return self.unit_state in _ENABLED and self.active_state == "inactive"

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Service:
        return cls(
            name=row.get("service") or row["name"],
            description=row.get("desc") or "",
            state=row.get("state") or "unknown",
            active_state=row.get("active-state") or "unknown",
            unit_state=row.get("unit-state") or "unknown",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageUpdate:
    """A package that a node could update; C(installed) is empty for one that an update would bring along."""

    package: str
    title: str
    installed: str
    version: str
    origin: str
    section: str
    priority: str
    arch: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PackageUpdate:
        return cls(
            package=row["Package"],
            title=row.get("Title") or "",
            installed=row.get("OldVersion") or "",
            version=row.get("Version") or "",
            origin=row.get("Origin") or "unknown",
            section=row.get("Section") or "",
            priority=row.get("Priority") or "",
            arch=row.get("Arch") or "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWish:
    """Which nodes, all of them where none is named, and which parts to gather."""

    nodes: tuple[str, ...] = ()
    gather: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesFound:
    """All nodes, and what was answered by node and part; C(closed) says what would show what was not asked."""

    states: tuple[NodeState, ...]
    closed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    answers: Mapping[tuple[str, str], Any | Unanswered] = field(default_factory=dict)


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)
