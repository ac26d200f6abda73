# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the declared lines to what goes beside them: what the door C(vm_template_prune) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import Outcome
from .._apply.prune import apply_prune
from .._images.catalog import CatalogError, load_catalog
from .._model.prune import PruneSurvey
from .._model.template import TemplateLine
from .._plan.plan import OptionProblems, Plan
from .._plan.prune import PruneWish, confirmation, plan_prune
from .._pve.client import Client
from .._read.prune import survey_prune
from .fleet_door import desired_fleet, fleet_options
from .run import Door, run
from .run_id import is_gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What stays, and whether the user has said that the rest may go."""

    wish: PruneWish
    confirm: bool


def prune_options() -> dict[str, dict[str, t.Any]]:
    """The lines as C(vm_template_fleet) takes them, and what may go beside them."""
    fleet = fleet_options()
    return {
        **{name: fleet[name] for name in ("lines", "nodes", "catalog_files")},
        "allow_no_lines": {"type": "bool", "default": False},
        "images": {"type": "bool", "default": False},
        "max_deletions": {"type": "int", "default": 5},
        "max_image_deletions": {"type": "int", "default": 10},
        "confirm": {"type": "bool", "default": False},
    }


def run_vm_template_prune(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_prune) through."""
    door: Door[Wanted, PruneSurvey] = Door(
        desired=lambda params: desired_prune(params, Path(module.tmpdir)),
        read=lambda client, wanted: survey_prune(
            client, wanted.wish.named, images=wanted.wish.images, auth_id=client.identity, is_gone=is_gone
        ),
        plan=lambda wanted, survey: plan_prune(wanted.wish, survey, datetime.now(UTC)),
        apply=_apply,
    )
    run(module, door)


def desired_prune(params: Mapping[str, t.Any], tmpdir: Path) -> Wanted:
    """What stays. Raises OptionProblems with everything that is wrong."""
    problems: list[str] = []
    lines = [line for line in _lines(params, tmpdir, problems) if not line.absent]
    if not lines and not problems and not params["allow_no_lines"]:
        problems.append(
            "lines: they name nothing that stays, so every template of this collection would go. Name the lines that "
            "stay, or set allow_no_lines to true if that is meant"
        )
    for option in ("max_deletions", "max_image_deletions"):
        if params[option] < 0:
            problems.append(f"{option}={params[option]}: it must be 0 at least")
    image_ids: tuple[str, ...] = ()
    if params["images"]:
        try:
            image_ids = load_catalog([Path(path) for path in params["catalog_files"]]).ids()
        except CatalogError as error:
            problems.append(str(error))
    if problems:
        raise OptionProblems(tuple(dict.fromkeys(problems)))
    wish = PruneWish(
        lines=tuple(lines),
        images=params["images"],
        image_ids=frozenset(image_ids),
        max_deletions=params["max_deletions"],
        max_image_deletions=params["max_image_deletions"],
    )
    return Wanted(wish=wish, confirm=params["confirm"])


def _lines(params: Mapping[str, t.Any], tmpdir: Path, problems: list[str]) -> tuple[TemplateLine, ...]:
    """The lines as the fleet understands them. Nothing is built here, so no image is refused for its vendor's sake."""
    defaults = {name: option.get("default") for name, option in fleet_options().items()}
    try:
        return desired_fleet({**defaults, "allow_eol": True, "allow_unverified": True, **params}, tmpdir).lines
    except OptionProblems as found:
        problems += found.problems
        return ()


def _apply(client: Client, wanted: Wanted, plan: Plan) -> Outcome:
    if not wanted.confirm:
        raise OptionProblems((confirmation(plan),))
    return apply_prune(client, plan)
