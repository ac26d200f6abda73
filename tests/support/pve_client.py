# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare client of one fake server, for tests of the fake itself: root's token, no retries, tasks awaited."""

from __future__ import annotations

import time
import typing as t

import requests

from .pve import FakeCluster, Server


class Ended(t.NamedTuple):
    """A task that has ended."""

    upid: str
    status: str
    log: list[str]


class Refused(t.NamedTuple):
    """A refusal: HTTP status, the message without its newline, the texts by parameter."""

    status: int
    message: str
    errors: dict[str, str]


class Api:
    """``api.ok("GET", "/nodes/pve1/qemu/100/config")`` and its relatives; keyword arguments are the parameters."""

    def __init__(self, server: Server, *, patience: float = 20.0) -> None:
        self.server = server
        # Seconds a task may take.
        self.patience = patience
        self.session = requests.Session()
        self.session.verify, self.session.trust_env = server.ca_path, False
        self.session.headers.update(server.token_header)

    @property
    def cluster(self) -> FakeCluster:
        return self.server.cluster

    def __call__(self, method: str, path: str, /, **params: t.Any) -> requests.Response:
        place = "params" if method in ("GET", "DELETE") else "data"
        return self.session.request(method, self.server.url + path, **{place: params})

    def ok(self, method: str, path: str, /, **params: t.Any) -> t.Any:
        """The data of a reply that must be 200."""
        reply = self(method, path, **params)
        assert reply.status_code == 200, (reply.status_code, reply.reason, reply.text)
        return reply.json()["data"]

    def refused(self, method: str, path: str, /, **params: t.Any) -> Refused:
        """A reply that must be a refusal."""
        reply = self(method, path, **params)
        assert reply.status_code >= 400, reply.text
        body = reply.json() if reply.text else {}
        return Refused(reply.status_code, body.get("message", "").rstrip("\n"), body.get("errors", {}))

    def ended(self, method: str, path: str, /, **params: t.Any) -> Ended:
        """The task that a request started, once it is over."""
        return self.end_of(self.ok(method, path, **params))

    def end_of(self, upid: str) -> Ended:
        node, deadline = upid.split(":")[1], time.monotonic() + self.patience
        while time.monotonic() < deadline:
            state = self.ok("GET", f"/nodes/{node}/tasks/{upid}/status")
            if state["status"] == "stopped":
                lines = self.ok("GET", f"/nodes/{node}/tasks/{upid}/log", limit=500)
                return Ended(upid, state["exitstatus"], [line["t"] for line in lines])
            time.sleep(0.01)
        raise TimeoutError(upid)

    def done(self, method: str, path: str, /, **params: t.Any) -> list[str]:
        """The log of a task that must end well."""
        task = self.ended(method, path, **params)
        assert task.status == "OK", task
        return task.log

    def upload(self, path: str, name: str, content: bytes, /, **fields: t.Any) -> requests.Response:
        return self.session.post(self.server.url + path, data=fields, files={"filename": (name, content)})

    def config(self, vmid: int, node: str = "pve1") -> dict[str, t.Any]:
        return self.ok("GET", f"/nodes/{node}/qemu/{vmid}/config")
