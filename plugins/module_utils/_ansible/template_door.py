# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to a template and back: what the door C(vm_template) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import Outcome
from .._apply.scheduler import Limits
from .._images.http import RequestsHttp
from .._model.template import TemplateLine
from .._plan.making import Run
from .._plan.plan import Plan
from .._plan.template import plan_templates
from .._pve.client import Client
from .deps import CUSTOMIZE, require_libraries
from .image_options import trust_from
from .progress import progress_from
from .resolving import Found, Wanted, read_and_resolve
from .run import Door, run
from .run_id import run_id
from .template_options import desired_line

BUILDER = "homelab.proxmox 0.1.0"
MARGIN = 60
"""Seconds after its own time-out until another run may take an unfinished build over."""


def run_vm_template(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template) through."""
    require_for(module, [module.params])
    http = RequestsHttp()
    door: Door[Wanted, Found] = Door(
        desired=lambda params: wanted_from(params, [desired_line(params)], Path(module.tmpdir)),
        read=lambda client, wanted: read_and_resolve(client, wanted, http),
        plan=plan_found,
        apply=lambda client, wanted, plan: apply_wanted(client, wanted, plan, http),
        result=_single,
    )
    run(module, door)


def require_for(module: AnsibleModule, lines: Sequence[Mapping[str, t.Any]]) -> None:
    """End the module where lines are customised and a library for that is missing."""
    if any(line.get("customize") or line.get("bake_version") for line in lines):
        require_libraries(module, CUSTOMIZE)


def wanted_from(
    params: Mapping[str, t.Any], lines: Sequence[TemplateLine], tmpdir: Path, limits: Limits | None = None
) -> Wanted:
    directory = params["download_dir"]
    return Wanted(
        lines=tuple(lines),
        trust=trust_from(params),
        directory=Path(directory) if directory else tmpdir,
        seconds=int(params["timeout"] or 1800) + MARGIN,
        max_deletions=params["max_deletions"],
        limits=limits,
        progress=progress_from(params),
    )


def plan_found(wanted: Wanted, found: Found) -> Plan:
    run = Run(
        id=run_id(),
        now=found.now,
        builder=BUILDER,
        seconds=wanted.seconds,
        max_deletions=wanted.max_deletions,
    )
    return plan_templates(found.lines, found.survey, found.sources, run, found.notes)


def apply_wanted(client: Client, wanted: Wanted, plan: Plan, http: RequestsHttp) -> Outcome:
    # The executor is loaded with the first plan that needs one: most runs change nothing.
    from .._apply.templates import apply_templates  # noqa: PLC0415
    from .sources import fetcher  # noqa: PLC0415

    fetch = fetcher(wanted.directory, wanted.trust, http)
    return apply_templates(client, plan, fetch, wanted.limits, wanted.progress)


def _single(_plan: Plan, result: Mapping[str, t.Any], _failed: tuple[str, ...]) -> dict[str, t.Any]:
    """The one line that C(vm_template) was asked for."""
    (template,) = result["templates"].values()
    return {"template": template}
