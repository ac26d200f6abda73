# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wire that follows a script, and a clock that never sleeps for real."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply, Upload


class FakeClock:
    """Time that passes only by sleeping; C(sleeps) keeps every sleep in seconds. Threads may share it."""

    def __init__(self, unix: float = 1_795_441_867.0) -> None:
        self._now = 0.0
        self._unix = unix
        self._lock = threading.Lock()
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        with self._lock:
            return self._now

    def time(self) -> float:
        with self._lock:
            return self._unix + self._now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0, f"a sleep of {seconds} s"
        with self._lock:
            self._now += seconds
            self.sleeps.append(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes without anybody sleeping."""
        with self._lock:
            self._now += seconds


@dataclass(frozen=True)
class Call:
    """One expected request and what happens on it.

    C(reply) is a Reply, an exception to raise, or data for a 200. C(params) is compared only if given, and then
    whole. C(takes) seconds pass before the reply.
    """

    method: str
    path: str
    reply: Any = None
    params: Mapping[str, Any] | None = None
    absent: Sequence[str] = ()
    takes: float = 0.0
    filename: str | None = None


@dataclass(frozen=True)
class Sent:
    """One request as the wire saw it."""

    method: str
    path: str
    params: Mapping[str, Any]
    timeout: float
    upload: Upload | None = None


@dataclass
class ScriptedTransport:
    """Answers expected requests in their order. As a context manager it also fails when requests are missing.

    An unexpected request raises AssertionError, and again at the end, should somebody have swallowed it.
    """

    calls: Sequence[Call]
    clock: FakeClock = field(default_factory=FakeClock)
    server_offset: float | None = None
    sent: list[Sent] = field(default_factory=list)
    _wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float,
        upload: Upload | None = None,
    ) -> Reply:
        with self._lock:
            position = len(self.sent)
            self.sent.append(Sent(method, path, dict(params or {}), timeout, upload))
            call = self._expected(position)
        self.clock.advance(call.takes)
        if isinstance(call.reply, BaseException):
            raise call.reply
        if isinstance(call.reply, Reply):
            return call.reply
        return Reply(200, "OK", call.reply)

    def _expected(self, position: int) -> Call:
        sent = self.sent[position]
        said = f"request {position + 1}: {sent.method} {sent.path} {dict(sent.params)}"
        if position >= len(self.calls):
            self._fail(f"{said} was not expected; the script has {len(self.calls)} calls")
        call = self.calls[position]
        if (sent.method, sent.path) != (call.method, call.path):
            self._fail(f"{said}; expected {call.method} {call.path}")
        if call.params is not None and dict(sent.params) != dict(call.params):
            self._fail(f"{said}; expected parameters {dict(call.params)}")
        if present := [name for name in call.absent if name in sent.params]:
            self._fail(f"{said}; {present} must be absent")
        if (sent.upload.filename if sent.upload else None) != call.filename:
            self._fail(f"{said}; expected an upload of {call.filename}")
        return call

    def _fail(self, text: str) -> None:
        self._wrong.append(text)
        raise AssertionError(text)

    def finish(self) -> None:
        """Raises AssertionError if a request was wrong or is missing."""
        assert not self._wrong, "\n".join(self._wrong)
        missing = [f"{call.method} {call.path}" for call in self.calls[len(self.sent) :]]
        assert not missing, f"never sent: {missing}"

    def __enter__(self) -> ScriptedTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()


def refusal(status: int, message: str, errors: Mapping[str, str] | None = None) -> Reply:
    """A reply that refuses, as Proxmox words it."""
    return Reply(status, message, None, None, dict(errors or {}))
