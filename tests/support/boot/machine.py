# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One QEMU process: its start and end, its monitor, and the guest agent behind it."""

from __future__ import annotations

import base64
import concurrent.futures
import itertools
import json
import re
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

# Seconds. QEMU itself answers within a second; a busy machine is ten times slower, and more.
START_LIMIT = 120.0
QMP_LIMIT = 600.0
AGENT_LIMIT = 60.0

# Processes are told to end with the thread that started them (PR_SET_PDEATHSIG), so it has to be one that stays.
_keeper = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-keeper")
_numbers = itertools.count(1)


class MachineError(Exception):
    """QEMU did not start, or refused a command of its monitor."""


class AgentSilent(Exception):
    """The guest agent does not answer."""


class AgentRefusal(Exception):
    """The guest agent answered with an error; the text is its own."""


class Machine:
    """A running VM. ``folder`` holds its sockets; its name must be short, a socket's path ends after 107 bytes."""

    def __init__(self, argv: t.Sequence[str], folder: Path) -> None:
        self.folder = folder
        self.wedged = False
        self._asking = threading.Lock()
        self._monitor = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("qmp", "agent", "serial"):
            (folder / name).unlink(missing_ok=True)
        self._errors = folder / "stderr"
        with self._errors.open("wb") as errors:
            self.process = _keeper.submit(
                subprocess.Popen, ["setpriv", "--pdeathsig", "KILL", "--", *argv],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            ).result()  # fmt: skip
        try:
            self._connect()
            self.qmp("query-status")
        except MachineError as exc:
            # Devices are made after the monitor has been opened; what is wrong with them is said on stderr only.
            self.process.kill()
            self.process.wait()
            raise MachineError(self._errors.read_text(errors="replace").strip() or str(exc)) from exc
        except BaseException:
            self.kill()
            raise

    # ----------------------------------------------------------------- monitor

    def _connect(self) -> None:
        end = time.monotonic() + START_LIMIT
        while True:
            self._qmp = socket.socket(socket.AF_UNIX)
            self._qmp.settimeout(QMP_LIMIT)
            try:
                self._qmp.connect(str(self.folder / "qmp"))
                break
            except OSError as exc:
                self._qmp.close()
                if self.ended() or time.monotonic() > end:
                    raise MachineError("QEMU ended, or opened no monitor") from exc
                time.sleep(0.02)
        self._lines = self._qmp.makefile("rb")
        self._lines.readline()
        self.qmp("qmp_capabilities")

    def qmp(self, command: str, **arguments: t.Any) -> t.Any:
        """One command of the monitor. Raises MachineError, also when QEMU ends over it."""
        message = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        with self._monitor:
            try:
                self._qmp.sendall(message)
                while line := self._lines.readline():
                    answer = json.loads(line)
                    if "error" in answer:
                        raise MachineError(answer["error"]["desc"])
                    if "return" in answer:
                        return answer["return"]
            except OSError as exc:
                raise MachineError(f"{command}: {exc}") from exc
        raise MachineError(f"{command}: QEMU has ended")

    def monitor(self, line: str) -> str:
        """A command of the human monitor; what it prints is an error where nothing is to be printed."""
        return str(self.qmp("human-monitor-command", **{"command-line": line}))

    def ssh_port(self) -> int:
        """The port of 127.0.0.1 that leads to the first NIC's port 22."""
        found = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s", self.monitor("info usernet"))
        if found is None:
            raise MachineError("the VM has no network")
        return int(found.group(1))

    # --------------------------------------------------------------------- end

    @property
    def pid(self) -> int:
        return self.process.pid

    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, seconds: float) -> bool:
        """Has it ended within that time?"""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it at once; nothing happens when it has ended."""
        self.process.kill()
        self.process.wait()
        self._qmp.close()

    # ------------------------------------------------------------------- agent

    def agent(
        self, command: str, arguments: t.Mapping[str, t.Any] | None = None, *, seconds: float = AGENT_LIMIT
    ) -> t.Any:
        """One command of the guest agent, in its own form. Raises AgentSilent and AgentRefusal."""
        if self.wedged:
            time.sleep(min(seconds, 3.0))
            raise AgentSilent(command)
        with self._asking, socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(seconds)
            try:
                wire.connect(str(self.folder / "agent"))
                lines = wire.makefile("rb")
                self._agree(wire, lines)
                send(wire, command, arguments or {})
                if command == "guest-shutdown":  # answers errors only
                    return {}
                answer = json.loads(read(lines))
            except OSError as exc:
                raise AgentSilent(command) from exc
        if "error" in answer:
            raise AgentRefusal(answer["error"]["desc"])
        return answer["return"]

    @staticmethod
    def _agree(wire: socket.socket, lines: t.BinaryIO) -> None:
        """Whatever an earlier caller did not wait for comes before the answer with our number."""
        number = next(_numbers) << 16 | int(time.monotonic() * 1000) & 0xFFFF
        wire.sendall(b"\xff")
        send(wire, "guest-sync-delimited", {"id": number})
        while json.loads(read(lines)).get("return") != number:
            pass

    def agent_up(self, seconds: float = 3.0) -> bool:
        """Does it answer a ping? Three seconds are what Proxmox gives it."""
        try:
            self.agent("guest-ping", seconds=seconds)
        except (AgentSilent, AgentRefusal):
            return False
        return True


def send(wire: socket.socket, command: str, arguments: t.Mapping[str, t.Any]) -> None:
    wire.sendall(json.dumps({"execute": command, "arguments": dict(arguments)}).encode() + b"\n")


def read(lines: t.BinaryIO) -> bytes:
    """One answer; a delimiter and what stands before it is dropped."""
    line = lines.readline()
    if not line:
        raise OSError("the agent's socket was closed")
    return line.rpartition(b"\xff")[2]


def text64(data: str | bytes) -> str:
    """Base64, as the agent takes and gives bytes."""
    return base64.b64encode(data.encode("latin-1") if isinstance(data, str) else data).decode()
