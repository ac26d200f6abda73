# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From many lines to one plan and back: what the door C(vm_template_fleet) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.scheduler import Limits
from .._images.http import RequestsHttp
from .._model.template import TemplateLine
from .._plan.fleet import summarise
from .._plan.plan import OptionProblems, Plan
from .image_options import image_options
from .resolving import Found, Wanted, read_and_resolve
from .run import Door, run
from .template_door import apply_wanted, plan_found, require_for, wanted_from
from .template_options import desired_line
from .template_spec import line_options

WHOLE = ("catalog_files", "signature", "keyring", "allow_eol", "allow_unverified", "download_dir")
"""Options that hold for the fleet as a whole: whom to believe, and where to work."""


def fleet_options() -> dict[str, dict[str, t.Any]]:
    """A list of lines, and what holds for all of them."""
    own = {name: spec for name, spec in line_options().items() if name not in ("node", *WHOLE)}
    whole = {name: spec for name, spec in image_options().items() if name in WHOLE}
    return {
        "lines": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {"nodes": {"type": "list", "elements": "str"}, "storages": {"type": "dict"}, **own},
        },
        "nodes": {"type": "list", "elements": "str", "default": []},
        **whole,
        "keep": {"type": "int", "default": 2},
        "max_deletions": {"type": "int", "default": 5},
        "workers": {"type": "int", "default": 8},
        "per_storage": {"type": "int", "default": 2},
        "per_node": {"type": "int", "default": 4},
    }


def run_vm_template_fleet(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_fleet) through."""
    require_for(module, module.params["lines"])
    http = RequestsHttp()
    door: Door[Wanted, Found] = Door(
        desired=lambda params: desired_fleet(params, Path(module.tmpdir)),
        read=lambda client, wanted: read_and_resolve(client, wanted, http),
        plan=plan_found,
        apply=lambda client, wanted, plan: apply_wanted(client, wanted, plan, http),
        result=_summary,
        partial=True,
    )
    run(module, door)


def desired_fleet(params: Mapping[str, t.Any], tmpdir: Path) -> Wanted:
    """Every line on every one of its nodes. Raises OptionProblems with what is wrong with any of them."""
    problems: list[str] = []
    lines: list[TemplateLine] = []
    for number, given in enumerate(params["lines"]):
        nodes = given["nodes"] if given["nodes"] is not None else params["nodes"]
        if not nodes:
            problems.append(f"lines[{number}].nodes=[]: name the nodes that get line {given['line']}, here or in nodes")
        for node in nodes:
            try:
                lines.append(desired_line(_on_node(params, given, node)))
            except OptionProblems as found:
                problems += [f"lines[{number}].{text}" for text in found.problems]
                break
    problems += [
        f"lines: {line.line} is declared twice for node {line.place.node}. Keep one of them"
        for position, line in enumerate(lines)
        if line.key in {other.key for other in lines[:position]}
    ]
    for option in ("workers", "per_storage", "per_node"):
        if params[option] < 1:
            problems.append(f"{option}={params[option]}: it must be 1 at least")
    if problems:
        raise OptionProblems(tuple(problems))
    limits = Limits(workers=params["workers"], per_storage=params["per_storage"], per_node=params["per_node"])
    return wanted_from(params, lines, tmpdir, limits)


def _on_node(params: Mapping[str, t.Any], given: Mapping[str, t.Any], node: str) -> dict[str, t.Any]:
    """The options of one line on one node, as C(vm_template) takes them."""
    storages = given["storages"] or {}
    own = {name: value for name, value in given.items() if name not in ("nodes", "storages")}
    whole = {name: params[name] for name in WHOLE}
    keep = params["keep"] if given["keep"] is None else given["keep"]
    return {**own, **whole, "node": node, "storage": storages.get(node, given["storage"]), "keep": keep}


def _summary(plan: Plan, result: Mapping[str, t.Any], failed: tuple[str, ...]) -> dict[str, t.Any]:
    return {"templates": list(result["templates"].values()), "summary": summarise(plan, failed)}
