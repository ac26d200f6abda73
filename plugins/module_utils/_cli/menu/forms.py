# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions made from schemas: what is typed is checked in place, and asked for again with what would be right."""

from __future__ import annotations

from ..._actions.model import Parameter
from ..._actions.values import text, wanted, wire
from .screens import Front, Item, lettered

UNSET = "(not set)"


def edit(front: Front, parameter: Parameter, value: str) -> str | None:
    """The new value as typed, empty for none; None for back."""
    about = "\n".join(filter(None, (parameter.help, _default(parameter))))
    if parameter.kind == "array" and parameter.choices:
        items = lettered([(choice, choice) for choice in parameter.choices])
        chosen = front.pick(parameter.title, about or "Choose any.", items, value.split(",") if value else [])
        return None if chosen is None else ",".join(chosen)
    if parameter.choices:
        labels = [(choice, choice) for choice in parameter.choices]
        items = lettered(labels, taken="-")
        if not parameter.required:
            items.append(Item("-", UNSET, ""))
        return front.choose(parameter.title, about or "Choose one.", items, start=value)
    return _line(front, parameter, about, value)


def _line(front: Front, parameter: Parameter, about: str, value: str) -> str | None:
    form = _sentence(wanted(parameter.schema))
    trouble = ""
    while True:
        said = front.ask(
            parameter.title, "\n".join(filter(None, (trouble, about, form))), value, secret=parameter.secret
        )
        if not said:
            # Empty is not set; what is needed is noticed when it is run.
            return said
        try:
            wire(parameter.schema, said)
        except ValueError as problem:
            trouble = "That does not fit." if parameter.secret else _sentence(str(problem))
            value = said
            continue
        return said


def _sentence(words: str) -> str:
    """What is quoted in it stays as it was typed."""
    return f"{words[:1].upper()}{words[1:]}."


def _default(parameter: Parameter) -> str:
    default = parameter.schema.get("default")
    return "" if default in (None, "", []) or parameter.secret else f"Default: {text(default)}."


def shown(parameter: Parameter, value: str) -> str:
    """What a list says of a value; a secret is only there or not."""
    if parameter.secret:
        return "<set>" if value else UNSET
    return value or UNSET
