# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FaultsMixin: make chosen requests go wrong, from the test itself or, by HTTP, from another process.

    cluster.faults.add("cut_after", "POST", r"/clone$")              the first clone request
    cluster.faults.add("status", "GET", r"/config$", nth=2, code=596, reason="Broken pipe")
    cluster.faults.add("cut_before", at=17)                           API request number 17 (from 0) since reset()
    cluster.faults.add("lost_quorum", at=5, lasts=3)                  for that request and the two after it

Effects and their arguments: fault_effects.py. The same by HTTP: POST /_fault with {"effect", "method", "path", "nth",
"at", "times", "lasts", "args"}, GET for the state, DELETE to clear, POST /_fault/release; header X-Fault-Key.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import typing as t
from dataclasses import dataclass, field

from aiohttp import web
from fakepve.server import API

from .fault_effects import EFFECTS, Call, no_quorum, unreachable
from .taskplan import install, planned
from .wire import MULTIPART, PARAMS, parse_body, refusal

CONTROL = "/_fault"
KEY_HEADER = "X-Fault-Key"
# Writes that the server does without the cluster file system.
NO_QUORUM_NEEDED = re.compile(r"^/access/ticket$|/agent/|/(vnc|term|spice)proxy$")


class Cut(ConnectionResetError):
    """A connection that a fault has closed."""


def _unless_cut(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], Cut))


# aiohttp reports every exception of a handler; these are wanted.
logging.getLogger("aiohttp.server").addFilter(_unless_cut)


