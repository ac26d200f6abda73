# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a person typed to what a playbook gets: one form for all front ends, which is that of a survey.

AWX hands texts, whole and other numbers, and lists of chosen texts to a playbook. So that nothing works on the command
line that fails there, the command line and the menu hand over the same: a boolean is the text true or false, a free
list is a text with commas.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

KINDS = ("string", "integer", "number", "boolean", "array")
"""What a survey can ask for."""

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN = 60

Wire: t.TypeAlias = "str | int | float | list[str]"


def wire(schema: Mapping[str, t.Any], value: object) -> Wire:
    """The value as a playbook gets it. Raises ValueError that says what would be right."""
    kind = schema.get("type", "string")
    if kind == "boolean":
        return _boolean(value)
    if kind == "array":
        return _list(schema, value)
    return _scalar(schema, value)


def typed(schema: Mapping[str, t.Any], value: object) -> object:
    """The value in the type that its schema names. Raises ValueError."""
    found = wire(schema, value)
    if schema.get("type") == "boolean":
        return found == "true"
    if schema.get("type") == "array" and isinstance(found, str):
        return found.split(",") if found else []
    return found


def text(value: object) -> str:
    """A value as a person types it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(text(item) for item in value)
    return "" if value is None else str(value)


def wanted(schema: Mapping[str, t.Any]) -> str:
    """What a value has to be, in words."""
    kind = schema.get("type", "string")
    if kind == "array":
        return f"a list with commas between, each {wanted(schema.get('items', {}))}"
    if choices := schema.get("enum"):
        return f"one of {', '.join(text(choice) for choice in choices)}"
    words = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "a text"}[kind]
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        words += f" from {least} to {most}"
    elif least is not None or most is not None:
        words += f" of {least} or more" if least is not None else f" of at most {most}"
    if pattern := schema.get("pattern"):
        words += f" of the form {pattern}"
    return words


def _boolean(value: object) -> str:
    said = text(value).strip().lower()
    if said in TRUE:
        return "true"
    if said in FALSE:
        return "false"
    raise ValueError(f"{_quoted(value)} is neither true nor false")


def _list(schema: Mapping[str, t.Any], value: object) -> Wire:
    items = schema.get("items", {})
    given = value if isinstance(value, (list, tuple)) else re.split(r"[,\n]", text(value))
    parts = [_scalar(items, part) for one in given if (part := text(one).strip())]
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(parts) < least or (most is not None and len(parts) > most):
        raise ValueError(f"{_quoted(value)} has {len(parts)} values; give {_many(least, most)}")
    texts = [text(part) for part in parts]
    # A survey hands over chosen values as a list, a list that was typed as one text.
    if "enum" in items:
        return texts
    if comma := next((part for part in texts if "," in part), None):
        raise ValueError(f"{_quoted(comma)} holds a comma, which stands between values")
    return ",".join(texts)


def _many(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least}"
    return f"{least} to {most}" if least else f"at most {most}"


def _scalar(schema: Mapping[str, t.Any], value: object) -> str | int | float:
    kind = schema.get("type", "string")
    said = text(value)
    if kind == "boolean":
        return _boolean(value)
    if kind in ("integer", "number"):
        return _number(schema, kind, said)
    if _CONTROL.search(said):
        raise ValueError(f"{_quoted(value)} holds control characters; give one line of text")
    if choices := schema.get("enum"):
        if said not in [text(choice) for choice in choices]:
            raise ValueError(f"{_quoted(value)} is not {wanted(schema)}")
    elif (pattern := schema.get("pattern")) and not re.search(pattern, said):
        raise ValueError(f"{_quoted(value)} is not {wanted(schema)}")
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if len(said) < least:
        raise ValueError("it is empty; give a text" if not said else f"{_quoted(value)} is shorter than {least} signs")
    if most is not None and len(said) > most:
        raise ValueError(f"{_quoted(value)} is longer than {most} signs")
    return said


def _number(schema: Mapping[str, t.Any], kind: str, said: str) -> int | float:
    form = r"[+-]?\d+" if kind == "integer" else r"[+-]?\d+(\.\d+)?"
    if not re.fullmatch(form, said.strip(), re.ASCII):
        raise ValueError(f"{_quoted(said)} is not {wanted(schema)}")
    number = int(said) if kind == "integer" else float(said)
    least, most = schema.get("minimum"), schema.get("maximum")
    if (least is not None and number < least) or (most is not None and number > most):
        raise ValueError(f"{said.strip()} is not {wanted(schema)}")
    return number


def _quoted(value: object) -> str:
    said = text(value)
    return repr(said if len(said) <= _SHOWN else said[:_SHOWN] + "…")
