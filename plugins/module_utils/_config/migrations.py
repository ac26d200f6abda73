# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of the schema, and how a file of one becomes a file of the next, or of the one before.

A file that names no version is of the current one. Files of older versions are understood when they are read; to write
them anew is a step of its own, since the older release, if it comes back, could not read them then.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .documents import parse
from .edit import dump
from .problems import ConfigError, Problem
from .schema import HEAD, SCHEMA_VERSION, key_of, variable_of

VERSION = "schema_version"
Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Migration:
    """From version C(number) - 1 to C(number), and back without loss."""

    number: int
    about: str
    up: Callable[[Data], Data]
    down: Callable[[Data], Data]


def _sections(data: Data) -> Data:
    """C(templates_keep: 3) becomes C(templates: {keep: 3}). What is not known stays, and is reported later."""
    found: Data = {}
    for name, value in data.items():
        key = key_of(name)
        if key is None:
            found[name] = value
        else:
            found.setdefault(str(key[0]), {})[str(key[1])] = value
    return found


def _flat_variables(data: Data) -> Data:
    """The reverse. Sections that are no role variables, and what is in no section, stay as they are."""
    found: Data = {}
    for section, value in data.items():
        if section in HEAD or not isinstance(value, Mapping):
            found[section] = value
            continue
        rest = {name: inner for name, inner in value.items() if variable_of((section, name)) is None}
        found |= {str(variable_of((section, name))): inner for name, inner in value.items() if name not in rest}
        if rest or not value:
            found[section] = rest
    return found


MIGRATIONS: tuple[Migration, ...] = (
    Migration(2, "role variables, as group_vars have them, become sections with options", _sections, _flat_variables),
)
"""In order, without a gap, up to SCHEMA_VERSION. Never changed once released."""


def version_of(data: Mapping[str, Any]) -> int:
    found = data.get(VERSION, SCHEMA_VERSION)
    return found if isinstance(found, int) and not isinstance(found, bool) else SCHEMA_VERSION


def migrated(data: Mapping[str, Any], version: int, migrations: tuple[Migration, ...] = MIGRATIONS) -> Data:
    """The data in the words of a version. Raises ConfigError when there is no way."""
    now = version_of(data)
    newest = migrations[-1].number if migrations else SCHEMA_VERSION
    oldest = migrations[0].number - 1 if migrations else SCHEMA_VERSION
    for wanted in (now, version):
        if not oldest <= wanted <= newest:
            hint = "It was written by a newer release; update this one." if wanted > newest else ""
            text = f"schema version {wanted} is not known; this release knows {oldest} to {newest}"
            raise ConfigError([Problem(message=text, key=(VERSION,), suggestion=hint)])
    found = {name: value for name, value in copy.deepcopy(dict(data)).items() if name != VERSION}
    if version >= now:
        for step in migrations:
            if now < step.number <= version:
                found = step.up(found)
    else:
        for step in reversed(migrations):
            if version < step.number <= now:
                found = step.down(found)
    return {VERSION: version, **found}


def migrated_text(text: str, source: str, version: int, migrations: tuple[Migration, ...] = MIGRATIONS) -> str:
    """The text of a file in the words of a version; as it is where it is of that version already.

    Raises ConfigError.
    """
    document = parse(text, source)
    if document.problems:
        raise ConfigError(document.problems)
    if version_of(document.data) == version:
        return text
    return dump(migrated(document.data, version, migrations))
