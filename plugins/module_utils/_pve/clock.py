# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time as a dependency: a clock that tests replace, and the one deadline of a module run."""

from __future__ import annotations

import time
from typing import Protocol

from .errors import DeadlineExceeded, Interrupted
from .upid import Upid


class Clock(Protocol):
    """All times are seconds. C(monotonic) never jumps; C(time) is the Unix time of this machine."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def time(self) -> float: ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def time(self) -> float:
        return time.time()


class Deadline:
    """A point on the monotonic clock, C(seconds) after its making, that every wait of one run shares."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self._end = clock.monotonic() + seconds
        self._signal = ""

    def interrupt(self, signal: str) -> None:
        """Let every wait end at once, in all threads, because C(signal) was received."""
        self._signal = signal

    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return 0.0 if self._signal else max(0.0, self._end - self.clock.monotonic())

    def check(self, what: str, upid: Upid | None = None) -> None:
        """Raises DeadlineExceeded, naming C(what) is being waited for, when no time is left. Interrupted is one."""
        if self._signal:
            raise Interrupted(what, self._signal, upid)
        if self.remaining() <= 0:
            raise DeadlineExceeded(what, self.seconds, upid)

    def pause(self, seconds: float, what: str, upid: Upid | None = None) -> None:
        """Sleep, but not past the deadline. Raises DeadlineExceeded when no time is left before or after."""
        self.check(what, upid)
        self.clock.sleep(min(seconds, self.remaining()))
        self.check(what, upid)
