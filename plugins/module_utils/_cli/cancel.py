# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending a run in steps: the modules that work get time to clean up and to say what is left, then Ansible, then nobody.

Ansible's own way would lose what a module says: its workers end at once, and nobody reads the module's last words.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from .processes import Process, children, family, lives, send
from .progress import Say

MODULES, ANSIBLE, TERM = 30.0, 10.0, 5.0
"""Seconds for each step."""


class Canceler:
    """Knows whether somebody asked for the end, and how far it is."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self.asked = False
        self._hurry = False
        self._say, self._clock = say, clock
        self._step = 0
        self._until = 0.0
        self._all: list[Process] = []
        self._modules: list[Process] = []

    def ask(self, why: str) -> None:
        """Ask for the end; a second time, for a quick one."""
        if self.asked:
            self._hurry = True
            return
        self.asked = True
        self._say(f"Ending the run ({why}): modules may clean up. Ask again to end it at once.")

    def work(self, find: Callable[[], list[int]]) -> None:
        """Do the next step when it is due. C(find) gives the processes that were begun here."""
        if not self.asked:
            return
        now = self._clock()
        if self._step == 0:
            self._begin(find, now)
        elif self._step == 1 and (self._is_due(now) or not any(map(lives, self._modules))):
            self._next(2, signal.SIGINT, self._all[:1], now + ANSIBLE)
        elif self._step == 2 and self._is_due(now):
            self._grow(find)
            self._next(3, signal.SIGTERM, self._all, now + TERM)
        elif self._step == 3 and now >= self._until:
            self._grow(find)
            self._next(4, signal.SIGKILL, self._all, now)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of what it was asked to end."""
        return self.asked and not any(map(lives, self._all))

    def kill(self, find: Callable[[], list[int]]) -> None:
        """End everything at once."""
        self._grow(find)
        self.finish()

    def finish(self) -> None:
        """After Ansible has ended: nothing that it had begun goes on."""
        send(self._all, signal.SIGKILL)

    def _is_due(self, now: float) -> bool:
        """Nobody waits for what a module began in the background, once Ansible itself has ended."""
        return self._hurry or now >= self._until or not any(map(lives, self._all[:1]))

    def _begin(self, find: Callable[[], list[int]], now: float) -> None:
        self._grow(find)
        # Ansible is ansible-playbook and the workers that it has begun; what these have begun are modules, and ssh on
        # the way to them.
        ansible = {pid for root in find() for pid in (root, *children(root))}
        self._modules = [one for one in self._all if one[0] not in ansible]
        self._next(1, signal.SIGINT, self._modules, now + MODULES)

    def _grow(self, find: Callable[[], list[int]]) -> None:
        for pid in find():
            self._all += [one for one in family(pid) if one not in self._all]

    def _next(self, step: int, number: signal.Signals, whom: list[Process], until: float) -> None:
        self._step, self._until = step, until
        send(whom, number)
