# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules as processes of their own, as several controllers at once would run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .pve import Server

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
"""Seconds for a process."""

_SCRIPT = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from tests.support.door import run_module
print(json.dumps(run_module(sys.argv[2], json.load(sys.stdin))))
"""


class Run:
    """A module that runs beside the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def result(self) -> dict[str, t.Any]:
        """What the module said; waits for its end."""
        said, _nothing = self.process.communicate(timeout=PATIENCE)
        found: dict[str, t.Any] = json.loads(said)
        return found


@contextmanager
def started(server: Server, token: str, name: str, params: t.Mapping[str, t.Any]) -> Iterator[Run]:
    """A module of that name, under the token root@pam!<token>; ended with the block at the latest."""
    login = {
        "api_host": server.host,
        "api_port": server.port,
        "api_token_id": f"root@pam!{token}",
        "api_token_secret": server.cluster.ensure_token(f"root@pam!{token}", server.token_secret),
        "ca_path": server.ca_path,
        "timeout": PATIENCE,
    }
    paths = json.dumps([str(ROOT), str(ROOT / ".venv" / "collections")])
    command = [sys.executable, "-c", _SCRIPT, paths, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps({**login, **params}))
            process.stdin.close()
            process.stdin = None
            yield Run(process)
        finally:
            if process.poll() is None:
                process.kill()


def kill_family(pid: int) -> None:
    """SIGKILL for a process and all that it has begun: Ansible's workers have sessions of their own."""
    for member in family(pid):
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            continue


def family(pid: int) -> list[int]:
    """The process and its descendants, the eldest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # The second field, the command's name, may hold blanks and brackets.
        children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found
