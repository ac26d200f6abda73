# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of one action: its values, the question whether it is meant, how far it is, and what came out."""

from __future__ import annotations

import time
from pathlib import Path

from ..._actions.model import Action, ActionError, Danger, Invocation
from ..._actions.resolve import limit_problems, resolve
from ..._actions.values import text
from ..._config.problems import ConfigError
from .. import engine, logs, runs
from ..context import Context
from ..exits import Trouble
from .forms import edit, shown
from .screens import Front, Item, lettered, percent_of

RUN, PLAN, LIMIT = "run", "plan", "limit"
_MODES = {RUN: "Run it", PLAN: "Only the plan: nothing is changed"}


class ActionPage:
    """One action on the screen."""

    def __init__(self, context: Context, front: Front, action: Action) -> None:
        self._context, self._front, self._action = context, front, action
        self._values: dict[str, str] = {}
        self._limit = ""

    def open(self) -> None:
        """Until somebody goes back. It begins at the first value that is needed."""
        needed = (f"set:{one.name}" for one in self._action.parameters if one.required)
        at = next(needed, "")
        while True:
            chosen = self._front.choose(self._action.title, self._action.help, self._items(), start=at)
            if chosen is None:
                return
            at = chosen
            if chosen in _MODES:
                self._start(check=chosen == PLAN)
            elif chosen == LIMIT:
                self._ask_limit()
            else:
                self._set(chosen.partition(":")[2])

    def _set(self, name: str) -> None:
        parameter = self._action.parameter(name)
        value = None if parameter is None else edit(self._front, parameter, self._values.get(name, ""))
        if value is not None:
            self._values[name] = value

    def _items(self) -> list[Item]:
        modes = [Item("r", _MODES[RUN], RUN)]
        taken = "r"
        if not self._action.check:
            modes.append(Item("o", _MODES[PLAN], PLAN))
            taken += "o"
        labels = []
        for one in self._action.parameters:
            mark = " *" if one.required else ""
            labels.append((f"set:{one.name}", f"{one.title}{mark}: {shown(one, self._values.get(one.name, ''))}"))
        if self._action.target != "localhost":
            labels.append((LIMIT, f"Limit: {self._limit or 'all hosts'}"))
        return [*modes, *lettered(labels, taken)]

    def _ask_limit(self) -> None:
        text, value = "Hosts or groups of the inventory, with commas between.", self._limit
        while True:
            said = self._front.ask("Limit", text, value)
            if said is None:
                return
            problems = limit_problems(self._action, said.strip())
            if not problems:
                self._limit = said.strip()
                return
            text, value = problems[0], said

    def _start(self, *, check: bool) -> None:
        try:
            invocation = resolve(self._action, self._values, limit=self._limit, check=check, diff=check)
        except ActionError as error:
            self._front.show("Not yet", "\n".join(error.problems))
            return
        if not self._meant(invocation):
            return
        try:
            ended = self._execute(invocation)
        except (Trouble, ConfigError) as trouble:
            self._front.show("It did not begin", str(trouble))
            return
        title = f"{self._action.title}: {ended.word} after {ended.seconds:.0f} s"
        self._front.show(title, "\n".join(logs.head(ended.run)) + logs.output(ended.run))

    def _meant(self, invocation: Invocation) -> bool:
        action = self._action
        if action.danger is Danger.NONE or invocation.check:
            return True
        words = [action.help, "", f"On {invocation.limit or 'all of ' + action.target}."]
        words += [
            f"{one.title}: {shown(one, text(self._values[one.name]))}"
            for one in action.parameters
            if self._values.get(one.name)
        ]
        if action.danger is Danger.CHANGES:
            return self._front.confirm(f"{action.title}?", "\n".join(words), default=True)
        words.append("This cannot be undone.")
        if not self._front.confirm(f"{action.title}?", "\n".join(words), default=False):
            return False
        return self._front.ask(action.title, f"Type {action.id} to go on.") == action.id

    def _execute(self, invocation: Invocation) -> engine.Ended:
        expected = expected_tasks(self._context.paths.runs, self._context.paths.logs, self._action.id)
        begun, done = time.monotonic(), 0

        with self._front.meter(f"{self._action.title} (Ctrl-C ends it)") as meter:

            def step(tasks: int) -> None:
                nonlocal done
                done = tasks

            def say(line: str) -> None:
                meter.update(percent_of(done, expected, time.monotonic() - begun, self._action.minutes), line)

            say("It begins")
            return engine.execute(self._context, invocation, say, step)


def expected_tasks(folder: Path, log_folder: Path, action: str) -> int | None:
    """How many tasks the last run that went well had."""
    for run in runs.find(folder, log_folder, action):
        facts = run.read()
        if facts.get("status") == runs.OK and isinstance(facts.get("tasks"), int):
            return int(facts["tasks"])
    return None
