# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checking a cloud-config with cloud-init's own schema. No message repeats a value: some of them are secret."""

from __future__ import annotations

import base64
import difflib
import functools
import importlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .errors import SeedError
from .shipped_schema import PACKED, VERSION

_TYPES = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
_TYPES |= {"array": "a list", "object": "a mapping", "null": "nothing"}

_WORDS = {
    "enum": "has to be one of {}",
    "pattern": "does not have the form {}",
    "minItems": "is a list that needs {} or more",
    "minProperties": "is a mapping that needs {} or more keys",
}


@functools.cache
def schema() -> Mapping[str, Any]:
    """The schema as shipped; C(shipped_schema.VERSION) says of which cloud-init."""
    loaded: dict[str, Any] = json.loads(zlib.decompress(base64.b85decode(PACKED)))
    return loaded


def schema_problems(config: Mapping[str, Any], option: str) -> Iterator[str]:
    """What cloud-init would find wrong, each as C(option.path: what). Raises SeedError without jsonschema."""
    validator = _library().Draft4Validator(schema())
    for error in sorted(validator.iter_errors(config), key=lambda error: [str(part) for part in error.absolute_path]):
        yield from _texts(_deepest(error), option)


def _library() -> Any:
    try:
        return importlib.import_module("jsonschema")
    except ImportError:
        raise SeedError("checking a cloud-config needs the Python library jsonschema") from None


def _deepest(error: Any) -> Any:
    """Of alternatives that all failed, the failure that went furthest: it is of the alternative that was meant."""
    while error.validator in {"oneOf", "anyOf"} and error.context:
        inner = [one for one in error.context if one.validator != "type" or len(one.relative_path)]
        if not inner:
            return error
        error = max(inner, key=lambda one: len(one.absolute_path))
    return error


def _texts(error: Any, option: str) -> Iterator[str]:
    place = option + path_text(error.absolute_path)
    if error.validator == "additionalProperties":
        for key in _unknown(error):
            yield f"{place}.{key}: cloud-init {VERSION} knows no such key{_nearest(key, error.schema)}"
    else:
        yield f"{place}: {_text(error)}"


def path_text(parts: Iterable[Any]) -> str:
    """C(.users[0].name) of the parts of a path; empty for none."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _unknown(error: Any) -> list[str]:
    patterns = error.schema.get("patternProperties", {})
    known = error.schema.get("properties", {})
    keys = [str(key) for key in error.instance if key not in known]
    return sorted(key for key in keys if not any(re.search(pattern, key) for pattern in patterns))


def _nearest(key: str, rules: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, rules.get("properties", {}), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _text(error: Any) -> str:
    wanted = error.validator_value
    if error.validator in {"oneOf", "anyOf"}:
        kinds = [one.validator_value for one in error.context if one.validator == "type"]
        wanted = [kind for value in kinds for kind in ([value] if isinstance(value, str) else value)]
        return f"has to be {_kinds(wanted)}" if wanted else "has none of the forms that cloud-init takes"
    if error.validator == "type":
        number = isinstance(error.instance, int | float) and not isinstance(error.instance, bool)
        quote = "; put it in quotes" if number and "string" in wanted else ""
        return f"has to be {_kinds([wanted] if isinstance(wanted, str) else wanted)}{quote}"
    if error.validator == "required":
        return f"needs {' and '.join(key for key in wanted if key not in error.instance)}"
    shown = ", ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)
    return _WORDS.get(error.validator, f"breaks cloud-init's rule {error.validator}: {{}}").format(shown[:200])


def _kinds(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(_TYPES.get(name, name) for name in names))
