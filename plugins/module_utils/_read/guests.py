# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests of a cluster for an inventory: one request for all of them, one more for each whose facts are wanted.

What is known to be refused is not asked: nothing of a node that is offline, no agent of a guest that does not run or
has none. Proxmox VE closes the connection after each refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .._model.guest import (
    LXC,
    QEMU,
    Guest,
    GuestFacts,
    Interface,
    agent_interfaces,
    container_interfaces,
    public_config,
)
from .._pve.client import api_path
from .._pve.errors import ApiError, Kind
from .reader import Reader

Asking = Callable[[Guest, Mapping[str, Any]], bool]
"""Whether a guest with this config is asked for its addresses."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a cluster lists: C(nodes) are those that are online."""

    guests: tuple[Guest, ...]
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class FactsRead:
    """Facts by VMID. A guest that was removed meanwhile is in C(gone), one that moved in C(guests), on its new node."""

    facts: Mapping[int, GuestFacts]
    gone: frozenset[int] = frozenset()
    guests: Mapping[int, Guest] = field(default_factory=dict)


def read_listing(reader: Reader, *, live: bool = False, workers: int = 1) -> Listing:
    """One request whose names and states lag by up to ten seconds; C(live) asks every node, by two requests more."""
    rows = reader.get("/cluster/resources")
    nodes = frozenset(row["node"] for row in rows if row.get("type") == "node" and row.get("status") == "online")
    guests = {int(row["vmid"]): Guest.from_row(row) for row in rows if row.get("type") in (QEMU, LXC)}
    if live:
        for guest in _asked_of_nodes(reader, sorted(nodes), workers):
            known = guests.get(guest.vmid)
            # Only the cluster's list knows pools and what the high availability manager wants.
            pool, ha_state = (known.pool, known.ha_state) if known else ("", "")
            guests[guest.vmid] = _with(guest, pool=pool, ha_state=ha_state)
    return Listing(tuple(guests[vmid] for vmid in sorted(guests)), nodes)


def _asked_of_nodes(reader: Reader, nodes: Sequence[str], workers: int) -> list[Guest]:
    def ask(question: tuple[str, str]) -> list[Guest]:
        node, kind = question
        return [Guest.from_row(row, node, kind) for row in reader.get(api_path("nodes", node, kind))]

    questions = [(node, kind) for node in nodes for kind in (QEMU, LXC)]
    if not questions:
        return []
    with ThreadPoolExecutor(max_workers=min(workers, len(questions))) as pool:
        return [guest for found in pool.map(ask, questions) for guest in found]


def read_facts(
    reader: Reader, listing: Listing, guests: Iterable[Guest], *, workers: int, asking: Asking | None = None
) -> FactsRead:
    """One config read for each guest whose node is online, and one of its addresses where C(asking) says so."""
    wanted = _spread(guest for guest in guests if guest.node in listing.nodes)
    if not wanted:
        return FactsRead({})
    with ThreadPoolExecutor(max_workers=min(workers, len(wanted))) as pool:
        answers = list(pool.map(lambda guest: _read(reader, guest, asking), wanted))
    facts = {guest.vmid: found for guest, found in zip(wanted, answers, strict=True) if found is not None}
    missing = [guest for guest in wanted if guest.vmid not in facts]
    return _look_again(reader, missing, facts, asking) if missing else FactsRead(facts)


def _look_again(
    reader: Reader, missing: Sequence[Guest], facts: dict[int, GuestFacts], asking: Asking | None
) -> FactsRead:
    """A guest that was not where the list said has moved or is gone; the list tells which."""
    now = {guest.vmid: guest for guest in read_listing(reader).guests}
    moved: dict[int, Guest] = {}
    for guest in missing:
        again = now.get(guest.vmid)
        found = _read(reader, again, asking) if again is not None else None
        if again is not None and found is not None:
            moved[again.vmid], facts[again.vmid] = again, found
    return FactsRead(facts, frozenset(guest.vmid for guest in missing) - moved.keys(), moved)


def _read(reader: Reader, guest: Guest, asking: Asking | None) -> GuestFacts | None:
    """None for a guest that is not there."""
    try:
        config = public_config(reader.get(api_path("nodes", guest.node, guest.type, guest.vmid, "config")))
    except ApiError as error:
        if error.kind is Kind.NOT_FOUND:
            return None
        raise
    if asking is None or not asking(guest, config):
        return GuestFacts(config)
    return GuestFacts(config, _read_interfaces(reader, guest))


def _read_interfaces(reader: Reader, guest: Guest) -> tuple[Interface, ...] | None:
    """None where the guest gives no answer: its agent is not up, or it has stopped since."""
    try:
        if guest.type == LXC:
            return container_interfaces(reader.get(api_path("nodes", guest.node, LXC, guest.vmid, "interfaces")))
        path = api_path("nodes", guest.node, QEMU, guest.vmid, "agent", "network-get-interfaces")
        return agent_interfaces(reader.get(path))
    except ApiError as error:
        if error.kind is Kind.AUTH:
            raise
        return None


def _spread(guests: Iterable[Guest]) -> list[Guest]:
    """One of each node in turn: a node answers with few workers, so that no node is asked by all threads at once."""
    by_node: dict[str, list[Guest]] = {}
    for guest in guests:
        by_node.setdefault(guest.node, []).append(guest)
    ranked = [(rank, node, guest) for node, found in by_node.items() for rank, guest in enumerate(found)]
    return [guest for _rank, _node, guest in sorted(ranked, key=lambda one: one[:2])]


def _with(guest: Guest, *, pool: str, ha_state: str) -> Guest:
    return Guest.from_data({**guest.to_data(), "pool": pool, "ha_state": ha_state})
