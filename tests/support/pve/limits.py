# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LimitsMixin: what a real server's capacity does to its clients, and the counters that measure a client.

A node has 3 pveproxy and 3 pvedaemon workers; a connection serves 100 requests (pve-http-server AnyEvent.pm); the
status of guests in /cluster/resources is what pvestatd broadcast last, every 10 s (PVE/API2Tools.pm).
"""

from __future__ import annotations

import asyncio
import collections
import json
import time
import typing as t
from dataclasses import dataclass, field

from aiohttp import web
from fakepve.server import API

STATUS_POLLS = ("/nodes/{node}/tasks/{upid}/status", "/nodes/{node}/tasks")
RESOURCES = "/cluster/resources"


@dataclass
class Limits:
    """Settings, all off but the keep-alive rule; seconds are real ones.

    ``proxy_workers``, ``daemon_workers``: concurrent requests per node (really 3 and 3), more wait. ``latency``:
    added to every answer, holds no worker. ``service_times``: {path template or "*": seconds} a worker is busy with a
    request. ``resources_lag``: period of the status broadcast; ``lagging``: the columns that come from it.
    """

    proxy_workers: int | None = None
    daemon_workers: int | None = None
    latency: float = 0.0
    service_times: dict[str, float] = field(default_factory=dict)
    requests_per_connection: int = 100
    resources_lag: float = 0.0
    lagging: frozenset[str] = frozenset({"name", "status", "template", "maxmem", "node"})

    @classmethod
    def real(cls) -> Limits:
        """The limits of a real node; set ``latency`` and ``service_times`` as measured."""
        return cls(proxy_workers=3, daemon_workers=3, resources_lag=10.0)


class Seen(t.NamedTuple):
    """One finished request: ``template`` is the path class, times are seconds of a monotonic clock."""

    method: str
    template: str
    status: int
    connection: int
    started: float
    ended: float


class Meter:
    """Counters over the API requests since the last reset()."""

    def __init__(self) -> None:
        self.open: dict[asyncio.BaseTransport, list[int]] = {}
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.max_open = 0
        self.max_in_flight = self.in_flight
        # Connections still open go on under a new number.
        self.open.clear()

    @property
    def requests(self) -> int:
        return len(self.seen)

    def by_class(self) -> collections.Counter[tuple[str, str]]:
        """(method, path template) -> finished requests."""
        return collections.Counter((entry.method, entry.template) for entry in self.seen)

    def count(self, method: str, template: str) -> int:
        return self.by_class()[method, template]

    def polls_per_second(self) -> collections.Counter[int]:
        """Whole seconds since the first request -> reads of a task's status, or of all tasks, in that second."""
        first = self.seen[0].started if self.seen else 0.0
        polls = [entry for entry in self.seen if entry.method == "GET" and entry.template in STATUS_POLLS]
        return collections.Counter(int(entry.started - first) for entry in polls)

    def connection(self, transport: asyncio.BaseTransport | None) -> list[int]:
        """[number, requests so far] of the TCP connection a request came on."""
        known = self.open.get(transport)
        if known is None:
            for old in [old for old in self.open if old is None or old.is_closing()]:
                del self.open[old]
            self.connections += 1
            known = self.open[transport] = [self.connections, 0]
            self.max_open = max(self.max_open, len(self.open))
        known[1] += 1
        return known


class LimitsMixin:
    """Mixin of FakeCluster: ``limits`` may be changed at any time, ``meter`` counts."""

    def _init_limits(self) -> None:
        self.limits = Limits()
        self.meter = Meter()
        self._gates: dict[tuple[str, bool, int], asyncio.Semaphore] = {}
        self._broadcast: dict[int, dict[str, t.Any]] | None = None
        self._broadcaster: asyncio.Task | None = None

    def _middlewares_a_limits(self) -> list[t.Callable]:
        return [self._measure]

    @web.middleware
    async def _measure(self, request: web.Request, handler: t.Callable) -> web.StreamResponse:
        if not request.path.startswith(API):
            return await handler(request)
        meter, match = self.meter, self.resolve(request, API)
        connection = meter.connection(request.transport)
        number, nth = connection
        meter.in_flight += 1
        meter.max_in_flight = max(meter.max_in_flight, meter.in_flight)
        started, status = time.monotonic(), 0
        try:
            await asyncio.sleep(self.limits.latency)
            async with self._worker(request.method, match):
                await asyncio.sleep(self._service_time(match))
                response = await handler(request)
            if match is not None and match.template == RESOURCES:
                response = await self._lagged(response)
            status = response.status
            if nth >= self.limits.requests_per_connection:
                response.force_close()
            return response
        finally:
            meter.in_flight -= 1
            template = match.template if match else request.path.removeprefix(API)
            meter.seen.append(Seen(request.method, template, status, number, started, time.monotonic()))

    def _service_time(self, match: t.Any) -> float:
        times = self.limits.service_times
        return times.get(match.template if match else "*", times.get("*", 0.0))

    def _worker(self, method: str, match: t.Any) -> t.AsyncContextManager:
        """The worker of the node that has to answer: privileged calls ("protected") need one of pvedaemon's."""
        info = (match.methods.get(method) if match else None) or {}
        daemon = bool(info.get("protected"))
        limit = self.limits.daemon_workers if daemon else self.limits.proxy_workers
        if limit is None:
            return _Free()
        node = (match.params.get("node") if match else None) or next(iter(self.nodes))
        return self._gates.setdefault((node, daemon, limit), asyncio.Semaphore(limit))

    # ------------------------------------------------------- status broadcast

    def broadcast(self) -> None:
        """pvestatd's round: what GET /cluster/resources shows of guests until the next one."""
        guests = self.vms.values() if isinstance(self.vms, dict) else self.vms
        self._broadcast = {guest.vmid: self._stats_of(guest) for guest in guests}

    @staticmethod
    def _stats_of(guest: t.Any) -> dict[str, t.Any]:
        memory = str(guest.config.get("memory") or 512).rpartition("=")[2]
        return {
            "name": guest.config.get("name"),
            "status": guest.status,
            "template": int(bool(guest.template)),
            "maxmem": int(memory) * 1024**2,
            "node": guest.node,
        }

    async def _lagged(self, response: web.StreamResponse) -> web.StreamResponse:
        """The resource list as of the last broadcast; a guest it does not know has neither name nor status."""
        if not self.limits.resources_lag or response.status != 200 or not isinstance(response, web.Response):
            return response
        self._begin_broadcasts()
        body = json.loads(response.text or "{}")
        body["data"] = [self._lagged_row(row) if row.get("type") == "qemu" else row for row in body["data"]]
        return web.json_response(body)

    def _lagged_row(self, row: dict[str, t.Any]) -> dict[str, t.Any]:
        columns = self.limits.lagging
        live = {key: value for key, value in row.items() if key not in columns}
        known = self._broadcast.get(row["vmid"]) if self._broadcast else None
        if known is None:
            return {**live, "node": row["node"], "status": "unknown"}
        return {**live, **{key: value for key, value in known.items() if key in columns and value is not None}}

    def _begin_broadcasts(self) -> None:
        """Start the rounds with the first read; they end with the event loop."""
        if self._broadcast is None:
            self.broadcast()
        if self._broadcaster is None or self._broadcaster.done():
            self._broadcaster = asyncio.ensure_future(self._rounds())

    async def _rounds(self) -> None:
        while self.limits.resources_lag:
            await asyncio.sleep(self.limits.resources_lag)
            self.broadcast()


class _Free:
    """A worker pool without a limit."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_exc: object) -> None:
        return None
