# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C and a job that is cancelled: nothing new is begun, what is left is said, and the next run goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .._pve.client import Client

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(client: Client) -> Iterator[None]:
    """Let the first signal end every wait of the client; a second one ends the process as ever.

    Python delivers signals to the main thread only, so elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in SIGNALS}

    def stop(number: int, _frame: FrameType | None) -> None:
        client.deadline.interrupt(signal.Signals(number).name)
        restore()

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()
