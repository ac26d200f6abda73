# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of template lines: desired lines against what was read, as one plan.

Publish comes before retire, and nothing is deleted but unfinished builds and what C(state=absent) names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .._model.identity import Identity, Role, State
from .._model.recipe import RECIPE_SCHEMA, recipe_digest
from .._model.template import Generation, LineActual, Survey, TemplateLine
from .adoption import adoption
from .bake import plan_abandoned, refuse_unbaked
from .decide import Source, SourceProblem, adoptable
from .draft import Draft
from .fixed_vmid import Owner, plan_move
from .making import Run, Task, plan_build, plan_resume, proof_step
from .plan import Plan, Refusal
from .retention import GONE, plan_retention
from .settings import config_changes, password_sides, place_notes, wants_password
from .standing import Verdict, verdict, waiting_for
from .steps import Configure, Destroy, Publish, Retire
from .template_checks import absence_refusals, line_refusals
from .unfinished import not_ours_to_end, plan_unfinished
from .views import generation_view
from .whole import Whole


def plan_templates(
    lines: Sequence[TemplateLine],
    survey: Survey,
    sources: Mapping[str, Source],
    run: Run,
    notes: Sequence[str] = (),
) -> Plan:
    """Plan all lines together; C(notes) are what was noticed before, for the user as well."""
    whole = Whole.of(lines, survey, notes)
    claimed: dict[int, TemplateLine] = {}
    for line in lines:
        twice = _claimed_twice(line, claimed)
        if twice is not None:
            whole.add(line, Draft(refusals=[twice]))
            continue
        task = Task(line, survey, sources.get(line.key), run, whole.taken_for(line))
        whole.add(line, _plan_line(task))
    return whole.plan(run.max_deletions)


def _claimed_twice(line: TemplateLine, claimed: dict[int, TemplateLine]) -> Refusal | None:
    """VMIDs are unique in the cluster: one line on one node can have it."""
    vmid = line.place.vmid
    other = None if vmid is None or line.absent else claimed.setdefault(vmid, line)
    if other is None or other is line:
        return None
    return Refusal(
        subject=line.subject,
        option="vmid",
        value=vmid,
        reason=f"it is declared for {other.subject} as well, and a VMID is there once in a cluster",
        remedy="Give vmid to one line on one node, and vmid_range to the others",
    )


def _plan_line(task: Task) -> Draft:
    line, draft = task.line, Draft()
    actual = task.survey.lines[line.key]
    draft.notes += [f"{line.subject}: VM {f.row.vmid} ({f.row.name}) is left alone: {f.reason}" for f in actual.foreign]
    draft.refusals += line_refusals(line, task.survey)
    if draft.refusals:
        return draft
    if line.absent:
        _plan_absent(line, task.survey, task.run, draft)
    elif line.bake is not None and line.bake.abandon:
        plan_abandoned(line, actual, line.bake, draft)
    else:
        _plan_present(task, actual, draft)
    return draft


def _plan_present(task: Task, actual: LineActual, draft: Draft) -> None:
    line = task.line
    resumed = plan_unfinished(line, actual, task.source, task.run.now, draft)
    waiting = waiting_for(line, actual)
    if waiting is not None:
        found = verdict(line, actual, None)
        plan_resume(task, waiting, found.reasons, draft)
        _plan_former(task, found, draft)
    elif adoptable(line, actual):
        _plan_adoption(line, actual, task.run, draft)
    elif resumed is not None:
        if line.prove is not None and not resumed.identity.proof:
            draft.steps.append(proof_step(task, line.prove, resumed))
        _publish(line, actual, resumed, draft)
        _plan_former(task, Verdict(stays=resumed), draft)
    else:
        _plan_kept(task, actual, draft)


def _plan_kept(task: Task, actual: LineActual, draft: Draft) -> None:
    """What is there stays as it is declared, or a new generation is built."""
    line, source = task.line, task.source
    found = verdict(line, actual, source)
    draft.notes += found.notes
    refuse_unbaked(line, found, draft)
    _doubt_source(line, actual, source, found, draft)
    if draft.refusals:
        return
    if found.reasons:
        plan_build(task, found.reasons, draft)
    elif found.stays is not None and found.stays is not actual.current:
        _publish(line, actual, found.stays, draft)
    elif found.stays is not None:
        _plan_in_place(line, task.survey, found.stays, draft)
    if not found.reasons or line.bake is None:
        # What is stopped before its seal takes nobody's place yet.
        _plan_former(task, found, draft)


