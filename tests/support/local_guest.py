# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest whose shells really run, on this machine, in a folder that stands for its /run: for connections to it."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

from .pve.guest import Guest, Result

ROOM = "/run/homelab-"


def run_here(guest: Guest, folder: Path) -> None:
    """Let scripts of the connection C(guest_agent) run; all others are answered by the guest's rules."""
    scripted = guest.run

    def run(argv: list[str], stdin: str) -> Result:
        if ROOM not in stdin and "$base/homelab-" not in stdin:
            return scripted(argv, stdin)
        _lay_down(guest, folder)
        text = stdin.replace("/run/systemd/system", "/nowhere").replace("for base in /run", f"for base in {folder}")
        done = subprocess.run(
            ["sh"], input=text.replace("/run/", f"{folder}/").encode(), capture_output=True, timeout=120, check=False
        )
        _take_up(guest, folder)
        return Result(done.returncode, done.stdout.decode().replace(f"{folder}/", "/run/"), done.stderr)

    t.cast(t.Any, guest).run = run


def _lay_down(guest: Guest, folder: Path) -> None:
    for path, data in guest.files.items():
        if path.startswith(ROOM):
            file = folder / path.removeprefix("/run/")
            content = data.encode() if isinstance(data, str) else data
            # Ansible's payloads go as they are; what names the room in a script has to name the one here.
            file.write_bytes(content.replace(ROOM.encode(), f"{folder}/homelab-".encode()))


def _take_up(guest: Guest, folder: Path) -> None:
    for path in [path for path in guest.files if path.startswith(ROOM)]:
        del guest.files[path]
    for file in folder.rglob("*"):
        if file.is_file():
            guest.files[f"/run/{file.relative_to(folder)}"] = file.read_bytes()
