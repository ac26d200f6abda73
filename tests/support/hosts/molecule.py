# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one scenario of molecule and tells its steps, with their times and what they changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from .daemon import ROOT, Daemon

HOME = ROOT / "tests" / "hosts"
BUILD = ROOT / "build" / "hosts"
_STARTS = re.compile(r"\[[\w.-]+ > (?P<step>\w+)\] (?:INFO +)?Executing")
_RECAP = re.compile(r"^\S+ +: ok=\d+ +changed=(?P<changed>\d+) ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(slots=True)
class Step:
    """C(changed) is the sum over all hosts and plays."""

    name: str
    begin: float
    seconds: float = 0.0
    changed: int = 0


@dataclass(slots=True)
class Outcome:
    """What became of a scenario."""

    status: int
    text: str
    steps: list[Step] = field(default_factory=list)

    def table(self) -> str:
        """One line a step."""
        lines = [f"{step.name:<12} {step.seconds:>6.1f} s  changed {step.changed}" for step in self.steps]
        return "\n".join([*lines, f"{'all':<12} {sum(step.seconds for step in self.steps):>6.1f} s"])


def images(scenario: str) -> set[str]:
    """What the inventory of a scenario says its hosts are made of."""
    inventory = yaml.safe_load((HOME / "molecule" / scenario / "inventory" / "hosts.yml").read_text(encoding="utf-8"))
    return {host["host_image"] for host in inventory["machines"]["hosts"].values()}


def play(scenario: str, daemon: Daemon, collections: Sequence[Path], *, seconds: float) -> Outcome:
    """Run all steps of a scenario, a folder of tests/hosts/molecule. The whole output goes to build/hosts."""
    BUILD.mkdir(parents=True, exist_ok=True)
    # What a killed run left would tell molecule that its hosts are still there.
    shutil.rmtree(BUILD / scenario, ignore_errors=True)
    log = BUILD / f"{scenario}.log"
    program = str(Path(sys.executable).with_name("molecule"))
    outcome = Outcome(-1, "")
    with (
        log.open("w", encoding="utf-8") as stream,
        subprocess.Popen(
            [program, "-c", str(HOME / "config.yml"), "test", "--scenario-name", scenario],
            cwd=HOME,
            env=_environment(scenario, daemon, collections),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        begin = time.monotonic()
        end = begin + seconds
        for line in process.stdout:
            now = time.monotonic()
            plain = _COLOUR.sub("", line)
            # When a task began is what one looks for in a slow scenario.
            stream.write(f"{plain.rstrip()} {now - begin:.1f} s\n" if plain.startswith("TASK [") else plain)
            stream.flush()
            _note(outcome, plain, now)
            if now > end:
                process.terminate()
        outcome.status = process.wait()
    if outcome.steps:
        outcome.steps[-1].seconds = time.monotonic() - outcome.steps[-1].begin
    outcome.text = log.read_text(encoding="utf-8")
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{outcome.table()}\n")
    return outcome


def _note(outcome: Outcome, line: str, now: float) -> None:
    if found := _STARTS.search(line):
        if outcome.steps:
            outcome.steps[-1].seconds = now - outcome.steps[-1].begin
        outcome.steps.append(Step(found["step"], now))
    elif outcome.steps and (found := _RECAP.match(line)):
        outcome.steps[-1].changed += int(found["changed"])


def _environment(scenario: str, daemon: Daemon, collections: Sequence[Path]) -> dict[str, str]:
    # The person's settings of Ansible, Docker and molecule are none of the tests' business.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANSIBLE_", "DOCKER_", "MOLECULE_", "PYTEST_", "PYTHON", "COV_"))
    }
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, collections)),
        "ANSIBLE_HOME": str(ROOT / "build" / "ansible"),
        "DOCKER_HOST": daemon.socket,
        # A connection that is kept for later leads to a host of this run, not to one of the same name that is gone.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(BUILD / scenario / "cp"),
        "HOSTS_SHARED": str(HOME / "shared"),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(BUILD / scenario),
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