def _doubt_source(line: TemplateLine, actual: LineActual, source: Source | None, found: Verdict, draft: Draft) -> None:
    """A vendor that does not answer matters only to a line that needs a new generation."""
    if not isinstance(source, SourceProblem):
        return
    if found.stays is not None and not found.reasons and source.unreachable:
        draft.notes.append(f"{line.subject}: not refreshed, the current generation stays: {source.message}")
        return
    pinned = line.pin is not None
    there = ", ".join(g.identity.generation for g in actual.generations if not g.incomplete) or "none"
    draft.refusals.append(
        Refusal(
            subject=line.subject,
            option="pin" if pinned else "url" if line.own_image else "image",
            value=line.pin if pinned else line.image.url if line.own_image else line.image.id,
            reason=source.message,
            remedy="Nothing was changed; run again when the vendor answers, or "
            + (f"pin another build (generations here: {there})" if pinned else "pin a checksum"),
        )
    )


def _plan_former(task: Task, found: Verdict, draft: Draft) -> None:
    """What becomes of the generations that are not, or no longer, the current one."""
    line, actual, building = task.line, task.survey.lines[task.line.key], bool(found.reasons)
    if draft.refusals:
        return
    gone = plan_move(line, task.survey, found.stays, Owner(task.run.id, task.run.deadline), draft)
    if draft.refusals:
        return
    _retire_others(line, actual, None if building else found.stays, draft, gone)
    if not line.hold:
        plan_retention(line, actual, None if building else found.stays, draft, gone)


def _plan_in_place(line: TemplateLine, survey: Survey, current: Generation, draft: Draft) -> None:
    changes, delete, before, after = config_changes(line, current)
    password = wants_password(line, current.config)
    draft.notes += place_notes(line, current, survey.cluster.pools)
    if not (changes or delete or password):
        return
    if password:
        before["cipassword"], after["cipassword"] = password_sides(current.config)
    draft.steps.append(
        Configure(
            line=line,
            vmid=current.vmid,
            changes=changes,
            delete=delete,
            digest=current.config.digest,
            password=password,
        )
    )
    draft.before.update(before)
    draft.after.update(after)


def _publish(line: TemplateLine, actual: LineActual, generation: Generation, draft: Draft) -> None:
    changes, delete, before, after = config_changes(line, generation)
    draft.steps.append(Publish(line=line, generation=generation, changes=changes, delete=delete))
    draft.before.update(before)
    draft.after.update(after)
    if actual.current is not None:
        draft.before.update(generation_view(actual.current))
    draft.after.update({**generation_view(generation), "name": line.name, "state": State.CURRENT.value})


def _retire_others(
    line: TemplateLine, actual: LineActual, stays: Generation | None, draft: Draft, gone: Collection[int]
) -> None:
    """Every generation that is tagged current and does not stay becomes retired: the newest complete one wins."""
    for generation in actual.generations:
        if generation.state is State.CURRENT and generation is not stays and generation.vmid not in gone:
            draft.steps.append(Retire(line=line, generation=generation))
            if stays is not None:
                draft.before.setdefault("retired", [])
            draft.after.setdefault("retired", []).append(generation.vmid)


def _plan_adoption(line: TemplateLine, actual: LineActual, run: Run, draft: Draft) -> None:
    row, config = actual.occupant, actual.occupant_config
    if row is None or config is None:
        raise TypeError(f"{line.subject}: an adoption is planned without having read the VM")
    identity = Identity(
        vmid=row.vmid,
        role=Role.TEMPLATE,
        line=line.line,
        generation=run.now.strftime("%Y%m%d%H%M%S"),
        image="" if line.own_image else line.image.id,
        recipe=recipe_digest(line),
        recipe_schema=RECIPE_SCHEMA,
        verification="unverified: adopted",
        builder=run.builder,
        built=run.now.isoformat(timespec="seconds"),
        run=run.id,
    )
    planned = adoption(line, Generation(row=row, identity=identity, state=None, config=config))
    if isinstance(planned, Refusal):
        draft.refusals.append(planned)
        return
    step, before, after = planned
    draft.steps.append(step)
    draft.before.update(before)
    draft.after.update(after)


def _plan_absent(line: TemplateLine, survey: Survey, run: Run, draft: Draft) -> None:
    actual = survey.lines[line.key]
    draft.refusals += absence_refusals(line, survey, actual)
    for left in actual.unfinished:
        stopped = not_ours_to_end(line, left, run.now)
        if stopped is not None:
            draft.refusals.append(stopped)
    if draft.refusals:
        return
    for generation in (*actual.generations, *(u.generation for u in actual.unfinished)):
        draft.steps.append(Destroy(generation=generation, reason=GONE))
        draft.before[f"vm {generation.vmid}"] = generation_view(generation)
        draft.after[f"vm {generation.vmid}"] = None
