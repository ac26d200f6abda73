# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell by way of the agent: the scripts really run, with a folder of the test in place of the guest's /run."""

from __future__ import annotations

import base64
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._apply.agent_shell import AgentShell
from ansible_collections.homelab.proxmox.plugins.module_utils._apply.guest import GuestFailed
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.clock import Deadline
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import ApiError, Kind


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def time(self) -> float:
        return self.now


class Agent:
    """The agent calls of the API, as measured: 61440 characters in a file-write, ASCII, an outcome told once."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.clock = Clock()
        self.deadline = Deadline(self.clock, 600)
        self.calls: list[tuple[str, t.Any]] = []
        self.ended: dict[int, subprocess.CompletedProcess[bytes]] = {}
        self.forgetful = False
        self.running = True

    def _refuse(self, kind: Kind, text: str) -> t.NoReturn:
        raise ApiError(kind, text, 500, "POST", "/agent")

    def post(self, path: str, params: t.Any = None) -> t.Any:
        action = path.rpartition("/")[2]
        self.calls.append((action, params))
        if not self.running:
            self._refuse(Kind.NOT_RUNNING, "VM 100 is not running")
        if action == "ping":
            return {"result": {}}
        if action == "file-write":
            assert len(params["content"]) <= 61440
            assert params["encode"] == 0
            Path(params["file"]).write_bytes(base64.b64decode(params["content"]))
            return None
        assert params["command"] == ["/bin/sh"]
        script = params["input-data"]
        assert script.isascii()
        assert len(script) <= 65536
        pid = len(self.ended) + 1
        text = script.replace("for base in /run /var/tmp", f"for base in {self.run}").replace(
            "/run/systemd", "/nowhere"
        )
        self.ended[pid] = subprocess.run(["sh"], input=text.encode(), capture_output=True, check=False)
        return {"pid": pid}

    def get(self, path: str, /, **params: t.Any) -> t.Any:
        action = path.rpartition("/")[2]
        self.calls.append((action, params))
        if action == "file-read":
            file = Path(params["file"])
            if not file.exists():
                self._refuse(Kind.NOT_FOUND, f"Agent error: failed to open file '{file}'")
            return {"content": file.read_bytes().decode("latin-1")}
        done = self.ended.pop(params["pid"], None)
        if done is None or self.forgetful:
            self._refuse(Kind.OTHER, "Agent error: Invalid parameter 'pid'")
        out, err = (said.decode("latin-1") for said in (done.stdout, done.stderr))
        return {"exited": 1, "exitcode": done.returncode, "out-data": out, "err-data": err}


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


@pytest.fixture
def shell(agent: Agent) -> AgentShell:
    return AgentShell(t.cast(t.Any, agent), "pve1", 100)


def test_status_output_and_errors_are_bytes(shell: AgentShell) -> None:
    ended = shell.run("printf 'Gr\\303\\274\\303\\237e'; printf '\\377' >&2; exit 3")
    assert (ended.status, ended.out, ended.err) == (3, "Grüße".encode(), b"\xff")


def test_what_is_given_arrives_whole(shell: AgentShell, agent: Agent) -> None:
    data = bytes(range(256)) * 800
    assert shell.run("cat", data).out == data
    assert len([1 for action, _params in agent.calls if action == "file-write"]) == 5


def test_a_command_may_be_long_and_not_ascii(shell: AgentShell) -> None:
    text = "ü" * 50000
    assert shell.run(f"printf %s '{text}'").out.decode() == text


def test_what_went_out_and_what_went_wrong_are_told_apart(shell: AgentShell) -> None:
    ended = shell.run("echo out; echo err >&2; printf 'no end'")
    assert (ended.status, ended.out, ended.err) == (0, b"out\nno end", b"err\n")
    assert (shell.run("true").out, shell.run("true").err) == (b"", b"")


def test_nothing_that_is_sent_is_in_an_argument(shell: AgentShell, agent: Agent) -> None:
    shell.run("echo correct-horse", b"battery-staple")
    sent = [params for action, params in agent.calls if action == "exec"]
    assert all(one["command"] == ["/bin/sh"] for one in sent)
    assert "correct-horse" not in str(sent)
    assert "battery-staple" not in str(sent)


def test_the_folder_is_roots_alone_and_goes(shell: AgentShell, agent: Agent) -> None:
    shell.run("true")
    (folder,) = agent.run.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    shell.close()
    assert list(agent.run.iterdir()) == []


def test_files_there_and_back(shell: AgentShell, agent: Agent, tmp_path: Path) -> None:
    target = agent.run / "it's here"
    data = bytes(range(256)) * 40000
    shell.put(data, str(target))
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o600
    assert shell.get(str(target)) == data
    shell.put(b"", str(target))
    assert shell.get(str(target)) == b""


def test_a_file_that_cannot_be_had_is_told(shell: AgentShell) -> None:
    with pytest.raises(GuestFailed, match=r"reading /nowhere in VM 100: dd: "):
        shell.get("/nowhere")
    with pytest.raises(GuestFailed, match=r"writing /nowhere/x in VM 100: "):
        shell.put(b"x", "/nowhere/x")


def test_an_agent_that_was_restarted_meanwhile_does_not_lose_the_outcome(shell: AgentShell, agent: Agent) -> None:
    shell.run("true")
    agent.forgetful = True
    assert shell.run("echo done").out == b"done\n"


def test_a_guest_that_is_off_is_not_asked_to_clean_up(shell: AgentShell, agent: Agent) -> None:
    shell.run("true")
    agent.running = False
    shell.close()
