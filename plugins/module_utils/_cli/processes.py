# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes by id and start: whether one still lives, and what it has begun."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

Process = tuple[int, str]
"""Id and start time; an id alone is given again to another process."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def identity(pid: int) -> Process | None:
    """The process of that id, None where there is none (any more)."""
    fields = _stat(pid)
    return (pid, fields[19]) if fields else None


def boot() -> str:
    """This boot of the machine; start times count from it."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def lives(process: Process) -> bool:
    """Whether exactly this process is still there."""
    return identity(process[0]) == tuple(process)


def children(pid: int) -> list[int]:
    """The processes that this one has begun itself."""
    return _children().get(pid, [])


def family(pid: int) -> list[Process]:
    """The process and all that it has begun, the eldest first."""
    begun = _children()
    found = [pid]
    for member in found:
        found += begun.get(member, [])
    return [process for member in found if (process := identity(member)) is not None]


def send(processes: Iterable[Process], number: signal.Signals) -> None:
    """A signal for each of them that still lives."""
    for process in processes:
        if lives(process):
            try:
                os.kill(process[0], number)
            except (ProcessLookupError, PermissionError):
                continue


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            found.setdefault(int(fields[1]), []).append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat behind the name; empty for a process that is not there or has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The second field, the command's name, may hold blanks and brackets.
    fields = text.rpartition(")")[2].split()
    return [] if not fields or fields[0] in "ZX" else fields
