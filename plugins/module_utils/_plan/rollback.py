# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling a line back: the previous generation is published again, and the one that was current is withdrawn.

What was withdrawn stays, and tells further runs not to build the same again from the same image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._model.identity import State
from .._model.template import Generation, TemplateLine
from .plan import Plan, Refusal, Step
from .privileges import Call, Permissions, missing
from .steps import Publish, Retire
from .views import generation_view


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackWish:
    """C(nodes) empty means every node that has the line; C(generation) None the one before the current one."""

    line: str
    nodes: tuple[str, ...]
    generation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackActual:
    """The line's generations by node, newest first, each with what C(as_line) makes of it."""

    generations: Mapping[str, Sequence[Generation]]
    offline: tuple[str, ...]
    """Nodes that cannot be seen and hold VMs of this line."""
    permissions: Mapping[str, Mapping[str, int]]
    auth_id: str
    now: str


def plan_rollback(wish: RollbackWish, actual: RollbackActual, as_line: Mapping[str, TemplateLine]) -> Plan:
    """Every node or none: one line is one template. C(as_line) is the line as it stands, by node."""
    refusals = list(_whole(wish, actual))
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    tracks: list[tuple[str, tuple[Step, ...]]] = []
    results: dict[str, Any] = {}
    for node in wish.nodes or tuple(sorted(actual.generations)):
        found = actual.generations.get(node, ())
        current = _current(found)
        target = _target(found, current, wish.generation)
        if target is None or current is None:
            refusals.append(_no_target(wish, node, found, current))
            continue
        line = as_line[node]
        results[line.key] = _result(line, current, found)
        if target is current:
            continue
        refusals += _privileges(line, actual, (target, current))
        former = tuple(
            Retire(line=line, generation=one, withdrawn=actual.now)
            for one in found
            if one.state is State.CURRENT and one is not target and not one.incomplete
        )
        tracks.append((line.key, (Publish(line=line, generation=target), *former)))
        before[line.key] = {**generation_view(current), "withdrawn": None}
        after[line.key] = {
            **generation_view(target),
            "name": line.name,
            "state": State.CURRENT.value,
            "withdrawn": [step.generation.vmid for step in former],
        }
    if refusals:
        return Plan(refusals=tuple(refusals))
    steps = tuple(step for _key, track in tracks for step in track)
    return Plan(before=before, after=after, steps=steps, tracks=tuple(tracks), result={"templates": results})


def _current(found: Sequence[Generation]) -> Generation | None:
    return next((one for one in found if one.state is State.CURRENT and not one.incomplete), None)


def _target(found: Sequence[Generation], current: Generation | None, wanted: str | None) -> Generation | None:
    """The generation asked for, else the newest complete one before the current one that was not withdrawn itself."""
    complete = [one for one in found if not one.incomplete and one.state in (State.CURRENT, State.RETIRED)]
    if wanted is not None:
        return next((one for one in complete if one.identity.generation == wanted), None)
    if current is None:
        return None
    return next((one for one in complete if current.is_newer_than(one) and not one.identity.withdrawn), None)


def _whole(wish: RollbackWish, actual: RollbackActual) -> list[Refusal]:
    subject = f"line {wish.line}"
    if not actual.generations and not wish.nodes and not actual.offline:
        return [
            Refusal(
                subject=subject,
                option="line",
                value=wish.line,
                reason="there is no generation of it that these credentials may see",
                remedy="Look at all lines with the module vm_template_info",
            )
        ]
    return [
        Refusal(
            subject=subject,
            option="nodes",
            value=node,
            reason="the node is offline, and holds VMs of this line",
            remedy="Start it, or name the other nodes",
        )
        for node in actual.offline
        if not wish.nodes or node in wish.nodes
    ]


def _no_target(wish: RollbackWish, node: str, found: Sequence[Generation], current: Generation | None) -> Refusal:
    there = ", ".join(one.identity.generation for one in found if not one.incomplete) or "none"
    subject = f"line {wish.line} on node {node}"
    if current is None:
        return Refusal(
            subject=subject,
            option="line",
            value=wish.line,
            reason="it has no current generation there",
            remedy=f"Build it first; generations there: {there}",
        )
    if wish.generation is not None:
        return Refusal(
            subject=subject,
            option="generation",
            value=wish.generation,
            reason="there is no complete generation of that name",
            remedy=f"Name one of: {there}",
        )
    return Refusal(
        subject=subject,
        option="line",
        value=wish.line,
        reason=f"there is no generation before the current one, VM {current.vmid}",
        remedy=f"Generations there: {there}. Keep two or more (keep) to be able to go back",
    )


def _privileges(line: TemplateLine, actual: RollbackActual, generations: Sequence[Generation]) -> list[Refusal]:
    place = line.place
    calls = [Call(name="config", node=place.node, pool=one.row.pool or "", vmid=one.vmid) for one in generations]
    gaps = missing(Permissions(actual.permissions), calls, pve_major=8, auth_id=actual.auth_id)
    return [
        Refusal(
            subject=line.subject,
            option="api_token_id" if "!" in actual.auth_id else "api_user",
            value=actual.auth_id,
            reason=f"it lacks {gap.privilege} on {gap.path}, needed for {gap.needed_for}",
            remedy=f"Run on a node: {gap.pveum}",
        )
        for gap in gaps
    ]


def _result(line: TemplateLine, current: Generation, found: Sequence[Generation]) -> dict[str, Any]:
    return {
        "line": line.line,
        "node": line.place.node,
        "current": generation_view(current),
        "retired": sorted(one.vmid for one in found if one is not current and not one.incomplete),
        "unfinished": [],
        "foreign": [],
    }
