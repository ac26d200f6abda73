# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_template_rollback) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule

from .._apply.images import Local
from .._apply.outcome import Outcome
from .._apply.scheduler import Limits
from .._apply.templates import apply_templates
from .._apply.watching import OnBytes
from .._model.image import CloudImage, ResolvedImage
from .._model.template import ForeignVm, Generation, Placement, TemplateLine
from .._plan.plan import Plan
from .._plan.rollback import RollbackActual, RollbackWish, plan_rollback
from .._pve.client import Client
from .._read.cluster import read_cluster, read_permissions
from .._read.templates import read_lines
from .run import Door, run
from .template_options import placeholder


def rollback_options() -> dict[str, dict[str, t.Any]]:
    """Which line, where, and to what."""
    return {
        "line": {"type": "str", "required": True},
        "nodes": {"type": "list", "elements": "str", "default": []},
        "generation": {"type": "str"},
    }


def run_vm_template_rollback(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_rollback) through."""
    door: Door[RollbackWish, RollbackActual] = Door(
        desired=_wish,
        read=_read,
        plan=lambda wish, actual: plan_rollback(wish, actual, _as_lines(wish, actual)),
        apply=lambda client, _wish, plan: _apply(client, plan),
        result=lambda _plan, found, _failed: {"templates": list(found.get("templates", {}).values())},
    )
    run(module, door)


def _wish(params: Mapping[str, t.Any]) -> RollbackWish:
    nodes = tuple(dict.fromkeys(params["nodes"]))
    return RollbackWish(line=params["line"], nodes=nodes, generation=params["generation"])


def _read(client: Client, wish: RollbackWish) -> RollbackActual:
    found, unknown = read_lines(client, read_cluster(client), line=wish.line)
    by_node: dict[str, list[Generation]] = {}
    for one in found:
        if not isinstance(one, ForeignVm) and one.identity.line == wish.line:
            by_node.setdefault(one.row.node, []).append(one)
    return RollbackActual(
        generations=by_node,
        offline=tuple(sorted({row.node for row in unknown})),
        permissions=read_permissions(client),
        auth_id=client.identity,
        now=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _as_lines(wish: RollbackWish, actual: RollbackActual) -> dict[str, TemplateLine]:
    """The line as it stands on each node: nothing is declared but the name, which goes from one to the other."""
    return {
        node: TemplateLine(
            line=wish.line,
            name=next((one.config.name for one in found if one.state == "current" and one.config.name), wish.line),
            image=placeholder(wish.line),
            place=Placement(node=node, storage="", image_storage="", cloudinit_storage=""),
        )
        for node, found in actual.generations.items()
    }


def _apply(client: Client, plan: Plan) -> Outcome:
    return apply_templates(client, plan, _no_image, Limits())


def _no_image(source: ResolvedImage, _image: CloudImage, _told: OnBytes) -> Local:
    raise TypeError(f"a rollback fetches no image, and was to fetch {source.url}")
