# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which benchmarks there are: every file below goals/ that decorates a function with @benchmark."""

from __future__ import annotations

import importlib
import pkgutil
import typing as t
from dataclasses import dataclass

from . import goals
from .report import Row

if t.TYPE_CHECKING:
    from .lab import Lab

Measure = t.Callable[["Lab"], t.Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One function that measures one goal; C(title) is the first line of its docstring."""

    goal: str
    measure: Measure

    @property
    def title(self) -> str:
        return (self.measure.__doc__ or "").strip().splitlines()[0]


_known: list[Benchmark] = []


def benchmark(goal: str) -> t.Callable[[Measure], Measure]:
    """Register a function that yields the rows of one goal."""

    def register(measure: Measure) -> Measure:
        _known.append(Benchmark(goal, measure))
        return measure

    return register


def load() -> list[Benchmark]:
    """All benchmarks, in the order of their goals' numbers."""
    for found in pkgutil.iter_modules(goals.__path__, goals.__name__ + "."):
        importlib.import_module(found.name)
    return sorted(_known, key=lambda one: _order(one.goal))


def chosen(wanted: str, known: t.Sequence[Benchmark]) -> tuple[list[Benchmark], list[str]]:
    """The benchmarks of a comma separated list of goals (empty: all), and the goals that have none."""
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    ids = {one.goal.lower() for one in known}
    missing = [name for name in names if name.lower() not in ids]
    lowered = {name.lower() for name in names}
    return [one for one in known if not names or one.goal.lower() in lowered], missing


def _order(goal: str) -> tuple[int, str]:
    digits = "".join(ch for ch in goal if ch.isdigit())
    return int(digits or 0), goal
