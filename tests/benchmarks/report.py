# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark reports: rows against budgets, as a table for people and as JSON for machines."""

from __future__ import annotations

import json
import statistics
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

COLUMNS = ("goal", "what", "here", "peer", "ratio", "budget", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured figure. C(ratio) is peer to here, so more than 1 is better than the peer.

    C(peer) and C(ratio) are None where there is no peer, or nothing to divide by. C(met) is None where there is no
    budget, or where it could not be judged for want of the peer.
    """

    goal: str
    value: float | None
    unit: str
    peer: float | None = None
    ratio: float | None = None
    met: bool | None = None
    budget: str = ""
    note: str = ""


def at_most(
    goal: str, value: float, unit: str, limit: float, *, peer: float | None = None, budget: str = "", note: str = ""
) -> Row:
    """A figure that has to stay at or below a limit."""
    ratio = round(peer / value, 2) if peer and value else None
    budget = budget or f"<= {limit:g}"
    return Row(goal=goal, value=value, unit=unit, peer=peer, ratio=ratio, met=value <= limit, budget=budget, note=note)


def in_turns(
    goal: str, unit: str, pairs: t.Sequence[tuple[float, float | None]], *, least: float | None = None, note: str = ""
) -> Row:
    """Seconds of (here, peer), measured in turns: the median of the pairs' ratios has to reach C(least), if given."""
    ratios = [peer / here for here, peer in pairs if peer is not None]
    peers = [peer for _here, peer in pairs if peer is not None]
    ratio = statistics.median(ratios) if ratios else None
    return Row(
        goal=goal,
        value=round(statistics.median(here for here, _peer in pairs), 2),
        unit=unit,
        peer=round(statistics.median(peers), 2) if peers else None,
        ratio=None if ratio is None else round(ratio, 2),
        met=None if ratio is None or least is None else ratio >= least,
        budget="" if least is None else f"ratio >= {least:g}",
        note=note,
    )


def failure(goal: str, error: BaseException) -> Row:
    """A benchmark that could not be measured has not met its budget."""
    text = " ".join(str(error).split())
    return Row(goal=goal, value=None, unit="not measured", met=False, note=f"{type(error).__name__}: {text[:600]}")


def write_json(rows: t.Sequence[Row], path: Path) -> None:
    """The rows as a list of objects; see Row for the keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def table(rows: t.Sequence[Row]) -> str:
    """The rows as text, each note once below them."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    cells = [list(COLUMNS), *(_cells(row, notes) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    cells.insert(1, ["-" * width for width in widths])
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([*lines, "", *(f"[{number}] {note}" for number, note in enumerate(notes, 1))])


def _cells(row: Row, notes: list[str]) -> list[str]:
    what = f"{row.unit} [{notes.index(row.note) + 1}]" if row.note else row.unit
    met = {True: "yes", False: "NO", None: "-"}[row.met]
    return [row.goal, what, _number(row.value), _number(row.peer), _number(row.ratio), row.budget, met]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
