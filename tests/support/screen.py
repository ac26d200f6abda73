# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal for tests: a program behind a pseudo-terminal, its screen as lines, and a keyboard."""

from __future__ import annotations

import os
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence

import pexpect
import pyte

PATIENCE = 60.0
"""Seconds for what has to appear."""
ENTER, ESCAPE, TAB, DOWN, END, CTRL_C = "\r", "\x1b", "\t", "\x1b[B", "\x1b[4~", "\x03"


def last_page(text: str) -> str:
    """Of plain text that scrolls: the page at the end, once it waits for an answer; nothing before that."""
    lines = [line for line in text.splitlines() if line.strip()]
    heads = [number for number, line in enumerate(lines) if line.startswith("=== ")]
    return "\n".join(lines[heads[-1] :]) if heads and lines[-1].endswith(":") else ""


class Screen:
    """A program on a terminal of that size. C(page) is what of its text counts."""

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        *,
        lines: int = 24,
        columns: int = 80,
        term: str = "linux",
        page: Callable[[str], str] = str,
    ) -> None:
        self._page = page
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        """Everything that was ever written."""
        self.seen: list[str] = []
        """Every screen that somebody waited for, for people to look at."""
        env = {**os.environ, "LC_ALL": "C.UTF-8", **environ, "TERM": term}
        self._child: t.Any = pexpect.spawn(
            argv[0], list(argv[1:]), env=env, dimensions=(lines, columns), timeout=PATIENCE
        )

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_unused: object) -> None:
        self._child.close(force=True)

    @property
    def pid(self) -> int:
        return int(self._child.pid)

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait(self, *words: str, gone: str = "") -> str:
        """Until all the words are on the screen, and C(gone) is not."""
        end = time.monotonic() + PATIENCE
        while True:
            shown = self._page(self.text())
            if shown and all(word in shown for word in words) and not (gone and gone in shown):
                self.seen.append(shown)
                return shown
            assert time.monotonic() < end, f"{words} did not appear:\n{self.text()}"
            self._pump()

    def glance(self) -> None:
        """Take what the program has written."""
        self._pump()

    def press(self, *keys: str) -> None:
        """Type, one key after the other."""
        for key in keys:
            self._child.send(key)

    def resize(self, lines: int, columns: int) -> None:
        self._screen.resize(lines, columns)
        self._child.setwinsize(lines, columns)

    def hang_up(self) -> None:
        """Take the terminal away, as a lost connection does."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, self._child.fileno())
        os.close(nowhere)

    def end(self) -> int | None:
        """Wait for the program's end. Returns its status."""
        end = time.monotonic() + PATIENCE
        while self._child.isalive() and time.monotonic() < end:
            self._pump()
        self._child.close(force=True)
        return t.cast("int | None", self._child.exitstatus)

    def _pump(self) -> None:
        try:
            data = self._child.read_nonblocking(65536, timeout=0.05)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.raw += data
        self._stream.feed(data)
