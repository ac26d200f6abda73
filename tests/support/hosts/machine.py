# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host by hand, for what is no scenario of molecule: started, looked at as a whole, taken off the network."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.boot.tools import ToolError, run

from .daemon import Daemon

# As in tests/hosts/shared/create.yml.
OPTIONS = (
    *("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--stop-signal", "SIGRTMIN+3"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"),
)
# Seconds; ten times what it takes on idle cores.
LIMIT = 900.0
UP = ("running", "degraded")
# What changes by itself: the journal, and what systemd keeps.
RESTLESS = ("/var/log/journal", "/var/log/wtmp", "/var/lib/systemd")
_LOOK = (
    *("find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/dev", ")", "-prune"),
    # The time of a folder tells only that a file came and went.
    *("-o", "-type", "d", "-printf", "%p %y %m %u %g\\n", "-o", "-printf", "%p %y %m %u %g %s %T@ %l\\n"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A running host."""

    daemon: Daemon
    name: str

    def docker(self, *words: str | Path) -> str:
        """A command of the daemon. Raises ToolError."""
        return run("docker", "-H", self.daemon.socket, *words, seconds=LIMIT)

    def command(self, *argv: str, terminal: bool = False, env: Mapping[str, str] | None = None) -> list[str]:
        """The command on this machine that runs another one as root on the host."""
        options = ["--interactive", "--tty"] if terminal else []
        for name, value in (env or {}).items():
            options += ["--env", f"{name}={value}"]
        return ["docker", "-H", self.daemon.socket, "exec", *options, self.name, *argv]

    def call(self, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command without a terminal; its output and errors together."""
        return subprocess.run(
            self.command(*argv, env=env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def ask(self, *argv: str) -> str:
        """The output of a command that has to work."""
        done = self.call(*argv)
        assert done.returncode == 0, f"{argv}: {done.stdout}"
        return done.stdout

    def shell(self, script: str) -> str:
        """The same for a line of sh."""
        return self.ask("sh", "-ec", script)

    def put(self, source: Path, target: str) -> None:
        """Copy a file or a folder."""
        self.docker("cp", source, f"{self.name}:{target}")

    def write(self, target: str, text: str, mode: str = "0644") -> None:
        """Write a small file."""
        command = ["docker", "-H", self.daemon.socket, "exec", "--interactive", self.name]
        script = f"umask 077; mkdir -p $(dirname {target}); cat >{target}; chmod {mode} {target}"
        subprocess.run([*command, "sh", "-ec", script], input=text, text=True, check=True, timeout=LIMIT)

    def look(self, *but: str) -> set[str]:
        """Every file of the host with kind, mode, owner, size and time, but not what lies below C(but)."""
        ignored = (*RESTLESS, *but)
        return {line for line in self.ask(*_LOOK).splitlines() if not line.startswith(ignored)}


@contextlib.contextmanager
def machine(
    daemon: Daemon,
    image: str,
    name: str,
    *,
    network: str = "hosts",
    volumes: Sequence[str] = (),
    capabilities: Sequence[str] = (),
) -> Iterator[Machine]:
    """A host that is up, until the with-block ends. C(network) may be none. Raises ToolError."""
    host = Machine(daemon, name)
    mounts = [word for volume in volumes for word in ("--volume", volume)]
    rights = [word for capability in capabilities for word in ("--cap-add", capability)]
    options = ["--name", name, "--hostname", name, "--network", network, *OPTIONS, *mounts, *rights]
    host.docker("run", "--detach", *options, f"hosts/{image}", "/lib/systemd/systemd")
    try:
        end = time.monotonic() + LIMIT
        # At first systemd does not answer at all.
        while (state := host.call("systemctl", "is-system-running", "--wait").stdout.strip()) not in UP:
            if time.monotonic() > end:
                raise ToolError(f"{name} does not come up: {state}")
            time.sleep(0.1)
        yield host
    finally:
        host.docker("rm", "--force", "--volumes", name)
