# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing YAML that every reader understands alike: the same value gives the same bytes, whatever library is there.

Everything is written in YAML's flow form, which is JSON, with sorted keys and in ASCII. Two things differ from JSON,
since cloud-init's reader is of YAML 1.1: signs beyond U+FFFF are one escape, and a number with an exponent has a dot.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_NOT_PLAIN = re.compile(r"[^\x20-\x7e]")
_STEP = "  "


def dump(value: Mapping[str, Any]) -> str:
    """The document as text that ends with a newline. Raises ValueError for what YAML has no plain form for."""
    return _written(value, "") + "\n"


def _written(value: Any, indent: str) -> str:
    inner = indent + _STEP
    if isinstance(value, Mapping):
        parts = [f"{_key(key)}: {_written(value[key], inner)}" for key in sorted(value)]
        return _enclosed("{", parts, "}", indent)
    if isinstance(value, list | tuple):
        return _enclosed("[", [_written(item, inner) for item in value], "]", indent)
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, int):
        return json.dumps(value)
    if isinstance(value, float):
        return _float(value)
    raise ValueError(f"a value of type {type(value).__name__}")


def _enclosed(opening: str, parts: list[str], closing: str, indent: str) -> str:
    if not parts:
        return opening + closing
    joined = f",\n{indent}{_STEP}".join(parts)
    return f"{opening}\n{indent}{_STEP}{joined}\n{indent}{closing}"


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"the key {key!r}, which is no text")
    # PyYAML's limit for a key on one line.
    if len(text := quoted(key)) > 1000:
        raise ValueError("a key of more than 1000 signs")
    return text


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"the number {value}")
    text = repr(value)
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def quoted(text: str) -> str:
    """A YAML text in double quotes, ASCII. Raises ValueError for half a surrogate pair, which is no text."""
    return _NOT_PLAIN.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xD800 <= number <= 0xDFFF:
        raise ValueError("a text that is not UTF-8")
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
