# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving a generation that exists: which one on which node, and the step that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._model.identity import State
from .._model.proof import ProofWish
from .._model.template import Generation, TemplateLine
from .plan import Plan, Refusal, Step
from .steps import Prove
from .views import generation_view


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveWish:
    """C(nodes) empty means every node that has the line; C(generation) None the current one."""

    line: str
    nodes: tuple[str, ...]
    generation: str | None
    proof: ProofWish


def plan_prove(
    wish: ProveWish,
    generations: Mapping[str, Sequence[Generation]],
    as_line: Mapping[str, TemplateLine],
    taken: frozenset[int],
    owner: tuple[str, str],
) -> Plan:
    """One proof for each node. Nodes that cannot be proved refuse the whole."""
    refusals: list[Refusal] = []
    tracks: list[tuple[str, tuple[Step, ...]]] = []
    results: dict[str, Any] = {}
    if not generations and not wish.nodes:
        refusals.append(_missing(wish, f"line {wish.line}", "none"))
    for node in wish.nodes or tuple(sorted(generations)):
        found = [one for one in generations.get(node, ()) if not one.incomplete]
        chosen = _chosen(found, wish.generation)
        if chosen is None:
            there = ", ".join(one.identity.generation for one in found) or "none"
            refusals.append(_missing(wish, f"line {wish.line} on node {node}", there))
            continue
        line = as_line[node]
        step = Prove(line=line, wish=wish.proof, taken=taken, owner=owner, generation=chosen, record=True)
        tracks.append((line.key, (step,)))
        results[line.key] = {
            "line": line.line,
            "node": node,
            "current": generation_view(chosen),
            "retired": [],
            "unfinished": [],
            "foreign": [],
        }
    if refusals:
        return Plan(refusals=tuple(refusals))
    return Plan(
        before={key: {"proof": _said(step)} for key, (step,) in tracks},
        after={key: {"proof": "<anew>"} for key, _steps in tracks},
        steps=tuple(step for _key, steps in tracks for step in steps),
        tracks=tuple(tracks),
        result={"templates": results},
    )


def _said(step: Step) -> str | None:
    return step.generation.identity.proof or None if isinstance(step, Prove) and step.generation else None


def _chosen(found: Sequence[Generation], wanted: str | None) -> Generation | None:
    if wanted is not None:
        return next((one for one in found if one.identity.generation == wanted), None)
    return next((one for one in found if one.state is State.CURRENT), None)


def _missing(wish: ProveWish, subject: str, there: str) -> Refusal:
    named = wish.generation is not None
    return Refusal(
        subject=subject,
        option="generation" if named else "line",
        value=wish.generation if named else wish.line,
        reason="there is no such complete generation" if named else "it has no current generation",
        remedy=f"Generations there: {there}",
    )
