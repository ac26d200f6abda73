# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook as a person would, and counts the Python module processes that it starts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE = 300
# Neither settings of the person's own, nor proxies and CA bundles, may make one side faster than the other.
STRANGERS = ("ANSIBLE_", "PROXMOX_", "HOMELAB_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class PlayError(Exception):
    """ansible-playbook did not do what the benchmark needs."""


@dataclass(frozen=True, slots=True)
class TaskDone:
    """One task's result; C(at) is on the monotonic clock."""

    task: str
    status: str
    at: float
    result: dict[str, t.Any]


@dataclass(frozen=True, slots=True)
class Played:
    """One run of ansible-playbook: seconds of wall and CPU (with all children), and the modules that were started."""

    seconds: float
    cpu: float
    status: int
    modules: tuple[str, ...]
    tasks: tuple[TaskDone, ...]
    output: str

    def expect(self, statuses: t.Sequence[str], *, changed: bool | None = None) -> Played:
        """Raises PlayError unless the tasks ended so."""
        seen = [task.status for task in self.tasks]
        changes = [bool(task.result.get("changed")) for task in self.tasks]
        if seen != list(statuses) or (changed is not None and set(changes) != {changed}):
            raise PlayError(f"tasks {seen}, changed {changes}, expected {list(statuses)}: {self.output[-1500:]}")
        return self


@dataclass(frozen=True, slots=True)
class Listed:
    """One run of ansible-inventory: seconds of wall and CPU, peak of memory in MB, and what it printed."""

    seconds: float
    cpu: float
    megabytes: float
    hosts: dict[str, t.Any]
    """Variables by host."""


class Player:
    """Runs plays with one set-up for everybody; C(folder) takes its files."""

    def __init__(self, folder: Path, collections: t.Sequence[Path]) -> None:
        self.folder = folder
        self.collections = collections
        self.started = folder / "started"
        self.timeline = folder / "timeline"
        self.shim = folder / "counting-python"
        # What Ansible gives to the interpreter of a module: the path of one AnsiballZ file.
        self.shim.write_text(f'#!/bin/sh\necho "$1" >>"{self.started}"\nexec "{sys.executable}" "$@"\n')
        self.shim.chmod(0o700)
        settings = folder / "ansible.cfg"
        settings.write_text("[defaults]\n")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(STRANGERS)}
        self.environment = clean | {
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, collections)),
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"),
            "ANSIBLE_CONFIG": str(settings),
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
            "BENCH_TIMELINE": str(self.timeline),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def play(
        self, tasks: t.Sequence[t.Mapping[str, t.Any]], *arguments: str, hosts: t.Sequence[str] = ("localhost",)
    ) -> Played:
        """One play with these tasks, for all of these hosts on this machine."""
        playbook = self.folder / "play.yml"
        play = {"name": "Bench", "hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}
        play["vars"] = {"ansible_python_interpreter": str(self.shim)}
        playbook.write_text(json.dumps([play]))
        playbook.chmod(0o600)
        for path in (self.started, self.timeline):
            path.write_text("")
        inventory = ",".join(hosts) + ","
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", inventory, str(playbook), *arguments]
        cpu, start = _children_cpu(), time.monotonic()
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        seconds = time.monotonic() - start
        return Played(
            seconds=seconds,
            cpu=_children_cpu() - cpu,
            status=done.returncode,
            modules=tuple(_module(line) for line in self.started.read_text().splitlines()),
            tasks=tuple(TaskDone(**json.loads(line)) for line in self.timeline.read_text().splitlines()),
            output=done.stdout + done.stderr,
        )

    def inventory(self, name: str, source: t.Mapping[str, t.Any]) -> Listed:
        """ansible-inventory --list on one source. Raises PlayError when the source fails."""
        path, out, err = self.folder / name, self.folder / "listed", self.folder / "said"
        path.write_text(json.dumps(source))
        path.chmod(0o600)
        command = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(path), "--list"]
        environment = {**self.environment, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
        with out.open("wb") as stdout, err.open("wb") as stderr:
            start = time.monotonic()
            process = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=stdout, stderr=stderr)
            # Not Popen.wait: only wait4 tells the peak of this process's memory, and not that of all before it.
            _pid, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise PlayError(f"ansible-inventory on {name}: {err.read_text()[-1500:]}")
        hosts = json.loads(out.read_text())["_meta"]["hostvars"]
        return Listed(seconds, usage.ru_utime + usage.ru_stime, round(usage.ru_maxrss / 1024, 1), hosts)


def _module(path: str) -> str:
    return Path(path).stem.removeprefix("AnsiballZ_")


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
