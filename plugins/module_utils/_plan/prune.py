# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of what goes: templates that are proven ours and that no declared line names any more.

What a declared line has on its declared nodes is the fleet's business and is never touched here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._model.cluster import GuestRow
from .._model.identity import State
from .._model.prune import Named, PruneSurvey
from .._model.template import Generation, TemplateLine, Unfinished
from .decide import deadline_passed
from .plan import Plan, Refusal, Step
from .privilege_table import NEEDS
from .privileges import Call, Permissions, missing
from .prune_images import ImagePlan, plan_images
from .steps import Destroy, RemoveImage
from .views import generation_view


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneWish:
    """What stays, and how much may go. C(images): stored image files go as well.

    C(lines) are the declared ones that are not absent, C(image_ids) the ids of the catalogue.
    """

    lines: tuple[TemplateLine, ...]
    images: bool = False
    image_ids: frozenset[str] = frozenset()
    max_deletions: int = 5
    max_image_deletions: int = 10

    @property
    def named(self) -> Named:
        return Named(frozenset((line.line, line.place.node) for line in self.lines))


@dataclass(slots=True)
class _Draft:
    """Grows while planning."""

    before: dict[str, Any] = field(default_factory=dict)
    destroyed: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    doomed: list[Destroy] = field(default_factory=list)

    def destroy(self, generation: Generation, reason: str) -> None:
        view = {"line": generation.identity.line, "node": generation.row.node, **generation_view(generation)}
        self.before[f"vm {generation.vmid}"] = view
        self.destroyed.append({**view, "reason": reason})
        self.doomed.append(Destroy(generation=generation, reason=reason))

    def keep(self, generation: Generation, reason: str) -> None:
        self.kept.append({"line": generation.identity.line, **_about(generation.row), "reason": reason})


def plan_prune(wish: PruneWish, survey: PruneSurvey, now: datetime) -> Plan:
    """Everything that goes, what stays in spite of it and why, and what is not ours or cannot be known."""
    draft = _Draft()
    _plan_generations(wish, survey, draft)
    _plan_unfinished(wish, survey, now, draft)
    images = _plan_images(wish, survey, draft)
    foreign = [one for one in survey.foreign if not wish.named.covers(one.row)]
    unknown = [row for row in survey.unknown if not wish.named.covers(row)]
    result = {
        "destroyed": draft.destroyed,
        "removed_images": images.removed,
        "kept": draft.kept,
        "kept_images": images.kept,
        "foreign": [{**_about(one.row), "reason": one.reason} for one in foreign],
        "unknown": [{**_about(row), "reason": "its node is offline"} for row in unknown],
    }
    notes = (*_silence(unknown, wish, survey), *_foreign_notes(result["foreign"]))
    steps: tuple[Step, ...] = (*draft.doomed, *images.steps)
    refusals = (
        *_node_refusals(wish, survey),
        *_brakes(wish, draft.doomed, images.steps),
        *_privilege_refusals(survey, draft.doomed, images.steps),
    )
    if refusals:
        return Plan(refusals=refusals, notes=notes, result={**result, "destroyed": [], "removed_images": []})
    before = {**draft.before, **images.before}
    return Plan(
        before=before,
        after=dict.fromkeys(before),
        steps=steps,
        notes=notes,
        result=result,
        tracks=tuple((_subject(step), (step,)) for step in steps),
    )


def confirmation(plan: Plan) -> str:
    """What is asked before anything goes: all of it in one message."""
    gone = [f"VM {one['vmid']} ({one['name']}) on {one['node']}: {one['reason']}" for one in plan.result["destroyed"]]
    gone += [f"{one['volid']} on {one['node']}" for one in plan.result["removed_images"]]
    return (
        f"confirm=False: {_count(len(plan.result['destroyed']), 'VM')} and "
        f"{_count(len(plan.result['removed_images']), 'stored image')} would go: {'; '.join(gone)}. "
        "Nothing was touched. Look at them, and set confirm to true if they shall go"
    )


def _plan_generations(wish: PruneWish, survey: PruneSurvey, draft: _Draft) -> None:
    named = wish.named
    beside = [one for one in _in_order(survey.generations) if not _is_named(named, one)]
    served = {
        one.identity.line
        for one in survey.generations
        if one.state is State.CURRENT and named.has(one.identity.line, one.row.node)
    }
    for generation in beside:
        line, nodes = generation.identity.line, named.nodes_of(generation.identity.line)
        stays = _hanging(generation, survey) or _forbids(generation)
        if stays:
            draft.keep(generation, stays)
        elif nodes and generation.state is State.CURRENT and line not in served:
            # Published before anything is deleted: until then this is all there is of the line.
            draft.keep(generation, f"line {line} has no current generation on {', '.join(nodes)} yet")
        elif nodes:
            draft.destroy(generation, f"line {line} is not declared for {generation.row.node}")
        else:
            draft.destroy(generation, f"no line {line} is declared")
    for generation in _in_order(survey.broken):
        if not _is_named(named, generation):
            draft.keep(generation, f"it is no whole template any more ({', '.join(generation.incomplete)})")


def _hanging(generation: Generation, survey: PruneSurvey) -> str:
    clones = survey.dependants.get(generation.vmid)
    if clones is None:
        disks = generation.config.disks().values()
        storages = sorted({disk.storage for disk in disks if disk.is_base and disk.storage})
        return f"whether clones hang on it cannot be told: {', '.join(storages)} does not list it"
    return f"clones hang on it: {', '.join(str(vmid) for vmid in clones)}" if clones else ""


def _forbids(generation: Generation) -> str:
    """What in its own config forbids to destroy a VM, empty for nothing."""
    if generation.config.protection:
        return "it is protected"
    return f"it is locked ({generation.config.lock})" if generation.config.lock else ""


