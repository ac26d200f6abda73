# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold of a VM before anything can be done inside of it through its agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._model.cluster import Cluster
from .._model.guest_file import Seen
from .._model.guest_state import PAUSED, RUNNING, Choice, GuestState
from .chosen import choice_refusals, privilege_refusals, renamed
from .plan import Refusal
from .privileges import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """One VM that was named, and what a look into it found. C(state) is None where there is not one such VM."""

    cluster: Cluster
    choices: tuple[Choice, ...]
    state: GuestState | None
    permissions: Mapping[str, Mapping[str, int]]
    auth_id: str
    pve_major: int
    ostype: str = ""
    """What the config says of the guest's system."""
    seen: Mapping[str, Seen] = field(default_factory=dict)


def can_look(state: GuestState) -> bool:
    """Whether an agent is worth asking: it is not known to be absent."""
    return not state.template and state.power == RUNNING and state.agent and state.kind == "qemu"


def may_look(inside: Inside, calls: Sequence[str]) -> bool:
    """Whether nothing is known that forbids it."""
    state = inside.state
    return state is not None and can_look(state) and not is_windows(inside.ostype) and not _privileges(inside, calls)


def is_windows(ostype: str) -> bool:
    """Whether a guest has no POSIX shell (the enum of qemu-server's C(ostype))."""
    return ostype.startswith("w")


def inside_refusals(inside: Inside, *, what: str, calls: Sequence[str]) -> list[Refusal]:
    """Everything that is in the way, together."""
    found = choice_refusals(inside.cluster, inside.choices, option="guest", what=what)
    state = inside.state
    if state is None:
        return found
    found += renamed(inside.choices, {state.vmid: state.name}, option="guest")
    told = _standing(state, inside.ostype)
    if told is not None:
        reason, remedy = told
        value = inside.choices[0].wanted
        found.append(Refusal(subject=state.subject, option="guest", value=value, reason=reason, remedy=remedy))
    return found + _privileges(inside, calls)


def _standing(state: GuestState, ostype: str) -> tuple[str, str] | None:
    if state.template:
        return "it is a template, which never runs", "Clone it, and name the clone"
    if state.power == PAUSED:
        return "it is paused, so its agent cannot answer", "Resume it with vm_power first"
    if state.power != RUNNING:
        return f"it is {state.power}, not running", "Start it with vm_power first"
    if is_windows(ostype):
        return f"its system is Windows (ostype={ostype}), which has no POSIX shell", "Use WinRM or SSH"
    if not state.agent:
        return (
            "its config has no guest agent (agent)",
            f"Install qemu-guest-agent in it, run on a node: qm set {state.vmid} --agent 1, and stop and start it",
        )
    return None


def _privileges(inside: Inside, calls: Sequence[str]) -> list[Refusal]:
    state = inside.state
    if state is None:
        return []
    wanted = [Call(name=name, node=state.node, vmid=state.vmid, pool=state.row.pool) for name in calls]
    return privilege_refusals(inside.permissions, wanted, auth_id=inside.auth_id, pve_major=inside.pve_major)
