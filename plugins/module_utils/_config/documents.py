# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading YAML without its surprises: plain values with the line of each, and every trap as a problem.

PyYAML reads YAML 1.1, where C(no) is false, C(0644) is 420 and C(12:30) is 750. Such scalars are kept with their text,
so that check.py can say what was meant.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .keys import Key
from .problems import ConfigError, Problem

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000
"""Aliases of aliases grow without limit; a configuration of people does not."""

_TAG = "tag:yaml.org,2002:"
REMOVE = "$remove"
REPLACE = "$replace"


@dataclass(slots=True)
class Document:
    """One file or text: its value, the line of each place, and the text of each scalar that is no string."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    plain: dict[Key, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, key: Key) -> int | None:
        """The line of a place, or of what it is in."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.lines:
                return self.lines[key[:length]]
        return None


def read_text(path: Path, layer: str) -> str | None:
    """The text of a file, None where there is none. Raises ConfigError."""

    def refuse(message: str, suggestion: str = "") -> ConfigError:
        return ConfigError([Problem(message=message, layer=layer, source=str(path), suggestion=suggestion)])

    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise refuse(f"has more than {MAX_BYTES} bytes: this is no configuration")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(f"is no UTF-8 text (byte {error.start})", "Save it as UTF-8.") from error


