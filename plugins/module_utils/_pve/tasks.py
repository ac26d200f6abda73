# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for Proxmox tasks: when to ask, how often, and what the answer means."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from .clock import Clock
from .errors import ApiError, ConnectionFailed, DeadlineExceeded, TaskFailed, classify_task
from .exchange import Exchange, api_path
from .upid import TaskResult, Upid, succeeded

_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0
_SHARE_OF_ELAPSED = 0.05
_STATUS_PER_SECOND = 20

_NOT_YET = 5.0
"""Seconds after dispatch in which a 400 on the status path means that the task is not registered yet."""

_LOG_PAGE = 500
_TAIL = 20


class Pace:
    """Gives every request of all threads its own slot, so that together they keep to C(per_second)."""

    def __init__(self, clock: Clock, per_second: float = _STATUS_PER_SECOND) -> None:
        self._clock = clock
        self._interval = 1.0 / per_second
        self._next = clock.monotonic()
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next slot; the seconds until it begins."""
        with self._lock:
            now = self._clock.monotonic()
            slot = max(now, self._next)
            self._next = slot + self._interval
            return slot - now


class Tasks:
    """Polls tasks over one exchange. Safe to share between threads."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._clock = exchange.clock
        self._deadline = exchange.deadline
        self._pace = Pace(exchange.clock)

    def wait(self, upid: Upid, on_poll: Callable[[Mapping[str, Any]], None] | None = None) -> TaskResult:
        """Until the task has ended. C(on_poll) is given every status reply.

        Raises TaskFailed when it ended badly, DeadlineExceeded, ApiError and ConnectionFailed when it cannot be seen.
        """
        what = _describe(upid)
        start = self._clock.monotonic()
        while True:
            elapsed = self._clock.monotonic() - start
            delay = min(max(_FIRST_DELAY, elapsed * _SHARE_OF_ELAPSED), _LONGEST_DELAY)
            self._deadline.pause(delay, what, upid)
            slot = self._pace.reserve()
            if slot > 0:
                self._deadline.pause(slot, what, upid)
            status = self._status(upid, what, self._clock.monotonic() - start < _NOT_YET)
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