def _plan_unfinished(wish: PruneWish, survey: PruneSurvey, now: datetime, draft: _Draft) -> None:
    for left in sorted(survey.unfinished, key=lambda left: left.generation.vmid):
        generation = left.generation
        if _is_named(wish.named, generation):
            continue
        stays = _still_busy(left, now) or _forbids(generation)
        if stays:
            draft.keep(generation, stays)
        else:
            draft.destroy(generation, f"an unfinished build of line {generation.identity.line}, whose run is gone")


def _still_busy(left: Unfinished, now: datetime) -> str:
    """Why an unfinished build must be left to the run that makes it; the rule is that of the take-over."""
    identity = left.generation.identity
    if left.running_task:
        return f"run {identity.run} builds it, task {left.running_task} runs on it"
    if not (left.owner_gone or deadline_passed(left.generation, now)):
        return f"run {identity.run} may still build it, until {identity.deadline}"
    return "it is running" if left.generation.row.status == "running" else ""


def _plan_images(wish: PruneWish, survey: PruneSurvey, draft: _Draft) -> ImagePlan:
    """Files are in use by every generation that stays, whoever's business it is."""
    everything = [*survey.generations, *survey.broken, *(left.generation for left in survey.unfinished)]
    going = {step.generation.vmid for step in draft.doomed}
    staying = [one for one in everything if one.vmid not in going]
    unknown = sorted({row.node for row in survey.unknown})
    return plan_images(survey.images, wish.lines, wish.image_ids, staying=staying, known=everything, unknown=unknown)


def _is_named(named: Named, generation: Generation) -> bool:
    """By its block or by its tags: where the two differ, it is left alone."""
    return named.has(generation.identity.line, generation.row.node) or named.covers(generation.row)


def _in_order(generations: Sequence[Generation]) -> list[Generation]:
    return sorted(generations, key=lambda one: (one.identity.line, one.row.node, one.identity.generation, one.vmid))


def _about(row: GuestRow) -> dict[str, Any]:
    return {"vmid": row.vmid, "name": row.name, "node": row.node}


def _subject(step: Step) -> str:
    match step:
        case Destroy():
            return f"VM {step.generation.vmid} on {step.generation.row.node}"
        case RemoveImage():
            return f"{step.volid} on {step.node}"
    raise TypeError(f"no subject of {step!r}")


def _silence(unknown: Sequence[GuestRow], wish: PruneWish, survey: PruneSurvey) -> Iterator[str]:
    """Notes on nodes and storages that do not answer."""
    offline = {node for node, row in survey.cluster.nodes.items() if not row.online}
    for node in sorted({row.node for row in unknown} | (offline if wish.images else set())):
        yield f"node {node} is offline: what is on it cannot be known, and stays"
    for (node, storage), row in sorted(survey.cluster.storages.items()):
        if wish.images and "import" in row.content and not row.available and node not in offline:
            yield f"storage {storage} on {node} is not available: its images stay"


def _foreign_notes(foreign: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in foreign:
        yield f"VM {one['vmid']} ({one['name']}) on {one['node']} is left alone: {one['reason']}"


def _node_refusals(wish: PruneWish, survey: PruneSurvey) -> Iterator[Refusal]:
    """A node that is misspelt must not cost the right one its templates."""
    known = ", ".join(sorted(survey.cluster.nodes)) or "none"
    for node in sorted({line.place.node for line in wish.lines} - set(survey.cluster.nodes)):
        lines = sorted(line.line for line in wish.lines if line.place.node == node)
        yield Refusal(
            subject=f"line {', '.join(lines)}",
            option="nodes",
            value=node,
            reason="the cluster has no such node",
            remedy=f"Name one of: {known}",
        )


def _brakes(wish: PruneWish, doomed: Sequence[Destroy], images: Sequence[RemoveImage]) -> Iterator[Refusal]:
    for option, limit, what, names in (
        ("max_deletions", wish.max_deletions, "VM", [str(step.generation.vmid) for step in doomed]),
        ("max_image_deletions", wish.max_image_deletions, "stored image", [step.volid for step in images]),
    ):
        if len(names) > limit:
            yield Refusal(
                subject="the plan",
                option=option,
                value=limit,
                reason=f"{_count(len(names), what)} would go ({', '.join(names)})",
                remedy=f"Look at them, and set {option} to {len(names)} if they shall go",
            )


def _privilege_refusals(
    survey: PruneSurvey, doomed: Sequence[Destroy], images: Sequence[RemoveImage]
) -> Iterator[Refusal]:
    who = "api_token_id" if "!" in survey.auth_id else "api_user"
    if not any("VM.Audit" in granted for granted in survey.permissions.values()):
        yield Refusal(
            subject="the plan",
            option=who,
            value=survey.auth_id,
            reason="these credentials are not allowed to see guests, so nobody can tell what is there",
            remedy="Grant VM.Audit on the pool of the templates, or on /vms",
        )
    rows = [step.generation.row for step in doomed]
    calls = [Call(name="destroy", node=row.node, vmid=row.vmid, pool=row.pool) for row in rows]
    calls += [Call(name="image_delete", node=step.node, storage=step.storage) for step in images]
    # Both calls ask for the same in every version.
    gaps = missing(Permissions(survey.permissions), calls, pve_major=max(NEEDS), auth_id=survey.auth_id)
    for gap in gaps:
        yield Refusal(
            subject="the plan",
            option=who,
            value=survey.auth_id,
            reason=f"it lacks {gap.privilege} on {gap.path}, needed for {gap.needed_for}",
            remedy=f"Run on a node: {gap.pveum}",
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
