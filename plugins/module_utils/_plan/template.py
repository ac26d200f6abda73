# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of template lines: desired lines against what was read, as one plan.

Publish comes before retire, and nothing is deleted but unfinished builds and what C(state=absent) names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._model.identity import TAG_GENERATION, Identity, Role, State, tag_value
from .._model.image import ResolvedImage
from .._model.recipe import RECIPE_SCHEMA, recipe_digest
from .._model.template import Generation, LineActual, Survey, TemplateLine, Unfinished
from .adoption import adoption
from .build import TAGS_CHECKED, stored_filename, version_tuple
from .decide import Source, SourceProblem, adoptable, build_reasons, deadline_passed
from .draft import Draft
from .plan import Plan, Refusal, Step
from .privileges import Permissions
from .quirks import quirk_notes
from .retention import GONE, deletions_refusal, plan_retention
from .settings import config_changes, password_sides, place_notes, wants_password
from .steps import Build, Configure, Destroy, FetchImage, Publish, Retire
from .template_checks import absence_refusals, build_refusals, choose_transfer, line_refusals
from .views import generation_view, identity_view, summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Whose plan it is: C(id) names this process, C(builder) the collection and version, C(seconds) its deadline."""

    id: str
    now: datetime
    builder: str
    seconds: int
    max_deletions: int = 5


@dataclass(frozen=True, slots=True)
class _Task:
    """One line with all that its plan depends on; C(taken) are VMIDs in use or given to other lines of this plan."""

    line: TemplateLine
    survey: Survey
    source: Source | None
    run: Run
    taken: set[int]


def plan_templates(lines: Sequence[TemplateLine], survey: Survey, sources: Mapping[str, Source], run: Run) -> Plan:
    """Plan all lines together: images shared by lines are fetched once, VMIDs are given once."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    steps: list[Step] = []
    refusals: list[Refusal] = []
    notes: list[str] = []
    results: dict[str, Any] = {}
    tracks: list[tuple[str, tuple[Step, ...]]] = []
    refused: list[str] = []
    taken = set(survey.cluster.guests)
    fetched: dict[tuple[str, str, str], FetchImage] = {}
    for line in lines:
        draft = _plan_line(line, survey, sources.get(line.key), run, taken)
        track: list[Step] = []
        for step in draft.steps if not draft.refusals else []:
            if isinstance(step, Build):
                taken.add(step.identity.vmid)
            shared = _fetched_once(survey, step, fetched)
            track.append(shared)
            if shared is step:
                steps.append(step)
        if track:
            tracks.append((line.key, tuple(track)))
        if draft.refusals:
            refused.append(line.key)
        elif draft.before != draft.after:
            before[line.key] = draft.before
            after[line.key] = draft.after
        refusals += draft.refusals
        notes += draft.notes
        results[line.key] = {**summary(line, survey.lines[line.key]), "kept": draft.kept}
    too_many = deletions_refusal(steps, run.max_deletions)
    if too_many is not None:
        return Plan(refusals=(*refusals, too_many), notes=tuple(notes), result={"templates": results})
    return Plan(
        before=before,
        after=after,
        steps=tuple(steps),
        refusals=tuple(refusals),
        notes=tuple(notes),
        result={"templates": results},
        tracks=tuple(tracks),
        refused=tuple(refused),
        shared=frozenset(row.storage for row in survey.cluster.storages.values() if row.shared),
    )


def _fetched_once(survey: Survey, step: Step, fetched: dict[tuple[str, str, str], FetchImage]) -> Step:
    """The step, or the one of an earlier line that fetches the same file onto the same storage."""
    if not isinstance(step, FetchImage):
        return step
    key = ("" if _is_shared(survey, step) else step.node, step.storage, step.filename)
    return fetched.setdefault(key, step)


