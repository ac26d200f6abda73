# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_power) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.module_utils.basic import AnsibleModule

from .._apply.power import apply_power
from .._plan.plan import OptionProblems
from .._plan.power import ACTIONS, PowerActual, PowerWish, plan_power
from .._pve.client import Client
from .._read.cluster import read_permissions
from .._read.guest_states import read_chosen, read_states, rows_of
from .run import Door, run


def power_options() -> dict[str, dict[str, t.Any]]:
    """Which guests, and what is done with them."""
    return {
        "guests": {"type": "list", "elements": "str", "required": True},
        "action": {"type": "str", "required": True, "choices": list(ACTIONS)},
        "force": {"type": "bool", "default": False},
        "guest_timeout": {"type": "int", "default": 180},
        "containers": {"type": "bool", "default": False},
        "workers": {"type": "int", "default": 8},
    }


def run_vm_power(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_power) through."""
    door: Door[PowerWish, PowerActual] = Door(
        desired=_wish,
        read=_read,
        plan=plan_power,
        apply=lambda client, wish, plan: apply_power(client, plan, wish.workers),
        result=lambda _plan, found, _failed: {"guests": list(found.get("guests", {}).values())},
    )
    run(module, door)


def _wish(params: Mapping[str, t.Any]) -> PowerWish:
    problems = guest_problems(params["guests"])
    if params["guest_timeout"] < 1:
        problems.append(f"guest_timeout={params['guest_timeout']}: give 1 second or more")
    if params["workers"] < 1:
        problems.append(f"workers={params['workers']}: it must be 1 at least")
    if params["force"] and params["action"] not in ("shutdown", "reboot"):
        problems.append(
            f"force=True: action={params['action']!r} asks no guest to end by itself. Leave force out, or use "
            "action='shutdown' or action='reboot'"
        )
    if problems:
        raise OptionProblems(tuple(problems))
    return PowerWish(
        guests=tuple(params["guests"]),
        action=params["action"],
        force=params["force"],
        patience=params["guest_timeout"],
        containers=params["containers"],
        workers=params["workers"],
    )


def guest_problems(guests: t.Sequence[str]) -> list[str]:
    """What is wrong with a list of guests by itself."""
    if not guests:
        return ["guests=[]: name at least one guest, by name or VMID"]
    return [f"guests[{number}]='': give a name or a VMID" for number, one in enumerate(guests) if not one.strip()]


def _read(client: Client, wish: PowerWish) -> PowerActual:
    cluster, choices = read_chosen(client, wish.guests)
    rows = [row for row in rows_of(cluster, choices) if wish.containers or row.type == "qemu"]
    return PowerActual(
        cluster=cluster,
        choices=choices,
        states=read_states(client, rows),
        permissions=read_permissions(client),
        auth_id=client.identity,
    )
