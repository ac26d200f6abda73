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
SAMPLE = (6, 24)
"""Lines of the peer, of which one takes seconds; FULL=1 gives it all fifty. Sizes nearer to each other say too little
about fifty: from 6 and 12 lines an error of a second becomes one of seven."""
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
class Contest:
    """Fifty lines on one node, several times, and the peer's sizes, smallest first (nothing without a peer)."""

    here: tuple[Twice, ...]
    peer: tuple[Twice, ...]


def everywhere(lab: Lab) -> Twice:
    return lab.once("fleet, three nodes", lambda: _everywhere(lab))


def _everywhere(lab: Lab) -> Twice:
    lab.wipe(images=True)
    return _twice(lab, lab.fleet(LINES, NODES), LINES, templates=EVERYWHERE)


def contest(lab: Lab) -> Contest:
    return lab.once("fleet, one node", lambda: _contest(lab))


def _contest(lab: Lab) -> Contest:
    """Here before, between and after the peer's sizes, so that a machine that slows down favours nobody."""
    lab.wipe()
    if not lab.images():
        lab.run(lab.line())[0].expect(["ok"], changed=True)
    (volid,) = lab.images()
    sizes = () if lab.peer.path is None else (LINES,) if lab.full else SAMPLE
    here = [_twice(lab, lab.fleet(LINES), LINES)]
    peer = []
    for size in sizes:
        peer.append(_twice(lab, lab.two_tasks_loop(volid, size), size))
        here.append(_twice(lab, lab.fleet(LINES), LINES))
    return Contest(tuple(here), tuple(peer))


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
    peer = _largest(contest(lab))
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
    yield _times("G7", f"s, {LINES} lines x 1 node, no change", contest(lab), lambda twice: twice.again)


@benchmark("G8")
def first_build_of_a_fleet(lab: Lab) -> t.Iterator[Row]:
    """The first build of fifty lines: requests for each line, and time against a loop with tasks that end at once."""
    one, found = contest(lab), everywhere(lab)
    peer = _largest(one)
    theirs = None if peer is None else _per_line(peer.build, peer.lines)
    note = f"{LINES} lines, the image is stored; {LOOP}"
    unit = "non-poll requests per line"
    yield at_most("G8", _per_line(one.here[0].build, LINES), f"{unit}, {LINES} x 1", 12, peer=theirs, note=note)
    note = f"{LINES} lines x {len(NODES)} nodes from nothing, per template; each node downloads the image once"
    yield at_most("G8", _per_line(found.build, EVERYWHERE), f"{unit}, {LINES} x {len(NODES)}", 12, note=note)
    yield _times("G8", f"s, {LINES} lines x 1 node, first build", contest(lab), lambda twice: twice.build)


def _per_line(run: Run, lines: int) -> float:
    return round(run[1].non_polls / lines, 2)


def _largest(one: Contest) -> Twice | None:
    return one.peer[-1] if one.peer else None


def _times(goal: str, unit: str, one: Contest, pick: t.Callable[[Twice], Run]) -> Row:
    """The time of fifty lines against that of the peer's loop."""
    runs = [pick(twice)[0] for twice in one.here]
    seconds = extrapolated([(twice.lines, pick(twice)[0].seconds) for twice in one.peer], LINES)
    cpu = extrapolated([(twice.lines, pick(twice)[0].cpu) for twice in one.peer], LINES)
    text = f"{LOOP}; median of {len(runs)} runs here, before and after the peer's"
    if one.peer:
        measured = ", ".join(f"{twice.lines} lines {pick(twice)[0].seconds:.1f} s" for twice in one.peer)
        text += f"; the peer's time is extrapolated linearly per line from {measured}" if len(one.peer) > 1 else ""
    text += f"; CPU {statistics.median(run.cpu for run in runs):.1f} s" + (f" to {cpu:.1f} s" if cpu else "")
    return in_turns(goal, unit, [(run.seconds, seconds) for run in runs], least=LEAST, note=text)


def extrapolated(points: t.Sequence[tuple[int, float]], lines: int) -> float | None:
    """What so many lines take, by the straight line through the first and the last of C(points): (lines, seconds)."""
    if not points:
        return None
    (few, short), (many, long) = points[0], points[-1]
    return long + (lines - many) * (long - short) / (many - few) if many != few else long