def _plan_line(line: TemplateLine, survey: Survey, source: Source | None, run: Run, taken: set[int]) -> Draft:
    draft = Draft()
    actual = survey.lines[line.key]
    draft.notes += [f"{line.subject}: VM {f.row.vmid} ({f.row.name}) is left alone: {f.reason}" for f in actual.foreign]
    draft.refusals += line_refusals(line, survey)
    if draft.refusals:
        return draft
    if line.absent:
        _plan_absent(line, survey, run, draft)
        return draft
    resumed = _plan_unfinished(line, actual, source, run, draft)
    if adoptable(line, actual):
        _plan_adoption(line, actual, run, draft)
        return draft
    if resumed is not None:
        _publish(line, actual, resumed, draft)
        return draft
    reasons = build_reasons(line, actual.current, source)
    if isinstance(source, SourceProblem) and (actual.current is None or reasons or not source.unreachable):
        draft.refusals.append(
            Refusal(
                subject=line.subject,
                option="url" if line.own_image else "image",
                value=line.image.url if line.own_image else line.image.id,
                reason=source.message,
                remedy="Nothing was changed; run again when the vendor answers, or pin a checksum",
            )
        )
    elif isinstance(source, SourceProblem):
        draft.notes.append(f"{line.subject}: not refreshed, the current generation stays: {source.message}")
    if draft.refusals:
        return draft
    if reasons:
        _plan_build(_Task(line, survey, source, run, taken), reasons, draft)
    elif actual.current is not None:
        _plan_in_place(line, survey, actual.current, draft)
    if not draft.refusals:
        _retire_others(line, actual, None if reasons else actual.current, draft)
        plan_retention(line, actual, bool(reasons), draft)
    return draft


def _plan_unfinished(
    line: TemplateLine, actual: LineActual, source: Source | None, run: Run, draft: Draft
) -> Generation | None:
    """Refuse, finish or clean up builds that did not end; returns one that only lacks being published."""
    resumed = None
    for left in actual.unfinished:
        generation = left.generation
        stopped = _not_ours_to_end(line, left, run)
        if stopped is not None:
            draft.refusals.append(stopped)
        elif resumed is None and _is_wanted(line, generation, source):
            resumed = generation
        else:
            draft.steps.append(Destroy(generation=generation, reason="an unfinished build whose run is gone"))
            draft.before[f"unfinished {generation.vmid}"] = "building"
            draft.after[f"unfinished {generation.vmid}"] = "absent"
    return resumed


def _not_ours_to_end(line: TemplateLine, left: Unfinished, run: Run) -> Refusal | None:
    """Why an unfinished build must be left to the run that makes it."""
    if left.running_task or not (left.owner_gone or deadline_passed(left.generation, run.now)):
        return _busy(line, left)
    return _locked(line, left.generation) if left.generation.config.lock else None


def _busy(line: TemplateLine, left: Unfinished) -> Refusal:
    identity = left.generation.identity
    task = f", task {left.running_task} runs on it" if left.running_task else ""
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


def _is_wanted(line: TemplateLine, generation: Generation, source: Source | None) -> bool:
    """Whether an unfinished build is complete but for its publication, and still what the line asks for."""
    if generation.incomplete or generation.identity.recipe != recipe_digest(line):
        return False
    return not isinstance(source, ResolvedImage) or generation.source == source.digest


