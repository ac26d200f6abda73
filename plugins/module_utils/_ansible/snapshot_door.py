# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors C(vm_snapshot) and C(vm_snapshot_rollback) are made of."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import Outcome
from .._apply.snapshot import apply_snapshots
from .._model.snapshot import Snapshots, name_problem
from .._model.vm_config import normal_description
from .._plan import snapshot_rollback
from .._plan.plan import OptionProblems, Plan
from .._plan.snapshot import SnapshotActual, SnapshotWish, confirmation, plan_snapshot
from .._plan.snapshot_rollback import RollbackToWish, plan_snapshot_rollback
from .._pve.client import Client
from .._read.cluster import read_permissions
from .._read.guest_states import read_chosen, rows_of
from .._read.snapshots import read_snapshots
from .power_door import guest_problems
from .run import Door, run

_MAX_DESCRIPTION = 8192


def snapshot_options() -> dict[str, dict[str, t.Any]]:
    """Which VMs, which snapshot, and how many stay."""
    return {
        "guests": {"type": "list", "elements": "str", "required": True},
        "name": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "description": {"type": "str"},
        "vmstate": {"type": "bool", "default": False},
        "keep": {"type": "int"},
        "prefix": {"type": "str"},
        "confirm": {"type": "bool", "default": False},
        "workers": {"type": "int", "default": 4},
    }


def run_vm_snapshot(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_snapshot) through."""
    door: Door[SnapshotWish, SnapshotActual] = Door(
        desired=_wish,
        read=lambda client, wish: _read(client, wish.guests, wish.takes),
        plan=plan_snapshot,
        apply=_apply,
        result=_shape,
    )
    run(module, door)


def rollback_to_options() -> dict[str, dict[str, t.Any]]:
    """Which VMs, to which snapshot, and the user's word."""
    return {
        "guests": {"type": "list", "elements": "str", "required": True},
        "name": {"type": "str", "required": True},
        "start": {"type": "bool", "default": False},
        "confirm": {"type": "bool", "default": False},
        "workers": {"type": "int", "default": 4},
    }


def run_vm_snapshot_rollback(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_snapshot_rollback) through."""
    door: Door[RollbackToWish, SnapshotActual] = Door(
        desired=_rollback_wish,
        read=lambda client, wish: _read(client, wish.guests, lambda _found: False),
        plan=plan_snapshot_rollback,
        apply=_roll_back,
        result=_shape,
    )
    run(module, door)


def _shape(_plan: Plan, found: Mapping[str, t.Any], _failed: tuple[str, ...]) -> dict[str, t.Any]:
    return {"guests": list(found.get("guests", {}).values())}


def _wish(params: Mapping[str, t.Any]) -> SnapshotWish:
    problems = [*guest_problems(params["guests"]), *_common_problems(params)]
    name, absent, keep, prefix = params["name"], params["state"] == "absent", params["keep"], params["prefix"] or ""
    if name is None and (absent or keep is None):
        problems.append("name: it says which snapshot is meant. Only with keep it may be left out")
    problems += _keep_problems(keep, params["prefix"], absent)
    description = params["description"]
    if absent and (description is not None or params["vmstate"]):
        problems.append(
            "state='absent': description and vmstate say nothing of a snapshot that is to go. Leave them out"
        )
    if description is not None and len(description) > _MAX_DESCRIPTION:
        problems.append(f"description: it has {len(description)} characters; at most {_MAX_DESCRIPTION} are stored")
    if problems:
        raise OptionProblems(tuple(problems))
    return SnapshotWish(
        guests=tuple(params["guests"]),
        name=name,
        absent=absent,
        description=None if description is None else normal_description(description),
        memory=params["vmstate"],
        keep=keep,
        prefix=prefix,
        confirm=params["confirm"],
        workers=params["workers"],
    )


def _keep_problems(keep: int | None, prefix: str | None, absent: bool) -> list[str]:
    if keep is None:
        return [] if prefix is None else [f"prefix={prefix!r}: it belongs to keep, which is not given"]
    problems = []
    if absent:
        problems.append("keep: it goes with state='present'. To delete one snapshot, give its name alone")
    if keep < 1:
        problems.append(f"keep={keep}: give 1 or more")
    if not prefix:
        problems.append("prefix: keep counts the snapshots of one prefix, such as 'auto-'. Give it")
    elif not prefix[0].isalpha():
        problems.append(f"prefix={prefix!r}: names of snapshots begin with a letter")
    return problems


def _common_problems(params: Mapping[str, t.Any]) -> list[str]:
    problems = []
    name = params["name"]
    if name is not None and (problem := name_problem(name)):
        problems.append(f"name={name!r}: {problem}")
    if params["workers"] < 1:
        problems.append(f"workers={params['workers']}: it must be 1 at least")
    return problems


def _rollback_wish(params: Mapping[str, t.Any]) -> RollbackToWish:
    problems = [*guest_problems(params["guests"]), *_common_problems(params)]
    if problems:
        raise OptionProblems(tuple(problems))
    return RollbackToWish(
        guests=tuple(params["guests"]),
        name=params["name"],
        start=params["start"],
        confirm=params["confirm"],
        workers=params["workers"],
    )


def _read(client: Client, guests: Sequence[str], more: Callable[[Snapshots], bool]) -> SnapshotActual:
    cluster, choices = read_chosen(client, guests)
    rows = [row for row in rows_of(cluster, choices) if row.type == "qemu"]
    return SnapshotActual(
        cluster=cluster,
        choices=choices,
        found=read_snapshots(client, rows, more=more),
        permissions=read_permissions(client),
        auth_id=client.identity,
    )


def _apply(client: Client, wish: SnapshotWish, plan: Plan) -> Outcome:
    asked = "" if wish.confirm else confirmation(plan)
    if asked:
        raise OptionProblems((asked,))
    return apply_snapshots(client, plan, wish.workers)


def _roll_back(client: Client, wish: RollbackToWish, plan: Plan) -> Outcome:
    if not wish.confirm:
        raise OptionProblems((snapshot_rollback.confirmation(plan),))
    return apply_snapshots(client, plan, wish.workers)
