# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest inside a VM: a scripted agent with the manners of qemu-ga 7.2 behind PVE 8.4 (customise.json)."""

from __future__ import annotations

import base64
import json
import re
import time
import typing as t
from dataclasses import dataclass, field

from fakepve.model import PveError

from .shell import Running, Shell

# Programs the guest has; everything else is "missing", which kills the answer (596).
PROGRAMS = frozenset(
    """
    sh bash dash true false echo cat hostname cloud-init systemctl test rm ls id sync sleep stat wc od head tail printf
    truncate touch mkdir chmod chown cp mv ln grep sed awk sort env date uname ip ss blkid lsblk findmnt df du
    apt-get dpkg dpkg-query passwd userdel usermod useradd journalctl fstrim shutdown poweroff reboot networkctl
    find python3 loginctl
    """.split()  # noqa: SIM905 - a list of words is read more easily
)
FOLDERS = frozenset({"etc", "home", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var"})


class Result(t.NamedTuple):
    """How a program ended; ``reads``: that many exec-status reads still say it runs."""

    exitcode: int = 0
    out: str | bytes = ""
    err: str | bytes = ""
    signal: int | None = None
    reads: int = 0


class MissingProgram(Exception):
    """exec of a program that is not there."""


@dataclass
class Guest:
    """The script of one guest.

    ``refusals`` agent calls are refused before the agent is up, and none is answered within ``boot_seconds`` (real
    seconds) of the start. ``cloud_init``: what ``cloud-init status`` says, one after the other, the last one for ever.
    ``files`` holds what can be read and what was written. ``on(pattern, …)`` scripts commands; later rules win.
    """

    hostname: str = "guest"
    boot_seconds: float = 0.0
    refusals: int = 0
    cloud_init: list[str] = field(default_factory=lambda: ["done"])
    errors: list[str] = field(default_factory=list)
    files: dict[str, str | bytes] = field(default_factory=dict)
    interfaces: list[dict[str, t.Any]] = field(default_factory=list)
    answers: dict[str, t.Any] = field(default_factory=dict)
    wedged: bool = False
    next_pid: int = 400
    rules: list[tuple[re.Pattern[str], t.Callable[..., Result]]] = field(default_factory=list)
    results: dict[int, Result] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, t.Any]]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    shell: Shell | None = None
    """A real one, for scripts that are given to C(/bin/sh); see shell.py."""
    scripts: dict[int, Running] = field(default_factory=dict)

    def on(self, pattern: str, exitcode: int = 0, out: str | bytes = "", err: str | bytes = "", **more: t.Any) -> None:
        """Answer commands whose words (and standard input) match; ``then``: called with the guest first."""
        then = more.pop("then", None)
        result = Result(exitcode, out, err, **more)

        def answer(guest: Guest) -> Result:
            if then is not None:
                then(guest)
            return result

        self.rules.insert(0, (re.compile(pattern, re.DOTALL), answer))

    def up(self) -> bool:
        return not self.wedged and time.monotonic() - self.started >= self.boot_seconds

    def refuse_once(self) -> bool:
        """One of the first calls while the guest boots?"""
        if self.refusals > 0:
            self.refusals -= 1
            return True
        return not self.up()

    def run(self, argv: list[str], stdin: str) -> Result:
        program = argv[0] if argv else ""
        text = " ".join(argv) + ("\n" + stdin if stdin else "")
        for pattern, answer in self.rules:
            if pattern.search(text):
                return answer(self)
        name = program.rsplit("/", 1)[-1]
        if program not in self.files and not (name in PROGRAMS and not program.startswith("/no/")):
            raise MissingProgram(program)
        if argv[:2] == ["cloud-init", "status"] or re.search(r"\bcloud-init status\b", text):
            return self.cloud_status("--wait" in text)
        known = {"true": Result(), "false": Result(1), "hostname": Result(out=self.hostname + "\n")}
        if name == "echo":
            return Result(out=" ".join(argv[1:]) + "\n")
        if name == "cat" and len(argv) == 2:
            found = self.files.get(argv[1])
            return (
                Result(out=found)
                if found is not None
                else Result(1, err=f"cat: {argv[1]}: No such file or directory\n")
            )
        return known.get(name, Result())

    def cloud_status(self, wait: bool) -> Result:
        """``cloud-init status --format json`` of 22.4.2: exit code 1 for an error, 2 for "degraded" of newer ones."""
        while wait and len(self.cloud_init) > 1:
            self.cloud_init.pop(0)
        status = self.cloud_init.pop(0) if len(self.cloud_init) > 1 else self.cloud_init[0]
        errors = self.errors if status == "error" else []
        body = {
            "_schema_version": "1", "boot_status_code": "enabled-by-generator", "datasource": "nocloud",
            "detail": errors[0] if errors else "DataSourceNoCloud [seed=/dev/sr0][dsmode=net]", "errors": errors,
            "status": status,
        }  # fmt: skip
        return Result({"error": 1, "degraded": 2}.get(status, 0), json.dumps(body, indent=1) + "\n")


def as_latin(text: str | bytes) -> str:
    """Bytes of the guest as the API shows them: one character per byte."""
    return (text.encode() if isinstance(text, str) else text).decode("latin-1")


def exec_view(result: Result) -> dict[str, t.Any]:
    """The answer of exec-status for a program that has ended; empty streams are left out (recorded)."""
    view: dict[str, t.Any] = {"exited": 1}
    if result.signal is not None:
        return {**view, "signal": result.signal}
    view["exitcode"] = result.exitcode
    for name, text in (("out", result.out), ("err", result.err)):
        if text:
            view.update({f"{name}-data": as_latin(text), f"{name}-truncated": 0})
    return view


def agent_error(text: str) -> PveError:
    return PveError(500, f"Agent error: {text}")


def folder_exists(path: str) -> bool:
    parts = path.split("/")
    return len(parts) > 2 and parts[1] in FOLDERS


def decoded(content: str, encode: bool) -> bytes:
    """The bytes that file-write stores; with encode=0 the caller sent base64."""
    return content.encode("latin-1") if encode else base64.b64decode(content)
