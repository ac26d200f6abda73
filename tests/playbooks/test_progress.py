# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live progress as people see it: real plays against the fake server, with tasks that take their time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.images import GIB, qcow2
from tests.support.vendor import Vendor, serve_vendor

IMPORT_LOG = [f"transferred {n * 102.4:.1f} MiB of 2.0 GiB ({n * 5:.2f}%)" for n in range(20)]
PATIENCE = 120


def drag(cluster: FakeCluster, kind: str, seconds: float, log: list[str]) -> None:
    """Tasks of a type write their log line by line over some seconds before they do their work."""
    start = cluster.run_task

    async def run_task(node: str, task: str, ident: Any, user: str, body: Any) -> str:
        async def drawn_out(lines: list[str]) -> None:
            for line in log:
                lines.append(line)
                await asyncio.sleep(seconds / len(log))
            await body(lines)

        if task != kind:
            return await start(node, task, ident, user, body)
        patience, cluster.inline_wait = cluster.inline_wait, 0.0
        try:
            return await start(node, task, ident, user, drawn_out)
        finally:
            cluster.inline_wait = patience

    cluster.run_task = run_task


@dataclass
class Said:
    """What a play printed: each line with the second at which it came."""

    status: int = -1
    lines: list[tuple[float, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(line for _at, line in self.lines)

    def at(self, pattern: str) -> float:
        """When the first line that matches came."""
        found = [at for at, line in self.lines if re.search(pattern, line)]
        assert found, f"{pattern} is not in:\n{self.text}"
        return found[0]

    def progress(self) -> list[str]:
        return [line for _at, line in self.lines if re.match(r"\[\w+\] \S+@pve\d: ", line)]


class Controller:
    """A folder from which plays are run against the server."""

    def __init__(self, folder: Path, server: Server, vendor: Vendor) -> None:
        self.folder = folder
        self.server = server
        self.vendor = vendor
        self.temporary = folder / "local-tmp"

    def image(self, name: str) -> dict[str, str]:
        """The options of an image of its own."""
        self.vendor.publish(f"{name}/{name}.qcow2", qcow2(2 * GIB))
        return {
            "url": f"{self.vendor.url}/{name}/{name}.qcow2",
            "checksum_url": f"{self.vendor.url}/{name}/SHA256SUMS",
        }

    def connection(self) -> dict[str, Any]:
        return {
            "api_host": self.server.host,
            "api_port": self.server.port,
            "api_token_id": self.server.token_id,
            "api_token_secret": self.server.token_secret,
            "ca_path": self.server.ca_path,
        }

    @contextmanager
    def started(
        self, *tasks: dict[str, Any], hosts: str = "localhost", **environment: str
    ) -> Iterator[subprocess.Popen[str]]:
        """ansible-playbook with these tasks; its output is no terminal."""
        play = {
            "hosts": "all",
            # A host that is nowhere, for tasks that are delegated to the controller.
            "connection": "local" if hosts == "localhost" else "ssh",
            "gather_facts": False,
            "vars": {
                "ansible_python_interpreter": sys.executable,
                "ansible_async_dir": str(self.folder / "jobs"),
            },
            "module_defaults": {"group/homelab.proxmox.all": self.connection()},
            "tasks": list(tasks),
        }
        book = self.folder / "play.yml"
        book.write_text(yaml.safe_dump([play]), encoding="utf-8")
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("ansible-playbook")), "-i", f"{hosts},", str(book)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "HOME": str(self.folder), "ANSIBLE_LOCAL_TEMP": str(self.temporary), **environment},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def play(self, *tasks: dict[str, Any], **more: str) -> Said:
        said = Said()
        with self.started(*tasks, **more) as process:
            read(process, said)
        return said

    def leftovers(self) -> list[Path]:
        return sorted(self.temporary.rglob("progress-*"))


def read(process: subprocess.Popen[str], said: Said) -> None:
    """Everything until the play ends."""
    assert process.stdout is not None
    for line in process.stdout:
        said.lines.append((time.monotonic(), line.rstrip("\n")))
    said.status = process.wait(PATIENCE)


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    with serve_vendor() as vendor, serve(FakeCluster(nodes=("pve1", "pve2"))) as server:
        yield Controller(tmp_path, server, vendor)


