# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replay recorded exchanges of the real server against the fake, in order, and say where the replies differ.

What differs from run to run by nature is normalised on both sides (normal.py): UPIDs, times, MACs, uuids, digests,
usage figures, progress lines. The state that a recording assumes and the steps that it left out are in scenes.py.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

import requests

from .guest import Result
from .normal import Normaliser, differences
from .recording import VENDOR, Exchange, image_server, load
from .scenes import SCENES, SECRETS, Scene, server_of_the_recordings
from .server import Server, serve

REPEATED = re.compile(r"(?s)(.*)\.\.\.\[(\d+) chars\]")
UPLOADED = re.compile(r"(\S+) \(multipart, (\d+) bytes\)")
DEFAULT_UPLOAD = 65536


@dataclass
class Replay:
    """One run of one recording against a served cluster."""

    server: Server
    exchanges: list[Exchange]
    scenes: dict[int, Scene]
    # Replies that need another secret than the caller's own: exchange number -> secret.
    secrets: dict[int, str] = field(default_factory=dict)
    ours: Normaliser = field(default_factory=Normaliser)
    theirs: Normaliser = field(default_factory=Normaliser)
    upids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.verify, self.session.trust_env = self.server.ca_path, False

    def run(self) -> dict[str, list[str]]:
        """{exchange id: differences}; an exchange that is the same is left out."""
        found = {}
        for number, exchange in enumerate(self.exchanges):
            scene = self.scenes.get(number)
            unlike = []
            try:
                if scene is not None:
                    self.server.call(scene, self.server.cluster)
                self.server.call(self.prepare, number)
            except (LookupError, AttributeError) as exc:  # an earlier difference took away what the scene needs
                unlike.append(f"scene: {exc!r}")
            unlike += self.compare(exchange, self.send(number, exchange))
            if unlike:
                found[exchange.id] = unlike
        return found

    # --------------------------------------------------------------- request

    def send(self, number: int, exchange: Exchange) -> requests.Response:
        request = exchange.request
        path = request["path"]
        for recorded, made in self.upids.items():
            for form in (recorded, requests.utils.quote(recorded, safe="")):
                path = path.replace(form, requests.utils.quote(made, safe=""))
        cluster = self.server.cluster
        secret = self.secrets.get(number) or cluster.access.secrets.get(exchange.token, "no such token")
        headers = {"Authorization": f"PVEAPIToken={exchange.token}={secret}"}
        url = self.server.url + path
        pairs = [(key, expanded(value)) for key, value in pairs_of(request.get("params") or {})]
        if request["method"] in ("GET", "DELETE"):
            return self.session.request(request["method"], url, params=pairs, headers=headers)
        if path.endswith("/upload"):
            return self.session.post(url, headers=headers, **upload_parts(exchange, dict(pairs)))
        if request.get("encoding") == "json":
            return self.session.request(request["method"], url, json=request["params"], headers=headers)
        return self.session.request(request["method"], url, data=pairs, headers=headers)

    def prepare(self, number: int) -> None:
        """Things only the recording knows: does the first poll come too early, what does the guest answer?"""
        exchange = self.exchanges[number]
        cluster = self.server.cluster
        upid = exchange.response["body"].get("data") if isinstance(exchange.response["body"], dict) else None
        cluster.running_polls = int(self.polled_running(number, upid)) if is_upid(upid) else 0
        found = re.fullmatch(r"/nodes/[^/]+/qemu/(\d+)/agent/(.+)", exchange.request["path"])
        vm = cluster.vms.get(int(found.group(1))) if found else None
        if vm is None or vm.inside is None:
            return
        vm.inside.rules.clear()
        if exchange.response["status"] == 200:
            self.script(vm, found.group(2), number)

    def polled_running(self, number: int, upid: str) -> bool:
        """Was this task still running when it was first polled?"""
        quoted = requests.utils.quote(upid, safe="")
        for later in self.exchanges[number + 1 :]:
            if later.request["path"].endswith("/status") and quoted in later.request["path"]:
                return later.response["body"]["data"]["status"] == "running"
        return False

    def script(self, vm: t.Any, command: str, number: int) -> None:
        """Make the guest answer as the recorded one did."""
        exchange = self.exchanges[number]
        data, params = exchange.response["body"]["data"], dict(pairs_of(exchange.request.get("params") or {}))
        if command == "exec":
            vm.inside.next_pid = data["pid"] - 1
            vm.inside.on("")
        elif command == "exec-status":
            vm.inside.results[int(params["pid"])] = recorded_result(data)
        elif command == "file-read":
            vm.inside.files[params["file"]] = data["content"].encode("latin-1")
        elif isinstance(data, dict) and "result" in data:
            vm.inside.answers[command] = data["result"]

    # --------------------------------------------------------------- compare

    def compare(self, exchange: Exchange, reply: requests.Response) -> list[str]:
        expected = exchange.response
        body: t.Any = (
            reply.json() if reply.headers.get("Content-Type", "").startswith("application/json") else reply.text
        )
        made = body.get("data") if isinstance(body, dict) else None
        recorded = expected["body"].get("data") if isinstance(expected["body"], dict) else None
        if is_upid(recorded) and is_upid(made):
            self.upids[recorded] = made
        path = exchange.request["path"]
        found = []
        if reply.status_code != expected["status"]:
            found.append(f"status: {expected['status']} {expected['reason']} -> {reply.status_code} {reply.reason}")
        elif (reply.reason or "") != expected["reason"]:
            found.append(f"reason: {expected['reason']!r} -> {reply.reason!r}")
        found += differences(self.theirs.body(path, expected["body"]), self.ours.body(path, body))
        if exchange.task and is_upid(made):
            found += self.compare_task(exchange.task, made)
        return found

    def compare_task(self, task: dict[str, t.Any], upid: str) -> list[str]:
        """Exit status, and the log as far as it was kept."""
        record = self.server.cluster.tasks[upid]
        found = []
        if record.get("exitstatus") != task["exitstatus"]:
            found.append(f"exitstatus: {task['exitstatus']!r} -> {record.get('exitstatus')!r}")
        kept, made = self.theirs.log(task.get("log") or []), self.ours.log(record["log"])
        if not kept or kept[-1].startswith("TASK "):
            return found + differences(kept, made, "log") if kept else found
        return found + differences(kept, made[: len(kept)], "log")