def parse(text: str, source: str, layer: str = "") -> Document:
    """The document in C(text), which has to be a mapping. Its problems are in it; then it has no data."""
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        missing = Problem(
            message="needs the Python library PyYAML", layer=layer, source=source, suggestion="Install it."
        )
        return Document(problems=[missing])
    reader = _Reader(yaml, source, layer)
    try:
        node = yaml.compose(text, Loader=_loader(yaml))
        if node is not None and not isinstance(node, yaml.MappingNode):
            reader.refuse((), node, "holds no mapping", "Write names with values, such as `templates:`.")
        elif node is not None:
            reader.document.data = reader.value((), node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        line = None if mark is None else mark.line + 1
        reader.document.problems.append(
            Problem(message=f"is no YAML: {_without_contents(said)}", layer=layer, source=source, line=line)
        )
    except (ValueError, OverflowError):
        # Of chr(), for an escaped character that does not exist.
        reader.document.problems.append(
            Problem(message="has an escape that is no character", layer=layer, source=source)
        )
    except RecursionError:
        reader.document.problems.append(Problem(message="is nested too deeply", layer=layer, source=source))
    if reader.document.problems:
        reader.document.data = {}
    return reader.document


def parse_value(text: str, source: str, layer: str = "") -> Any:
    """One value of any kind, for the environment and the command line. Raises ConfigError."""
    document = parse(f"value: {text}" if "\n" not in text else f"value:\n{_indented(text)}", source, layer)
    problems = document.problems + [
        Problem(message=f"YAML reads {text} as another number", layer=layer, source=source, suggestion="Quote it.")
        for text in document.plain.values()
        if OCTAL.fullmatch(text) or BASE_60.fullmatch(text)
    ]
    if problems:
        raise ConfigError(problems)
    return document.data.get("value")


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def _without_contents(said: str) -> str:
    """What PyYAML says, without the names it quotes: an unquoted secret may look like an alias."""
    return " ".join(re.sub(r"(alias|anchor|tag handle|tag) '.*'", r"\1", said).split())


def _loader(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined, unused-ignore]
        """SafeLoader without dates, which JSON does not have."""

        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute
            first: [(tag, regexp) for tag, regexp in resolvers if tag != f"{_TAG}timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    return Loader


class _Reader:
    """Makes plain values of PyYAML's nodes."""

    def __init__(self, yaml: Any, source: str, layer: str) -> None:
        self.document = Document()
        self._yaml = yaml
        self._construct = yaml.SafeLoader("")
        self._source = source
        self._layer = layer
        self._open: list[int] = []
        self._count = 0

    def refuse(self, key: Key, node: Any, message: str, suggestion: str = "") -> None:
        self.document.problems.append(
            Problem(
                message=message,
                layer=self._layer,
                source=self._source,
                line=node.start_mark.line + 1,
                key=key,
                suggestion=suggestion,
            )
        )

    def value(self, key: Key, node: Any) -> Any:
        self._count += 1
        self.document.lines[key] = node.start_mark.line + 1
        if id(node) in self._open:
            self.refuse(key, node, "contains itself through an alias")
            return None
        if self._count > MAX_NODES:
            if self._count == MAX_NODES + 1:
                self.refuse(key, node, f"has more than {MAX_NODES} values: this is no configuration")
            return None
        self._open.append(id(node))
        try:
            if isinstance(node, self._yaml.ScalarNode):
                return self._scalar(key, node)
            if isinstance(node, self._yaml.SequenceNode):
                return self._sequence(key, node)
            return self._mapping(key, node)
        finally:
            self._open.pop()

    def _sequence(self, key: Key, node: Any) -> Any:
        if node.tag != f"{_TAG}seq":
            return self._unknown_tag(key, node)
        return [self.value((*key, number), item) for number, item in enumerate(node.value)]

    def _mapping(self, key: Key, node: Any) -> Any:
        if node.tag != f"{_TAG}map":
            return self._unknown_tag(key, node)
        found: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for name_node, inner in self._members(key, node):
            name = name_node.value
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, self._yaml.ScalarNode):
                self.refuse(key, name_node, "has a name that is no text", "Write a plain name before the colon.")
            elif name_node.tag != f"{_TAG}str":
                read = name_node.tag.removeprefix(_TAG)
                self.refuse(key, name_node, f"YAML reads the name {name} as {_READ_AS.get(read, read)}", "Quote it.")
            elif name in seen:
                again = f"the name {name!r} already stands in line {seen[name]}"
                self.refuse((*key, name), name_node, again, "Keep one of the two.")
            else:
                seen[name] = line
                found[name] = self.value((*key, name), inner)
                self.document.lines[(*key, name)] = line
        return found

    def _members(self, key: Key, node: Any) -> Iterator[tuple[Any, Any]]:
        """The pairs of a mapping. What C(<<) brings along comes last and loses against what stands there."""
        own = [pair for pair in node.value if pair[0].tag != f"{_TAG}merge"]
        yield from own
        names = {pair[0].value for pair in own if isinstance(pair[0], self._yaml.ScalarNode)}
        for _name, merged in (pair for pair in node.value if pair[0].tag == f"{_TAG}merge"):
            for one in merged.value if isinstance(merged, self._yaml.SequenceNode) else [merged]:
                if not isinstance(one, self._yaml.MappingNode) or id(one) in self._open:
                    self.refuse(key, merged, "merges (<<) something that is no mapping")
                    continue
                for pair in one.value:
                    if pair[0].value not in names:
                        names.add(pair[0].value)
                        yield pair

    def _scalar(self, key: Key, node: Any) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind in _TAGGED:
            return _TAGGED[kind](node.value)
        if kind not in _READ_AS:
            return self._unknown_tag(key, node)
        self.document.plain[key] = node.value
        try:
            value = self._construct.construct_object(node)
        except (ValueError, KeyError, IndexError):
            # Only with a tag that is written out, such as !!int.
            return self.refuse(key, node, f"YAML takes it for {_READ_AS[kind]} and cannot read it", "Quote it.")
        if isinstance(value, float) and not abs(value) < float("inf"):
            return self.refuse(key, node, "is no number that can be used")
        return value

    def _unknown_tag(self, key: Key, node: Any) -> Any:
        self.refuse(key, node, f"the tag {node.tag} is not known", "Of tags !vault and !reset are.")
        return None


_TAGGED: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "!reset": lambda _text: None,
    "!vault": lambda text: {"ref": "vault", "text": text},
}
_READ_AS = {"bool": "a boolean", "int": "a number", "float": "a number", "null": "nothing"}

BOOLEAN_WORD = re.compile(r"(?i:yes|no|on|off|y|n)")
OCTAL = re.compile(r"[-+]?0[0-7_]+")
BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