@dataclass
class Fault:
    """One planned fault: which requests it hits, and what it does.

    ``path`` is a regular expression searched in the decoded path without /api2/json. ``nth``: the first matching
    request to hit (from 1), ``at``: that API request (from 0) or the first matching one after it; ``times``: how many
    matching requests in a row, None for all. ``lasts``: API requests, this one included, until a change of the cluster
    is undone; None: never.
    """

    effect: str
    method: str = "*"
    path: str = ""
    nth: int = 1
    at: int | None = None
    times: int | None = 1
    lasts: int | None = None
    args: dict[str, t.Any] = field(default_factory=dict)
    matched: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.effect not in EFFECTS:
            raise ValueError(f"unknown effect {self.effect!r}; known: {', '.join(EFFECTS)}")
        re.compile(self.path)

    def hits(self, index: int, method: str, path: str) -> bool:
        """Is this request the fault's? Counts the matching ones."""
        if self.method not in ("*", method) or not re.search(self.path, path):
            return False
        self.matched += 1
        first = self.matched >= self.nth if self.at is None else index >= self.at
        hit = first and (self.times is None or self.fired < self.times)
        self.fired += hit
        return hit

    def state(self) -> dict[str, t.Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Faults:
    """The faults of one cluster; ``index`` is the number of the next API request."""

    def __init__(self) -> None:
        self.key = secrets.token_urlsafe(16)
        self.planned: list[Fault] = []
        self.index = 0
        self.unreachable: dict[str, str] = {}
        self.let_go = asyncio.Event()
        self._undo: list[tuple[int, t.Callable[[], None]]] = []

    def add(self, effect: str, method: str = "*", path: str = "", **options: t.Any) -> Fault:
        """Plan a fault; ``options`` are nth, at, times, lasts and the arguments of the effect."""
        known = {name: options.pop(name) for name in ("nth", "at", "times", "lasts") if name in options}
        fault = Fault(effect, method, path, args=options, **known)
        self.planned.append(fault)
        return fault

    def reset(self) -> None:
        """Forget all faults, undo what they did to the cluster, and count requests from 0 again."""
        self.release()
        self.expire(None)
        self.planned.clear()
        self.index = 0

    def release(self) -> None:
        """Let hanging requests and tasks go on (call it in the server's thread)."""
        self.let_go.set()
        self.let_go = asyncio.Event()

    def expire(self, index: int | None) -> None:
        """Undo the changes whose time is over at this request; None: all of them."""
        due = [undo for end, undo in self._undo if index is None or end <= index]
        self._undo = [] if index is None else [entry for entry in self._undo if entry[0] > index]
        for undo in due:
            undo()

    def remember(self, index: int, fault: Fault, call: Call) -> None:
        """Note how to undo the changes that a fault has made; without ``lasts`` only reset() undoes them."""
        end = index + fault.lasts if fault.lasts is not None else 1 << 62
        self._undo += [(end, undo) for undo in call.undo]
        call.undo.clear()

    def assert_all_fired(self) -> None:
        """Fail the test when a planned fault hit nothing."""
        idle = [fault for fault in self.planned if not fault.fired]
        if idle:
            raise AssertionError(f"these faults hit no request: {idle}")

    async def hold(self, cluster: t.Any, seconds: float) -> None:
        """Wait until release(), the end of the server, or ``seconds``."""
        end, gate = time.monotonic() + seconds, self.let_go
        while time.monotonic() < end and not gate.is_set() and cluster.runner.sites:
            try:
                await asyncio.wait_for(gate.wait(), min(0.05, max(0.0, end - time.monotonic())))
            except TimeoutError:
                continue


class FaultsMixin:
    """Mixin of FakeCluster: ``faults``."""

    def _init_faults(self) -> None:
        self.faults = Faults()
        install(self)

    def _middlewares_b_faults(self) -> list[t.Callable]:
        return [self._disturb]

    @web.middleware
    async def _disturb(self, request: web.Request, handler: t.Callable) -> web.StreamResponse:
        if request.path == CONTROL or request.path.startswith(CONTROL + "/"):
            return await self._control(request)
        if not request.path.startswith(API + "/"):
            return await handler(request)
        call = await self._strike(request)
        if call.cut:
            self._cut(request)
        if call.answer is not None:
            return call.answer
        refused = self._refuse(call)
        if refused is not None:
            return refused
        with planned(call.plan):
            response = await handler(request)
        if call.hold_after:
            await self.faults.hold(self, call.hold_after)
        if call.cut_after:
            self._cut(request)
        return response

    async def _strike(self, request: web.Request) -> Call:
        """Number the request and let the faults that it hits work."""
        faults, index = self.faults, self.faults.index
        faults.index += 1
        faults.expire(index)
        match = self.resolve(request, API)
        node = match.params.get("node") if match else None
        call = Call(self, request, request.path.removeprefix(API), {}, node)
        for fault in [fault for fault in list(faults.planned) if fault.hits(index, request.method, call.path)]:
            if not call.params and request.content_type != MULTIPART:
                request[PARAMS] = call.params = parse_body(request, await request.read())
            await EFFECTS[fault.effect](call, **fault.args)
            faults.remember(index, fault, call)
        return call

    @staticmethod
    def _cut(request: web.Request) -> t.NoReturn:
        """Drop the TCP connection without an answer."""
        if request.transport is not None:
            request.transport.abort()
        raise Cut("the fault injection cut this connection")

    def _refuse(self, call: Call) -> web.StreamResponse | None:
        """What the state of the cluster refuses whoever asks."""
        if call.node in self.faults.unreachable:
            return unreachable(call.request, call.node, self.faults.unreachable[call.node])
        if not self.quorate and call.request.method != "GET" and not NO_QUORUM_NEEDED.search(call.path):
            lost = no_quorum()
            return refusal(call.request, lost.status, lost.message)
        return None

    # ------------------------------------------------------ the control endpoint

    async def _control(self, request: web.Request) -> web.StreamResponse:
        faults = self.faults
        if not secrets.compare_digest(request.headers.get(KEY_HEADER, ""), faults.key):
            return web.Response(status=404)
        if request.path == CONTROL + "/release":
            faults.release()
        elif request.method == "DELETE":
            faults.reset()
        elif request.method == "POST":
            wanted = await request.json()
            try:
                fault = Fault(**wanted)
            except (TypeError, ValueError) as exc:
                return web.json_response({"error": str(exc)}, status=400)
            faults.planned.append(fault)
        return web.json_response({"index": faults.index, "faults": [fault.state() for fault in faults.planned]})
