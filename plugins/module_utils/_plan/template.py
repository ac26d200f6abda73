# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of template lines: desired lines against what was read, as one plan.

Publish comes before retire, and nothing is deleted but unfinished builds and what C(state=absent) names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .._model.identity import TAG_GENERATION, Identity, Role, State, tag_value
from .._model.image import ResolvedImage
from .._model.proof import ProofWish
from .._model.recipe import RECIPE_SCHEMA, recipe_digest
from .._model.template import Generation, LineActual, Survey, TemplateLine
from .adoption import adoption
from .build import TAGS_CHECKED, stored_filename, version_tuple
from .decide import Source, SourceProblem, adoptable
from .draft import Draft
from .fixed_vmid import Owner, plan_move
from .plan import Plan, Refusal
from .privileges import Permissions
from .quirks import quirk_notes
from .retention import GONE, plan_retention
from .settings import config_changes, password_sides, place_notes, wants_password
from .standing import Verdict, pins_generation, verdict
from .steps import Build, Configure, Convert, Customise, Destroy, FetchImage, Prove, Publish, Retire, Seal
from .template_checks import absence_refusals, build_refusals, choose_transfer, line_refusals
from .unfinished import not_ours_to_end, plan_unfinished
from .views import generation_view, identity_view
from .whole import Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Whose plan it is: C(id) names this process, C(builder) the collection and version, C(seconds) its deadline."""

    id: str
    now: datetime
    builder: str
    seconds: int
    max_deletions: int = 5

    @property
    def deadline(self) -> str:
        """When another run may take over what this one leaves unfinished."""
        return (self.now + timedelta(seconds=self.seconds)).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class _Task:
    """One line with all that its plan depends on; C(taken) are VMIDs in use or given to other lines of this plan."""

    line: TemplateLine
    survey: Survey
    source: Source | None
    run: Run
    taken: set[int]


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
        whole.add(line, _plan_line(line, survey, sources.get(line.key), run, whole.taken_for(line)))
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
    resumed = plan_unfinished(line, actual, source, run.now, draft)
    if adoptable(line, actual):
        _plan_adoption(line, actual, run, draft)
        return draft
    if resumed is not None:
        task = _Task(line, survey, source, run, taken)
        if line.prove is not None and not resumed.identity.proof:
            draft.steps.append(_prove(task, line.prove, resumed))
        _publish(line, actual, resumed, draft)
        _plan_former(task, Verdict(stays=resumed), draft)
        return draft
    found = verdict(line, actual, source)
    draft.notes += found.notes
    _doubt_source(line, actual, source, found, draft)
    if draft.refusals:
        return draft
    if found.reasons:
        _plan_build(_Task(line, survey, source, run, taken), found.reasons, draft)
    elif found.stays is not None and found.stays is not actual.current:
        _publish(line, actual, found.stays, draft)
    elif found.stays is not None:
        _plan_in_place(line, survey, found.stays, draft)
    _plan_former(_Task(line, survey, source, run, taken), found, draft)
    return draft


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


def _plan_former(task: _Task, found: Verdict, draft: Draft) -> None:
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


def _plan_build(task: _Task, reasons: tuple[str, ...], draft: Draft) -> None:
    line, survey, source = task.line, task.survey, task.source
    if not isinstance(source, ResolvedImage):
        raise TypeError(f"{line.subject}: a build is planned without having asked the vendor")
    vmid, refusals = build_refusals(line, survey, source, frozenset(task.taken))
    draft.refusals += refusals
    if vmid is None or draft.refusals:
        return
    draft.notes += [*quirk_notes(line), *_nameless(line, survey)]
    identity = _new_identity(task, source, vmid)
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
    if line.customize is not None:
        draft.steps += [Customise(line=line), Seal(line=line), Convert(line=line)]
    if line.prove is not None:
        draft.steps.append(_prove(task, line.prove))
    draft.steps.append(Publish(line=line))
    current = survey.lines[line.key].current
    if current is not None:
        draft.before.update(generation_view(current))
    draft.after.update(
        {**identity_view(identity), "name": line.name, "state": State.CURRENT.value, "reasons": list(reasons)}
    )


def _prove(task: _Task, wish: ProofWish, generation: Generation | None = None) -> Prove:
    return Prove(
        line=task.line,
        wish=wish,
        taken=frozenset(task.taken),
        owner=(task.run.id, task.run.deadline),
        generation=generation,
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


def _generation_id(task: _Task, source: ResolvedImage) -> str:
    """The time of this run, or the generation of which other nodes have the same build: it is the same generation."""
    line = task.line
    used = _generation_tags(task.survey.lines[line.key])
    if pins_generation(line) and line.pin is not None:
        return line.pin
    for key, actual in task.survey.lines.items():
        current = actual.current
        if key == line.key or current is None or current.identity.line != line.line:
            continue
        same = (current.identity.recipe, current.identity.source) == (recipe_digest(line), str(source.digest))
        if same and current.identity.generation not in used:
            return current.identity.generation
    return task.run.now.strftime("%Y%m%d%H%M%S")


def _new_identity(task: _Task, source: ResolvedImage, vmid: int) -> Identity:
    line, run = task.line, task.run
    return Identity(
        vmid=vmid,
        role=Role.TEMPLATE,
        line=line.line,
        generation=_generation_id(task, source),
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
        deadline=run.deadline,
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
