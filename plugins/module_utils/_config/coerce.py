# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts from surveys, the environment and command lines, made into what the schema wants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .documents import parse_value
from .keys import Key, show_key
from .problems import ConfigError, Problem
from .schema import Schema, member, subschema
from .secrets import is_reference

_TRUE = {"true", "yes", "on", "1", "y", "t"}
_FALSE = {"false", "no", "off", "0", "n", "f"}


def coerce_text(key: Key, text: str) -> Any:
    """The value that a text stands for at a place; None, a removal, for an empty one that is no text.

    Raises ConfigError. A list of texts may be written with commas, everything else that is no single value as YAML.
    """
    schema = subschema(key) or {}
    kind = schema.get("type")
    if kind == "string" and not (text.startswith("{") and "ref" in text):
        return text
    if not text.strip():
        return None
    if kind == "array" and not text.lstrip().startswith(("[", "- ")):
        return coerce([part.strip() for part in text.split(",")], schema, key)
    if kind in ("boolean", "integer", "number"):
        return _single(key, text.strip(), str(kind))
    if kind is None and not text.lstrip().startswith(("[", "{", "- ")):
        return _free(text.strip())
    value = parse_value(text, show_key(key))
    if isinstance(value, str) and kind in ("array", "object"):
        wanted = "list" if kind == "array" else "mapping"
        raise ConfigError([Problem(message=f"{text!r} is no {wanted}", key=key)])
    return coerce(value, schema, key)


def coerce(value: Any, schema: Schema | None, key: Key) -> Any:
    """A value whose texts become what the schema wants, all the way down. Raises ConfigError."""
    schema = schema or {}
    if isinstance(value, Mapping):
        if is_reference(value):
            return dict(value)
        return {name: coerce(inner, member(schema, name), (*key, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [coerce(inner, schema.get("items"), (*key, number)) for number, inner in enumerate(value)]
    kind = schema.get("type")
    if isinstance(value, str) and kind in ("boolean", "integer", "number"):
        return _single(key, value.strip(), str(kind))
    if isinstance(value, str) and kind in ("array", "object"):
        return coerce_text(key, value)
    return value


def _free(text: str) -> Any:
    """Where the schema does not say: what can only be meant as a number or a boolean, and else the text."""
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"-?(?:0|[1-9]\d*)", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?(?:0|[1-9]\d*)\.\d+", text) else text


def _single(key: Key, text: str, kind: str) -> Any:
    if not text:
        return None
    lower = text.lower()
    try:
        if kind == "integer":
            return int(text, 10)
        if kind == "number":
            return float(text) if "." in text or "e" in lower else int(text, 10)
    except ValueError:
        wanted = "an integer" if kind == "integer" else "a number"
        raise ConfigError([Problem(message=f"{text!r} is not {wanted}", key=key)]) from None
    if lower in _TRUE | _FALSE:
        return lower in _TRUE
    raise ConfigError([Problem(message=f"{text!r} is neither true nor false", key=key)])
