# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checking one layer, and what all of them come to, against the schema; every finding says where and what is right."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .documents import BASE_60, BOOLEAN_WORD, OCTAL, REMOVE, REPLACE, Document
from .keys import Key, show_key
from .problems import Problem, did_you_mean
from .schema import HEAD, SCHEMA, Schema, is_known, key_of, list_rule, member, subschema
from .secrets import HIDDEN, is_reference, is_secret, reference_problem

_NAMES = {"string": "text", "integer": "an integer", "number": "a number", "boolean": "true or false"}
_NAMES |= {"array": "a list", "object": "a mapping"}
_SHOWN = 60


def check_layer(document: Document, layer: str, source: str, *, only: str | None = None) -> list[Problem]:
    """The problems of one layer. C(only): the section that a module's file is about."""
    if document.problems:
        return list(document.problems)
    found = [*_misplaced(document, layer, only), *_traps(document), *_references(document.data, ())]
    found += _doubles(document.data)
    trapped = {problem.key for problem in found}
    found += [one for one in schema_problems(document.data, _relaxed()) if one.key not in trapped]
    return [_placed(problem, document, layer, source) for problem in found]


def check_whole(value: Any) -> list[Problem]:
    """What is missing once all layers are merged."""
    return list(schema_problems(value, SCHEMA))


def _placed(problem: Problem, document: Document, layer: str, source: str) -> Problem:
    line = document.line(problem.key) if document.lines else None
    return replace(problem, layer=layer, source=source, line=line)


def _problem(key: Key, message: str, suggestion: str = "") -> Problem:
    return Problem(message=message, key=key, suggestion=suggestion)


def _misplaced(document: Document, layer: str, only: str | None) -> Iterator[Problem]:
    data = document.data
    for name in data:
        if only is not None and name in SCHEMA["properties"] and name not in ("schema_version", only):
            yield _problem((name,), f"this file is about {only} only", f"Move it to the file of {name}.")
    if "profile" in data and layer not in ("system", "user"):
        yield _problem(("profile",), "a profile is chosen in the system's or the user's file, or by HOMELAB_PROFILE")
    if layer != "environment":
        for key, _value in _walk(data, ()):
            if (subschema(key) or {}).get("x-once"):
                text = "is asked for in each run and does not stay in a file"
                yield _problem(key, text, "Give it with the run.")


