# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_template_rollback) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule

from .._apply.images import Local
from .._apply.outcome import Outcome
from .._apply.scheduler import Limits
from .._apply.templates import apply_templates
from .._apply.watching import OnBytes
from .._model.cluster import Cluster
from .._model.identity import Role
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
        plan=lambda wish, actual: plan_rollback(wish, actual, as_lines(wish.line, actual.generations)),
        apply=lambda client, _wish, plan: _apply(client, plan),
        result=lambda _plan, found, _failed: {"templates": list(found.get("templates", {}).values())},
    )
    run(module, door)


def _wish(params: Mapping[str, t.Any]) -> RollbackWish:
    nodes = tuple(dict.fromkeys(params["nodes"]))
    return RollbackWish(line=params["line"], nodes=nodes, generation=params["generation"])


def _read(client: Client, wish: RollbackWish) -> RollbackActual:
    generations, offline = generations_of(client, read_cluster(client), wish.line)
    return RollbackActual(
        generations=generations,
        offline=offline,
        permissions=read_permissions(client),
        auth_id=client.identity,
        now=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def generations_of(
    client: Client, cluster: Cluster, line: str
) -> tuple[Mapping[str, Sequence[Generation]], tuple[str, ...]]:
    """The line's generations by node, newest first; and the nodes that are offline and hold VMs of it."""
    found, unknown = read_lines(client, cluster, line=line)
    by_node: dict[str, list[Generation]] = {}
    for one in found:
        ours = not isinstance(one, ForeignVm) and one.identity.role is Role.TEMPLATE
        if ours and not isinstance(one, ForeignVm) and one.identity.line == line:
            by_node.setdefault(one.row.node, []).append(one)
    return by_node, tuple(sorted({row.node for row in unknown}))


def as_lines(line: str, generations: Mapping[str, Sequence[Generation]]) -> dict[str, TemplateLine]:
    """The line as it stands on each node: nothing is declared but the name, which goes from one to the other."""
    return {
        node: TemplateLine(
            line=line,
            name=next((one.config.name for one in found if one.state == "current" and one.config.name), line),
            image=placeholder(line),
            place=Placement(
                node=node,
                storage=next(
                    (disk.storage for one in found for disk in one.config.disks().values() if disk.storage), ""
                )
                or "",
                image_storage="",
                cloudinit_storage="",
                pool=next((one.row.pool for one in found if one.row.pool), "") or "",
            ),
        )
        for node, found in generations.items()
    }


def _apply(client: Client, plan: Plan) -> Outcome:
    return apply_templates(client, plan, no_image, Limits())


def no_image(source: ResolvedImage, _image: CloudImage, _told: OnBytes) -> Local:
    raise TypeError(f"a rollback fetches no image, and was to fetch {source.url}")