def _plan_build(task: _Task, reasons: tuple[str, ...], draft: Draft) -> None:
    line, survey, source = task.line, task.survey, task.source
    if not isinstance(source, ResolvedImage):
        raise TypeError(f"{line.subject}: a build is planned without having asked the vendor")
    vmid, refusals = build_refusals(line, survey, source, frozenset(task.taken))
    draft.refusals += refusals
    if vmid is None or draft.refusals:
        return
    draft.notes += [*quirk_notes(line), *_nameless(line, survey)]
    identity = _new_identity(line, source, task.run, vmid)
    fetch = FetchImage(
        node=line.place.node,
        storage=line.place.image_storage,
        filename=stored_filename(line.image, source.digest),
        image=line.image,
        source=source,
        via=choose_transfer(line, survey, source),
        may_upload=line.transfer == "auto",
    )
    stored = survey.images.get((line.place.node, line.place.image_storage), ())
    if fetch.volid not in {file.volid for file in stored}:
        draft.steps.append(fetch)
    build = Build(
        line=line,
        identity=identity,
        volid=fetch.volid,
        taken=frozenset(task.taken),
        generations=_generation_tags(survey.lines[line.key]),
        version=survey.version,
        tag_later=_tag_later(survey, vmid),
    )
    draft.steps.append(build)
    draft.steps.append(Publish(line=line))
    current = survey.lines[line.key].current
    if current is not None:
        draft.before.update(generation_view(current))
    draft.after.update(
        {**identity_view(identity), "name": line.name, "state": State.CURRENT.value, "reasons": list(reasons)}
    )


def _nameless(line: TemplateLine, survey: Survey) -> Iterator[str]:
    """VMs in the line's range that a create call is making, or that one left when its worker died.

    create_and_lock_config writes only the lock at first, so nothing tells whose they are.
    """
    first, last = line.place.vmid_range
    for vmid, row in sorted(survey.cluster.guests.items()):
        if row.lock == "create" and not row.tags and row.node == line.place.node and first <= vmid <= last:
            yield (
                f"{line.subject}: VM {vmid} is locked (create) and bears no sign of whose it is. If no task runs "
                f"on it, its worker died; remove it on the node: qm unlock {vmid} && qm destroy {vmid}"
            )


def _generation_tags(actual: LineActual) -> frozenset[str]:
    rows = [*actual.retired, *(one.row for one in actual.generations), *(one.row for one in actual.foreign)]
    rows += [left.generation.row for left in actual.unfinished]
    return frozenset(tag_value(row.tags, TAG_GENERATION) for row in rows)


def _tag_later(survey: Survey, vmid: int) -> bool:
    """Whether the server checks tags of a create call on a path that a pool's privileges do not reach."""
    may = Permissions(survey.permissions).has(f"/vms/{vmid}", "VM.Config.Options")
    return version_tuple(survey.version) >= TAGS_CHECKED and not may


def _new_identity(line: TemplateLine, source: ResolvedImage, run: Run, vmid: int) -> Identity:
    return Identity(
        vmid=vmid,
        role=Role.TEMPLATE,
        line=line.line,
        generation=run.now.strftime("%Y%m%d%H%M%S"),
        image="" if line.own_image else line.image.id,
        url=source.url,
        source=str(source.digest),
        source_build=source.build or "",
        verification=source.verification,
        recipe=recipe_digest(line),
        recipe_schema=RECIPE_SCHEMA,
        builder=run.builder,
        built=run.now.isoformat(timespec="seconds"),
        run=run.id,
        deadline=(run.now + timedelta(seconds=run.seconds)).isoformat(timespec="seconds"),
    )


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
    _retire_others(line, actual, None, draft)


def _retire_others(line: TemplateLine, actual: LineActual, stays: Generation | None, draft: Draft) -> None:
    """Every generation that is tagged current and does not stay becomes retired: the newest complete one wins."""
    for generation in actual.generations:
        if generation.state is State.CURRENT and generation is not stays:
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
        stopped = _not_ours_to_end(line, left, run)
        if stopped is not None:
            draft.refusals.append(stopped)
    if draft.refusals:
        return
    for generation in (*actual.generations, *(u.generation for u in actual.unfinished)):
        draft.steps.append(Destroy(generation=generation, reason=GONE))
        draft.before[f"vm {generation.vmid}"] = generation_view(generation)
        draft.after[f"vm {generation.vmid}"] = None


def _is_shared(survey: Survey, step: FetchImage) -> bool:
    row = survey.cluster.storage(step.node, step.storage)
    return row is not None and row.shared