def replay(name: str) -> dict[str, list[str]]:
    """{exchange id: differences} of one whole recording."""
    with image_server() as url:
        cluster = server_of_the_recordings()
        cluster.url_map[VENDOR] = url
        with serve(cluster) as server:
            return Replay(server, load(name), SCENES.get(name, {}), SECRETS.get(name, {})).run()


def is_upid(value: t.Any) -> bool:
    return isinstance(value, str) and value.startswith("UPID:")


def pairs_of(params: dict[str, t.Any] | list[list[t.Any]]) -> list[tuple[str, t.Any]]:
    return [(pair[0], pair[1]) for pair in (params.items() if isinstance(params, dict) else params)]


def expanded(value: t.Any) -> t.Any:
    """Values the recording shortened: ``x * 8192``, ``xxx...[65536 chars]``."""
    text = value if isinstance(value, str) else None
    if text is not None and (found := re.fullmatch(r"(.) \* (\d+)", text)):
        return found.group(1) * int(found.group(2))
    if text is not None and (found := REPEATED.fullmatch(text)):
        return (found.group(1)[:1] or "x") * int(found.group(2))
    return value


def upload_parts(exchange: Exchange, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """The multipart body: a file as large as the one that was sent."""
    name, size = params.pop("filename"), DEFAULT_UPLOAD
    if found := UPLOADED.fullmatch(name):
        name, size = found.group(1), int(found.group(2))
    for line in (exchange.task or {}).get("log") or []:
        if line.startswith("file size is: "):
            size = int(line.rsplit(" ", 1)[1])
    return {"data": params, "files": {"filename": (name, bytes(size))}}


def recorded_result(data: dict[str, t.Any]) -> Result:
    """The program's end as exec-status told it."""
    if not data.get("exited"):
        return Result(reads=1)
    out, err = (str(data.get(f"{name}-data", "")).encode("latin-1") for name in ("out", "err"))
    return Result(data.get("exitcode", 0), out, err, signal=data.get("signal"))
