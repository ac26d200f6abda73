# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every planner returns: the decision, as a value that can be shown, refused or applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Step(Protocol):
    """One thing the executor will do. Steps are frozen values; the executor knows how, they know what."""

    def describe(self) -> str:
        """The step in one line for a person, without secrets."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a plan is not carried out: which option, what it says, what is wrong and what would be right."""

    subject: str
    """What it concerns, such as C(line debian-13 on node pve1)."""
    option: str
    value: object
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.option}={self.value!r}: {self.reason}. {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Desired against actual.

    C(before) and C(after) speak one vocabulary and hold only what differs; both empty when nothing differs.
    C(result) is what the door returns when nothing is applied. C(notes) are warnings for the user.
    """

    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    tracks: tuple[tuple[str, tuple[Step, ...]], ...] = ()
    """The same steps by what they are for, where several things are planned together: each track is done in order,
    tracks may be done side by side."""
    refused: tuple[str, ...] = ()
    """The tracks that refusals concern."""
    shared: frozenset[str] = frozenset()
    """Storages that several nodes share: what is heavy on them waits for one another across nodes."""

    @property
    def changed(self) -> bool:
        return bool(self.steps)


class OptionProblems(ValueError):
    """Options that cannot be meant, all of them together; raised before anything is asked of a server."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
