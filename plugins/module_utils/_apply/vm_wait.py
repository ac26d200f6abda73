# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until VMs are there: their agent answers, cloud-init has ended, SSH lets in. All at once, one deadline."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .._model.interfaces import addresses
from .._model.vm import Wait, WaitFor
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, Kind, ProxmoxError
from .guest import Guest, GuestFailed
from .scheduler import run_all

MAX_WAITERS = 64
ASKERS = 2
"""Questions to agents of one node at a time. While a guest boots each takes one of the node's three workers 3 s."""

_LOOK_EVERY = 2.0
_GRACE = 30.0
"""Seconds that a guest whose agent answers is given to come to an address."""

_RESULT = "/run/cloud-init/result.json"
_DISABLED = "/run/cloud-init/disabled"

Greet = Callable[[str, int, float], bytes]
"""The first bytes of what listens on an address and port, within so many seconds. Raises OSError."""


def greeting(address: str, port: int, seconds: float) -> bytes:
    """The first bytes of what a server says."""
    with closing(socket.create_connection((address, port), timeout=seconds)) as connection:
        return connection.recv(255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A VM that is waited for. C(fixed) are the addresses that its configuration gives it."""

    name: str
    vmid: int
    node: str
    wait: Wait
    macs: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A VM that is there, with its addresses, the best one first."""

    addresses: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class NotReached(ProxmoxError):
    """A VM has not come to what is waited for."""


@dataclass(slots=True)
class _Nodes:
    """Turns to ask agents, by node."""

    _turns: dict[str, threading.Semaphore] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def turn(self, node: str) -> threading.Semaphore:
        with self._guard:
            return self._turns.setdefault(node, threading.Semaphore(ASKERS))


def await_vms(
    client: Client, awaited: Sequence[Awaited], greet: Greet = greeting
) -> Mapping[str, Reached | ProxmoxError]:
    """What each VM has come to, by name."""
    nodes, begun = _Nodes(), client.clock.monotonic()
    jobs = [partial(_reach, _Waiting(client, one, nodes, begun + one.wait.seconds, greet)) for one in awaited]
    return dict(zip([one.name for one in awaited], run_all(jobs, MAX_WAITERS), strict=True))


def _reach(waiting: _Waiting) -> Reached | ProxmoxError:
    try:
        return waiting.reach()
    except ProxmoxError as error:
        return error


class _Waiting:
    """One VM that is waited for until C(end) on the monotonic clock."""

    def __init__(self, client: Client, awaited: Awaited, nodes: _Nodes, end: float, greet: Greet) -> None:
        self._client = client
        self._one = awaited
        self._turn = nodes.turn(awaited.node)
        self._end = end
        self._greet = greet
        self._last = ""

    def reach(self) -> Reached:
        """Until everything that was asked for holds. Raises NotReached, which says what does not."""
        wanted = self._one.wait.wanted
        found, warnings = list(self._one.fixed), []
        if wanted is not WaitFor.SSH or not found:
            told = self._by_agent()
            found = list(dict.fromkeys((*told, *found)))
            if not told and self._one.macs:
                warnings.append(f"VM {self._one.vmid} ({self._one.name}): its agent tells of no address")
        if wanted is WaitFor.CLOUD_INIT:
            self._cloud_init()
        if wanted is WaitFor.SSH:
            self._ssh(found)
        return Reached(addresses=tuple(found), warnings=tuple(warnings))

    def _by_agent(self) -> tuple[str, ...]:
        """The addresses that the agent tells of. A guest without a network device has none to wait for."""
        answered: float | None = None
        while True:
            interfaces = self._interfaces()
            if interfaces is not None:
                now = self._client.clock.monotonic()
                answered = now if answered is None else answered
                found = addresses(interfaces, self._one.macs)
                if found or not self._one.macs or now > answered + _GRACE:
                    return found
                self._last = "its agent answers and tells of no address yet"
            self._pause("its guest agent")

    def _interfaces(self) -> list[dict[str, Any]] | None:
        path = api_path("nodes", self._one.node, "qemu", self._one.vmid, "agent", "network-get-interfaces")
        try:
            with self._turn:
                return list(self._client.get(path)["result"])
        except ApiError as error:
            if error.kind is Kind.NOT_RUNNING:
                raise NotReached(f"VM {self._one.vmid} is not running. Set started=true, or wait_for=none") from error
            if error.kind is not Kind.AGENT or "No QEMU guest agent configured" in str(error):
                raise
            self._last = "its guest agent does not answer"
            return None

    def _cloud_init(self) -> None:
        guest = Guest(self._client, self._one.node, self._one.vmid)
        while True:
            try:
                with self._turn:
                    result = guest.read(_RESULT)
                    if result is None and guest.read(_DISABLED) is not None:
                        return
            except ApiError as error:
                if error.kind is not Kind.AGENT:
                    raise
                result = None
            errors = _errors(result)
            if errors:
                raise GuestFailed(f"cloud-init of VM {self._one.vmid} ended with errors: {'; '.join(errors)}")
            if errors is not None:
                return
            self._last = "cloud-init has not ended"
            self._pause("the end of cloud-init")

    def _ssh(self, found: list[str]) -> None:
        port = self._one.wait.port
        if not found:
            raise NotReached(f"VM {self._one.vmid} has no address, so that SSH cannot be waited for")
        while True:
            for address in found:
                try:
                    said = self._greet(address, port, 5.0)
                except OSError as error:
                    self._last = f"{address} port {port}: {error.strerror or error}"
                    continue
                if said.startswith(b"SSH-"):
                    # Others of its addresses may not be reached from here.
                    found.remove(address)
                    found.insert(0, address)
                    return
                self._last = f"{address} port {port} does not speak SSH"
            self._pause(f"SSH on port {port}")

    def _pause(self, what: str) -> None:
        now = self._client.clock.monotonic()
        if now >= self._end:
            raise NotReached(
                f"VM {self._one.vmid} is not there after wait_timeout={self._one.wait.seconds} s: "
                f"{self._last or what}. Raise wait_timeout, or look at its console"
            )
        self._client.deadline.pause(min(_LOOK_EVERY, self._end - now), f"{what} of VM {self._one.vmid}")


def _errors(result: bytes | None) -> list[str] | None:
    """The errors that cloud-init's result tells of, None while there is no whole result."""
    if not result:
        return None
    try:
        said = json.loads(result)["v1"]
        return [str(one) for one in said.get("errors") or ()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
