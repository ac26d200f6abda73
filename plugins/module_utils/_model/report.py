# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report on template lines says: lines by nodes, and what of it somebody should look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .stock import VendorAnswer


class Status(StrEnum):
    """How a line stands on a node, worst first."""

    FAILED = "failed"
    """The last proof of the current generation failed."""
    MISSING = "missing"
    UNFINISHED = "unfinished"
    STALE = "stale"
    """The vendor has a newer image; or nobody could ask, and it is older than it may become."""
    HELD = "held"
    PINNED = "pinned"
    UNDECLARED = "undeclared"
    UNKNOWN = "unknown"
    """The node is offline."""
    FOREIGN = "foreign"
    """Only a VM that looks like a generation is there."""
    CURRENT = "current"
    ELSEWHERE = "elsewhere"
    """On a storage that this node shares with the one that has it."""
    NONE = "none"


ORDER = {status: rank for rank, status in enumerate(Status)}
ATTENTION = tuple(status for status in Status if ORDER[status] <= ORDER[Status.UNKNOWN])


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFacts:
    """One generation. Days are UTC days in ISO form, C(size) is in bytes; what is not known is None."""

    vmid: int
    name: str
    generation: str
    state: str | None
    built: str | None = None
    age_days: int | None = None
    build: str = ""
    """The vendor's own name of the build."""
    source: str = ""
    proof: str = ""
    size: int | None = None
    clones: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One line on one node."""

    node: str
    status: Status
    reason: str = ""
    """Why it has that status, in a few words."""
    current: GenerationFacts | None = None
    previous: int | None = None
    """The VMID that a rollback goes back to."""
    former: tuple[GenerationFacts, ...] = ()
    unfinished: tuple[int, ...] = ()
    foreign: tuple[int, ...] = ()
    home: str = ""
    """The node that has it, where that is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineReport:
    """One line. C(declared) is None where nothing was declared at all."""

    line: str
    image: str
    declared: bool | None
    hold: bool = False
    pin: str | None = None
    vendor: VendorAnswer | None = None
    cells: tuple[Cell, ...]

    @property
    def status(self) -> Status:
        """The worst one of all nodes."""
        return min((cell.status for cell in self.cells), key=ORDER.__getitem__, default=Status.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What somebody should look at: a line on some nodes, or a node that is offline, without a line.

    C(nodes) is empty where it is all that have the line.
    """

    status: Status
    line: str
    nodes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VmNote:
    """A VM beside the matrix: an unfinished build, a foreign one, or one on a node that is offline."""

    vmid: int
    name: str
    node: str
    line: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """C(day) is a UTC day in ISO form: the same facts make the same report all day long."""

    title: str
    day: str
    nodes: tuple[str, ...]
    lines: tuple[LineReport, ...]
    """Those that need attention first."""
    attention: tuple[Notice, ...]
    unfinished: tuple[VmNote, ...] = ()
    foreign: tuple[VmNote, ...] = ()
    unknown: tuple[VmNote, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be read, in words."""
    silent: tuple[str, ...] = ()
    """What vendors could not tell, each with the lines that it concerns."""
    gathered: tuple[str, ...] = ()
    summary: Mapping[str, int] = field(default_factory=dict)
    """How many places (a line on a node) have each status; those with none are left out."""
