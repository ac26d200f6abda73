# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fifty lines at once: requests, processes and time of a first build and of a run without a change."""

from __future__ import annotations

import statistics
import typing as t
from dataclasses import dataclass

from ..lab import NODES, Counts, Lab, Task
from ..play import Played, PlayError
from ..registry import benchmark
from ..report import Row, at_most, in_turns

LINES = 50
EVERYWHERE = LINES * len(NODES)
SAMPLE = (6, 12)
"""Lines of the peer, of which one takes seconds; FULL=1 gives it all fifty."""
ROUNDS = 2
LEAST = 20.0
LOOP = "peer: a loop over proxmox_kvm create with import-from of a stored image, then one over state=template"
Run = tuple[Played, Counts]


@dataclass(frozen=True, slots=True)
class Twice:
    """A first build of so many lines, and the run after it, which finds no change."""

    lines: int
    build: Run
    again: Run


@dataclass(frozen=True, slots=True)
class Round:
    """Fifty lines on one node, and the peer with its sizes, smallest first (nothing without a peer)."""

    here: Twice
    peer: tuple[Twice, ...]


def everywhere(lab: Lab) -> Twice:
    return lab.once("fleet, three nodes", lambda: _everywhere(lab))


def _everywhere(lab: Lab) -> Twice:
    lab.wipe(images=True)
    return _twice(lab, lab.fleet(LINES, NODES), LINES, templates=EVERYWHERE)


def rounds(lab: Lab) -> list[Round]:
    return lab.once("fleet, one node", lambda: [_round(lab, number) for number in range(ROUNDS)])


def _round(lab: Lab, number: int) -> Round:
    """The second round goes the other way, so that a machine that slows down or speeds up favours nobody."""
    if not lab.images():
        lab.run(lab.line())[0].expect(["ok"], changed=True)
    (volid,) = lab.images()
    sizes = () if lab.peer.path is None else (LINES,) if lab.full else SAMPLE
    tasks = [(LINES, lab.fleet(LINES)), *((size, lab.two_tasks_loop(volid, size)) for size in sizes)]
    turns = list(enumerate(tasks))
    done = {place: _twice(lab, *reversed(side)) for place, side in (reversed(turns) if number % 2 else turns)}
    return Round(done[0], tuple(done[place] for place in range(1, len(tasks))))


def _twice(lab: Lab, tasks: list[Task], lines: int, templates: int | None = None) -> Twice:
    """Raises PlayError unless the first run makes all templates, and the second one changes nothing."""
    lab.wipe()
    build = lab.run(tasks)
    build[0].expect(["ok"] * len(tasks), changed=True)
    made = sum(guest.get("template", 0) for guest in lab.api("GET", "/cluster/resources", type="vm"))
    if made != (templates or lines):
        raise PlayError(f"{made} templates instead of {templates or lines}")
    again = lab.run(tasks)
    again[0].expect(["ok"] * len(tasks), changed=False)
    lab.wipe()
    return Twice(lines, build, again)


@benchmark("G7")
def no_change_of_a_fleet(lab: Lab) -> t.Iterator[Row]:
    """A second run of fifty lines: one process and few reads for all of them, and its time against a loop."""
    played, counts = everywhere(lab).again
    peer = _largest(rounds(lab)[0])
    note = (
        f"no-change run, {LINES} lines x {len(NODES)} nodes; {LOOP}; its counts per line (of {{}} lines) x {EVERYWHERE}"
    )
    note = note.format(peer.lines if peer else 0)
    figures: list[tuple[str, t.Callable[[Run], int], int]] = [
        ("module processes", lambda run: len(run[0].modules), 1),
        ("write requests", lambda run: run[1].writes, 0),
        ("storage listings", lambda run: run[1].listings, 0),
        ("cluster reads", lambda run: run[1].other_reads, 3),
        ("config reads", lambda run: run[1].configs, EVERYWHERE),
    ]
    for unit, count, limit in figures:
        theirs = None if peer is None else round(count(peer.again) / peer.lines * EVERYWHERE)
        name = f"{unit}, {LINES} x {len(NODES)}"
        yield at_most("G7", count((played, counts)), name, limit, peer=theirs, note=note)
    yield _times("G7", f"s, {LINES} lines x 1 node, no change", rounds(lab), lambda twice: twice.again)


@benchmark("G8")
def first_build_of_a_fleet(lab: Lab) -> t.Iterator[Row]:
    """The first build of fifty lines: requests for each line, and time against a loop with tasks that end at once."""
    one, found = rounds(lab)[0], everywhere(lab)
    peer = _largest(one)
    theirs = None if peer is None else _per_line(peer.build, peer.lines)
    note = f"{LINES} lines, the image is stored; {LOOP}"
    unit = "non-poll requests per line"
    yield at_most("G8", _per_line(one.here.build, LINES), f"{unit}, {LINES} x 1", 12, peer=theirs, note=note)
    note = f"{LINES} lines x {len(NODES)} nodes from nothing, per template; each node downloads the image once"
    yield at_most("G8", _per_line(found.build, EVERYWHERE), f"{unit}, {LINES} x {len(NODES)}", 12, note=note)
    yield _times("G8", f"s, {LINES} lines x 1 node, first build", rounds(lab), lambda twice: twice.build)


def _per_line(run: Run, lines: int) -> float:
    return round(run[1].non_polls / lines, 2)


def _largest(one: Round) -> Twice | None:
    return one.peer[-1] if one.peer else None


def _times(goal: str, unit: str, found: t.Sequence[Round], pick: t.Callable[[Twice], Run]) -> Row:
    """The time of fifty lines against that of the peer's loop."""
    seconds = [(pick(one.here)[0].seconds, extrapolated(_points(one.peer, pick), LINES)) for one in found]
    sizes = [str(twice.lines) for twice in found[0].peer]
    way = "measured with" if len(sizes) == 1 else "a straight line through the times of"
    text = f"{LOOP}; its time: {way} {' and '.join(sizes)} lines" if sizes else LOOP
    cpu = f"CPU here {statistics.median(pick(one.here)[0].cpu for one in found):.1f} s"
    theirs = [extrapolated([(twice.lines, pick(twice)[0].cpu) for twice in one.peer], LINES) for one in found]
    known = [value for value in theirs if value is not None]
    cpu += f", peer {statistics.median(known):.1f} s" if known else ""
    return in_turns(goal, unit, seconds, least=LEAST, note=f"{text}; medians of {len(found)} pairs; {cpu}")


def _points(peer: t.Sequence[Twice], pick: t.Callable[[Twice], Run]) -> list[tuple[int, float]]:
    return [(twice.lines, pick(twice)[0].seconds) for twice in peer]


def extrapolated(points: t.Sequence[tuple[int, float]], lines: int) -> float | None:
    """What so many lines take, by the straight line through the first and the last of C(points): (lines, seconds)."""
    if not points:
        return None
    (few, short), (many, long) = points[0], points[-1]
    return long + (lines - many) * (long - short) / (many - few) if many != few else long
