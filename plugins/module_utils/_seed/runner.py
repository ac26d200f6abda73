# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The builder's runner: what it does in which order, and the files that it needs in the guest."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._model.customize import Customize, Script
from .errors import SeedError
from .runner_text import AGENT, PACKAGES, RUNNER_HEAD

FOLDER = "/run/homelab"
STATUS_FILE = f"{FOLDER}/status.jsonl"
"""What the agent's file-read is asked for while the builder works; some kilobytes for each step."""
LOG_FOLDER = "/var/log/homelab-seed"
"""The whole output of each step, C(<number>.log), until the guest is sealed."""
PACKAGE_TIMEOUT = 3600
"""Seconds for what fetches packages, and for the commands of one's own cloud-config."""

# What stands between quotes in shell and in JSON without any escape.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the name it is reported by, its time-out in seconds, the program with arguments, and its text."""

    name: str
    timeout: int
    program: tuple[str, ...]
    text: bytes


def steps_of(customize: Customize, runcmd: Sequence[Any]) -> tuple[Step, ...]:
    """The steps in their order: agent, upgrade, packages, C(runcmd) of one's own cloud-config, scripts.

    The agent comes first, so that everything after it can be watched. Raises SeedError.
    """
    found = []
    if customize.agent != "none":
        found.append(_shell_step("agent", _agent(customize)))
    if customize.package_upgrade:
        found.append(_shell_step("package_upgrade", PACKAGES + "\nrefresh_index\nupgrade_packages\n"))
    if customize.packages:
        names = shlex.join(dict.fromkeys(customize.packages))
        found.append(_shell_step("packages", f"{PACKAGES}\nrefresh_index\ninstall_packages {names}\n"))
    if runcmd:
        found.append(_shell_step("runcmd", _runcmd(runcmd)))
    found += [Step(f"script {one.name}", one.timeout, interpreter(one), one.content) for one in customize.scripts]
    for step in found:
        if not _PLAIN.fullmatch(step.name):
            raise SeedError(f"{step.name!r} is no name for a step")
    return tuple(found)


def _shell_step(name: str, text: str) -> Step:
    return Step(name, PACKAGE_TIMEOUT, ("/bin/sh",), text.encode())


def _agent(customize: Customize) -> str:
    source = "from_seed" if customize.agent_packages else "from_packages"
    install = f"there || {source}" if customize.agent == "auto" else source
    return f"{PACKAGES}{AGENT}\n{install}\nstart\nunrestrict\n"


def _runcmd(commands: Sequence[Any]) -> str:
    """One script of all commands, as cloud-init makes it: only the last one's status counts. Raises SeedError."""
    lines = ["#!/bin/sh"]
    for number, command in enumerate(commands):
        if isinstance(command, str):
            lines.append(command)
        elif isinstance(command, list | tuple):
            lines.append(" ".join("'" + str(part).replace("'", "'\\''") + "'" for part in command))
        elif command is not None:
            raise SeedError(f"user_data.runcmd[{number}] is neither a text nor a list of texts")
    return "\n".join(lines) + "\n"


def interpreter(script: Script) -> tuple[str, ...]:
    """The program that runs a script, with at most one argument, as the kernel reads a C(#!) line. Raises SeedError."""
    line = script.interpreter
    if line is None:
        first = script.content.split(b"\n", 1)[0].rstrip(b"\r")
        line = first[2:].decode("utf-8", "replace") if first.startswith(b"#!") else "/bin/sh"
    program = tuple(line.strip().split(None, 1))
    if not program or not program[0].startswith("/") or not all(" " <= sign <= "~" for sign in line):
        raise SeedError(f"the interpreter of script {script.name} is no absolute path: {line!r}")
    return program


def runner(run: str, steps: Sequence[Step]) -> str:
    """The text of the runner. C(run) names the run in each report, so that an old report is not taken for a new one."""
    if not _PLAIN.fullmatch(run):
        raise SeedError(f"{run!r} is no name for a run")
    lines = [RUNNER_HEAD, f'run="{run}"', f'tell "\\"event\\":\\"start\\",\\"steps\\":{len(steps)}"']
    for number, step in enumerate(steps, 1):
        program = shlex.join(step.program)
        lines.append(f'step "{step.name}" {step.timeout} {program} "$folder/step-{number}"')
    return "\n".join([*lines, 'finish "done"', ""])


def runner_files(run: str, steps: Sequence[Step], folder: str = FOLDER) -> Mapping[str, bytes]:
    """The files by their path in the guest; C(folder/run.sh) is what is to be started. Raises SeedError."""
    files = {f"{folder}/step-{number}": step.text for number, step in enumerate(steps, 1)}
    return {f"{folder}/run.sh": runner(run, steps).encode()} | files