def _walk(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    yield key, value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, (*key, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, (*key, number))


def _doubles(data: Any) -> Iterator[Problem]:
    """Items of one name in one layer, of which one was forgotten. One that goes out may have a successor."""
    for key, value in _walk(data, ()):
        rule = list_rule(subschema(_without_markers(key)))
        if not rule.startswith("by_key:") or not isinstance(value, list):
            continue
        name = rule.removeprefix("by_key:")
        seen: dict[str, int] = {}
        for number, item in enumerate(value):
            identity = item.get(name) if isinstance(item, Mapping) and not item.get(REMOVE) else None
            if isinstance(identity, str) and identity in seen:
                again = f"{name} {identity} already stands in item {seen[identity]}"
                yield _problem((*key, number), again, "Make one of the two.")
            elif isinstance(identity, str):
                seen[identity] = number


# --- traps


def _traps(document: Document) -> Iterator[Problem]:
    for key, text in document.plain.items():
        schema = subschema(_without_markers(key)) or {}
        wanted = schema.get("type")
        shown = HIDDEN if is_secret(key) else text
        if BOOLEAN_WORD.fullmatch(text) and wanted != "boolean":
            right = "Write true or false, or quote it." if wanted is None else f'Quote it: "{shown}".'
            yield _problem(key, f"YAML reads {shown} as a boolean", right)
        elif OCTAL.fullmatch(text):
            yield _problem(key, f"YAML reads {shown} as an octal number", f'Quote it: "{shown}", or drop the zero.')
        elif BASE_60.fullmatch(text):
            yield _problem(key, f"YAML reads {shown} as a number of base 60", f'Quote it: "{shown}".')
        elif wanted == "integer" and "." in text:
            yield _problem(key, f"is {shown}; this has to be an integer", "Write it without a fraction.")
        elif wanted == "string" and text not in ("", "~", "null", "Null", "NULL"):
            read = "a boolean" if text.lower() in ("true", "false") else "a number"
            yield _problem(key, f"YAML reads {shown} as {read}, and this is text", f'Quote it: "{shown}".')


def _without_markers(key: Key) -> Key:
    return tuple(part for part in key if part != REPLACE)


def _references(value: Any, key: Key) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        known = subschema(key)
        meant = known is not None and known.get("type") == "string" and "ref" in value
        if meant or is_reference(value):
            if text := reference_problem(value):
                yield _problem(key, text, "Write {ref: env, name: NAME}, {ref: file, path: PATH} or !vault.")
            return
        for name, inner in value.items():
            yield from _references(inner, (*key, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _references(inner, (*key, number))


# --- the schema


def schema_problems(value: Any, schema: Schema) -> Iterator[Problem]:
    """Every violation, the deepest that says something."""
    try:
        validators = importlib.import_module("jsonschema")
    except ImportError:
        yield Problem(message="checking it needs the Python library jsonschema", suggestion="Install it.")
        return
    validator = validators.Draft202012Validator(schema)
    errors = validator.iter_errors(_bare(value, schema))
    for error in sorted(errors, key=lambda one: [str(part) for part in one.absolute_path]):
        yield from _explained(error)


@functools.cache
def _relaxed() -> Schema:
    """The schema of one layer: nothing is required yet but what identifies an item of a list."""

    def loosen(schema: Schema, identity: str | None = None) -> Schema:
        loose = {name: value for name, value in schema.items() if name != "required"}
        if identity:
            loose["required"] = [identity]
        if "properties" in loose:
            loose["properties"] = {name: loosen(inner) for name, inner in loose["properties"].items()}
        rule = list_rule(schema)
        if isinstance(loose.get("items"), Mapping):
            loose["items"] = loosen(loose["items"], rule.removeprefix("by_key:") if ":" in rule else None)
        return loose

    return loosen(SCHEMA)


def _bare(value: Any, schema: Schema | None) -> Any:
    """The value as the validator may see it: without removals, and with a text where a reference stands for one."""
    schema = schema or {}
    if isinstance(value, Mapping):
        if is_reference(value) and schema.get("type") == "string" and not schema.keys() & {"enum", "pattern"}:
            return "reference"
        if set(value) == {REPLACE}:
            return _bare(value[REPLACE], schema)
        present = {name: inner for name, inner in value.items() if inner is not None}
        return {name: _bare(inner, member(schema, name)) for name, inner in present.items()}
    if isinstance(value, list):
        rule = list_rule(schema)
        return [_bare(_kept(inner, rule.removeprefix("by_key:")), schema.get("items")) for inner in value]
    return value


def _kept(item: Any, identity: str) -> Any:
    """An item of a list, or just its identity where it goes out of the list."""
    if isinstance(item, Mapping) and item.get(REMOVE) is True and identity in item:
        return {identity: item[identity]}
    return item


def _explained(error: Any) -> Iterator[Problem]:
    key: Key = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from (_unknown(key, name, error.schema) for name in error.instance if member(error.schema, name) is None)
        return
    wanted = error.validator_value
    shown = _show(error.instance, key)
    if error.validator == "required":
        missing = [name for name in wanted if name not in error.instance]
        yield _problem(key, f"lacks {missing[0]}")
    elif error.validator == "type":
        yield _problem(key, f"is {shown}; this has to be {_NAMES.get(wanted, wanted)}")
    elif error.validator == "enum":
        choices = ", ".join(str(choice) for choice in wanted)
        near = did_you_mean(str(error.instance), [str(choice) for choice in wanted])
        yield _problem(key, f"is {shown}; choose one of {choices}", near)
    else:
        yield _problem(key, f"is {shown}; {_LIMITS.get(error.validator, error.validator)} {wanted}")


_LIMITS = {
    "minimum": "the least is",
    "maximum": "the most is",
    "pattern": "it has to fit the pattern",
    "minLength": "its least length is",
    "maxLength": "its greatest length is",
    "minItems": "its least number of items is",
    "maxItems": "its greatest number of items is",
    "uniqueItems": "items may stand once only:",
}


def _unknown(key: Key, name: str, schema: Schema) -> Problem:
    full = (*key, name)
    if not key and (meant := key_of(name)):
        return _problem(full, "is not known at the top", f"Did you mean {show_key(meant)}?")
    names = schema.get("properties", {})
    prefix = f"{show_key(key)}." if key else ""
    suggestion = did_you_mean(name, names, before=prefix)
    if not suggestion and not key:
        suggestion = f"Sections are {', '.join(one for one in names if one not in HEAD)}."
    return _problem(full, "is not known", suggestion)


def _show(value: Any, key: Key) -> str:
    """A short form of a value that is no secret, and holds none."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if is_secret(key):
        return HIDDEN
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def unknown_key(key: Key) -> Problem | None:
    """For commands: a key that the schema does not know, with the one that may be meant."""
    for length in range(1, len(key) + 1):
        if not is_known(key[:length]):
            part = str(key[length - 1])
            return _unknown(key[: length - 1], part, subschema(key[: length - 1]) or {})
    return None
