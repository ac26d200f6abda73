# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of template lines, with what was asked about it: vendors, clones and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .cluster import Cluster, GuestRow
from .identity import State
from .template import ForeignVm, Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorAnswer:
    """What the vendor has now, beside a line's current generation. Empty texts are unknown."""

    build: str = ""
    """The vendor's own name of the build."""
    digest: str = ""
    url: str = ""
    newer: bool | None = None
    """Whether that is another image than the one that was built from; None where nobody can tell."""
    problem: str = ""
    """Why the vendor could not be asked or believed, or why the two cannot be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Generations and VMs that look like some. What was not gathered is None."""

    cluster: Cluster
    generations: tuple[Generation, ...] = ()
    """By line and node, newest first."""
    foreign: tuple[ForeignVm, ...] = ()
    unknown: tuple[GuestRow, ...] = ()
    """VMs with a line's tags on nodes that are offline."""
    vendors: Mapping[str, VendorAnswer] | None = None
    """By C(line@node)."""
    clones: Mapping[int, tuple[int, ...]] | None = None
    """VMIDs of what hangs on a generation, by its VMID; a generation is missing where nobody can tell."""
    sizes: Mapping[int, int] | None = None
    """Bytes of a generation's disks, as a guest sees them, by its VMID."""
    problems: tuple[str, ...] = ()
    """What could not be read, in words."""

    def by_line(self) -> dict[str, list[Generation]]:
        """The generations of each C(line@node), newest first."""
        found: dict[str, list[Generation]] = {}
        for generation in self.generations:
            found.setdefault(key_of(generation), []).append(generation)
        return found


def key_of(generation: Generation) -> str:
    """Line and node of a generation, as C(line@node)."""
    return f"{generation.identity.line}@{generation.row.node}"


def current_of(generations: list[Generation]) -> Generation | None:
    """The one that consumers get: the newest complete one that is tagged current."""
    return next((g for g in generations if g.state is State.CURRENT and not g.incomplete), None)


def previous_of(generations: list[Generation]) -> Generation | None:
    """The newest complete former one that is older than the current one: what a rollback goes back to."""
    current = current_of(generations)
    for generation in generations:
        former = generation.state is State.RETIRED and not generation.incomplete
        if former and (current is None or generation.identity.generation < current.identity.generation):
            return generation
    return None
