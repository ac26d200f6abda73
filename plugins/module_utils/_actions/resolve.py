# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an action and what was given for it to what is run; every front end goes through here."""

from __future__ import annotations

import difflib
import re
import typing as t
from collections.abc import Mapping

from .model import Action, ActionError, Invocation, Registry
from .values import Wire, wire

# A host pattern of Ansible: names, groups, wildcards, :&! and ranges; no blanks, no option, no file (@).
_LIMIT = re.compile(r"[A-Za-z0-9_.*!&~\[][A-Za-z0-9_.*:,!&~\[\]-]*")


def find(registry: Registry, name: str) -> Action:
    """The action of that id. Raises ActionError that names those that are alike."""
    found = registry.action(name)
    if found is None:
        alike = difflib.get_close_matches(name, [action.id for action in registry], n=3)
        remedy = f"Did you mean {' or '.join(alike)}?" if alike else "homelab list names them."
        raise ActionError(f"there is no action {name!r}. {remedy}")
    return found


def resolve(
    action: Action,
    given: Mapping[str, object],
    *,
    limit: str = "",
    check: bool = False,
    diff: bool = False,
) -> Invocation:
    """What is run. C(given) holds values by parameter, as typed; an empty one is as good as none.

    Raises ActionError with every problem.
    """
    problems: list[str] = []
    values: dict[str, Wire] = {}
    refused: set[str] = set()
    for name, value in given.items():
        parameter = action.parameter(name)
        if parameter is None:
            problems.append(_unknown(action, name))
            continue
        if value in ("", None, [], ()):
            continue
        try:
            values[parameter.name] = wire(parameter.schema, value)
        except ValueError as problem:
            # The text of the problem quotes the value.
            said = "the value given does not fit" if parameter.secret else str(problem)
            problems.append(f"{action.id}: {parameter.name}: {said}")
            refused.add(parameter.name)
    present = values.keys() | refused
    missing = [one for one in action.parameters if one.required and one.name not in present]
    problems += [f"{action.id}: {one.name} is needed: {one.title}" for one in missing]
    problems += limit_problems(action, limit)
    if problems:
        raise ActionError(problems)
    plain = {one.variable: values[one.name] for one in action.parameters if one.name in values and not one.secret}
    return Invocation(
        action=action,
        limit=limit,
        variables={**action.fixed, **plain},
        secrets={one.variable: values[one.name] for one in action.parameters if one.name in values and one.secret},
        check=check or action.check,
        diff=diff or action.check,
    )


def limit_problems(action: Action, limit: str) -> list[str]:
    """What is wrong with a limit; nothing for none."""
    if not limit:
        return []
    if action.target == "localhost":
        return [f"{action.id}: limit={limit!r}: it runs on the controller only. Leave the limit out"]
    if not _LIMIT.fullmatch(limit):
        return [f"{action.id}: limit={limit!r} is no pattern of hosts. Name hosts or groups, with commas between"]
    return []


def _unknown(action: Action, name: str) -> str:
    names = [parameter.name for parameter in action.parameters]
    alike = difflib.get_close_matches(name, names, n=1)
    if alike:
        return f"{action.id}: it has no parameter {name!r}. Did you mean {alike[0]}?"
    return f"{action.id}: it has no parameter {name!r}. It has {', '.join(names) or 'none'}"


def assignments(texts: t.Iterable[str]) -> dict[str, str]:
    """C(KEY=VALUE) texts as a mapping. Raises ActionError with every problem."""
    found: dict[str, str] = {}
    problems = []
    for said in texts:
        name, equals, value = said.partition("=")
        if not equals or not name:
            # What stands there may be a secret; only its beginning is repeated.
            problems.append(f"--set {said[:20]!r}: write NAME=VALUE")
        elif name in found:
            problems.append(f"--set {name}: it is given twice")
        else:
            found[name] = value
    if problems:
        raise ActionError(problems)
    return found
