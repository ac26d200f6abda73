# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's events to what a person wants to see meanwhile, and to what is worth to be kept of a run."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Say = Callable[[str], None]
Step = Callable[[int], None]
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

STATES = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}
_LEVELS = {"failed": "error", "unreachable": "error"}


def plain(text: str) -> str:
    """The text without colours and control characters."""
    return _CONTROL.sub("", _COLOURS.sub("", text))


def unhindered(say: Say) -> Say:
    """The same, but the work goes on when nobody can be told any more."""

    def tell(line: str) -> None:
        try:
            say(line)
        except (OSError, ValueError):
            # The terminal or the pipe is gone.
            return

    return tell


@dataclass(slots=True)
class Tally:
    """What has been seen of a run."""

    tasks: int = 0
    changed: int = 0
    failed: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)
    task: str = ""
    facts: dict[str, t.Any] = field(default_factory=dict)
    """What the playbook published with set_stats."""
    hosts: dict[str, dict[str, int]] = field(default_factory=dict)
    ansible: int | None = None
    """The process id of ansible-playbook."""


class Watcher:
    """Takes events as they come. C(say) gets a line for people, C(log) one for the log of the run,
    C(step) how many tasks have begun."""

    def __init__(self, say: Say, log: Callable[..., None], step: Step = lambda _tasks: None) -> None:
        self.tally = Tally()
        self._say, self._log, self._step = say, log, step

    def take(self, event: Mapping[str, t.Any]) -> None:
        """One event of Ansible."""
        kind, data = event.get("event", ""), event.get("event_data") or {}
        if self.tally.ansible is None and isinstance(event.get("pid"), int):
            self.tally.ansible = event["pid"]
        if kind == "playbook_on_play_start":
            self._say(f"PLAY {data.get('name', '')}")
            self._log("play", data.get("name", ""), play=data.get("play_uuid"))
        elif kind in ("playbook_on_task_start", "playbook_on_handler_task_start"):
            self.tally.tasks += 1
            self.tally.task = data.get("name") or data.get("task", "")
            self._step(self.tally.tasks)
            self._say(f"  {self.tally.task}")
        elif kind in STATES:
            self._result(STATES[kind], data)
        elif kind == "playbook_on_stats":
            self._stats(data)
        elif kind in ("verbose", "warning", "deprecated", "error"):
            self._words(kind, plain(event.get("stdout", "")))

    def note(self, message: str) -> None:
        """Something that is wrong with the run as a whole."""
        self._say(f"  {message}")
        self._log("problem", message, level="error")

    def _result(self, state: str, data: Mapping[str, t.Any]) -> None:
        result = data.get("res") or {}
        hidden = bool(result.get("_ansible_no_log") or result.get("censored"))
        message = "" if hidden else plain(str(result.get("msg", "")))
        host, changed = data.get("host", ""), bool(result.get("changed"))
        ignored = state == "failed" and bool(data.get("ignore_errors"))
        if state in _LEVELS and not ignored:
            getattr(self.tally, state).append(host)
            self._say(f"  {state.upper()} {host}: {message or 'see the output'}")
        elif changed:
            self.tally.changed += 1
            self._say(f"    changed {host}")
        self._log(
            "task",
            f"{data.get('task', '')}: {state}{': ' + message if state in _LEVELS and message else ''}",
            level="info" if ignored else _LEVELS.get(state, "info"),
            state=state,
            host=host,
            changed=changed,
            play=data.get("play_uuid"),
            task=data.get("task_uuid"),
            module=data.get("resolved_action") or data.get("task_action"),
            seconds=data.get("duration"),
        )

    def _words(self, kind: str, words: str) -> None:
        """What Ansible says besides, such as how far a module is."""
        for line in words.splitlines():
            if line.strip():
                self._say(f"    {line.strip()}")
                level = kind if kind in ("warning", "error") else "info"
                self._log("output", line.strip(), level=level)

    def _stats(self, data: Mapping[str, t.Any]) -> None:
        names = ("ok", "changed", "failures", "dark", "skipped", "rescued", "ignored")
        hosts = {host for name in names for host in data.get(name) or {}}
        self.tally.hosts = {
            host: {name: (data.get(name) or {}).get(host, 0) for name in names} for host in sorted(hosts)
        }
        self.tally.facts = dict(data.get("artifact_data") or {})
