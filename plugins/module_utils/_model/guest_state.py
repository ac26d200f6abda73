# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that somebody names, and how it is by its own node's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .cluster import Cluster, GuestRow

RUNNING, STOPPED, PAUSED, SUSPENDED = "running", "stopped", "paused", "suspended"
"""C(paused): in memory. C(suspended): on disk, the VM is off and holds a lock of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a name or VMID of the user's stands for: exactly one row, if all is well."""

    wanted: str
    rows: tuple[GuestRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestState:
    """A guest as its node tells of it in C(status/current): the listing of the cluster may be ten seconds old."""

    row: GuestRow
    name: str
    power: str
    template: bool
    lock: str
    agent: bool
    """Whether the guest agent is switched on in the config. Whether one runs shows only when it is asked."""
    managed: bool
    """Whether high availability moves it: starts and stops are then requests, carried out by another daemon."""

    @property
    def vmid(self) -> int:
        return self.row.vmid

    @property
    def node(self) -> str:
        return self.row.node

    @property
    def kind(self) -> str:
        return self.row.type

    @property
    def subject(self) -> str:
        return subject(self.row, self.name)

    @classmethod
    def read(cls, row: GuestRow, reply: Mapping[str, Any]) -> GuestState:
        """From the reply of C(status/current)."""
        return cls(
            row=row,
            name=str(reply.get("name") or row.name),
            power=power_of(reply),
            template=bool(int(reply.get("template") or 0)),
            lock=str(reply.get("lock") or ""),
            agent=bool(int(reply.get("agent") or 0)),
            managed=bool(int((reply.get("ha") or {}).get("managed") or 0)),
        )


def subject(row: GuestRow, name: str = "") -> str:
    """The guest in a message, such as C(VM 101 (web))."""
    kind = "CT" if row.type == "lxc" else "VM"
    shown = name or row.name
    return f"{kind} {row.vmid} ({shown})" if shown else f"{kind} {row.vmid}"


def power_of(reply: Mapping[str, Any]) -> str:
    """One word for what Proxmox VE says in three: C(status), C(qmpstatus) and C(lock)."""
    status = str(reply.get("status") or "unknown")
    if status == RUNNING and reply.get("qmpstatus") == PAUSED:
        return PAUSED
    if status == STOPPED and reply.get("lock") == SUSPENDED:
        return SUSPENDED
    return status


def choose(cluster: Cluster, wanted: Sequence[str]) -> tuple[Choice, ...]:
    """What each of them stands for. Digits are a VMID, anything else is a name."""
    found = []
    for one in dict.fromkeys(wanted):
        if one.isdecimal():
            row = cluster.guests.get(int(one))
            rows = [] if row is None else [row]
        else:
            rows = [row for _vmid, row in sorted(cluster.guests.items()) if row.name == one]
        found.append(Choice(wanted=one, rows=tuple(rows)))
    return tuple(found)
