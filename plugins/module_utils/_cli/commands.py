# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of C(homelab): each takes the context and its options, and returns an exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from .._actions.model import Danger, Invocation
from .._actions.resolve import assignments, find, resolve
from .context import Context
from .engine import Ended, execute
from .exits import Exit, Trouble

Command = Callable[[Context, argparse.Namespace], int]


def run(context: Context, options: argparse.Namespace) -> int:
    """C(homelab run)."""
    action = find(context.registry, options.action)
    invocation = resolve(action, assignments(options.set), limit=options.limit, check=options.check, diff=options.diff)
    confirm(context, invocation, options.yes)
    ended = execute(context, invocation, lambda line: print(line, file=sys.stderr, flush=True))
    if options.json:
        print(json.dumps(ended.run.read(), ensure_ascii=False, indent=1))
    print(summary(ended), file=sys.stderr)
    return ended.status


def confirm(context: Context, invocation: Invocation, yes: bool) -> None:
    """Let a person type the action's id before something is destroyed. Raises Trouble."""
    action = invocation.action
    if action.danger is not Danger.DESTRUCTIVE or invocation.check or yes:
        return
    if not context.terminal:
        raise Trouble(
            Exit.UNCONFIRMED, f"{action.id} is destructive, and nobody can be asked here. Give --yes, or --check first"
        )
    print(f"{action.title}: {action.help}\nThis cannot be undone. Type {action.id} to go on: ", end="", file=sys.stderr)
    sys.stderr.flush()
    if sys.stdin.readline().strip() != action.id:
        raise Trouble(Exit.UNCONFIRMED, "not confirmed; nothing was done")


def summary(ended: Ended) -> str:
    """One line on how a run ended."""
    words = f"{ended.run.read().get('title')}: {ended.word} after {ended.seconds:.0f} s"
    return f"{words}, {ended.tally.changed} changed. Run {ended.run.id}"


def listing(context: Context, options: argparse.Namespace) -> int:
    """C(homelab list)."""
    if options.json:
        print(json.dumps([describe(action) for action in context.registry], ensure_ascii=False, indent=1))
        return Exit.OK
    for group in context.registry.groups:
        actions = context.registry.of_group(group.id)
        if not actions:
            continue
        print(f"{group.title}")
        for action in actions:
            mark = {Danger.NONE: " ", Danger.CHANGES: "*", Danger.DESTRUCTIVE: "!"}[action.danger]
            print(f"  {action.id:<24} {mark} {action.title}")
    print("\n* changes things   ! destructive, has to be confirmed")
    return Exit.OK


def describe(action) -> dict[str, object]:  # type: ignore[no-untyped-def]
    """An action as JSON."""
    return {
        "id": action.id,
        "title": action.title,
        "help": action.help,
        "group": action.group,
        "playbook": action.playbook,
        "target": action.target,
        "danger": action.danger.value,
        "minutes": action.minutes,
        "parameters": [
            {
                "name": one.name,
                "variable": one.variable,
                "title": one.title,
                "help": one.help,
                "required": one.required,
                "secret": one.secret,
                "schema": dict(one.schema),
            }
            for one in action.parameters
        ],
    }


COMMANDS: dict[str, Command] = {"run": run, "list": listing}
