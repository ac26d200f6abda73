# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a Proxmox task, and how the task ended."""

from __future__ import annotations

import re
from dataclasses import dataclass

# pve-common, PVE::Tools::upid_decode: the process start may take nine hex digits on a host that is up for long.
_UPID = re.compile(
    r"UPID:(?P<node>[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)"
    r":(?P<pid>[0-9A-Fa-f]{8})"
    r":(?P<pstart>[0-9A-Fa-f]{8,9})"
    r":(?P<starttime>[0-9A-Fa-f]{8})"
    r":(?P<type>[^:\s]+):(?P<id>[^:\s]*):(?P<user>[^:\s]+):"
)


@dataclass(frozen=True, slots=True)
class Upid:
    """A parsed UPID.

    C(pstart) is in clock ticks since the node booted, C(starttime) in Unix seconds by the node's clock. C(id) is the
    VMID for guest tasks, a storage, a file name or empty for others. C(user) is C(user@realm) or C(user@realm!token).
    """

    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    user: str
    text: str

    @classmethod
    def parse(cls, text: object) -> Upid:
        """Raises ValueError for anything but the UPID of one task."""
        match = _UPID.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"not the UPID of a Proxmox task: {text!r}")
        return cls(
            node=match["node"],
            pid=int(match["pid"], 16),
            pstart=int(match["pstart"], 16),
            starttime=int(match["starttime"], 16),
            type=match["type"],
            id=match["id"],
            user=match["user"],
            text=match[0],
        )

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A finished task. C(warnings) are its C(WARN:) lines, C(log_tail) the last lines of its log where it was read."""

    upid: Upid
    exit_status: str
    warnings: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """A task with warnings has done its work: it ends with C(WARNINGS: n) (pve-common, PVE::RESTEnvironment)."""
        return succeeded(self.exit_status)


def succeeded(exit_status: str) -> bool:
    """Whether a task's exit status means that its work is done."""
    return exit_status == "OK" or exit_status.startswith("WARNINGS: ")
