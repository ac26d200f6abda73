# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of the configuration: the one source of types, defaults, merge rules, secrets, titles and choices.

An option C(keep) of the section C(templates) is the role variable C(templates_keep). Besides JSON Schema 2020-12:

* C(x-merge): how a list of a higher layer meets that of a lower one: C(replace) (what happens without it), C(append),
  C(union), or C(by_key:NAME) for lists of mappings that NAME identifies. Mappings merge; C(replace) stops that.
* C(x-secret): the value is a secret. It may be a reference instead, and is never shown, exported or compared in clear.
* C(x-once): asked for in each run and refused in files, such as a confirmation.
* C(x-variables): false for a section that is no role variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .keys import Key, parse_key, show_key
from .sections import (
    access,
    common,
    container_registry,
    controller,
    docker,
    fleet,
    hardening,
    templates,
    templates_bake,
)

SCHEMA_VERSION = 2
"""Raised together with a migration in migrations.py."""

Schema = Mapping[str, Any]

SECTIONS: Mapping[str, Schema] = {
    "homelab": common.HOMELAB,
    "proxmox": common.PROXMOX,
    "access": access.SECTION,
    "preflight": common.PREFLIGHT,
    "templates": templates.SECTION,
    "templates_bake": templates_bake.SECTION,
    "templates_prune": common.TEMPLATES_PRUNE,
    "templates_report": common.TEMPLATES_REPORT,
    "fleet": fleet.SECTION,
    "hardening": hardening.SECTION,
    "docker": docker.SECTION,
    "container_registry": container_registry.SECTION,
    "controller": controller.SECTION,
    "config": common.CONFIG,
    "runs": common.RUNS,
    "logging": common.LOGGING,
}
"""In the order of menus and pages. A role's section is written by scripts/build_config_sections.py."""

HEAD: Mapping[str, Schema] = {
    "schema_version": {
        "title": "Schema version",
        "type": "integer",
        "minimum": 1,
        "description": "The version of the schema that the file was written for.",
    },
    "profile": {
        "title": "Profile",
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        "description": "The profile that applies where HOMELAB_PROFILE names none; in the system's or user's file.",
    },
}

SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Configuration of homelab.proxmox",
    "type": "object",
    "properties": {**HEAD, **SECTIONS},
    "additionalProperties": False,
}


class _Unset:
    """The type of UNSET, of which there is one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET = _Unset()
"""No value: neither a layer nor the schema says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a form, a survey, a command line or a page has to know of one option."""

    key: str
    schema: Schema
    title: str
    help: str
    type: str
    """C(string), C(integer), C(number), C(boolean), C(array), C(object), or nothing where anything goes."""
    default: Any = UNSET
    choices: tuple[Any, ...] = ()
    secret: bool = False
    once: bool = False
    merge: str = "replace"
    variable: str | None = None
    """The role variable, for options directly in a section."""


def subschema(key: Key) -> Schema | None:
    """The schema of a place; None where nothing is known of it, be it free-form or unknown."""
    found: Schema = SCHEMA
    for part in key:
        if isinstance(part, int):
            inner = found.get("items")
        else:
            inner = found.get("properties", {}).get(part)
            if inner is None and isinstance(found.get("additionalProperties"), Mapping):
                inner = found["additionalProperties"]
        if not isinstance(inner, Mapping):
            return None
        found = inner
    return found


def is_known(key: Key) -> bool:
    """Whether a value may stand there, as far as names go: inside of free-form mappings everything may."""
    found: Schema = SCHEMA
    for part in key:
        holds = "array" if isinstance(part, int) else "object"
        inner = found.get("items", {}) if isinstance(part, int) else member(found, part)
        if inner is None or found.get("type", holds) != holds:
            return False
        found = inner
    return True


def member(schema: Schema, name: str) -> Schema | None:
    if name in schema.get("properties", {}):
        inner: Schema = schema["properties"][name]
        return inner
    extra = schema.get("additionalProperties", True)
    if isinstance(extra, Mapping):
        return extra
    return {} if extra else None


def merge_rule(schema: Schema | None) -> str:
    """How a higher layer's value meets a lower one's."""
    schema = schema or {}
    rule: str = schema.get("x-merge", "merge" if schema.get("type", "object") == "object" else "replace")
    return rule


def list_rule(schema: Schema | None) -> str:
    """The same for lists, also where nothing is known of the place."""
    rule = merge_rule(schema)
    return "replace" if rule == "merge" else rule


def option(key: str | Key) -> Option:
    """What is known of one option. Raises KeyError with the key where the schema does not describe it."""
    parts = parse_key(key) if isinstance(key, str) else key
    found = subschema(parts)
    if found is None:
        raise KeyError(show_key(parts))
    last = str(parts[-1])
    return Option(
        key=show_key(parts),
        schema=found,
        title=found.get("title") or title_of(last),
        help=found.get("description", ""),
        type=found.get("type", ""),
        default=found.get("default", UNSET),
        choices=tuple(found.get("enum", ())),
        secret=bool(found.get("x-secret")),
        once=bool(found.get("x-once")),
        merge=merge_rule(found),
        variable=variable_of(parts),
    )


_SPELT = {"api": "API", "ca": "CA", "gc": "GC", "id": "ID", "ssh": "SSH", "url": "URL", "vmid": "VMID", "eol": "EOL"}


def title_of(name: str) -> str:
    """A heading for an option that has none: C(ssh_root_login) becomes C(SSH root login)."""
    words = [_SPELT.get(word, word) for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def options(section: str) -> list[Option]:
    """The options of a section, in its order. Raises KeyError."""
    return [option((section, name)) for name in SECTIONS[section]["properties"]]


def variable_of(key: Key) -> str | None:
    """The role variable of an option that stands directly in a section."""
    if len(key) != 2 or key[0] not in SECTIONS or not SECTIONS[str(key[0])].get("x-variables", True):
        return None
    return f"{key[0]}_{key[1]}"


def key_of(variable: str) -> Key | None:
    """The option of a role variable. C(templates_prune_images) belongs to C(templates_prune), the longer name."""
    for section in sorted(SECTIONS, key=len, reverse=True):
        name = variable.removeprefix(f"{section}_")
        if name != variable and name in SECTIONS[section]["properties"] and variable_of((section, name)):
            return (section, name)
    return None


def defaults() -> dict[str, Any]:
    """The lowest layer: what the schema says where nobody says anything."""
    return {
        section: found
        for section, schema in SECTIONS.items()
        if (found := {name: sub["default"] for name, sub in schema["properties"].items() if "default" in sub})
    }


def secrets() -> Iterator[Key]:
    """Where secrets are: the places marked so, C(0) standing for any item."""

    def walk(schema: Schema, key: Key) -> Iterator[Key]:
        if schema.get("x-secret"):
            yield key
        for name, inner in schema.get("properties", {}).items():
            yield from walk(inner, (*key, name))
        if isinstance(schema.get("items"), Mapping):
            yield from walk(schema["items"], (*key, 0))

    yield from walk(SCHEMA, ())
