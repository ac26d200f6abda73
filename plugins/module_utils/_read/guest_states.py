# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the guests that somebody names, and asks their nodes how they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from .._model.cluster import Cluster, GuestRow
from .._model.guest_state import Choice, GuestState, choose
from .._pve.client import api_path
from .cluster import Reader, read_cluster

READERS = 8

_T = TypeVar("_T")


def read_chosen(reader: Reader, wanted: Sequence[str]) -> tuple[Cluster, tuple[Choice, ...]]:
    """The cluster, and what each name or VMID stands for in it.

    A VM that was made within the last ten seconds is listed without its name. Where a name finds nobody, such VMs are
    asked for theirs.
    """
    cluster = read_cluster(reader)
    choices = choose(cluster, wanted)
    nameless = [row for row in cluster.guests.values() if not row.name and _online(cluster, row)]
    if nameless and not all(choice.rows for choice in choices):
        named = side_by_side(nameless, lambda row: replace(row, name=_name(reader, row)))
        cluster = replace(cluster, guests={**cluster.guests, **{row.vmid: row for row in named}})
        choices = choose(cluster, wanted)
    return cluster, choices


def rows_of(cluster: Cluster, choices: Sequence[Choice]) -> tuple[GuestRow, ...]:
    """The guests that were named without doubt and whose nodes can be asked, each once."""
    rows = {choice.rows[0].vmid: choice.rows[0] for choice in choices if len(choice.rows) == 1}
    return tuple(row for row in rows.values() if _online(cluster, row))


def read_states(reader: Reader, rows: Sequence[GuestRow]) -> tuple[GuestState, ...]:
    """How they are, one request for each."""
    return side_by_side(rows, lambda row: read_state(reader, row))


def read_state(reader: Reader, row: GuestRow) -> GuestState:
    """How one guest is right now."""
    return GuestState.read(row, reader.get(api_path("nodes", row.node, row.type, row.vmid, "status", "current")))


def side_by_side(rows: Sequence[GuestRow], ask: Callable[[GuestRow], _T]) -> tuple[_T, ...]:
    """The answers in the order of the rows."""
    if len(rows) <= 1:
        return tuple(ask(row) for row in rows)
    with ThreadPoolExecutor(max_workers=min(READERS, len(rows))) as pool:
        return tuple(pool.map(ask, rows))


def _name(reader: Reader, row: GuestRow) -> str:
    config = reader.get(api_path("nodes", row.node, row.type, row.vmid, "config"))
    return str(config.get("name") or config.get("hostname") or "")


def _online(cluster: Cluster, row: GuestRow) -> bool:
    node = cluster.nodes.get(row.node)
    return node is None or node.online
