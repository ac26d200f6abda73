# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests of a large cluster as an inventory: requests, time, memory and connections."""

from __future__ import annotations

import statistics
import typing as t
from dataclasses import dataclass

from ..lab import LATENCY, Counts, Lab
from ..play import Listed, PlayError
from ..registry import benchmark
from ..report import Row, at_most, in_turns
from .fleet import extrapolated

GUESTS = 2000
SMALL = 400
WORKERS = 16
"""The default of the plugin."""
SAMPLE = (60, 240)
"""Guests of the peer, which needs a twelfth of a second for each; FULL=1 gives it all two thousand."""
LEAST = 12.0
MEMORY = 0.9
RESOURCES = "/cluster/resources"
CONFIG = "/nodes/{node}/qemu/{vmid}/config"
AGENT = "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces"
Run = tuple[Listed, Counts]


@dataclass(frozen=True, slots=True)
class Contest:
    """Two thousand guests with their facts, several times, and the peer's sizes, smallest first."""

    here: tuple[Run, ...]
    peer: tuple[tuple[int, Run], ...]


def contest(lab: Lab) -> Contest:
    return lab.once("inventory with facts", lambda: _contest(lab))


def _contest(lab: Lab) -> Contest:
    """Here before, between and after the peer's sizes, so that a machine that slows down favours nobody."""
    sizes = () if lab.peer.path is None else (GUESTS,) if lab.full else SAMPLE
    here, peer = [_listed(lab, GUESTS, facts=True)], []
    for size in sizes:
        lab.server.ask("guests", count=size)
        peer.append((size, _complete(lab.list_guests_of_peer(want_facts=True), size)))
        here.append(_listed(lab, GUESTS, facts=True))
    lab.server.ask("guests", count=0)
    return Contest(tuple(here), tuple(peer))


def _listed(lab: Lab, count: int, **options: t.Any) -> Run:
    lab.server.ask("guests", count=count)
    return _complete(lab.list_guests(**options), count)


def _complete(run: Run, count: int) -> Run:
    if len(run[0].hosts) != count:
        raise PlayError(f"{len(run[0].hosts)} hosts instead of {count}")
    return run


def _count(counts: Counts, path: str) -> int:
    return sum(template == path for _method, template, _status in counts.requests)


@benchmark("G1")
def names_of_all(lab: Lab) -> t.Iterator[Row]:
    """Names, states, tags, pools and lines of any number of guests."""
    lab.wipe()
    peer = _names_of_peer(lab)
    for count in (10, GUESTS):
        listed, counts = _listed(lab, count)
        if not all("proxmox_status" in found for found in listed.hosts.values()):
            raise PlayError("hosts without a state")
        theirs = len(peer[1].requests) if peer and count == GUESTS else None
        note = (
            "ansible-inventory --list, no facts; the peer has three nodes and no pools, each of which costs it one more"
        )
        yield at_most("G1", len(counts.requests), f"requests, {count} guests", 1, peer=theirs, note=note)
        if peer and count == GUESTS:
            text = f"no budget, as most of it is Ansible's own; CPU {listed.cpu:.1f} s to {peer[0].cpu:.1f} s"
            yield in_turns("G1", f"s, {count} guests, no facts", [(listed.seconds, peer[0].seconds)], note=text)
    lab.server.ask("guests", count=0)


def _names_of_peer(lab: Lab) -> Run | None:
    if lab.peer.path is None:
        return None
    lab.server.ask("guests", count=GUESTS)
    return _complete(lab.list_guests_of_peer(want_facts=False), GUESTS)


