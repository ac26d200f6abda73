# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did, as JSON lines and in the journal of systemd where there is one; every line bears the run's id."""

from __future__ import annotations

import json
import os
import socket
import struct
import typing as t
from datetime import UTC, datetime
from pathlib import Path

JOURNAL = Path("/run/systemd/journal/socket")
LEVELS = {"error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
"""The priorities of syslog."""


class Journal:
    """The log of one run. A log that cannot be written is no reason to end the work."""

    def __init__(
        self, run: str, path: Path, action: str, level: str = "info", socket_path: Path | None = JOURNAL
    ) -> None:
        self.run, self.action = run, action
        self._least = LEVELS[level]
        self._handle: int | None = None
        self._socket: socket.socket | None = None
        self._path, self._socket_path = path, socket_path

    def __enter__(self) -> Journal:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._handle = os.open(self._path, flags, 0o600)
        if self._socket_path is not None and self._socket_path.exists():
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        return self

    def __exit__(self, *_unused: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
        if self._socket is not None:
            self._socket.close()
        self._handle = self._socket = None

    def say(self, event: str, message: str, level: str = "info", **fields: t.Any) -> None:
        """One line: what happened, and the ids of where."""
        if LEVELS[level] > self._least:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = {"time": time, "level": level, "run": self.run, "action": self.action, "event": event}
        line = {**head, "message": message, **{key: value for key, value in fields.items() if value is not None}}
        if self._handle is not None:
            try:
                # One write for a line: the file may have several writers.
                os.write(self._handle, (json.dumps(line, ensure_ascii=False, default=str) + "\n").encode())
            except OSError:
                self._handle = None
        self._tell_systemd(line)

    def _tell_systemd(self, line: dict[str, t.Any]) -> None:
        if self._socket is None:
            return
        fields = {
            "MESSAGE": line["message"],
            "PRIORITY": str(LEVELS[line["level"]]),
            "SYSLOG_IDENTIFIER": "homelab",
            **{
                f"HOMELAB_{key.upper()}": str(value)
                for key, value in line.items()
                if key not in ("message", "time", "level")
            },
        }
        try:
            self._socket.sendto(b"".join(_field(*field) for field in fields.items()), str(self._socket_path))
        except OSError:
            self._socket.close()
            self._socket = None


def _field(name: str, value: str) -> bytes:
    """One field of the journal's native protocol; a value of several lines goes with its length."""
    data = value.encode()
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
