# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(homelab list) and C(homelab show)."""

from __future__ import annotations

import argparse
import json
import typing as t

from .._actions.model import Action, Danger
from .._actions.resolve import find
from .._actions.values import text, wanted
from .context import Context
from .exits import Exit
from .running import invocation_of
from .speech import out

_MARKS = {Danger.NONE: " ", Danger.CHANGES: "*", Danger.DESTRUCTIVE: "!"}


def list_actions(context: Context, options: argparse.Namespace) -> int:
    """All actions, by group."""
    if options.json:
        out(json.dumps([describe(action) for action in context.registry], ensure_ascii=False, indent=1))
        return Exit.OK
    for group in context.registry.groups:
        if actions := context.registry.of_group(group.id):
            out(group.title)
            for action in actions:
                out(f"  {action.id:<24} {_MARKS[action.danger]} {action.title}")
    out("\n* changes things   ! destructive, has to be confirmed")
    return Exit.OK


def show(context: Context, options: argparse.Namespace) -> int:
    """One action; with values, what would be run."""
    action = find(context.registry, options.action)
    would = (
        invocation_of(context, options).shown()
        if options.set or options.set_from or options.limit or options.plan
        else None
    )
    if options.json:
        out(json.dumps({**describe(action), "invocation": would}, ensure_ascii=False, indent=1))
        return Exit.OK
    out(f"{action.id}: {action.title}\n{action.help}\n")
    out(f"playbook  {action.playbook}\ntarget    {action.target}\ndanger    {action.danger.value}")
    out(f"takes     about {action.minutes:g} min")
    for one in action.parameters:
        marks = "".join(f", {mark}" for mark, on in (("needed", one.required), ("secret", one.secret)) if on)
        default = one.schema.get("default")
        marks += f", default {text(default)}" if default not in (None, "", []) and not one.secret else ""
        out(f"\n  {one.name}  {one.title}{marks}\n      {wanted(one.schema)}")
        if one.help:
            out(f"      {one.help}")
    if would is not None:
        out(f"\nwould run\n{json.dumps(would, ensure_ascii=False, indent=1)}")
    return Exit.OK


def describe(action: Action) -> dict[str, t.Any]:
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
        "fixed": dict(action.fixed),
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
