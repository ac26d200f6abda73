# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line from nothing to a template, and again without a change: requests, processes, connections, time."""

from __future__ import annotations

import statistics
import typing as t
from dataclasses import dataclass

from ..lab import Counts, Lab, Task
from ..play import Played
from ..registry import benchmark
from ..report import Row, at_most, in_turns

GIB10 = {"size": "10G"}
TWO_TASKS = "peer: proxmox_kvm create with import-from of an image stored beforehand, then proxmox_kvm state=template"
THREADS = "threads + 1; threads: the most requests that were in flight at once"
Run = tuple[Played, Counts]


@dataclass(frozen=True, slots=True)
class Life:
    """The costliest line there is: C(first) downloads, sets a password, grows the disk; C(second) finds no change."""

    first: Run
    second: Run
    with_disks: Run


@dataclass(frozen=True, slots=True)
class Round:
    """Both sides, one after the other, from a stored image; the peer's side is None without a peer."""

    build: Run
    again: Run
    peer_build: Run | None
    peer_again: Run | None


def life(lab: Lab) -> Life:
    return lab.once("life", lambda: _life(lab))


def _life(lab: Lab) -> Life:
    lab.wipe(images=True)
    line = lab.line(disk=GIB10, cipassword="correct horse")
    first = _changed(lab.run(line))
    second = _unchanged(lab.run(line))
    lab.wipe(images=True)
    disks = lab.line(disk=GIB10, cipassword="correct horse", efi={"secure_boot": True}, tpm={"version": "v2.0"})
    with_disks = _changed(lab.run(disks))
    lab.wipe()
    return Life(first, second, with_disks)


def rounds(lab: Lab) -> list[Round]:
    return lab.once("rounds", lambda: [_round(lab, number) for number in range(9 if lab.full else 5)])


def _round(lab: Lab, number: int) -> Round:
    """Odd rounds begin with the peer, so that a machine that slows down or speeds up favours nobody."""
    lab.wipe()
    if not lab.images():
        _changed(lab.run(lab.line()))
        lab.wipe()
    sides: list[tuple[str, list[Task]]] = [("here", lab.line())]
    if lab.peer.path:
        sides.append(("peer", lab.two_tasks(lab.images()[0])))
    if number % 2:
        sides.reverse()
    runs: dict[str, Run] = {name: _changed(lab.run(tasks)) for name, tasks in sides}
    runs |= {f"{name} again": _unchanged(lab.run(tasks)) for name, tasks in sides}
    return Round(runs["here"], runs["here again"], runs.get("peer"), runs.get("peer again"))


def _changed(run: Run) -> Run:
    run[0].expect(["ok"] * max(1, len(run[0].tasks)), changed=True)
    return run


def _unchanged(run: Run) -> Run:
    run[0].expect(["ok"] * max(1, len(run[0].tasks)), changed=False)
    return run


@benchmark("G7")
def no_change(lab: Lab) -> t.Iterator[Row]:
    """A second run of one line: no write, no listing, few reads, one process."""
    played, counts = life(lab).second
    peer = rounds(lab)[0].peer_again
    theirs = None if peer is None else peer[1]
    figures: list[tuple[str, t.Callable[[Counts], int], int]] = [
        ("write requests", lambda seen: seen.writes, 0),
        ("storage listings", lambda seen: seen.listings, 0),
        ("cluster reads", lambda seen: seen.other_reads, 3),
        ("config reads", lambda seen: seen.configs, 1),
    ]
    note = f"no-change run of one line; {TWO_TASKS}, which compares nothing"
    processes = None if peer is None else len(peer[0].modules)
    yield at_most("G7", len(played.modules), "module processes", 1, peer=processes, note=note)
    for unit, count, limit in figures:
        yield at_most("G7", count(counts), unit, limit, peer=None if theirs is None else count(theirs), note=note)
    pairs = [(one.again, one.peer_again) for one in rounds(lab)]
    yield _times("G7", "s, one line, no change", pairs, "no budget: Ansible's own start is most of it")


@benchmark("G8")
def first_build(lab: Lab) -> t.Iterator[Row]:
    """The first build of one line: requests, and time with tasks that end at once."""
    found, pair = life(lab), rounds(lab)[0]
    theirs = None if pair.peer_build is None else pair.peer_build[1].non_polls
    note = "the costliest line: with download, password and resize"
    yield at_most("G8", found.first[1].non_polls, "non-poll requests", 12, note=note)
    more = "the same line with EFI and TPM disks"
    yield at_most("G8", found.with_disks[1].non_polls, "non-poll requests, 2 more disks", 14, note=more)
    yield at_most("G8", pair.build[1].non_polls, "non-poll requests, as the peer", 12, peer=theirs, note=TWO_TASKS)
    pairs = [(one.build, one.peer_build) for one in rounds(lab)]
    text = "no budget for one line; tasks end at once, the image is stored; here the vendor is asked too"
    yield _times("G8", "s, one line, first build", pairs, text)


@benchmark("G14")
def connections(lab: Lab) -> t.Iterator[Row]:
    """Connections, and requests that the server refuses."""
    found = life(lab)
    peer = rounds(lab)[0].peer_build
    first, second = found.first[1], found.second[1]
    theirs = None if peer is None else peer[1].connections
    yield at_most(
        "G14",
        first.connections,
        "connections, first build",
        first.in_flight + 1,
        peer=theirs,
        note=THREADS,
    )
    yield at_most("G14", second.connections, "connections, no change", second.in_flight + 1, note=THREADS)
    refused = [*first.refused, *second.refused, *found.with_disks[1].refused]
    refused_there = None if peer is None else len(peer[1].refused)
    note = "; ".join(sorted(set(refused))) or "over two first builds and a second run"
    yield at_most("G14", len(refused), "answers >= 400", 0, peer=refused_there, note=note)


def _times(goal: str, unit: str, pairs: t.Sequence[tuple[Run, Run | None]], text: str) -> Row:
    """The time ratio of one line, for which there is no budget."""
    seconds = [(here[0].seconds, None if peer is None else peer[0].seconds) for here, peer in pairs]
    cpu = f"CPU {statistics.median(here[0].cpu for here, _peer in pairs):.1f} s"
    theirs = [peer[0].cpu for _here, peer in pairs if peer is not None]
    cpu += f" to {statistics.median(theirs):.1f} s" if theirs else ""
    return in_turns(goal, unit, seconds, note=f"{text}; medians of {len(pairs)} pairs; {cpu}")
