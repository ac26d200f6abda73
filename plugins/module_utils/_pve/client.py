# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Proxmox API as the layers above use it: reads, writes, tasks, within one deadline."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .clock import Clock, Deadline, SystemClock
from .errors import ApiError, Kind, ProxmoxError, TaskFailed, WriteLost
from .exchange import Exchange, Requests, api_path, backoff, is_cut
from .reconcile import LOOKS, Begun, TaskKey, config_shows
from .tasks import Tasks
from .upid import TaskResult, Upid
from .wire import Reply, Transport, Upload

__all__ = ["Client", "api_path"]

_T = TypeVar("_T")

_LEAST_UPLOAD_RATE = 1024 * 1024
"""Bytes per second. After the last byte the server still copies the file before it answers."""

_GLANCE = 500
"""Lines of a log that one look takes at most."""


class Watcher(Protocol):
    """Is told how far a client is. It must not raise."""

    def polled(self, upid: Upid, status: Mapping[str, Any]) -> None:
        """After every look at a task that is waited for."""

    def sent(self, done: int, total: int) -> None:
        """During an upload: bytes of the file."""


class Client:
    """One user of one Proxmox API; C(timeout) and C(request_timeout) are seconds. Threads may share it.

    C(identity) is our user as UPIDs name it; with it, tasks of others are never taken for ours. Without it the
    transport is asked. C(read_only) holds until allow_writes: a write before that is a mistake of the caller.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock | None = None,
        timeout: float = 1800.0,
        request_timeout: float = 60.0,
        identity: str | None = None,
        read_only: bool = False,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.deadline = Deadline(self.clock, timeout)
        self._exchange = Exchange(transport, self.clock, self.deadline, request_timeout)
        self._tasks = Tasks(self._exchange)
        self.identity: str = identity or getattr(transport, "identity", None) or ""
        self._begun = Begun(self._exchange, self.identity or None)
        self._exchange.read_only = read_only
        self._watcher: Watcher | None = None

    def watched(self, watcher: Watcher) -> Client:
        """The same client, sharing everything with this one, which tells a watcher how far it is."""
        other = copy.copy(self)
        other._watcher = watcher
        return other

    def allow_writes(self) -> None:
        """End read_only: a plan has been accepted."""
        self._exchange.read_only = False

    def counts(self) -> dict[str, int]:
        """How many reads, writes and polls were sent."""
        return self.requests.as_dict()

    @property
    def requests(self) -> Requests:
        """Counters of what was sent, for a result's C(stats)."""
        return self._exchange.requests

    def get(self, path: str, /, **params: Any) -> Any:
        """The data of a read, which is repeated while no reply comes. Raises ApiError and the connection errors."""
        return self._exchange.read(path, params).data

    def look(self, path: str, params: Mapping[str, Any]) -> Any:
        """Begin a command in a guest that only looks: a read whose method is POST, allowed before a plan is accepted.

        It is repeated like a read, so the command must not change anything. See docs/adr/0022.
        """
        if not path.endswith("/agent/exec"):
            raise ValueError(f"POST {path} is no look into a guest")
        return self._exchange.read(path, params, method="POST").data

    def post(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The data of a write that begins no task. Raises WriteLost when the connection was cut, ApiError."""
        return self._write("POST", path, params).data

    def put(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Like post. For a guest's config use write_config, which survives a cut."""
        return self._write("PUT", path, params).data

    def delete(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Like post; Proxmox takes the parameters of a DELETE in the query string only (observed: 501 for a body)."""
        return self._write("DELETE", path, params).data

    def _write(self, method: str, path: str, params: Mapping[str, Any] | None) -> Reply:
        try:
            return self._exchange.write(method, path, params)
        except ProxmoxError as exc:
            if is_cut(exc) and not isinstance(exc, ApiError):
                raise WriteLost(f"{method} {path} ({exc})") from exc
            raise

    def write_config(
        self,
        node: str,
        vmid: int,
        changes: Mapping[str, Any],
        *,
        delete: Sequence[str] = (),
        digest: str | None = None,
    ) -> None:
        """PUT a VM's config. After a cut the config is read back, and the write repeated once if it was not done.

        C(digest) guards against other writers, and lets the outcome be told apart for values that cannot be compared.
        Raises ApiError (DIGEST_MISMATCH among others) and WriteLost.
        """
        path = api_path("nodes", node, "qemu", vmid, "config")
        params = {**changes, "delete": ",".join(delete) or None, "digest": digest}
        for attempt in (1, 2):
            try:
                self._exchange.write("PUT", path, params)
                return
            except ProxmoxError as exc:
                # An answer to the second attempt that says "changed since" may be about the first one.
                late = attempt == 2 and isinstance(exc, ApiError) and exc.kind is Kind.DIGEST_MISMATCH
                if not is_cut(exc) and not late:
                    raise
                if self._config_written(path, changes, delete, digest):
                    return
                if attempt == 2:
                    raise exc if late else WriteLost(f"PUT {path} ({exc})") from exc

    def _config_written(self, path: str, changes: Mapping[str, Any], delete: Sequence[str], digest: str | None) -> bool:
        """Whether a config write that was cut has been done. Raises WriteLost when reading cannot tell."""
        shown: bool | None = False
        for delay in LOOKS:
            self.deadline.pause(delay, f"a sign of the write PUT {path}")
            config = self.get(path)
            changed = None if digest is None else config.get("digest") != digest
            shown = config_shows(config, changes, delete)
            if shown or (shown is None and changed):
                return True
            if shown is False and changed:
                raise WriteLost(f"PUT {path}; the config has changed since, but not to what was asked")
        if shown is None and digest is None:
            raise WriteLost(f"PUT {path}; its values cannot be told from the config, and no digest was given")
        return False

    def submit(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        node: str,
        type: str,  # noqa: A002 - as Proxmox names it
        id: object,  # noqa: A002
        repeatable: bool = True,
        alone: bool = True,
        upload: Upload | None = None,
        request_timeout: float | None = None,
    ) -> Upid:
        """A write that answers a UPID. C(type) and C(id) are those of the UPID it will answer.

        When the connection is cut, the node's list of tasks tells whether the task began. If it provably did not, the
        write is sent once more, unless C(repeatable) is false. Raises ApiError, WriteLost and the connection errors.

        C(alone) false is for writes of one type and id that go out side by side, such as clones of one template: the
        list cannot tell them apart, so a cut raises WriteLost at once and whoever calls looks at what was to be made.
        """
        key = TaskKey(node, type, str(id))
        what = f"{method} {path}"
        with self._begun.turn(key) if alone else nullcontext():
            first_sent = self.clock.time()
            for attempt in (1, 2):
                try:
                    reply = self._exchange.write(method, path, params, upload=upload, timeout=request_timeout)
                except ProxmoxError as exc:
                    # A refusal of the second attempt may come from the first one having begun late.
                    if not is_cut(exc) and not (attempt == 2 and isinstance(exc, ApiError)):
                        raise
                    if not alone:
                        raise WriteLost(f"{what} ({exc})") from exc
                    upid = self._find(key, first_sent, what, exc)
                    if upid:
                        return upid
                    if attempt == 2 and not is_cut(exc):
                        raise
                    if attempt == 2 or not repeatable:
                        raise WriteLost(f"{what} ({exc}); no task of it has been seen") from exc
                else:
                    return self._upid_of(reply, method, path)
        raise AssertionError("unreachable")

    def _find(self, key: TaskKey, sent_at: float, what: str, cause: ProxmoxError) -> Upid | None:
        try:
            if is_cut(cause):
                return self._begun.find(key, sent_at)
            return self._begun.look(key, sent_at)
        except LookupError as exc:
            raise WriteLost(f"{what}; {exc}") from cause

    def _upid_of(self, reply: Reply, method: str, path: str) -> Upid:
        try:
            upid = Upid.parse(reply.data)
        except ValueError as exc:
            raise ApiError(Kind.OTHER, f"the answer is {exc}", reply.status, method, path) from None
        self._begun.note(upid)
        return upid

    def upload(
        self,
        node: str,
        storage: str,
        *,
        content: str,
        path: Path,
        filename: str,
        digest: object | None = None,
    ) -> Upid:
        """Send a file to a storage; the task C(imgcopy) puts it in place. Proxmox silently replaces the same name.

        C(digest) is C(algorithm:hex), or a value with C(algorithm) and C(hex); the server checks it.
        """
        params: dict[str, Any] = {"content": content}
        if digest is not None:
            algorithm, separator, value = str(digest).partition(":")
            if not separator:
                raise ValueError(f"not a digest of the form algorithm:hex: {digest!r}")
            params |= {"checksum": value, "checksum-algorithm": algorithm}
        patience = self._exchange.request_timeout + path.stat().st_size / _LEAST_UPLOAD_RATE
        return self.submit(
            "POST",
            api_path("nodes", node, "storage", storage, "upload"),
            params,
            node=node,
            type="imgcopy",
            id="",
            upload=Upload(path, filename, self._watcher.sent if self._watcher else None),
            request_timeout=min(patience, self.deadline.remaining() or patience),
        )

    def wait(self, upid: Upid, *, on_poll: Callable[[Mapping[str, Any]], None] | None = None) -> TaskResult:
        """Until the task has ended. Raises TaskFailed with its log, and DeadlineExceeded with its UPID."""
        if on_poll is None and self._watcher is not None:
            on_poll = partial(self._watcher.polled, upid)
        return self._tasks.wait(upid, on_poll)

    def glance_at_log(self, upid: Upid, start: int = 0) -> list[str]:
        """The lines of a task's log from C(start) on, the first being 0, by one attempt that counts as a poll.

        Raises ApiError and ConnectionFailed.
        """
        path = api_path("nodes", upid.node, "tasks", upid, "log")
        reply = self._exchange.glance(path, {"start": start, "limit": _GLANCE})
        return [str(line.get("t", "")) for line in reply.data or []]

    def run(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        node: str,
        type: str,  # noqa: A002
        id: object,  # noqa: A002
        repeatable: bool = True,
    ) -> TaskResult:
        """Submit and wait."""
        return self.wait(self.submit(method, path, params, node=node, type=type, id=id, repeatable=repeatable))

    def retry_locked(self, call: Callable[[], _T], *, patience: float = 60.0) -> _T:
        """C(call) again while Proxmox refuses it because of a lock or too much at once, for C(patience) seconds.

        A task that failed is repeated only where its exit status is the refusal of the lock itself: it did nothing.
        """
        end = self.clock.monotonic() + patience
        for delay in backoff():
            try:
                return call()
            except (ApiError, TaskFailed) as exc:
                locked = exc.kind is Kind.LOCKED or (exc.kind is Kind.BUSY and isinstance(exc, ApiError))
                if not locked or self.clock.monotonic() + delay > end:
                    raise
                reason = str(exc)
            self.deadline.pause(delay, f"a lock (last: {reason})")
        raise AssertionError("unreachable")
