# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Importing C(*.conf) files of shell assignments, as the predecessor of this collection kept them.

They are read, never run: what would need a shell (a variable, a command, arithmetic) is a problem with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .change import Change, Site
from .coerce import coerce, coerce_text
from .documents import read_text
from .keys import Key
from .operations import set_values
from .problems import ConfigError, Problem, did_you_mean
from .schema import SECTIONS, key_of, subschema, variable_of

ALIASES: Mapping[str, str] = {
    "proxmox_host": "proxmox_api_host",
    "proxmox_port": "proxmox_api_port",
    "proxmox_user": "proxmox_api_user",
    "proxmox_password": "proxmox_api_password",
    "proxmox_token_id": "proxmox_api_token_id",
    "proxmox_token_secret": "proxmox_api_token_secret",
    "pve_host": "proxmox_api_host",
    "pve_port": "proxmox_api_port",
    "pve_user": "proxmox_api_user",
    "pve_password": "proxmox_api_password",
    "pve_token_id": "proxmox_api_token_id",
    "pve_token_secret": "proxmox_api_token_secret",
}
"""Names that people used for what has another name here: the environment's variables, and their short forms."""

_ASSIGNMENT = re.compile(r"\s*(?:export\s+|readonly\s+|declare\s+(?:-\w+\s+)*)?(?P<name>[A-Za-z_]\w*)=")
_PLAIN = re.compile(r"[^\s'\"\\$`#;&|<>()]+|#")
_NEEDS_SHELL = "needs a shell to be understood"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One C(NAME=value); a list where it is an array."""

    name: str
    value: str | list[str]
    source: str
    line: int

    def problem(self, message: str, suggestion: str = "") -> Problem:
        return Problem(message=f"{self.name}: {message}", source=self.source, line=self.line, suggestion=suggestion)


def read_conf(path: Path) -> list[Assignment]:
    """The assignments of a file. Raises ConfigError with every line that is none."""
    text = read_text(path, "")
    if text is None:
        raise ConfigError([Problem(message="there is no such file", source=str(path))])
    return _Scanner(text, str(path)).assignments()


class _Scanner:
    """Goes through the text once; C(_at) is where it is."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._at = 0

    @property
    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def assignments(self) -> list[Assignment]:
        found: list[Assignment] = []
        problems: list[Problem] = []
        while self._at < len(self._text):
            start = self._line
            if self._blank():
                continue
            match = _ASSIGNMENT.match(self._text, self._at)
            try:
                if not match:
                    raise ValueError("is no assignment such as NAME=value")
                self._at = match.end()
                value = self._array() if self._text.startswith("(", self._at) else self._word("\n;")
                self._line_end()
                found.append(Assignment(name=match["name"], value=value, source=self._source, line=start))
            except ValueError as error:
                # Without the text, which may hold a secret.
                hint = "Write the value itself." if str(error) == _NEEDS_SHELL else ""
                problems.append(Problem(message=str(error), source=self._source, line=start, suggestion=hint))
                self._skip_line()
        if problems:
            raise ConfigError(problems)
        return found

    def _blank(self) -> bool:
        """Skip an empty line, a comment, or the space before something."""
        match = re.compile(r"[ \t\r]*(?:#[^\n]*)?\n|[ \t\r]*(?:#[^\n]*)?\Z").match(self._text, self._at)
        if match:
            self._at = max(match.end(), self._at + 1)
        return bool(match)

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end + 1

    def _line_end(self) -> None:
        match = re.compile(r"[ \t\r]*(?:;|(?:(?<=\s)#[^\n]*)?(?:\n|\Z))").match(self._text, self._at)
        if not match:
            raise ValueError("has more behind its value; put the value into quotes")
        self._at = match.end()

    def _array(self) -> list[str]:
        self._at += 1
        found: list[str] = []
        while True:
            self._at = re.compile(r"(?:\s|#[^\n]*\n)*").match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at >= len(self._text):
                raise ValueError("has a list without an end")
            if self._text[self._at] == ")":
                self._at += 1
                return found
            found.append(self._word(")"))

    def _word(self, ends: str) -> str:
        """One word: plain, quoted, or both in a row."""
        word = ""
        while self._at < len(self._text):
            char = self._text[self._at]
            if char.isspace() or char in ends:
                break
            if char == "'":
                word += self._single()
            elif char == '"':
                word += self._double()
            elif char == "\\" and self._at + 1 < len(self._text):
                word += self._text[self._at + 1].replace("\n", "")
                self._at += 2
            else:
                plain = _PLAIN.match(self._text, self._at)
                if not plain:
                    raise ValueError(_NEEDS_SHELL)
                word += plain[0]
                self._at = plain.end()
        return word

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise ValueError("has a quote without an end")
        word = self._text[self._at + 1 : end]
        self._at = end + 1
        return word

    def _double(self) -> str:
        match = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(self._text, self._at)
        if not match:
            raise ValueError("has a quote without an end")
        if re.search(r"(?<!\\)(?:\\\\)*[$`]", match[1]):
            raise ValueError(_NEEDS_SHELL)
        self._at = match.end()
        return re.sub(r'\\([$`"\\\n])', lambda found: found[1].replace("\n", ""), match[1])


def option_of(name: str, stem: str) -> Key | None:
    """The option that a shell variable of the file C(STEM.conf) is for, in any case, with or without the stem."""
    lower = name.lower().removeprefix("homelab_")
    for candidate in (lower, f"{stem.lower().replace('-', '_')}_{lower}"):
        if key := key_of(ALIASES.get(candidate, candidate)):
            return key
    return None


def import_conf(
    site: Site, files: Iterable[Path], layer: str = "system", *, skip_unknown: bool = False
) -> tuple[Change, tuple[str, ...]]:
    """Have a layer say what the files say; also the variables that were skipped. Raises ConfigError.

    Of two assignments the later one counts, as in a shell.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    skipped: list[str] = []
    for assignment, stem in _all(files, problems):
        key = option_of(assignment.name, stem)
        if key is None and skip_unknown:
            skipped.append(f"{assignment.source}:{assignment.line}: {assignment.name}")
        elif key is None:
            problems.append(assignment.problem("is no option of this collection", _suggestion(assignment.name)))
        else:
            try:
                values.setdefault(str(key[0]), {})[str(key[1])] = _value(key, assignment.value)
            except ConfigError as error:
                problems += [assignment.problem(one.message) for one in error.problems]
    if problems:
        raise ConfigError(problems)
    return set_values(site, layer, values), tuple(skipped)


def _all(files: Iterable[Path], problems: list[Problem]) -> Iterator[tuple[Assignment, str]]:
    for path in files:
        try:
            for assignment in read_conf(path):
                yield assignment, path.stem
        except ConfigError as error:
            problems += error.problems


def _value(key: Key, value: str | list[str]) -> Any:
    """Lists are arrays, or texts with commas or spaces between their items."""
    schema = subschema(key) or {}
    if isinstance(value, str) and schema.get("type") == "array" and not value.lstrip().startswith("["):
        return coerce([part for part in re.split(r"[,\s]+", value) if part], schema, key)
    return coerce_text(key, value) if isinstance(value, str) else coerce(value, schema, key)


def _suggestion(name: str) -> str:
    known = [
        v for section, schema in SECTIONS.items() for o in schema["properties"] if (v := variable_of((section, o)))
    ]
    near = did_you_mean(name.lower(), known)
    return near or "Rename it, remove it, or skip what is not known."