@pytest.mark.slow
def test_a_fleet_shows_how_far_it_is_before_it_ends_and_nothing_when_nothing_is_done(controller: Controller) -> None:
    drag(controller.server.cluster, "qmcreate", 5.0, IMPORT_LOG)
    lines = [{"line": "debian-13", "storage": "local-lvm", **controller.image("debian")}]
    task = {"homelab.proxmox.vm_template_fleet": {"nodes": ["pve1", "pve2"], "lines": lines}}
    first = controller.play(task)
    assert first.status == 0, first.text
    result = first.at(r"^changed: \[localhost\]")
    for node in ("pve1", "pve2"):
        own = [line for line in first.progress() if f" debian-13@{node}: " in line]
        assert re.fullmatch(rf"\[localhost\] debian-13@{node}: download \S+\.qcow2 to local: done( \(.* s\))?", own[0])
        assert own[1] == f"[localhost] debian-13@{node}: build a template …"
        assert re.fullmatch(rf"\[localhost\] debian-13@{node}: import … \d\d % \([\d.]+ of 2\.0 GiB\)", own[2])
        assert own[3].startswith(f"[localhost] debian-13@{node}: build a template: done (")
        assert own[4].startswith(f"[localhost] debian-13@{node}: publish it as current: done")
        assert first.at(rf"debian-13@{node}: build a template …") < result - 3
        assert first.at(rf"debian-13@{node}: import …") < result - 1
    assert controller.leftovers() == []
    second = controller.play(task)
    assert second.status == 0, second.text
    assert second.at(r"^ok: \[localhost\]")
    assert second.progress() == []
    assert controller.leftovers() == []


def keep(controller: Controller, name: str, **more: Any) -> dict[str, Any]:
    """A task that puts an image on a storage."""
    own = more.pop("own", {})
    return {"homelab.proxmox.image": {"node": "pve1", **controller.image(name), **own}, **more}


@pytest.mark.slow
def test_what_is_shown_of_other_tasks(controller: Controller) -> None:
    given = controller.folder / "given.jsonl"
    said = controller.play(
        keep(controller, "planned", check_mode=True),
        keep(controller, "plain"),
        keep(controller, "hidden", no_log=True),
        {**keep(controller, "background"), "async": 60, "poll": 1},
        keep(controller, "given", own={"progress_file": str(given)}),
        {
            "homelab.proxmox.vm_template": {
                "line": "single", "node": "pve1", "storage": "local-lvm", **controller.image("single")
            }
        },
        keep(controller, "bad", own={"progress_file": "/nosuch/file"}),
    )  # fmt: skip
    assert said.status == 2, said.text
    shown = said.progress()
    assert [re.split(r"[@-]", line.partition("] ")[2])[0] for line in shown] == ["plain", "given", *["single"] * 3]
    # Four images of one module, all of them got.
    assert len(re.findall(r"^changed: \[localhost\]", said.text, re.MULTILINE)) == 6
    told = [json.loads(line) for line in given.read_text(encoding="utf-8").splitlines()]
    assert [one["event"] for one in told] == ["begin", "end"]
    assert given.stat().st_mode & 0o777 == 0o600
    failure = next(line for _at, line in said.lines if "progress_file=" in line)
    assert "progress_file='/nosuch/file': /nosuch is no folder. Name a file in a folder that can be written" in failure
    assert "Traceback" not in said.text
    assert controller.leftovers() == []


@pytest.mark.slow
def test_hosts_side_by_side_are_told_apart_when_the_task_is_delegated(controller: Controller) -> None:
    own = {**controller.image("plain"), "node": "{{ inventory_hostname }}"}
    said = controller.play({"homelab.proxmox.image": own, "delegate_to": "localhost"}, hosts="pve1,pve2")
    assert said.status == 0, said.text
    assert sorted(line.partition(": ")[0] for line in said.progress()) == ["[pve1] plain@pve1", "[pve2] plain@pve2"]


@pytest.mark.slow
def test_it_can_be_switched_off(controller: Controller) -> None:
    said = controller.play(keep(controller, "plain"), HOMELAB_PROXMOX_PROGRESS="0")
    assert said.status == 0, said.text
    assert said.at(r"^changed: \[localhost\]")
    assert said.progress() == []


@pytest.mark.slow
def test_a_module_that_is_killed_ends_the_following(controller: Controller) -> None:
    drag(controller.server.cluster, "download", 60.0, ["downloading"])
    said = Said()
    with controller.started(keep(controller, "plain")) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.lines.append((time.monotonic(), line.rstrip("\n")))
            if "download" in line and "…" in line:
                break
        module = running_module(process.pid)
        os.kill(module, signal.SIGKILL)
        killed = time.monotonic()
        read(process, said)
    assert said.status == 2, said.text
    assert said.at(r"fatal: \[localhost\]|\[ERROR\]") - killed < 30
    assert controller.leftovers() == []


def running_module(ancestor: int) -> int:
    """The process that runs the module itself, below a process of ours."""
    parents, modules = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
        if b"AnsiballZ_image.py" in command and not command.startswith((b"/bin/sh", b"sh")):
            modules.append(int(folder.name))
    for module in modules:
        above = module
        while above > 1 and above != ancestor:
            above = parents.get(above, 0)
        if above == ancestor:
            return module
    raise AssertionError("no module runs")
