# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning a new generation of one line: its steps, its identity, and the run that makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from .._model.identity import TAG_GENERATION, Identity, Role, State, tag_value
from .._model.image import ResolvedImage
from .._model.proof import ProofWish
from .._model.recipe import RECIPE_SCHEMA, recipe_digest
from .._model.template import Generation, LineActual, Survey, TemplateLine
from .bake import refuse_changed
from .build import TAGS_CHECKED, stored_filename, version_tuple
from .decide import Source
from .draft import Draft
from .privileges import Permissions
from .quirks import quirk_notes
from .standing import pins_generation
from .steps import Build, Convert, Customise, FetchImage, Pause, Prove, Publish, Resume, Seal
from .template_checks import build_refusals, choose_transfer
from .views import generation_view, identity_view


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
        return self.after(0)

    def after(self, seconds: int) -> str:
        """So many seconds after this run has had its time."""
        return (self.now + timedelta(seconds=self.seconds + seconds)).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Task:
    """One line with all that its plan depends on; C(taken) are VMIDs in use or given to other lines of this plan."""

    line: TemplateLine
    survey: Survey
    source: Source | None
    run: Run
    taken: set[int]


def plan_build(task: Task, reasons: tuple[str, ...], draft: Draft) -> None:
    """From an image to a new generation, or to the stop before its seal."""
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
        draft.steps.append(Customise(line=line))
    if line.bake is not None:
        draft.steps.append(Pause(line=line, deadline=task.run.after(line.bake.seconds)))
        draft.before[f"unfinished {vmid}"] = "absent"
        draft.after.update({f"unfinished {vmid}": "building", "reasons": list(reasons)})
        return
    _finish(task, identity, reasons, draft)


def plan_resume(task: Task, waiting: Generation, reasons: tuple[str, ...], draft: Draft) -> None:
    """Go on with a builder that was stopped before its seal."""
    line, run = task.line, task.run
    refuse_changed(line, task.survey.lines[line.key], waiting, draft)
    if draft.refusals:
        return
    draft.steps.append(Resume(line=line, generation=waiting, run=run.id, deadline=run.deadline))
    _finish(task, waiting.identity, reasons, draft)


def _finish(task: Task, identity: Identity, reasons: tuple[str, ...], draft: Draft) -> None:
    """From a VM that was built to the current generation."""
    line = task.line
    if line.customize is not None:
        draft.steps += [Seal(line=line), Convert(line=line)]
    if line.prove is not None:
        draft.steps.append(proof_step(task, line.prove))
    draft.steps.append(Publish(line=line))
    current = task.survey.lines[line.key].current
    if current is not None:
        draft.before.update(generation_view(current))
    draft.after.update(
        {**identity_view(identity), "name": line.name, "state": State.CURRENT.value, "reasons": list(reasons)}
    )


def proof_step(task: Task, wish: ProofWish, generation: Generation | None = None) -> Prove:
    """The proof of a generation, or of the one that the plan builds."""
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


def _generation_id(task: Task, source: ResolvedImage) -> str:
    """The time of this run, or the generation of which other nodes have the same build: it is the same generation.

    It is none that is there already, whatever other clocks have said: by that other runs tell new builds from old ones.
    """
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
    seconds = (task.run.now + timedelta(seconds=number) for number in count())
    return next(stamp for moment in seconds if (stamp := moment.strftime("%Y%m%d%H%M%S")) not in used)


def _new_identity(task: Task, source: ResolvedImage, vmid: int) -> Identity:
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
        bake=line.bake.version if line.bake is not None else "",
    )
