# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a carried-out plan ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._plan.plan import Plan, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an executor did. C(result) replaces the plan's; C(warnings) come from task logs.

    C(failure): the plan was carried out, and what it was to do failed by itself, such as a command in a guest. The
    module fails with it, and returns its result all the same.
    """

    result: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    failure: str = ""


class ApplyFailed(Exception):
    """A plan stopped half-way: C(cause), what was C(done), what was C(left) behind, and what helps, in words.

    C(step) is the one that failed. C(stale): what the plan was made of has changed, so it is worth making it anew.
    """

    def __init__(
        self,
        cause: Exception,
        *,
        step: Step | None = None,
        done: tuple[str, ...] = (),
        left: tuple[str, ...] = (),
        advice: str = "",
        stale: bool = False,
    ) -> None:
        super().__init__(f"{str(cause).rstrip().rstrip('.')}. {advice}" if advice else str(cause))
        self.cause = cause
        self.step = step
        self.done = done
        self.left = left
        self.advice = advice
        self.stale = stale

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that failed."""
        return () if self.step is None else (self.step,)

    def after(self, first: ApplyFailed) -> ApplyFailed:
        """This failure of a second attempt, with what the first one had done."""
        return ApplyFailed(self.cause, step=self.step, done=first.done + self.done, left=self.left, advice=self.advice)


class PartlyFailed(ApplyFailed):
    """Some tracks failed, by their key; C(outcome) is what the others came to."""

    def __init__(self, failures: Mapping[str, ApplyFailed], *, done: tuple[str, ...], outcome: Outcome) -> None:
        first = next(iter(failures.values()))
        super().__init__(
            first.cause,
            done=tuple(dict.fromkeys((*done, *(text for failure in failures.values() for text in failure.done)))),
            left=tuple(text for failure in failures.values() for text in failure.left),
            # Another plan is worth making only where nothing else went wrong: it would try everything again.
            stale=all(failure.stale for failure in failures.values()),
            step=first.step,
        )
        self.failures = dict(failures)
        self.outcome = outcome
        self.plan: Plan | None = None
        """Set by whoever knows the plan that failed."""

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for failure in self.failures.values() for step in failure.steps)

    def after(self, first: ApplyFailed) -> ApplyFailed:
        self.done = tuple(dict.fromkeys((*first.done, *self.done)))
        if isinstance(first, PartlyFailed):
            # The first plan is what the user asked for; the second one knows nothing of what was done by then.
            self.plan = first.plan
        return self

    def __str__(self) -> str:
        return "\n".join(f"- {key}: {failure}" for key, failure in self.failures.items())
