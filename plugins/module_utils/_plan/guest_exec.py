# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command in a guest: whether it is to run at all, by what is there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._model.guest_file import Command, Seen
from .._model.guest_state import GuestState
from .guest_inside import Inside, inside_refusals
from .plan import Plan
from .power import guest_view

CALLS = ("agent_exec", "agent_exec_status")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecWish:
    """C(creates), C(removes): the command is not run where that is there, or is not. C(patience): of the agent."""

    guest: str
    command: Command
    creates: str | None
    removes: str | None
    patience: int

    @property
    def looks_at(self) -> tuple[str, ...]:
        return tuple(path for path in (self.creates, self.removes) if path is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInGuest:
    state: GuestState
    command: Command

    def describe(self) -> str:
        return f"run in {self.state.subject}: {self.command.shown}"


def plan_guest_exec(wish: ExecWish, inside: Inside) -> Plan:
    refusals = inside_refusals(inside, what="guest_exec", calls=CALLS)
    state = inside.state
    if refusals or state is None:
        return Plan(refusals=tuple(refusals))
    result = {"guest": guest_view(state)}
    reason = _needless(wish, inside.seen)
    if reason:
        return Plan(result={**result, "skipped_reason": reason, "rc": 0, "stdout": "", "stderr": ""})
    step = RunInGuest(state=state, command=wish.command)
    return Plan(
        before={state.subject: {"ran": None}},
        after={state.subject: {"ran": wish.command.shown}},
        steps=(step,),
        tracks=((state.subject, (step,)),),
        result=result,
    )


def _needless(wish: ExecWish, seen: Mapping[str, Seen]) -> str:
    if wish.creates is not None and seen[wish.creates].exists:
        return f"creates: {wish.creates} is there already"
    if wish.removes is not None and not seen[wish.removes].exists:
        return f"removes: {wish.removes} is not there"
    return ""
