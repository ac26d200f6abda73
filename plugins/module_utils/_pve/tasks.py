# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for Proxmox tasks: when to ask, how often, and what the answer means."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from .board import Board
from .errors import ApiError, ConnectionFailed, DeadlineExceeded, TaskFailed, classify_task
from .exchange import Exchange, api_path
from .pace import Pace, delay
from .upid import TaskResult, Upid, succeeded

_NOT_YET = 5.0
"""Seconds after dispatch in which a 400 on the status path means that the task is not registered yet."""

_BELIEVED = 10.0
"""Seconds for which listings may say that a task runs before it is asked itself. The daemon that began a task enters
its end; if that one is gone, the next task does, or pvestatd, every 10 s while it is well itself."""

_LOG_PAGE = 500
_TAIL = 20


class Tasks:
    """Waits for tasks over one exchange. Safe to share between threads.

    A task that is the only one waited for on its node is asked about itself; of several, one listing tells all.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._clock = exchange.clock
        self._deadline = exchange.deadline
        self._pace = Pace(exchange.clock)
        self._boards: dict[str, Board] = {}
        self._guard = threading.Lock()

    def board(self, node: str) -> Board:
        """Where the threads that wait for tasks of a node meet."""
        with self._guard:
            if node not in self._boards:
                self._boards[node] = Board(self._exchange, self._pace, node)
            return self._boards[node]

    def wait(self, upid: Upid, on_poll: Callable[[Mapping[str, Any]], None] | None = None) -> TaskResult:
        """Until the task has ended. C(on_poll) is given every status reply, or what a listing says in its stead.

        Raises TaskFailed when it ended badly, DeadlineExceeded, ApiError and ConnectionFailed when it cannot be seen.
        """
        what = _describe(upid)
        start = looked = asked = self._clock.monotonic()
        with self.board(upid.node).seat(upid) as seat:
            while True:
                now = self._clock.monotonic()
                due = looked + delay(now - start)
                if due > now:
                    self._deadline.pause(due - now, what, upid)
                now = self._clock.monotonic()
                listing = seat.look(what) if now - asked < _BELIEVED else None
                status = listing.told(upid) if listing else None
                if listing and status:
                    looked = listing.begun
                else:
                    if listing:
                        seat.leave()
                    self._pace.turn(self._deadline, what, upid)
                    status = self._status(upid, what, self._clock.monotonic() - start < _NOT_YET)
                    looked = asked = self._clock.monotonic()
                if status is None:
                    continue
                if on_poll:
                    on_poll(status)
                if status.get("status") == "stopped":
                    return self._outcome(upid, str(status.get("exitstatus") or "no exit status"))

    def _status(self, upid: Upid, what: str, young: bool) -> Mapping[str, Any] | None:
        path = api_path("nodes", upid.node, "tasks", upid, "status")
        try:
            data = self._exchange.read(path, sort="polls", upid=upid, what=what).data
        except ApiError as exc:
            if exc.http_status == 400 and young:
                return None
            raise
        return data if isinstance(data, Mapping) else None

    def _outcome(self, upid: Upid, exit_status: str) -> TaskResult:
        if exit_status == "OK":
            return TaskResult(upid, exit_status)
        if succeeded(exit_status):
            lines = self._try_log(upid, self._whole_log)
            warnings = tuple(line.removeprefix("WARN: ").strip() for line in lines if line.startswith("WARN: "))
            return TaskResult(upid, exit_status, warnings, tuple(lines[-_TAIL:]))
        tail = tuple(self._try_log(upid, self._log_tail))
        raise TaskFailed(classify_task(exit_status, tail), upid, exit_status, tail)

    def _try_log(self, upid: Upid, read: Callable[[Upid], list[str]]) -> list[str]:
        """The outcome is known already, so a log that cannot be read is a line of the log, not another error."""
        try:
            return read(upid)
        except (ApiError, ConnectionFailed, DeadlineExceeded) as exc:
            return [f"(the log could not be read: {exc})"]

    def _log_page(self, upid: Upid, start: int) -> tuple[list[str], int]:
        path = api_path("nodes", upid.node, "tasks", upid, "log")
        reply = self._exchange.read(path, {"start": start, "limit": _LOG_PAGE}, upid=upid)
        lines = [str(line.get("t", "")) for line in reply.data or []]
        return lines, reply.total if reply.total is not None else start + len(lines)

    def _whole_log(self, upid: Upid) -> list[str]:
        lines, total = self._log_page(upid, 0)
        while len(lines) < total:
            page, total = self._log_page(upid, len(lines))
            if not page:
                break
            lines += page
        return lines

    def _log_tail(self, upid: Upid) -> list[str]:
        lines, total = self._log_page(upid, 0)
        if total > len(lines):
            lines, _total = self._log_page(upid, max(0, total - _TAIL))
        return lines[-_TAIL:]


def _describe(upid: Upid) -> str:
    return f"the task {upid.type} {upid.id}".rstrip() + f" on node {upid.node}"
