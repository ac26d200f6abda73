# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles that travel: a file with a digest, in which every secret is a reference.

What is exported says the same wherever it is imported: lists that would be joined to others replace them there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .change import Change, Site, compare, is_profile_name, layer_file
from .documents import REPLACE, parse, read_text
from .edit import dump, edited
from .keys import Key, show_key
from .load import Effective
from .migrations import migrated
from .problems import ConfigError, Problem
from .schema import HEAD, SCHEMA_VERSION, UNSET, list_rule, merge_rule, subschema
from .secrets import is_reference, is_secret, secret_name
from .tree import Branch, Items, Leaf, Node, plain, statements

FORMAT = "homelab.proxmox/profile"
VERSION = 1
_FIELDS = {"format", "version", "schema_version", "name", "secrets", "digest", "config"}

_HEAD = """\
# A profile of homelab.proxmox: configuration without secrets, checked by its digest when it is imported.
# Do not edit it: import it, change the profile, and export it again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The text of the file, and what the other site has to supply: environment variables by the key they are for."""

    text: str
    needs: Mapping[str, str]
    digest: str


def export_profile(effective: Effective, name: str) -> Export:
    """What all layers but the defaults say, as one profile. Raises ConfigError."""
    effective.require()
    if not is_profile_name(name):
        text = f"{name!r} is no name of a profile"
        raise ConfigError([Problem(message=text, suggestion="Use letters, digits, '_', '.' and '-'.")])
    needs: dict[str, str] = {}
    config = {}
    for section, node in effective.tree.members.items():
        if section not in HEAD and (said := _said(node, (section,), needs)) is not UNSET:
            config[section] = said
    digest = profile_digest(name, SCHEMA_VERSION, config)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "secrets": needs,
        "digest": digest,
        "config": config,
    }
    return Export(text=_HEAD + dump(document), needs=needs, digest=digest)


def _said(node: Node, key: Key, needs: dict[str, str]) -> Any:
    """What was said of a place, ready to be said elsewhere; UNSET where it is left to the default."""
    if all(one.layer == "default" for one in statements(node)):
        return UNSET
    schema = subschema(key)
    if isinstance(node, Branch) and merge_rule(schema) != "replace":
        found = {
            name: said
            for name, inner in node.members.items()
            if (said := _said(inner, (*key, name), needs)) is not UNSET
        }
        return found if found or not node.members else UNSET
    if isinstance(node, Leaf) and (node.gone or node.said[-1].layer == "default"):
        return UNSET
    value = without_secrets(plain(node), key, needs)
    return {REPLACE: value} if isinstance(node, Items) and list_rule(schema) != "replace" else value


def without_secrets(value: Any, key: Key, needs: dict[str, str]) -> Any:
    """The value with references in the place of secrets. An encrypted text is a secret too: its password is guessed."""
    if is_reference(value):
        return _needed(key, needs) if "text" in value else dict(value)
    if isinstance(value, Mapping):
        return {name: without_secrets(inner, (*key, name), needs) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner, (*key, number), needs) for number, inner in enumerate(value)]
    return _needed(key, needs) if value is not None and is_secret(key) else value


def _needed(key: Key, needs: dict[str, str]) -> dict[str, str]:
    name = secret_name(key)
    # Names of variables have fewer characters than keys.
    number = 2
    while name in needs.values():
        name = f"{secret_name(key)}_{number}"
        number += 1
    needs[show_key(key)] = name
    return {"ref": "env", "name": name}


def profile_digest(name: str, schema_version: int, config: Any) -> str:
    raw = json.dumps([FORMAT, VERSION, name, schema_version, config], sort_keys=True, ensure_ascii=True)
    return f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile file that was found whole."""

    name: str
    config: Mapping[str, Any]
    needs: Mapping[str, str]
    digest: str


def read_profile(path: Path) -> Profile:
    """The profile in a file, in the words of this release. Raises ConfigError."""
    text = read_text(path, "")
    if text is None:
        raise _refused(path, "there is no such file")
    document = parse(text, str(path))
    if document.problems:
        raise ConfigError(document.problems)
    data = document.data
    if data.get("format") != FORMAT:
        raise _refused(path, "is no exported profile", "Take a file that was written by an export.")
    if data.get("version") != VERSION:
        raise _refused(path, f"is of version {data.get('version')}, and this release reads {VERSION}", "Update it.")
    if strange := sorted(_FIELDS ^ data.keys()):
        raise _refused(path, f"lacks or adds {', '.join(strange)}", "Export it again.")
    if data["digest"] != profile_digest(data["name"], data["schema_version"], data["config"]):
        raise _refused(path, "was changed since it was exported: its digest does not fit", "Export it again.")
    if not isinstance(data["name"], str) or not is_profile_name(data["name"]) or not isinstance(data["config"], dict):
        raise _refused(path, "has no usable name or configuration")
    config = migrated({"schema_version": data["schema_version"], **data["config"]}, SCHEMA_VERSION)
    del config["schema_version"]
    return Profile(name=data["name"], config=config, needs=data["secrets"], digest=data["digest"])


def import_profile(site: Site, profile: Profile, *, name: str | None = None, activate: bool = False) -> Change:
    """Have the profile below C(profiles/), and with C(activate) as the one that applies."""
    file = layer_file(site.paths, f"profile:{name or profile.name}")
    text = dump({"schema_version": SCHEMA_VERSION, **profile.config})
    texts: dict[Path, str | None] = {file.path: text}
    if activate:
        system = read_text(site.paths.system_file, "system")
        texts[site.paths.system_file] = edited(
            system or f"schema_version: {SCHEMA_VERSION}\n", [(("profile",), file.profile)]
        ).text
    return compare(site, "system", texts, reason=f"import profile {file.profile}")


def _refused(path: Path, message: str, suggestion: str = "") -> ConfigError:
    return ConfigError([Problem(message=message, source=str(path), suggestion=suggestion)])
