# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest whose shell is real: scripts for C(/bin/sh) run on this machine, so that a test shows what they do.

They run as the tests do, with C(TMPDIR) in the guest's own folder, and with programs of its folder C(bin) before those
of this machine. Files below that folder are the guest's files; its C(/run) and C(/tmp) are folders in it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import typing as t
from contextlib import suppress
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Running:
    """One script that was given to the shell, as qemu-ga does: through a pipe, its outputs captured."""

    def __init__(self, script: bytes, home: Path) -> None:
        # qemu-ga's own environment: no HOME, a locale (customise.json).
        environment = {"PATH": f"{home}/bin:{PATH}", "LANG": "C.UTF-8", "TMPDIR": str(home / "run")}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            ["/bin/sh"], stdin=pipe, stdout=pipe, stderr=pipe, cwd="/", env=environment, start_new_session=True
        )
        self.outputs: tuple[bytes, bytes] | None = None
        self._thread = threading.Thread(target=self._follow, args=(script,), daemon=True)
        self._thread.start()

    def _follow(self, script: bytes) -> None:
        self.outputs = self._process.communicate(script)

    def view(self) -> dict[str, t.Any]:
        """The answer of exec-status."""
        if self.outputs is None:
            return {"exited": 0}
        code = self._process.returncode
        view: dict[str, t.Any] = {"exited": 1, **({"signal": -code} if code < 0 else {"exitcode": code})}
        for name, data in zip(("out", "err"), self.outputs, strict=True):
            if data:
                view.update({f"{name}-data": data.decode("latin-1"), f"{name}-truncated": 0})
        return view

    def kill(self) -> None:
        """End it, and what it left running."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._thread.join(10)


class Shell:
    """The shell and the files of one guest."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.scripts: list[Running] = []
        for name in ("bin", "run", "tmp"):
            (home / name).mkdir(parents=True, exist_ok=True)

    def start(self, script: str) -> Running:
        self.scripts.append(Running(script.encode("ascii"), self.home))
        return self.scripts[-1]

    def place(self, path: str) -> Path | None:
        """Where a path of the guest is on this machine; None for what this guest does not have."""
        for name in ("run", "tmp"):
            if path.startswith(f"/{name}/") and not path.startswith(f"{self.home}/"):
                return self.home / path[1:]
        return Path(path) if path.startswith(f"{self.home}/") else None

    def close(self) -> None:
        for script in self.scripts:
            script.kill()
