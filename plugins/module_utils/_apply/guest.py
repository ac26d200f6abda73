# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest agent of one VM, with the manners that Proxmox VE gives it.

Measured on PVE 8.4: an argument beyond Latin-1 kills the agent until the guest reboots, arguments are logged in the
guest, a missing program cuts the connection, the outcome of a command can be read once, and output comes as one
character per byte. So commands are given to C(/bin/sh) as input, in ASCII.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from math import inf
from typing import Any

from .._pve.client import Client, api_path
from .._pve.errors import ApiError, Kind, ProxmoxError

MAX_INPUT = 65536
"""Characters of C(input-data), from the schema of agent/exec."""

MAX_WRITE = 45000
"""Bytes of one file-write: its content has 61440 characters at most, and base64 makes four of three."""

_PATIENCE = 60.0
"""Seconds for an agent that is silent for a while: it is restarted by package upgrades, or starved by a busy node."""


_LOG = "/var/log/cloud-init-output.log"
_TAIL = 2000


class GuestFailed(ProxmoxError):
    """What was asked of the guest went wrong in the guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended; C(status) is None when a signal ended it."""

    status: int | None
    out: str
    err: str

    @property
    def text(self) -> str:
        """Output and errors, for a message."""
        return "\n".join(part.rstrip() for part in (self.out, self.err) if part.strip())


class Guest:
    """Asks the agent of one VM."""

    def __init__(self, client: Client, node: str, vmid: int, patience: float = _PATIENCE) -> None:
        self._client = client
        self._vmid = vmid
        self._patience = patience
        self._path = api_path("nodes", node, "qemu", vmid, "agent")

    def answers(self) -> bool:
        """Whether the agent is there. While a guest boots each question takes the server three seconds."""
        try:
            self._client.post(f"{self._path}/ping")
        except ApiError as error:
            if error.kind is Kind.AGENT:
                return False
            raise
        return True

    def wait(self, seconds: float) -> None:
        """Until the agent answers. Raises GuestFailed when it does not within so many seconds."""
        clock = self._client.clock
        end = clock.monotonic() + seconds
        while not self.answers():
            if clock.monotonic() > end:
                raise GuestFailed(
                    f"the guest agent of VM {self._vmid} did not answer within {seconds:g} s of its start: the guest "
                    "did not boot, or has no agent"
                )
            self._client.deadline.pause(1.0, f"the guest agent of VM {self._vmid}")

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, at most 16 MiB of it; None where there is none."""
        try:
            answer = self._patiently(lambda: self._client.get(f"{self._path}/file-read", file=path))
        except ApiError as error:
            if error.kind is Kind.NOT_FOUND:
                return None
            raise
        return _bytes(answer.get("content", ""))

    def write(self, path: str, data: bytes) -> None:
        """Make a file of at most MAX_WRITE bytes, as root, with a mode that lets everybody read and write it.

        Its folder has to be there, and to keep others out.
        """
        if len(data) > MAX_WRITE:
            raise ValueError(f"{path}: {len(data)} bytes are more than the agent takes at once")
        params = {"file": path, "content": base64.b64encode(data).decode("ascii"), "encode": 0}
        self._patiently(lambda: self._client.post(f"{self._path}/file-write", params))

    def script(self, text: str, what: str) -> Ended:
        """Run a POSIX shell script as root. Raises GuestFailed when its end cannot be told."""
        if len(text) > MAX_INPUT or not text.isascii():
            raise ValueError(f"{what}: a script for the agent is ASCII of at most {MAX_INPUT} characters")
        return self.command(["/bin/sh"], what, text)

    def command(self, argv: Sequence[str], what: str, stdin: str = "") -> Ended:
        """Run a program that is known to be there. No argument may be secret: the guest logs them."""
        params = {"command": list(argv), **({"input-data": stdin} if stdin else {})}
        pid = self._patiently(lambda: self._client.post(f"{self._path}/exec", params))["pid"]
        return self._ended(pid, what)

    def look(self, text: str, what: str) -> Ended:
        """Run a script that changes nothing, also before a plan was accepted. See docs/adr/0022."""
        params = {"command": ["/bin/sh"], "input-data": text}
        pid = self._patiently(lambda: self._client.look(f"{self._path}/exec", params))["pid"]
        return self._ended(pid, what)

    def _ended(self, pid: int, what: str, limit: float = inf) -> Ended:
        """How a command ended; GuestFailed where it did not within so many seconds."""
        clock = self._client.clock
        end = clock.monotonic() + limit
        delay = 0.2
        while True:
            answer = self._patiently(lambda: self._client.get(f"{self._path}/exec-status", pid=pid))
            if answer.get("exited"):
                return Ended(
                    status=answer.get("exitcode"),
                    out=_text(answer.get("out-data", "")),
                    err=_text(answer.get("err-data", "")),
                )
            if clock.monotonic() > end:
                raise GuestFailed(f"{what} in VM {self._vmid} has not ended after {limit:g} s; it goes on (PID {pid})")
            self._client.deadline.pause(delay, f"{what} in VM {self._vmid}")
            delay = min(delay * 1.5, 5.0)

    def addresses(self) -> list[str]:
        """Its addresses that others can reach, IPv4 first; none where the agent cannot tell."""
        cards = self._patiently(lambda: self._client.get(f"{self._path}/network-get-interfaces"))["result"]
        told = [one for card in cards for one in card.get("ip-addresses") or ()]
        found = [ip_address(one["ip-address"].partition("%")[0]) for one in told if one.get("ip-address")]
        usable = [one for one in found if not (one.is_loopback or one.is_link_local)]
        return [str(one) for one in sorted(usable, key=lambda one: one.version)]

    def cloud_init(self) -> tuple[str, list[str]]:
        """What C(cloud-init status) says: its status and its errors. Raises GuestFailed when it says nothing."""
        ended = self.script("exec cloud-init status --format json\n", "cloud-init status")
        try:
            said = json.loads(ended.out)
            # Newer versions tell of recoverable errors in the extended status only.
            return str(said.get("extended_status") or said["status"]), [str(one) for one in said.get("errors") or ()]
        except (ValueError, KeyError, TypeError, AttributeError):
            text = ended.text or f"it ended with status {ended.status}"
            raise GuestFailed(f"cloud-init of VM {self._vmid} does not say how it is: {text}") from None

    def tail(self) -> str:
        """The end of cloud-init's log."""
        content = self.read(_LOG) or b""
        return content.decode("utf-8", "replace")[-_TAIL:].strip() or f"{_LOG} is empty"

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """C(call) again while the agent is silent for a moment."""
        clock = self._client.clock
        end = clock.monotonic() + self._patience
        while True:
            try:
                return call()
            except ApiError as error:
                if error.kind is not Kind.AGENT or "not running" not in str(error) or clock.monotonic() > end:
                    raise
                self._client.deadline.pause(2.0, f"the guest agent of VM {self._vmid}")


def _bytes(latin: str) -> bytes:
    return latin.encode("latin-1", "replace")


def _text(latin: str) -> str:
    return _bytes(latin).decode("utf-8", "replace")
