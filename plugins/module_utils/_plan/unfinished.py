# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of builds that did not end: they are finished, cleaned up, or left to the run that makes them."""

from __future__ import annotations

from datetime import datetime

from .._model.identity import Role
from .._model.image import ResolvedImage
from .._model.recipe import recipe_digest
from .._model.template import Generation, LineActual, TemplateLine, Unfinished
from .decide import Source, deadline_passed
from .draft import Draft
from .plan import Refusal
from .standing import satisfies, waiting_for
from .steps import Destroy


def plan_unfinished(
    line: TemplateLine, actual: LineActual, source: Source | None, now: datetime, draft: Draft
) -> Generation | None:
    """Refuse, finish or clean up builds that did not end; returns one that only lacks being published.

    The builder that this call is to finish is left to who plans that.
    """
    resumed = None
    waiting = waiting_for(line, actual)
    for left in actual.unfinished:
        generation = left.generation
        if generation is waiting:
            continue
        stopped = not_ours_to_end(line, left, now)
        if stopped is not None:
            draft.refusals.append(stopped)
        elif resumed is None and _is_wanted(line, actual, generation, source):
            resumed = generation
        else:
            draft.steps.append(Destroy(generation=generation, reason="an unfinished build whose run is gone"))
            draft.before[f"unfinished {generation.vmid}"] = "building"
            draft.after[f"unfinished {generation.vmid}"] = "absent"
    return resumed


def not_ours_to_end(line: TemplateLine, left: Unfinished, now: datetime) -> Refusal | None:
    """Why an unfinished build must be left to the run that makes it."""
    if left.running_task or not (left.owner_gone or deadline_passed(left.generation, now)):
        return _busy(line, left)
    return _locked(line, left.generation) if left.generation.config.lock else None


def _busy(line: TemplateLine, left: Unfinished) -> Refusal:
    identity = left.generation.identity
    task = f", task {left.running_task} runs on it" if left.running_task else ""
    if identity.paused and not task:
        return Refusal(
            subject=line.subject,
            option="line",
            value=line.line,
            reason=f"VM {left.generation.vmid} was made by run {identity.run} and waits for its roles",
            remedy=(
                f"Wait until that bake has ended, or end it: resume: '{identity.run}' finishes it, "
                f"abandon: '{identity.run}' removes it. After {identity.deadline} any run may take its place"
            ),
        )
    return Refusal(
        subject=line.subject,
        option="line",
        value=line.line,
        reason=f"VM {left.generation.vmid} is being built by run {identity.run}{task}",
        remedy=f"Wait for that run to end; it may be taken over after {identity.deadline} when no task runs on it",
    )


def _locked(line: TemplateLine, generation: Generation) -> Refusal:
    vmid, lock = generation.vmid, generation.config.lock
    return Refusal(
        subject=line.subject,
        option="line",
        value=line.line,
        reason=f"VM {vmid}, an unfinished build of run {generation.identity.run}, is locked ({lock})",
        remedy=f"Wait for the operation that holds it; a lock that nobody holds any more goes by: qm unlock {vmid}",
    )


def _is_wanted(line: TemplateLine, actual: LineActual, generation: Generation, source: Source | None) -> bool:
    """Whether an unfinished build is complete but for its publication, and still what the line asks for.

    A restore that did not end was not asked for by the line: it may be older than the current generation.
    """
    if generation.identity.restored:
        return False
    if generation.identity.role is Role.PROOF:
        return False
    if generation.incomplete or generation.identity.recipe != recipe_digest(line):
        return False
    if line.pin is not None and not satisfies(line, generation):
        return False
    if line.hold and actual.current is not None:
        return False
    return not isinstance(source, ResolvedImage) or generation.source == source.digest
