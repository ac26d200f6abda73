# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a write whose connection was cut: found out by reading, never by sending it again blindly."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .exchange import Exchange, api_path
from .upid import Upid

LOOKS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each look. The request may still wait on the server for a lock, which Proxmox gives up after 10 s."""

_SLACK = 5.0
"""Seconds. C(Date) headers and UPIDs count whole seconds, and the nodes of a cluster differ a little."""

_SLACK_UNKNOWN = 60.0
"""Seconds, while nothing is known about the server's clock."""


class TaskKey(NamedTuple):
    """What a UPID says about the task that a write is expected to begin."""

    node: str
    type: str
    id: str


class Begun:
    """Remembers the tasks that this run began, and finds the one whose UPID was lost. Safe to share between threads."""

    def __init__(self, exchange: Exchange, identity: str | None) -> None:
        self._exchange = exchange
        self._identity = identity
        self._known: set[str] = set()
        self._offset: float | None = None
        self._guard = threading.Lock()
        self._turns: dict[TaskKey, threading.Lock] = {}

    @contextmanager
    def turn(self, key: TaskKey) -> Iterator[None]:
        """One write of a key at a time: two lost UPIDs of the same node, type and id could not be told apart."""
        with self._guard:
            lock = self._turns.setdefault(key, threading.Lock())
        with lock:
            yield

    def note(self, upid: Upid) -> None:
        """A UPID that arrived as it should; it also tells how the node's clock stands against ours."""
        with self._guard:
            self._known.add(upid.text)
            self._offset = upid.starttime - self._exchange.clock.time()

    def find(self, key: TaskKey, sent_at: float) -> Upid | None:
        """The task of C(key) that began since C(sent_at) (our Unix time) and was not known; None if none appears.

        Raises LookupError when several fit, and what reads raise.
        """
        what = f"a sign of the task {key.type} {key.id}".rstrip() + f" on node {key.node}"
        for delay in LOOKS:
            self._exchange.deadline.pause(delay, what)
            found = self.look(key, sent_at)
            if found:
                self.note(found)
                return found
        return None

    def look(self, key: TaskKey, sent_at: float) -> Upid | None:
        """One look into the node's list of running and finished tasks. Raises LookupError when several fit."""
        params: dict[str, Any] = {"source": "all", "typefilter": key.type, "limit": 100}
        if re.fullmatch(r"[1-9]\d{2,8}", key.id):
            params["vmid"] = int(key.id)
        rows = self._exchange.read(api_path("nodes", key.node, "tasks"), params).data or []
        offset, slack = self._server_clock()
        earliest = sent_at + offset - slack
        found = {upid.text: upid for row in rows if (upid := self._ours(row, key)) and upid.starttime >= earliest}
        if len(found) > 1:
            raise LookupError(f"{len(found)} tasks fit: {', '.join(sorted(found))}")
        return next(iter(found.values()), None)

    def _ours(self, row: Mapping[str, Any], key: TaskKey) -> Upid | None:
        try:
            upid = Upid.parse(row.get("upid"))
        except ValueError:
            return None
        with self._guard:
            known = upid.text in self._known
        ours = self._identity is None or upid.user == self._identity
        return upid if ours and not known and (upid.type, upid.id) == (key.type, key.id) else None

    def _server_clock(self) -> tuple[float, float]:
        offset = self._exchange.server_offset
        if offset is None:
            with self._guard:
                offset = self._offset
        return (0.0, _SLACK_UNKNOWN) if offset is None else (offset, _SLACK)


def config_shows(config: Mapping[str, Any], changes: Mapping[str, Any], delete: Sequence[str]) -> bool | None:
    """Whether a config that was read back is what a write asked for.

    True and False are certain. None: nothing speaks against it, but some values read back differently by nature
    (masked passwords, volumes that the write allocates, MAC addresses that it makes), so only a changed digest tells.
    """
    if any(name in config for name in delete):
        return False
    certain = True
    for name, wanted in changes.items():
        if name not in config:
            return False
        if _normal(name, wanted) == _normal(name, config[name]):
            continue
        if not _incomparable(name, str(wanted)):
            return False
        certain = False
    return True if certain else None


def _incomparable(name: str, wanted: str) -> bool:
    if name == "cipassword":
        return True
    if re.fullmatch(r"net\d+", name):
        return not re.search(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", wanted)
    return re.fullmatch(r"(scsi|virtio|sata|ide|efidisk|tpmstate|unused)\d+", name) is not None


def _normal(name: str, value: Any) -> Any:
    """Observed: tags come back sorted in lower case, text without trailing blanks, numbers as either type."""
    text = str(int(value) if isinstance(value, bool) else value)
    if name == "tags":
        return frozenset(tag for tag in re.split(r"[;, ]+", text.lower()) if tag)
    if re.fullmatch(r"(scsi|virtio|sata|ide|efidisk|tpmstate|net)\d+|agent|boot|vga|cpu|rng0|ipconfig\d+", name):
        return frozenset(text.split(","))
    return text.rstrip()
