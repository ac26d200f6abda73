# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' hold on their Docker daemon; what keeps it is the keeper."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.boot.tools import ToolError, run

ROOT = Path(__file__).resolve().parents[3]
# Seconds: for the daemon to come up, and to go.
START = 180.0
STOP = 120.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """C(socket) is a URL for DOCKER_HOST, C(network) the addresses of its one network, C(hosts)."""

    socket: str
    network: str

    def provide(self, images: Mapping[str, Path]) -> None:
        """Have the images, as C(hosts/NAME). Raises ToolError."""
        known = run("docker", "-H", self.socket, "image", "ls", "--format", "{{.Repository}}").split()
        lacking = {name: file for name, file in images.items() if f"hosts/{name}" not in known}
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda item: self._load(*item), lacking.items()))

    def _load(self, name: str, file: Path) -> None:
        run("docker", "-H", self.socket, "import", file, f"hosts/{name}", seconds=START)


@contextlib.contextmanager
def serve() -> Iterator[Daemon]:
    """A Docker daemon without images yet. Raises ToolError."""
    # Outside of the checkout: the path of a socket may have 107 bytes.
    folder = tempfile.mkdtemp(prefix="hosts-")
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.support.hosts.keeper", folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # It has to outlive a run that is ended, for as long as cleaning up takes.
        start_new_session=True,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        line = keeper.stdout.readline()
        if not line:
            raise ToolError("the Docker daemon of the hosts did not start; see the error above")
        yield Daemon(**json.loads(line))
    finally:
        keeper.stdin.close()
        keeper.wait(timeout=STOP)
