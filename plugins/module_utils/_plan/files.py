# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on the machine where a module runs: what is to be written, and whether it is there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A file as it is: its bytes and its mode, both None where there is none."""

    data: bytes | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """Put a file in place of what is there, at once."""

    path: str
    data: bytes = field(repr=False)
    mode: int

    def describe(self) -> str:
        return f"write {self.path} ({len(self.data)} bytes)"


def needed(wanted: Iterable[WriteFile], states: Mapping[str, FileState]) -> tuple[WriteFile, ...]:
    """Those of the files that are not there as they are wanted."""
    return tuple(step for step in wanted if states[step.path] != FileState(data=step.data, mode=step.mode))
