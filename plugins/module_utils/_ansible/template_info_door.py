# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a question to the generations of lines: what the door C(vm_template_info) is made of."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule

from .._images.http import RequestsHttp
from .._model.identity import State
from .._model.stock import Stock, current_of, key_of, previous_of
from .._model.template import Generation
from .._plan.plan import Plan
from .._plan.views import generation_view
from .image_options import image_options
from .run import Door, run
from .stock import GATHER, TRUST, Question, question_from, read_stock

USABLE = frozenset({State.CURRENT, State.RETIRED})


def info_options() -> dict[str, dict[str, t.Any]]:
    """Which lines, what to gather, and whom to believe about images."""
    return {
        "line": {"type": "str"},
        "node": {"type": "str"},
        "gather": {"type": "list", "elements": "str", "choices": list(GATHER), "default": []},
        **{name: spec for name, spec in image_options().items() if name in TRUST},
    }


def run_vm_template_info(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_info) through."""
    http = RequestsHttp()
    door: Door[Question, Stock] = Door(
        desired=lambda params: question_from(params, line=params["line"], node=params["node"]),
        read=lambda client, question: read_stock(client, question, http),
        plan=lambda _question, stock: describe_stock(stock),
    )
    run(module, door)


def describe_stock(stock: Stock) -> Plan:
    """Nothing to do, and what is there as the result."""
    offline = sorted({row.node for row in stock.unknown})
    notes = [f"node {node} is offline: what the VMs on it are cannot be known" for node in offline]
    lines = stock.by_line()
    current = {generation.vmid for found in lines.values() if (generation := current_of(found))}
    result = {
        "templates": [_generation(stock, one, is_current=one.vmid in current) for one in stock.generations],
        "lines": [_line(found) for found in lines.values()],
        "foreign": [
            {"vmid": one.row.vmid, "name": one.row.name, "node": one.row.node, "reason": one.reason}
            for one in stock.foreign
        ],
        "unknown": [
            {"vmid": row.vmid, "name": row.name, "node": row.node, "reason": "its node is offline"}
            for row in stock.unknown
        ],
    }
    return Plan(result=result, notes=(*notes, *stock.problems))


def _generation(stock: Stock, generation: Generation, *, is_current: bool) -> dict[str, t.Any]:
    identity = generation.identity
    vendor = (stock.vendors or {}).get(key_of(generation)) if is_current else None
    clones = (stock.clones or {}).get(generation.vmid)
    return {
        "line": identity.line,
        "node": generation.row.node,
        **generation_view(generation),
        "build": identity.source_build or None,
        "url": identity.url or None,
        "complete": not generation.incomplete,
        "usable": not generation.incomplete and generation.state in USABLE,
        "problems": list(generation.incomplete),
        "proof": identity.proof or None,
        "bake": identity.bake or None,
        "waiting": {"run": identity.run, "deadline": identity.deadline} if identity.paused else None,
        "pool": generation.row.pool or None,
        "tags": sorted(generation.config.tags.as_set()),
        "age_days": _age_days(identity.built),
        "vendor": None
        if vendor is None
        else {
            "build": vendor.build or None,
            "digest": vendor.digest or None,
            "url": vendor.url or None,
            "newer": vendor.newer,
            "problem": vendor.problem or None,
        },
        "clones": None if clones is None else list(clones),
        "size": (stock.sizes or {}).get(generation.vmid),
    }


def _line(generations: list[Generation]) -> dict[str, t.Any]:
    current, previous = current_of(generations), previous_of(generations)
    return {
        "line": generations[0].identity.line,
        "node": generations[0].row.node,
        "current": current.vmid if current else None,
        "previous": previous.vmid if previous else None,
        "newest": generations[0].vmid,
        "generations": len(generations),
    }


def _age_days(built: str) -> int | None:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(built)).days
    except ValueError:
        return None
