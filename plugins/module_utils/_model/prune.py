# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists beside the declared template lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .cluster import Cluster, GuestRow
from .identity import TAG_LINE
from .template import ForeignVm, Generation, StoredImage, Unfinished


@dataclass(frozen=True, slots=True)
class Named:
    """The lines that are declared, each with its node. What these name is the fleet's business."""

    pairs: frozenset[tuple[str, str]]

    def has(self, line: str, node: str) -> bool:
        return (line, node) in self.pairs

    def covers(self, row: GuestRow) -> bool:
        """Whether the tags of a VM say that it belongs to a declared line on its node."""
        return any(self.has(line, row.node) for line in tagged_lines(row.tags))

    def nodes_of(self, line: str) -> tuple[str, ...]:
        return tuple(sorted(node for name, node in self.pairs if name == line))


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSurvey:
    """Everything that was read before planning what goes.

    Of declared lines only what decides something is read: where their images matter, or where they have generations
    elsewhere.
    """

    cluster: Cluster
    generations: tuple[Generation, ...] = ()
    """Whole templates that are proven ours."""
    unfinished: tuple[Unfinished, ...] = ()
    """Builds and builders that are proven ours and did not end."""
    broken: tuple[Generation, ...] = ()
    """Published once, and no whole templates any more."""
    foreign: tuple[ForeignVm, ...] = ()
    unknown: tuple[GuestRow, ...] = ()
    """VMs with a line's tag on nodes that are offline."""
    dependants: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """VMIDs of clones by the VMID of their base; those are missing of which nobody can tell."""
    permissions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    auth_id: str = ""
    images: Mapping[tuple[str, str], tuple[StoredImage, ...]] = field(default_factory=dict)
    """Files of content C(import) by (node, storage), shared storages once; read only when images are asked for."""


def tagged_lines(tags: Iterable[str]) -> tuple[str, ...]:
    """The lines that tags name."""
    return tuple(tag.removeprefix(TAG_LINE) for tag in tags if tag.startswith(TAG_LINE))
