# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's list of tasks, read by one thread for all threads that wait for tasks of that node.

How the list is made (pve-manager, PVE::API2::Tasks node_tasks; pve-common, PVE::RESTEnvironment): a task is entered
before its UPID is answered. Running ones come first, with the status C(RUNNING) and no C(endtime); then ended ones,
the last ended first, with C(endtime) and the same exit status as the task's own path has. A user sees its own tasks,
a token those of the token, Sys.Audit all. About 1300 ended tasks are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .errors import ApiError
from .exchange import Exchange, api_path
from .pace import Pace
from .upid import Upid

_LIMIT = 100
"""Rows. Only tasks that ended since the last look are of interest, and these come right after the running ones."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One reply. C(begun) is the moment before it was asked for, on our monotonic clock.

    C(ended) holds the exit status of each task shown, None while it runs.
    """

    number: int
    begun: float
    ended: Mapping[str, str | None]

    def told(self, upid: Upid) -> Mapping[str, Any] | None:
        """What the task's own status path would say of its state; None where only that path knows.

        That is a task which the list does not show, and one whose end is not plainly OK.
        """
        if upid.text not in self.ended:
            return None
        exit_status = self.ended[upid.text]
        if exit_status is None:
            return {"status": "running"}
        return {"status": "stopped", "exitstatus": exit_status} if exit_status == "OK" else None


class Seat:
    """The place of one waiting thread at a board."""

    def __init__(self, board: Board, upid: Upid, seen: int) -> None:
        self.upid = upid
        self.seen = seen
        """The number of the last listing that began before this task was waited for, or that was looked at."""
        self._board = board

    def look(self, what: str) -> Listing | None:
        """A listing that is new to this seat, another thread's or an own one; None while nobody else waits here.

        Raises DeadlineExceeded, which names C(what) is being waited for, and ConnectionFailed before first contact.
        """
        listing = self._board.news(self) or self._board.ask(self, what)
        if listing:
            self.seen = listing.number
        return listing

    def leave(self) -> None:
        """From now on this task is asked about on its own."""
        self._board.leave(self)


class Board:
    """What the tasks of one node are known to do. Safe to share between threads."""

    def __init__(self, exchange: Exchange, pace: Pace, node: str) -> None:
        self._exchange = exchange
        self._pace = pace
        self._path = api_path("nodes", node, "tasks")
        self._asking = threading.Lock()
        self._guard = threading.Lock()
        self._seats: set[Seat] = set()
        self._begun = 0
        self._latest: Listing | None = None
        self._refused = False

    @contextmanager
    def seat(self, upid: Upid) -> Iterator[Seat]:
        """A place for the time of a wait."""
        with self._guard:
            seat = Seat(self, upid, self._begun)
            self._seats.add(seat)
        try:
            yield seat
        finally:
            self.leave(seat)

    def leave(self, seat: Seat) -> None:
        with self._guard:
            self._seats.discard(seat)

    def news(self, seat: Seat) -> Listing | None:
        """The latest listing, if the seat has not seen it."""
        with self._guard:
            latest = self._latest
        return latest if latest and latest.number > seat.seen else None

    def ask(self, seat: Seat, what: str) -> Listing | None:
        """Make a new listing, or wait for the one that another thread is making."""
        deadline = self._exchange.deadline
        if not self._shared_by(seat):
            return None
        if not self._asking.acquire(timeout=deadline.remaining()):
            deadline.check(what, seat.upid)
            return None
        try:
            return self.news(seat) or (self._list(seat.upid, what) if self._shared_by(seat) else None)
        finally:
            self._asking.release()

    def _shared_by(self, seat: Seat) -> bool:
        with self._guard:
            return not self._refused and seat in self._seats and len(self._seats) > 1

    def _list(self, upid: Upid, what: str) -> Listing | None:
        self._pace.turn(self._exchange.deadline, what, upid)
        with self._guard:
            self._begun += 1
            number = self._begun
            # Both are the node's own clock: the UPID's start is what the list is filtered by.
            since = min(seat.upid.starttime for seat in self._seats)
        begun = self._exchange.clock.monotonic()
        params = {"source": "all", "since": since, "limit": _LIMIT}
        try:
            rows = self._exchange.read(self._path, params, sort="polls", upid=upid, what=what).data
        except ApiError:
            self._refused = True
            return None
        listing = Listing(number, begun, _ended(rows or []))
        with self._guard:
            self._latest = listing
        return listing


def _ended(rows: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    """A task that ends while the server reads its two files is listed as running, and again as ended."""
    found: dict[str, str | None] = {}
    for row in rows:
        if "endtime" in row:
            found[str(row.get("upid"))] = str(row.get("status", ""))
        else:
            found.setdefault(str(row.get("upid")), None)
    return found
