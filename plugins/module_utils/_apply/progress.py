# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where work under way is told: nowhere, or to a file that somebody follows while the module runs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

Event = Literal["begin", "progress", "end", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that happened. C(bytes) and C(total) are bytes, C(percent) is 0 to 100; None where it is not known.

    C(step) is the step's own description, C(text) what to call it, or its part that goes on, in a few words.
    """

    track: str
    event: Event
    step: str
    text: str
    percent: float | None = None
    bytes: int | None = None
    total: int | None = None


class Progress(Protocol):
    """Takes what is told. It is called from many threads, and never fails: the work matters more."""

    @property
    def wanted(self) -> bool:
        """Whether anybody listens. If not, nothing is asked of the server for its sake."""

    def tell(self, told: Told) -> None: ...


class Silence:
    """Nobody listens."""

    wanted = False

    def tell(self, told: Told) -> None:
        return None


SILENCE = Silence()


class ProgressFile:
    """Appends JSON lines to a file, each a whole line in one write.

    The file is made with the first line, for its owner only. When it cannot be written, C(warn) is told once and the
    rest is dropped.
    """

    wanted = True

    def __init__(
        self, path: Path, warn: Callable[[str], None], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._path = path
        self._warn = warn
        self._now = now
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._broken = False

    def tell(self, told: Told) -> None:
        with self._lock:
            if self._broken:
                return
            try:
                self._append(told)
            except OSError as error:
                self._broken = True
                self._close()
                self._warn(f"progress_file: {self._path}: {error.strerror or error}. The work goes on without it.")

    def _append(self, told: Told) -> None:
        if self._handle is None:
            # Without O_NONBLOCK a pipe that nobody reads would hold the work up.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._handle = os.open(self._path, flags, 0o600)
        line = json.dumps(_fields(told, self._now()), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if os.write(self._handle, line) != len(line):
            raise OSError("only a part of a line could be written")

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def _fields(told: Told, now: datetime) -> dict[str, object]:
    """One line of the file, without what is not known."""
    known = {"percent": told.percent, "bytes": told.bytes, "total": told.total}
    return {
        "time": now.isoformat(timespec="milliseconds"),
        "track": told.track,
        "event": told.event,
        "step": told.step,
        "text": told.text,
        **{name: value for name, value in known.items() if value is not None},
    }
