# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names a run so that another run on the same machine can tell whether its process still lives."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def run_id(pid: int | None = None) -> str:
    """C(<place>-<pid>-<start>): the place is this boot and this PID namespace, the start is the process's start time.

    Two containers of one machine have different PID namespaces, two machines different boot ids: only where both are
    the same does a missing process prove that the run is over.
    """
    pid = os.getpid() if pid is None else pid
    return f"{_place()}-{pid}-{_start_time(pid)}"


def is_gone(run: str) -> bool:
    """Whether a run is this one, or one of this place whose process has ended. False where that cannot be known."""
    place, _unused, rest = run.partition("-")
    pid, _unused, start = rest.partition("-")
    if place != _place() or not pid.isdigit() or not start:
        return False
    return run == run_id() or _start_time(int(pid)) != start


def _place() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return hashlib.sha256(f"{boot} {Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:12]


def _start_time(pid: int) -> str:
    """Field 22 of /proc/<pid>/stat: clock ticks since boot; empty for a process that is not there or has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field, the command's name, may hold blanks and brackets.
    rest = stat.rpartition(")")[2].split()
    # Z and X: it has ended, and nobody has asked how. In a container without an init it stays so.
    return "" if rest[0] in "ZX" else rest[19]
