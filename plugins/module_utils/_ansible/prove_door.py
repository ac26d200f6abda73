# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_template_prove) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import Outcome
from .._apply.progress import Progress
from .._apply.scheduler import Limits
from .._apply.templates import apply_templates
from .._model.template import Generation, TemplateLine
from .._plan.plan import OptionProblems, Plan
from .._plan.prove import ProveWish, plan_prove
from .._pve.client import Client
from .._read.cluster import read_cluster
from .progress import progress_from
from .proof_options import proof_from, proof_options
from .rollback_door import as_lines, generations_of, no_image
from .run import Door, run
from .run_id import run_id
from .template_door import MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What exists of the line, and what the proof's clones need."""

    generations: Mapping[str, Sequence[Generation]]
    as_line: Mapping[str, TemplateLine]
    taken: frozenset[int]
    owner: tuple[str, str]


def prove_options() -> dict[str, dict[str, t.Any]]:
    """Which line, where, and what has to hold."""
    return {
        "line": {"type": "str", "required": True},
        "nodes": {"type": "list", "elements": "str", "default": []},
        "generation": {"type": "str"},
        "prove": {"type": "dict", "apply_defaults": True, "options": proof_options()},
    }


def run_vm_template_prove(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_prove) through."""
    seconds = int(module.params["timeout"] or 1800) + MARGIN
    progress: Progress = progress_from(module.params)
    door: Door[ProveWish, Found] = Door(
        desired=_wish,
        read=lambda client, wish: _read(client, wish, seconds),
        plan=lambda wish, found: plan_prove(wish, found.generations, found.as_line, found.taken, found.owner),
        apply=lambda client, _wish, plan: _apply(client, plan, progress),
        result=lambda _plan, found, _failed: {"proofs": [_proof(one) for one in found.get("templates", {}).values()]},
    )
    run(module, door)


def _wish(params: Mapping[str, t.Any]) -> ProveWish:
    problems: list[str] = []
    proof = proof_from(params["prove"], problems)
    if problems or proof is None:
        raise OptionProblems(tuple(problems))
    return ProveWish(
        line=params["line"], nodes=tuple(dict.fromkeys(params["nodes"])), generation=params["generation"], proof=proof
    )


def _read(client: Client, wish: ProveWish, seconds: int) -> Found:
    cluster = read_cluster(client)
    generations, _offline = generations_of(client, cluster, wish.line)
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    return Found(
        generations=generations,
        as_line=as_lines(wish.line, generations),
        taken=frozenset(cluster.guests),
        owner=(run_id(), deadline.isoformat(timespec="seconds")),
    )


def _apply(client: Client, plan: Plan, progress: Progress) -> Outcome:
    return apply_templates(client, plan, no_image, Limits(), progress)


def _proof(found: Mapping[str, t.Any]) -> dict[str, t.Any]:
    current = found["current"]
    return {
        "line": found["line"],
        "node": found["node"],
        "vmid": current["vmid"],
        "generation": current["generation"],
        "proof": found.get("proof"),
    }
