# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/actions.md."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Action, Danger, Parameter, Registry
from .values import text, wanted

_DANGER = {
    Danger.NONE: "only reads",
    Danger.CHANGES: "changes things",
    Danger.DESTRUCTIVE: "destructive: has to be confirmed",
}


def page(registry: Registry) -> str:
    """All actions, as Markdown."""
    return "\n".join(_lines(registry)) + "\n"


def _lines(registry: Registry) -> Iterator[str]:
    yield "# Actions"
    yield ""
    yield "<!-- Made by scripts/build_actions_page.py; edit plugins/module_utils/_actions/registry.yml instead. -->"
    yield ""
    yield "What the command `homelab`, its menu, and job templates of AWX and Semaphore offer. See"
    yield "[the command](guides/cli.md) for how they are started, and for actions of your own."
    for group in registry.groups:
        actions = registry.of_group(group.id)
        if not actions:
            continue
        yield from ("", f"## {group.title}", "")
        yield from ("| action | what it does | danger | minutes |", "|---|---|---|---|")
        for one in actions:
            danger = _DANGER[one.danger].partition(":")[0]
            yield f"| [`{one.id}`](#{one.id}) | {one.title} | {danger} | {one.minutes:g} |"
        for one in actions:
            yield from _action(one)


def _action(action: Action) -> Iterator[str]:
    yield from ("", f"### {action.id}", "", f"{action.help}", "")
    where = "the controller" if action.target == "localhost" else f"`{action.target}`"
    yield f"Playbook `{action.playbook}`, on {where}; {_DANGER[action.danger]}."
    if action.parameters:
        yield from ("", "| parameter | | value | variable |", "|---|---|---|---|")
        for one in action.parameters:
            yield f"| `{one.name}` | {_about(one)} | {_value(one)} | `{one.variable}` |"


def _about(parameter: Parameter) -> str:
    help_ = f". {parameter.help}" if parameter.help else ""
    return _cell(f"{parameter.title}{help_}".rstrip("."))


def _value(parameter: Parameter) -> str:
    marks = [wanted(parameter.schema)]
    if parameter.required:
        marks.append("needed")
    if parameter.secret:
        marks.append("secret")
    elif parameter.schema.get("default") not in (None, "", []):
        marks.append(f"default {text(parameter.schema['default'])}")
    return _cell("; ".join(marks))


def _cell(said: str) -> str:
    return said.replace("|", "\\|")
