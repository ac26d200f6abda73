# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often tasks are asked about: each of them by its age, all of them together by a fixed rate."""

from __future__ import annotations

import threading

from .clock import Clock, Deadline
from .upid import Upid

_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0
_SHARE_OF_ELAPSED = 0.05
_STATUS_PER_SECOND = 20


def delay(elapsed: float) -> float:
    """Seconds between two looks at a task that has been waited for for C(elapsed) seconds."""
    return min(max(_FIRST_DELAY, elapsed * _SHARE_OF_ELAPSED), _LONGEST_DELAY)


class Pace:
    """Gives every request of all threads its own slot, so that together they keep to C(per_second)."""

    def __init__(self, clock: Clock, per_second: float = _STATUS_PER_SECOND) -> None:
        self._clock = clock
        self._interval = 1.0 / per_second
        self._next = clock.monotonic()
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next slot; the seconds until it begins."""
        with self._lock:
            now = self._clock.monotonic()
            slot = max(now, self._next)
            self._next = slot + self._interval
            return slot - now

    def turn(self, deadline: Deadline, what: str, upid: Upid) -> None:
        """Wait for a slot. Raises DeadlineExceeded."""
        seconds = self.reserve()
        if seconds > 0:
            deadline.pause(seconds, what, upid)
