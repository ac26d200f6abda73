# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(homelab menu): the pages, and which front draws them."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from .. import logs, runs, status
from ..context import Context
from ..exits import Exit, Trouble
from .action import ActionPage
from .boxes import boxes, usable
from .config import ConfigPages
from .plain import Plain
from .screens import Front, lettered

SHOWN_RUNS = 200


def menu(context: Context, options: argparse.Namespace) -> int:
    """Until somebody leaves it."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise Trouble(Exit.USAGE, "the menu needs a terminal. homelab list and homelab run do the same without one")
    with chosen_front(context, options.front) as front:
        Menu(context, front).open()
    return Exit.OK


@contextmanager
def chosen_front(context: Context, wanted: str | None) -> Iterator[Front]:
    """The one that was asked for, else the first that this terminal and this machine have."""
    if wanted in ("whiptail", "dialog") and not usable(wanted, context.environ):
        raise Trouble(
            Exit.INCOMPLETE,
            f"--front {wanted}: it is not installed, or the terminal is smaller than 80x24 or too plain",
        )
    programs = [wanted] if wanted else ["whiptail", "dialog"]
    found = next((one for one in programs if one != "plain" and usable(one, context.environ)), None)
    if found is None:
        yield Plain()
        return
    with boxes(found, context.environ) as front:
        yield front


class Menu:
    """The first page, and the pages that are no action's."""

    def __init__(self, context: Context, front: Front) -> None:
        self._context, self._front = context, front

    def open(self) -> None:
        """Back leaves it."""
        registry = self._context.registry
        groups = [(f"group:{one.id}", one.title) for one in registry.groups if registry.of_group(one.id)]
        others = [("status", "Status"), ("logs", "Logs of runs"), ("config", "Configuration"), ("quit", "Quit")]
        items = lettered([*groups, *others])
        at = ""
        while True:
            chosen = self._front.choose("homelab", "What do you want to do?", items, start=at)
            if chosen in (None, "quit"):
                return
            at = chosen or ""
            if at.startswith("group:"):
                self._group(at.removeprefix("group:"))
            elif at == "status":
                found = status.collect(self._context, datetime.now(UTC))
                self._front.show("Status", "\n".join(status.lines(found)))
            elif at == "logs":
                self._logs()
            else:
                ConfigPages(self._context, self._front).open()

    def _group(self, name: str) -> None:
        registry = self._context.registry
        group = next(one for one in registry.groups if one.id == name)
        items = lettered([(one.id, one.title) for one in registry.of_group(name)])
        at = ""
        while True:
            chosen = self._front.choose(group.title, group.help or "Choose one.", items, start=at)
            action = registry.action(chosen) if chosen else None
            if action is None:
                return
            at = action.id
            ActionPage(self._context, self._front, action).open()

    def _logs(self) -> None:
        paths = self._context.paths
        at = ""
        while True:
            found = list(itertools.islice(runs.all_runs(paths.runs, paths.logs), SHOWN_RUNS))
            if not found:
                self._front.show("Logs of runs", "No run yet.")
                return
            items = lettered([(run.id, "  ".join(logs.row(run.read())[:4]).rstrip()) for run in found])
            chosen = self._front.choose("Logs of runs", "The newest first.", items, start=at)
            run = next((one for one in found if one.id == chosen), None)
            if run is None:
                return
            at = run.id
            self._front.show(run.id, "\n".join(logs.head(run)) + logs.output(run))
