# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of one line: the decision, before it is turned into steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from .._model.identity import short_recipe
from .._model.image import ResolvedImage
from .._model.recipe import recipe_digest
from .._model.template import Generation, LineActual, TemplateLine


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """The vendor could not be asked, or what it says cannot be trusted."""

    message: str
    unreachable: bool = False
    """Only a vendor that does not answer is a warning where a current generation exists."""


Source: TypeAlias = "ResolvedImage | SourceProblem"


def build_reasons(line: TemplateLine, current: Generation | None, source: Source | None) -> tuple[str, ...]:
    """Why a new generation is needed, in words; empty when the current one stays."""
    if current is None:
        return ("there is no current generation",)
    reasons = []
    recipe = recipe_digest(line)
    if current.identity.recipe != recipe:
        reasons.append(f"the recipe changed ({short_recipe(current.identity.recipe)} to {short_recipe(recipe)})")
    storages = {disk.storage for disk in current.config.disks().values() if disk.is_base and disk.storage}
    if storages and storages != {line.place.storage}:
        reasons.append(f"the storage changed ({', '.join(sorted(storages))} to {line.place.storage})")
    pinned = line.image.digest
    # An adopted template has no known source: a pin alone does not replace what the user asked to take over.
    if pinned is not None and current.source not in (None, pinned):
        reasons.append(f"the pinned checksum changed ({current.identity.source} to {pinned})")
    elif isinstance(source, ResolvedImage) and pinned is None and current.source != source.digest:
        reasons.append(f"the vendor has a newer image ({source.build or source.digest})")
    return tuple(reasons)


def adoptable(line: TemplateLine, actual: LineActual) -> bool:
    """Whether the declared VMID holds a hand-made template that the user wants taken over."""
    config = actual.occupant_config
    return line.adopt and actual.current is None and config is not None and config.is_template


def older_than(stamp: str, seconds: int, now: datetime) -> bool:
    """Whether an ISO time is more than so many seconds ago; an unreadable one counts as old."""
    try:
        return now - datetime.fromisoformat(stamp) > timedelta(seconds=seconds)
    except ValueError:
        return True


def deadline_passed(generation: Generation, now: datetime) -> bool:
    """Whether the run that builds a generation has had its time."""
    return not generation.identity.deadline or older_than(generation.identity.deadline, 0, now)
