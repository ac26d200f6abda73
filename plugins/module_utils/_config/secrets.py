# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets: which values are, how they are named instead of written down, and how they are looked up at last."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .documents import parse
from .keys import Key, KeyProblem, parse_key, show_key
from .problems import ConfigError, Problem
from .schema import SCHEMA, member

HIDDEN = "<secret>"
CHANGED = "<new secret>"

KINDS: Mapping[str, tuple[frozenset[str], ...]] = {
    "env": (frozenset({"name"}),),
    "file": (frozenset({"path"}), frozenset({"path", "key"})),
    "vault": (frozenset({"path", "key"}), frozenset({"text"})),
}
"""Kinds of references, each with the sets of fields that it may have."""

_NAME = re.compile(r"(?i)passw(or)?d|passphrase|secret|token|private_?key|api_?key|credential")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_reference(value: Any) -> bool:
    """Whether a value names a secret instead of being one."""
    kind = value.get("ref") if isinstance(value, Mapping) else None
    return isinstance(kind, str) and kind in KINDS


def reference_problem(value: Mapping[str, Any]) -> str:
    """What is wrong with a reference, or nothing."""
    kind = str(value.get("ref"))
    if kind not in KINDS:
        return f"ref is {kind!r}; give one of {', '.join(KINDS)}"
    fields = value.keys() - {"ref"}
    if fields not in KINDS[kind]:
        ways = " or ".join(" and ".join(sorted(way)) for way in KINDS[kind])
        return f"a reference of kind {kind} has {ways}, not {' and '.join(sorted(fields)) or 'nothing'}"
    if not all(isinstance(value[name], str) and value[name] for name in fields):
        return "the fields of a reference are texts"
    if kind == "env" and not _VARIABLE.fullmatch(value["name"]):
        return f"{value['name']!r} is no name of an environment variable"
    return ""


def is_secret(key: Key) -> bool:
    """Whether the value of a place is a secret: marked so, or called so where the schema knows nothing."""
    schema: Any = SCHEMA
    for part in key:
        schema = schema.get("items", {}) if isinstance(part, int) else member(schema, part)
        if schema is None or (not schema and isinstance(part, str)):
            schema = {}
            if isinstance(part, str) and _NAME.search(part):
                return True
        if schema.get("x-secret"):
            return True
    return False


def masked(value: Any, key: Key = ()) -> Any:
    """The value to be shown: secrets hidden, references as they are."""
    if isinstance(value, Mapping):
        if is_reference(value):
            shown = dict(value)
            return {**shown, "text": HIDDEN} if "text" in shown else shown
        return {name: masked(inner, (*key, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, (*key, number)) for number, inner in enumerate(value)]
    return HIDDEN if value not in (None, "") and is_secret(key) else value


def resolve(
    reference: Mapping[str, Any],
    environ: Mapping[str, str],
    unvault: Callable[[Mapping[str, Any]], Any] | None = None,
) -> str:
    """The secret that is named. Raises ConfigError, which never tells one.

    C(unvault) turns a vault reference with C(text) into the text, one with C(path) into the file's content.
    """
    if problem := reference_problem(reference):
        raise _failed(problem)
    kind = reference["ref"]
    if kind == "env":
        if reference["name"] not in environ:
            raise _failed(f"the environment variable {reference['name']} is not set")
        return environ[reference["name"]]
    if kind == "file":
        return _from_file(Path(reference["path"]).expanduser(), reference.get("key"))
    if unvault is None:
        raise _failed("a vault can only be opened by Ansible", "Use it in a play, or name the secret by env or file.")
    opened = unvault(reference)
    return str(opened) if "text" in reference else _inside(opened, reference["key"], reference["path"])


def _from_file(path: Path, key: str | None) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o077:
                raise _failed(f"{path} is open to others and holds a secret", f"Run: chmod 600 {path}")
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise _failed(f"{path} cannot be read: {reason}") from None
    if key is None:
        return text.removesuffix("\n")
    document = parse(text, str(path))
    if document.problems:
        # Their texts could quote the secret.
        raise _failed(f"{path} is no YAML that can be used")
    return _inside(document.data, key, str(path))


def _inside(content: Any, key: str, where: str) -> str:
    try:
        for part in parse_key(key):
            content = content[part]
    except (KeyProblem, KeyError, IndexError, TypeError):
        raise _failed(f"{where} has no {key}") from None
    if isinstance(content, Mapping | list) or content is None:
        raise _failed(f"{key} in {where} is no single value")
    return str(content)


def _failed(message: str, suggestion: str = "") -> ConfigError:
    return ConfigError([Problem(message=message, source="secret", suggestion=suggestion)])


def secret_name(key: Key) -> str:
    """The environment variable that takes the place of a secret in an export."""
    return "HOMELAB_SECRET_" + re.sub(r"[^A-Z0-9]+", "_", show_key(key).upper()).strip("_")
