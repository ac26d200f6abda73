# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screens of the menu, whatever draws them: whiptail, dialog, or plain text."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"


@dataclass(frozen=True, slots=True)
class Item:
    """One line to choose. C(tag) is the key that jumps to it, C(value) what is meant."""

    tag: str
    label: str
    value: str


class Meter(t.Protocol):
    """How far something is, on the screen."""

    def update(self, percent: int, text: str) -> None: ...


class Front(t.Protocol):
    """What draws the screens. None always means: back."""

    name: str

    def choose(self, title: str, text: str, items: Sequence[Item], start: str = "") -> str | None:
        """One of the items."""

    def pick(self, title: str, text: str, items: Sequence[Item], chosen: Iterable[str]) -> list[str] | None:
        """Any of the items."""

    def ask(self, title: str, text: str, value: str = "", *, secret: bool = False) -> str | None:
        """A line of text. A secret is neither shown nor filled in."""

    def confirm(self, title: str, text: str, *, default: bool) -> bool:
        """Yes or no."""

    def show(self, title: str, text: str) -> None:
        """Something to read, of any length."""

    def meter(self, title: str) -> AbstractContextManager[Meter]:
        """How far something is."""


def lettered(labels: Sequence[tuple[str, str]], taken: str = "") -> list[Item]:
    """Items for (value, label), each with a letter of its own: the first of its label that is free.

    whiptail and dialog jump to the item whose tag begins with the key. What is more than the letters gets none, and
    is reached with the arrows.
    """
    free = [sign for sign in LETTERS if sign not in taken]
    items: list[Item] = []
    many = len(labels) > len(free)
    for number, (value, label) in enumerate(labels, 1):
        if many:
            items.append(Item(f"{number:0{len(str(len(labels)))}d}", label, value))
            continue
        wanted = [sign for sign in label.lower() if sign in free] + free
        free.remove(wanted[0])
        items.append(Item(wanted[0], label, value))
    return items


def terminal_size() -> os.terminal_size:
    """Of the terminal itself: LINES and COLUMNS of the environment may be those of another, or of an hour ago."""
    try:
        return os.get_terminal_size(1)
    except OSError:
        return os.terminal_size((80, 24))


def percent_of(tasks: int, expected: int | None, seconds: float, minutes: float) -> int:
    """How far a run is: by the tasks of the last one that went well, else by the time that it typically takes."""
    if expected:
        return min(99, 100 * tasks // (expected + 1))
    return min(95, int(100 * seconds / (60 * minutes)))
