# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a YAML file in place: comments, order and the spelling of everything else stay.

Each change is made in the text, at the marks of PyYAML's nodes, and read back. Where that does not come to what was
wanted (a value that is an alias, a mapping in one line), the whole file is written anew, which loses its comments.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .documents import parse
from .keys import Key
from .problems import ConfigError, Problem
from .schema import UNSET

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Edit:
    """The new text, and whether what a person wrote around the values is still there."""

    text: str
    faithful: bool = True


def edited(text: str, changes: Iterable[tuple[Key, Any]]) -> Edit:
    """The text with every change made: a value to be there, or UNSET for none. The text has to be sound YAML."""
    faithful = True
    for key, value in changes:
        before = parse(text, "").data
        wanted = changed(before, key, value)
        if wanted == before:
            continue
        new = _in_place(text, key, value)
        document = None if new is None else parse(new, "")
        if new is None or document is None or document.problems or document.data != wanted:
            new = dump(wanted) if wanted else ""
            faithful = faithful and not _has_comments(text)
        text = new
    return Edit(text, faithful)


def changed(data: dict[str, Any], key: Key, value: Any) -> dict[str, Any]:
    """A copy of the data with one change. What becomes empty by a removal goes too. Raises ConfigError."""
    data = copy.deepcopy(data)
    try:
        _put(data, key, value)
    except (IndexError, TypeError):
        text = "does not fit what is there: items of lists are named by numbers, the next one at most"
        raise ConfigError([Problem(message=text, key=key)]) from None
    return data


def _put(container: Any, key: Key, value: Any) -> None:
    part, rest = key[0], key[1:]
    there = _get(container, part)
    if not rest:
        if value is not UNSET:
            _set(container, part, value)
        elif there is not UNSET:
            del container[part]
        return
    if not isinstance(there, dict | list):
        if value is UNSET:
            return
        there = [] if isinstance(rest[0], int) else {}
        _set(container, part, there)
    _put(there, rest, value)
    if value is UNSET and not there:
        del container[part]


def _get(container: Any, part: str | int) -> Any:
    if isinstance(container, list) != isinstance(part, int):
        raise TypeError
    if isinstance(container, list):
        return container[int(part)] if int(part) < len(container) else UNSET
    return container.get(part, UNSET)


def _set(container: Any, part: Any, value: Any) -> None:
    """A list's next item may be set as well."""
    if isinstance(container, list) and part == len(container):
        container.append(value)
    else:
        container[part] = value


def dump(value: Any) -> str:
    """Block style, in the order given, readable."""
    yaml = importlib.import_module("yaml")
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=_WIDTH)
    return text


def _has_comments(text: str) -> bool:
    return any(line.lstrip().startswith("#") or " #" in line for line in text.splitlines())


# --- in the text


def _in_place(text: str, key: Key, value: Any) -> str | None:
    yaml = importlib.import_module("yaml")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return None if value is UNSET else _with_newline(text) + _entry(key, value, 0)
    chain: list[tuple[Any, Any, Any]] = []
    node = root
    for depth, part in enumerate(key):
        if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
            return _whole_value(text, chain, key, depth, value)
        pair = next((one for one in node.value if one[0].value == part), None)
        if pair is None:
            return None if value is UNSET else _inserted(text, node, _entry(key[depth:], value, _column(node)))
        chain.append((node, *pair))
        node = pair[1]
    if value is UNSET:
        return _deleted(text, chain)
    return _replaced(text, chain[-1], key[-1:], value)


def _whole_value(text: str, chain: list[tuple[Any, Any, Any]], key: Key, depth: int, value: Any) -> str | None:
    """The entry above something that cannot be changed inside (a list, a mapping in one line) is written anew."""
    if not chain:
        return None
    data: Any = parse(text, "").data
    for part in key[: depth - 1]:
        data = data[part]
    name = key[depth - 1]
    wanted = changed({name: data[name]} if isinstance(name, str) else {}, key[depth - 1 :], value)
    if name not in wanted:
        return _deleted(text, chain)
    return _replaced(text, chain[-1], (name,), wanted[name])


def _column(mapping: Any) -> int:
    column: int = mapping.value[0][0].start_mark.column
    return column


def _entry(key: Key, value: Any, indent: int) -> str:
    for part in reversed(key):
        value = {part: value}
    return "".join(f"{' ' * indent}{line}\n" if line else "\n" for line in dump(value).splitlines())


def _with_newline(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _end(node: Any) -> int:
    """Where the last character of a node is. A block's own mark is behind the blank lines and comments after it."""
    index: int = node.end_mark.index
    if getattr(node, "flow_style", None) or not isinstance(node.value, list) or not node.value:
        return index
    last = node.value[-1]
    return max(_end(one) for one in last) if isinstance(last, tuple) else _end(last)


def _line_end(text: str, index: int) -> int:
    """Behind the newline of the line that holds the character before C(index)."""
    if index and text[index - 1] == "\n":
        return index
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _inserted(text: str, mapping: Any, entry: str) -> str:
    end = _line_end(text, _end(mapping))
    return _with_newline(text[:end]) + entry + text[end:]


def _replaced(text: str, place: tuple[Any, Any, Any], key: Key, value: Any) -> str:
    mapping, name, old = place
    entry = _entry(key, value, _column(mapping))
    end = max(_end(old), name.end_mark.index)
    if entry.count("\n") == 1 and "\n" not in text[name.start_mark.index : end]:
        # One line stays one line, with the comment behind it.
        return text[: _line_start(text, name.start_mark.index)] + entry[:-1] + text[end:]
    return text[: _line_start(text, name.start_mark.index)] + entry + text[_line_end(text, end) :]


def _deleted(text: str, chain: list[tuple[Any, Any, Any]]) -> str:
    while len(chain) > 1 and len(chain[-1][0].value) == 1:
        chain = chain[:-1]
    _mapping, name, old = chain[-1]
    end = _line_end(text, max(_end(old), name.end_mark.index))
    return text[: _line_start(text, name.start_mark.index)] + text[end:]
