# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same screens as numbered text: for terminals that cannot do more, for readers aloud, and for logs of consoles."""

from __future__ import annotations

import getpass
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ..speech import out
from .screens import Item, Meter, terminal_size

PAGE = 20
"""Lines of a list or a text at once."""


class Plain:
    """The screens as text. An empty line means back."""

    name = "plain"

    def choose(self, title: str, text: str, items: Sequence[Item], start: str = "") -> str | None:
        self._head(title, text)
        self._list([f"{number:>3}) {item.tag}  {item.label}" for number, item in enumerate(items, 1)])
        while True:
            said = self._line("Number or letter, empty for back: ")
            if not said:
                return None
            found = _meant(items, said)
            if found is not None:
                return found.value
            out(f"There is no {said!r} here.")

    def pick(self, title: str, text: str, items: Sequence[Item], chosen: Iterable[str]) -> list[str] | None:
        on = set(chosen)
        self._head(title, text)
        marks = ("[x]" if item.value in on else "[ ]" for item in items)
        self._list([f"{n:>3}) {mark} {item.label}" for n, (item, mark) in enumerate(zip(items, marks, strict=True), 1)])
        while True:
            said = self._line("Numbers with commas, - for none, empty for back: ")
            if not said:
                return None
            wanted = [] if said == "-" else [_meant(items, part.strip()) for part in said.split(",")]
            if all(one is not None for one in wanted):
                return [one.value for one in wanted if one is not None]
            out(f"Not all of {said!r} are there.")

    def ask(self, title: str, text: str, value: str = "", *, secret: bool = False) -> str | None:
        self._head(title, text)
        if secret:
            return getpass.getpass("Value (it is not shown), empty for back: ") or None
        said = self._line(f"Value{f' [{value}]' if value else ''}, - for none, empty for back: ")
        return "" if said == "-" else said or None

    def confirm(self, title: str, text: str, *, default: bool) -> bool:
        self._head(title, text)
        said = self._line(f"{'Yes' if default else 'yes'} or {'no' if default else 'No'}: ").lower()
        return said in ("y", "yes") if said else default

    def show(self, title: str, text: str) -> None:
        self._head(title, "")
        lines = [part for line in text.splitlines() for part in textwrap.wrap(line, self._width()) or [""]]
        for number, line in enumerate(lines, 1):
            out(line)
            if number % PAGE == 0 and number < len(lines) and self._line("Enter for more, q for back: ") == "q":
                return
        self._line("Enter to go on: ")

    @contextmanager
    def meter(self, title: str) -> Iterator[Meter]:
        self._head(title, "")
        yield _Lines()

    def _head(self, title: str, text: str) -> None:
        out(f"\n=== {title} ===")
        for line in text.splitlines():
            out(textwrap.fill(line, self._width()))

    def _list(self, lines: Sequence[str]) -> None:
        for number, line in enumerate(lines, 1):
            out(line[: self._width()])
            if number % PAGE == 0 and number < len(lines) and self._line("Enter for more, q to choose: ") == "q":
                return

    @staticmethod
    def _width() -> int:
        return max(40, terminal_size().columns - 1)

    @staticmethod
    def _line(prompt: str) -> str:
        out(prompt, end="")
        said = sys.stdin.readline()
        if not said:
            # The terminal is gone; nobody can go back from anywhere.
            raise KeyboardInterrupt
        # Esc is what people press in the other menus.
        return "" if "\x1b" in said else said.strip()


class _Lines:
    """A new line for each thing that is said."""

    def __init__(self) -> None:
        self._last = ""

    def update(self, percent: int, text: str) -> None:
        if text != self._last:
            self._last = text
            out(f"{percent:>3} %  {text.strip()}")


def _meant(items: Sequence[Item], said: str) -> Item | None:
    if said.isdigit() and 0 < int(said) <= len(items):
        return items[int(said) - 1]
    return next((item for item in items if item.tag.lower() == said.lower()), None)
