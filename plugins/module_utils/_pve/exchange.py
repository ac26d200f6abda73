# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single requests: encoding, counting, and the rule of what may be sent again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .clock import Clock, Deadline
from .errors import (
    UNCERTAIN_STATUS,
    ApiError,
    ConnectionFailed,
    ProxmoxError,
    TlsFailed,
    classify,
)
from .upid import Upid
from .wire import Reply, Transport, Upload

FIRST_CONTACT_ATTEMPTS = 4
"""Before any reply came, a refused connection is rather a wrong address than a restart: about 3.5 s of trying."""

PROXY_ATTEMPTS = 10
"""596 and 599 pass when the other node's services restart; each may take the 30 s that the proxying node waits."""

UNSENT_ATTEMPTS = 5

_GLANCE_TIMEOUT = 5.0
"""Seconds that a look may take on which nothing depends."""

_LEAST_WRITE_TIMEOUT = 10.0
"""Seconds. A write that starts just before the deadline still gets its answer, or nobody would know what it did."""


def api_path(*segments: object) -> str:
    """Below C(/api2/json), every segment percent-encoded: volume ids and UPIDs hold slashes and colons."""
    return "".join(f"/{quote(str(segment), safe='')}" for segment in segments)


def backoff(first: float = 0.5, longest: float = 10.0) -> Iterator[float]:
    """Seconds between attempts: doubling from C(first) up to C(longest), without end."""
    delay = first
    while True:
        yield delay
        delay = min(delay * 2, longest)


def wire_params(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Booleans as 0 and 1, the only form that form-encoded bodies may have (observed: C(true) is a 400); no Nones."""
    return {
        name: int(value) if isinstance(value, bool) else value
        for name, value in (params or {}).items()
        if value is not None
    }


def is_cut(exc: ProxmoxError) -> bool:
    """Whether a write that ended so may have been obeyed."""
    return (isinstance(exc, ConnectionFailed) and exc.sent) or (isinstance(exc, ApiError) and exc.uncertain)


@dataclass(slots=True)
class Requests:
    """How many requests of each sort were sent; threads may count at once."""

    reads: int = 0
    writes: int = 0
    polls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, sort: str) -> None:
        with self._lock:
            setattr(self, sort, getattr(self, sort) + 1)

    def as_dict(self) -> dict[str, int]:
        with self._lock:
            return {"reads": self.reads, "writes": self.writes, "polls": self.polls}


class Exchange:
    """Sends requests through a transport within one deadline. Safe to share between threads."""

    def __init__(self, transport: Transport, clock: Clock, deadline: Deadline, request_timeout: float) -> None:
        self.clock = clock
        self.deadline = deadline
        self.request_timeout = request_timeout
        self.requests = Requests()
        self.read_only = False
        self._transport = transport
        self._contact = False

    @property
    def server_offset(self) -> float | None:
        """Seconds by which the server's clock is ahead of ours, where the transport learns it from the replies."""
        offset = getattr(self._transport, "server_offset", None)
        return float(offset) if offset is not None else None

    def read(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        sort: str = "reads",
        upid: Upid | None = None,
        what: str | None = None,
        method: str = "GET",
    ) -> Reply:
        """A GET, repeated while no reply comes or another node's does not come through. C(method): see Client.look.

        Raises ApiError, TlsFailed, ConnectionFailed (before the first contact) and DeadlineExceeded, which names
        C(what) is being waited for.
        """
        what = what or f"{method} {path}"
        trouble = 0
        for delay in backoff():
            self.deadline.check(what, upid)
            try:
                return self._once(method, path, params, sort, self._timeout())
            except TlsFailed:
                raise
            except ConnectionFailed as exc:
                trouble += 1
                if not self._contact and trouble >= FIRST_CONTACT_ATTEMPTS:
                    raise
                reason = exc.message
            except ApiError as exc:
                trouble += 1
                # A task that is waited for goes on while its node does not answer; another read may never work.
                if exc.http_status not in UNCERTAIN_STATUS or (upid is None and trouble >= PROXY_ATTEMPTS):
                    raise
                reason = str(exc)
            self.deadline.pause(delay, f"{what} (last: {reason})", upid)
        raise AssertionError("unreachable")

    def glance(self, path: str, params: Mapping[str, Any] | None = None) -> Reply:
        """One attempt at a GET that nothing depends on. Raises ApiError and ConnectionFailed."""
        return self._once("GET", path, params, "polls", min(_GLANCE_TIMEOUT, self._timeout()))

    def write(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        upload: Upload | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """A POST, PUT or DELETE, sent again only when the server cannot have seen it.

        Raises ApiError, ConnectionFailed (its C(sent) matters, see is_cut), TlsFailed and DeadlineExceeded.
        """
        if self.read_only:
            raise RuntimeError(f"{method} {path} before a plan was accepted: this client may only read")
        what = f"{method} {path}"
        for attempt, delay in enumerate(backoff(), start=1):
            self.deadline.check(what)
            try:
                return self._once(method, path, params, "writes", timeout or self._timeout(write=True), upload)
            except ConnectionFailed as exc:
                if exc.sent or isinstance(exc, TlsFailed) or attempt >= UNSENT_ATTEMPTS:
                    raise
                reason = exc.message
            self.deadline.pause(delay, f"{what} (last: {reason})")
        raise AssertionError("unreachable")

    def _timeout(self, write: bool = False) -> float:
        timeout = min(self.request_timeout, self.deadline.remaining())
        return max(timeout, min(self.request_timeout, _LEAST_WRITE_TIMEOUT)) if write else max(timeout, 0.001)

    def _once(  # noqa: PLR0917
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        sort: str,
        timeout: float,
        upload: Upload | None = None,
    ) -> Reply:
        self.requests.count(sort)
        reply = self._transport.request(method, path, wire_params(params) or None, timeout=timeout, upload=upload)
        self._contact = True
        if not 200 <= reply.status < 300:
            kind = classify(reply.status, reply.message, reply.errors)
            raise ApiError(kind, reply.message, reply.status, method, path, reply.errors)
        return reply
