# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a place in the configuration is written: C(docker.daemon."log-opts".max-size), C(templates.lines[0].keep)."""

from __future__ import annotations

import re
from collections.abc import Iterable

Key = tuple["str | int", ...]
"""Names of mappings and numbers of list items, from the top."""

_PART = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|\[(?P<number>\d+)\]|(?P<plain>[^.\[\]"\s][^.\[\]"]*)')
_PLAIN = re.compile(r'[^.\[\]"\s][^.\[\]"]*')


class KeyProblem(ValueError):
    """A text that is no key."""


def parse_key(text: str) -> Key:
    """The parts of a key. Raises KeyProblem."""
    parts: list[str | int] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if not found or (not parts and found["number"] is not None):
            raise KeyProblem(f"{text!r} is no key: write names with dots between them, such as templates.keep")
        if found["number"] is not None:
            parts.append(int(found["number"]))
        else:
            quoted = found["quoted"]
            parts.append(found["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = found.end()
        if at < len(text) and text[at] == ".":
            at += 1
            if at == len(text) or text[at] in ".[":
                raise KeyProblem(f"{text!r} is no key: a name is missing after a dot")
        elif at < len(text) and text[at] != "[":
            raise KeyProblem(f"{text!r} is no key: a dot is missing before {text[at:]!r}")
    if not parts:
        raise KeyProblem("an empty text is no key: write names with dots between them, such as templates.keep")
    return tuple(parts)


def show_key(key: Iterable[str | int]) -> str:
    """The key as a person writes it."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        name = part if _PLAIN.fullmatch(part) else '"' + part.replace("\\", r"\\").replace('"', r"\"") + '"'
        text += f".{name}" if text else name
    return text or "(everything)"
