# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors share that act inside of one guest through its agent."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .._apply.guest_shell import Shell
from .._plan.guest_inside import Inside, can_look, may_look
from .._pve.client import Client, api_path
from .._read.cluster import read_permissions, read_version
from .._read.guest_states import read_chosen, read_state, rows_of


def guest_options() -> dict[str, dict[str, t.Any]]:
    """Which guest, and how long its agent is waited for."""
    return {
        "guest": {"type": "str", "required": True},
        "agent_timeout": {"type": "int", "default": 60},
    }


def guest_option_problems(params: Mapping[str, t.Any]) -> list[str]:
    """What is wrong with them by themselves."""
    problems = []
    if not params["guest"].strip():
        problems.append("guest='': give a name or a VMID")
    if params["agent_timeout"] < 0:
        problems.append(f"agent_timeout={params['agent_timeout']}: give 0 seconds or more")
    return problems


def read_inside(
    client: Client, guest: str, *, calls: Sequence[str], looks_at: Sequence[str], sums: bool, patience: int
) -> Inside:
    """The guest, and what is at some paths in it; it is looked into only where nothing stands against that."""
    cluster, choices = read_chosen(client, [guest])
    rows = [row for row in rows_of(cluster, choices) if row.type == "qemu"]
    inside = Inside(
        cluster=cluster,
        choices=choices,
        state=read_state(client, rows[0]) if rows else None,
        permissions=read_permissions(client),
        auth_id=client.identity,
        pve_major=int(read_version(client).partition(".")[0]),
    )
    state = inside.state
    if state is None or not can_look(state):
        return inside
    config = client.get(api_path("nodes", state.node, "qemu", state.vmid, "config"))
    inside = replace(inside, ostype=str(config.get("ostype") or ""))
    if not looks_at or not may_look(inside, calls):
        return inside
    return replace(inside, seen=Shell(client, state, patience).see(looks_at, sums=sums))
