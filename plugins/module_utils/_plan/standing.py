# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a line's generations shall be the current one, and whether a new one is needed instead.

A pin names it, a hold keeps what is there, and what the line was rolled back from is not built again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from .._model.identity import State
from .._model.image import ResolvedImage
from .._model.recipe import recipe_digest
from .._model.template import Generation, LineActual, TemplateLine
from .decide import Source, adoptable, build_reasons, older_than

_GENERATION = re.compile(r"\d{14}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """C(stays) is what the line asks for of what exists; with C(reasons) a new generation is needed instead."""

    stays: Generation | None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    """Why a new generation is needed that this call does not make: its roles have to be baked in."""


def pins_generation(line: TemplateLine) -> bool:
    """Whether the pin names a generation rather than a vendor's build."""
    return line.pin is not None and _GENERATION.fullmatch(line.pin) is not None


def pinned_build(line: TemplateLine) -> str | None:
    """The vendor's name of the build that the pin asks for; None where it names none, or names it by its digest."""
    return None if line.pin is None or pins_generation(line) or ":" in line.pin else line.pin


def satisfies(line: TemplateLine, generation: Generation) -> bool:
    """Whether a generation is of the build that the line is pinned to."""
    identity = generation.identity
    return line.pin in (identity.generation, identity.source, identity.source_build)


def standing(line: TemplateLine, actual: LineActual) -> Generation | None:
    """Which of the generations that exist the line asks for, leaving aside whether it needs a new one."""
    current = actual.current
    recipe = recipe_digest(line)
    usable = [g for g in actual.generations if not g.incomplete and g.state in (State.CURRENT, State.RETIRED)]
    if line.pin is not None:
        matching = [g for g in usable if satisfies(line, g)]
        return max(
            matching, key=lambda g: (g.identity.recipe == recipe, g is current, g.identity.generation), default=None
        )
    if line.hold or current is None:
        return current
    # Newer ones are there after a pin has gone, or after a rollback. Only the latter must not come back.
    newer = [g for g in usable if g.is_newer_than(current) and not g.identity.withdrawn and g.identity.recipe == recipe]
    return max(newer, key=lambda g: g.identity.generation, default=current)


def verdict(line: TemplateLine, actual: LineActual, source: Source | None) -> Verdict:
    """What becomes of a line, with what the vendor said, None where it was not asked."""
    stays = standing(line, actual)
    waiting = waiting_for(line, actual)
    if waiting is not None:
        return Verdict(stays=stays, reasons=(f"{waiting.identity.bake} was baked into VM {waiting.vmid}",))
    if stays is None and line.pin is not None:
        return Verdict(stays=None, reasons=(f"there is no generation of {line.pin}, which the line is pinned to",))
    fixed = line.hold or line.pin is not None
    reasons = build_reasons(line, stays, None if fixed else source)
    if stays is None or not reasons:
        return Verdict(stays=stays, reasons=reasons)
    return _not_built(line, actual, source, stays, reasons) or Verdict(stays=stays, reasons=reasons)


def _not_built(
    line: TemplateLine, actual: LineActual, source: Source | None, stays: Generation, reasons: tuple[str, ...]
) -> Verdict | None:
    """What keeps a line with its generation although it needs a new one; None for nothing."""
    if line.hold or pins_generation(line):
        how = "held" if line.hold else "pinned"
        return Verdict(stays=stays, notes=(f"{line.subject}: {how} at VM {stays.vmid}, though {_and(reasons)}",))
    former = _withdrawn(line, actual, source)
    if former is not None:
        note = (
            f"{line.subject}: not built, though {_and(reasons)}: it was rolled back from that build, VM {former.vmid}"
        )
        return Verdict(stays=stays, notes=(f"{note}. A change of the recipe or of the vendor's image ends this",))
    if line.bake is not None and not line.bake.stop:
        note = f"{line.subject}: VM {stays.vmid} is outdated: {_and(reasons)}. Its roles have to be baked in again"
        return Verdict(stays=stays, notes=(f"{note} (playbook homelab.proxmox.templates_bake)",), outdated=reasons)
    return None


def waiting_for(line: TemplateLine, actual: LineActual) -> Generation | None:
    """The builder that this call is to finish."""
    return actual.waiting(line.bake.resume) if line.bake is not None and line.bake.resume else None


def wants_source(line: TemplateLine, actual: LineActual, now: datetime) -> bool:
    """Whether the vendor has to be asked before this line can be planned."""
    if line.absent or adoptable(line, actual):
        return False
    if line.bake is not None and line.bake.ticket:
        # Which image it is was decided when the builder was made.
        return False
    found = verdict(line, actual, None)
    if found.reasons:
        return True
    if found.stays is None or line.hold or line.pin is not None:
        return False
    if line.refresh.policy == "never" or line.image.digest is not None:
        return False
    return line.refresh.policy == "always" or older_than(found.stays.identity.built, line.refresh.max_age, now)


def _withdrawn(line: TemplateLine, actual: LineActual, source: Source | None) -> Generation | None:
    """The generation that was made of the same recipe and image, and that the line was rolled back from."""
    if source is None and line.image.digest is None:
        return None
    digest = line.image.digest or (source.digest if isinstance(source, ResolvedImage) else None)
    for generation in actual.generations:
        identity = generation.identity
        # A vendor that does not answer has nothing newer to offer either.
        same = digest is None or identity.source == str(digest)
        if identity.withdrawn and identity.recipe == recipe_digest(line) and same:
            return generation
    return None


def _and(reasons: tuple[str, ...]) -> str:
    return " and ".join(reasons)
