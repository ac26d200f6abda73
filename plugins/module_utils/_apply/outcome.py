# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a carried-out plan ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._plan.plan import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an executor did. C(result) replaces the plan's; C(warnings) come from task logs."""

    result: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


class ApplyFailed(Exception):
    """A plan stopped half-way: C(cause), what was C(done), what was C(left) behind, and what helps, in words.

    C(step) is the one that failed.
    """

    def __init__(
        self,
        cause: Exception,
        *,
        done: tuple[str, ...] = (),
        left: tuple[str, ...] = (),
        advice: str = "",
        step: Step | None = None,
    ) -> None:
        super().__init__(f"{str(cause).rstrip().rstrip('.')}. {advice}" if advice else str(cause))
        self.cause = cause
        self.done = done
        self.left = left
        self.advice = advice
        self.step = step
