# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line with a fixed VMID: its current generation ends up there, for consumers that hard-code the id.

A new generation is built and published under another VMID first. Only then the old one goes, the new one is cloned to
the fixed VMID, and is removed itself at last. Whatever of this was done already is seen in what exists.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._model.identity import State
from .._model.template import Generation, LineActual, Survey, TemplateLine
from .draft import Draft
from .plan import Refusal
from .retention import FIXED, why_it_stays
from .steps import Build, Destroy, Release, Resume, Retire, Settle
from .template_checks import move_refusals


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the copy is until it is complete."""

    run: str
    deadline: str


def _made(step: Build | Resume) -> int:
    """The VMID of the generation that a step makes, or that it goes on with."""
    return step.identity.vmid if isinstance(step, Build) else step.generation.vmid


def plan_move(
    line: TemplateLine, survey: Survey, stays: Generation | None, owner: Owner, draft: Draft
) -> frozenset[int]:
    """Add the steps that bring the line to its fixed VMID; returns the VMIDs that go by them.

    C(stays) is the generation that is current after the plan, None for the one that it builds.
    """
    vmid = line.place.vmid
    actual = survey.lines[line.key]
    built = next((_made(step) for step in draft.steps if isinstance(step, Build | Resume)), None)
    if vmid is None or (stays is None and built is None):
        return frozenset()
    at = built if built is not None else stays.vmid if stays is not None else None
    if at == vmid:
        return _release_copies(line, actual, stays, draft)
    holder = next((g for g in actual.generations if g.vmid == vmid), None)
    leaving = None if built is not None else stays
    draft.refusals += _refusals(line, survey, holder, draft)
    draft.refusals += move_refusals(line, survey)
    if draft.refusals:
        return frozenset()
    if holder is not None:
        draft.steps.append(Destroy(generation=holder, reason=FIXED))
        draft.notes.append(
            f"{line.subject}: there is no VM {vmid} from the moment its old generation goes until the new one is "
            "cloned there; the new one can be used under its own VMID meanwhile"
        )
    draft.steps.append(Settle(line=line, vmid=vmid, generation=leaving, run=owner.run, deadline=owner.deadline))
    draft.before.setdefault("vmid", at)
    draft.after["vmid"] = vmid
    gone = {vmid} if holder is not None else set()
    if leaving is None or (leaving.vmid in actual.examined and not why_it_stays(actual, leaving)):
        draft.steps.append(Release(line=line, vmid=vmid, generation=leaving))
        gone |= {leaving.vmid} if leaving is not None else set()
    else:
        draft.steps.append(Retire(line=line, generation=leaving))
        reason = why_it_stays(actual, leaving)
        draft.kept.append({"vmid": leaving.vmid, "name": leaving.config.name, "reason": reason})
    return frozenset(gone)


def _release_copies(line: TemplateLine, actual: LineActual, stays: Generation | None, draft: Draft) -> frozenset[int]:
    """An earlier run was interrupted between the copy at the fixed VMID and the removal of the original."""
    if stays is None:
        return frozenset()
    gone = set()
    for copy in actual.generations:
        same = copy.identity.generation == stays.identity.generation and copy is not stays
        if same and copy.state is State.CURRENT and copy.vmid in actual.examined and not why_it_stays(actual, copy):
            draft.steps.append(Release(line=line, vmid=stays.vmid, generation=copy))
            draft.before.setdefault("copies", []).append(copy.vmid)
            draft.after.setdefault("copies", [])
            gone.add(copy.vmid)
    return frozenset(gone)


def _refusals(line: TemplateLine, survey: Survey, holder: Generation | None, draft: Draft) -> list[Refusal]:
    """Why the fixed VMID cannot be had."""
    vmid = line.place.vmid
    row = survey.cluster.guests.get(vmid) if vmid is not None else None
    if row is None:
        return []
    if holder is None:
        if any(isinstance(step, Destroy) and step.generation.vmid == vmid for step in draft.steps):
            return []
        lock = f"; it is locked ({row.lock})" if row.lock else ""
        return [
            Refusal(
                subject=line.subject,
                option="vmid",
                value=vmid,
                reason=f"another guest has it ({row.name} on {row.node}{lock})",
                remedy="Choose a free vmid, or set adopt: true if it is a template that this line shall take over",
            )
        ]
    actual = survey.lines[line.key]
    stays = why_it_stays(actual, holder) if holder.vmid in actual.examined else "what hangs on it is not known yet"
    if not stays:
        return []
    return [
        Refusal(
            subject=line.subject,
            option="vmid",
            value=vmid,
            reason=f"the generation that has it cannot give it up: {stays}",
            remedy="Remove or fully clone what hangs on it, or give vmid_range instead of vmid",
        )
    ]