@benchmark("G2")
def facts_of_each(lab: Lab) -> t.Iterator[Row]:
    """Facts of each guest, and addresses of those that run."""
    one = contest(lab)
    counts, peer = one.here[0][1], one.peer[-1] if one.peer else None
    theirs = round(len(peer[1][1].requests) / peer[0], 2) if peer else None
    note = f"{GUESTS} guests with facts; the peer's of {peer[0] if peer else 0} guests"
    asked = _count(counts, CONFIG)
    yield at_most("G2", round(asked / GUESTS, 3), "requests per guest", 1, peer=theirs, note=note)
    yield at_most("G2", len(counts.requests) - asked, "requests besides", 1, note="the list of all guests")
    yield at_most("G2", counts.in_flight, "requests at once", WORKERS, note=f"{WORKERS} workers, the default")
    # Group 0 is one in ten, and its guests do not run.
    lab.server.ask("guests", count=SMALL)
    chosen, running = SMALL - SMALL // 10, SMALL // 2
    some = lab.list_guests(facts=True, agent=True, include=[{"tag": "group-*"}], exclude=[{"tag": "group-0"}])
    listed, counts = _complete(some, chosen)
    if sum("ansible_host" in found for found in listed.hosts.values()) != running:
        raise PlayError("not every running guest has its address")
    note = (
        f"{chosen} of {SMALL} guests asked for, {running} of them running with an agent; besides: what the token may do"
    )
    yield at_most("G2", _count(counts, CONFIG), "config reads, some guests filtered out", chosen, note=note)
    yield at_most("G2", _count(counts, AGENT), "agent reads", running, note=note)
    yield at_most("G2", len(counts.requests) - chosen - running, "requests besides, with agent", 2, note=note)
    lab.server.ask("guests", count=0)


@benchmark("G3")
def time_with_facts(lab: Lab) -> t.Iterator[Row]:
    """Two thousand guests with facts."""
    one = contest(lab)
    seconds = extrapolated([(size, listed.seconds) for size, (listed, _counts) in one.peer], GUESTS)
    runs = [listed for listed, _counts in one.here]
    cpu = f"CPU {statistics.median(run.cpu for run in runs):.1f} s"
    text = f"ansible-inventory --list, {WORKERS} workers; median of {len(runs)} runs here, around the peer's; {cpu}"
    pairs = [(run.seconds, seconds) for run in runs]
    yield in_turns("G3", f"s, {GUESTS} guests with facts", pairs, least=LEAST, note=text + _sample(one))


@benchmark("G6")
def memory_with_facts(lab: Lab) -> t.Iterator[Row]:
    """Memory of the same."""
    value = statistics.median(listed.megabytes for listed, _counts in contest(lab).here)
    note = f"peak of ansible-inventory --list, {GUESTS} guests with facts; the peer's without latency, to save time"
    name = "MB at the peak"
    if lab.peer.path is None:
        yield Row(goal="G6", value=value, unit=name, note=note)
        return
    peer = _memory_of_peer(lab)
    yield at_most("G6", value, name, MEMORY * peer, peer=peer, budget=f"<= {MEMORY:g} x peer", note=note)


def _memory_of_peer(lab: Lab) -> float:
    """At the full size: what few guests need says little about many."""
    lab.server.ask("guests", count=GUESTS)
    lab.server.ask("latency", seconds=0.0)
    try:
        return _complete(lab.list_guests_of_peer(want_facts=True), GUESTS)[0].megabytes
    finally:
        lab.server.ask("latency", seconds=LATENCY)
        lab.server.ask("guests", count=0)


def _sample(one: Contest) -> str:
    """How the peer's time was made."""
    if len(one.peer) < 2:
        return ""
    figures = ", ".join(f"{size} guests {listed.seconds:.1f} s" for size, (listed, _counts) in one.peer)
    return f"; the peer's time is extrapolated linearly per guest from {figures}"


@benchmark("G14")
def connections_of_an_inventory(lab: Lab) -> t.Iterator[Row]:
    """Connections of an inventory with facts, and what the server refuses."""
    _listed_run, small = _listed(lab, SMALL, facts=True, agent=True)
    lab.server.ask("guests", count=0)
    large = contest(lab).here[0][1]
    note = f"inventory with facts, {WORKERS} workers and the thread that lists"
    yield at_most("G14", small.connections, f"connections, {SMALL} guests", WORKERS + 1, note=note)
    yield at_most("G14", large.open, f"connections at once, {GUESTS} guests", WORKERS + 1, note=note)
    limit = WORKERS + 1 + len(large.requests) // 100
    text = f"{note}; the server closes a connection after 100 requests, so that {len(large.requests)} need more in all"
    yield at_most("G14", large.connections, f"connections in all, {GUESTS} guests", limit, note=text)
    refused = [*small.refused, *large.refused]
    text = "; ".join(sorted(set(refused))) or "half of the guests do not run"
    yield at_most("G14", len(refused), "answers >= 400, inventory", 0, note=text)
