# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run that changes things per target: a lock of the kernel, which ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .._actions.model import Danger, Invocation
from .files import make_folder

Holds = Callable[[str], bool]
"""Whether the Ansible of a run still works although the run itself is gone."""


class Busy(Exception):
    """Somebody else works on the target; C(run) is who."""

    def __init__(self, target: str, run: str) -> None:
        super().__init__(f"another run works on {target}{f': {run}' if run else ''}")
        self.target, self.run = target, run


def target_of(invocation: Invocation) -> str | None:
    """What a run locks; None for one that only reads.

    It is the whole group, also with a limit: which hosts a pattern means is known to the inventory only.
    """
    reads = invocation.action.danger is Danger.NONE or invocation.check
    return None if reads else invocation.action.target


@contextmanager
def locked(folder: Path, target: str | None, run: str, holds: Holds) -> Iterator[None]:
    """Hold the lock of a target for the block. Raises Busy, OSError."""
    if target is None:
        yield
        return
    make_folder(folder)
    handle = os.open(folder / f"{target}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+", encoding="utf-8", errors="replace") as stream:
        free = True
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        former = stream.readline().strip()
        # A run that was killed lost its lock, but perhaps not its ansible-playbook.
        if not free or (former and holds(former)):
            raise Busy(target, former)
        stream.seek(0)
        stream.truncate()
        stream.write(f"{run}\n")
        stream.flush()
        yield
