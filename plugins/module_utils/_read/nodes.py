# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a cluster in one request, and one more for each node and thing that is to be known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from .._model.node import NodeState, PackageUpdate, Service
from .._model.preflight import Unanswered
from .._pve.client import api_path
from .preflight import READERS, answered
from .reader import Reader

VERSION = "version"
"""The part that every node tells everybody."""


def read_states(reader: Reader) -> tuple[NodeState, ...]:
    """Every node by name; whoever is logged in sees all of them."""
    rows = reader.get("/cluster/resources", type="node")
    return tuple(sorted((NodeState.from_row(row) for row in rows), key=lambda state: state.node))


def read_parts(reader: Reader, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any | Unanswered]:
    """What nodes tell, by node and part, eight requests at a time. A node that does not answer is an answer too."""
    if not asked:
        return {}
    asks = [partial(_PARTS[part], reader, node) for node, part in asked]
    with ThreadPoolExecutor(max_workers=min(READERS, len(asks))) as pool:
        return dict(zip(asked, pool.map(answered, asks), strict=True))


def _version(reader: Reader, node: str) -> str:
    return str(reader.get(api_path("nodes", node, "version"))["version"])


def _services(reader: Reader, node: str) -> tuple[Service, ...]:
    """The server lists them in the order of a Perl hash."""
    rows = reader.get(api_path("nodes", node, "services"))
    return tuple(sorted((Service.from_row(row) for row in rows), key=lambda service: service.name))


def _updates(reader: Reader, node: str) -> tuple[PackageUpdate, ...]:
    """What the node's last C(apt update) found. A package that several others need is listed once for each."""
    rows = reader.get(api_path("nodes", node, "apt", "update"))
    found = {(update.package, update.arch): update for update in map(PackageUpdate.from_row, rows)}
    return tuple(found[key] for key in sorted(found))


_PARTS: Mapping[str, Callable[[Reader, str], Any]] = {VERSION: _version, "services": _services, "updates": _updates}
