# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring plugins/module_utils/_config/sections/ROLE.py up to the variables of a role, and docs/options.md too.

With --check, only compare.

  .venv/bin/python scripts/build_config_sections.py [--check] [ROLE…]

Names, types, choices, defaults and descriptions come from the role's meta/argument_specs.yml and defaults/main.yml.
What a specification cannot say (titles, bounds, formats, x-merge, x-secret) is written by hand and stays.
"""

from __future__ import annotations

import argparse
import pprint
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = ROOT / "plugins" / "module_utils" / "_config" / "sections"
sys.path[:0] = [str(ROOT / ".venv" / "collections")]

HEAD = '''# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C({role}): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = '''

TYPES = {"str": "string", "path": "string", "int": "integer", "float": "number", "bool": "boolean"}
TYPES |= {"list": "array", "dict": "object", "raw": ""}
FROM_ROLE = ("type", "enum", "default", "description", "required")
"""What the role says; everything else of an option is the section's own."""


def roles() -> list[str]:
    """The roles that have a section: all but those that others are made of."""
    return sorted(path.parent.parent.name for path in ROOT.glob("roles/[a-z]*/meta/argument_specs.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def plain(text: Any) -> str:
    """A description without Ansible's markup."""
    whole = " ".join(text) if isinstance(text, list) else str(text or "")
    whole = re.sub(r"\bO\(([\w.]+)#\w+:([^)]*)\)", r"\2 of \1", whole)
    whole = re.sub(r"\b[OVCEI]\(((?:\\\)|[^)])*)\)", lambda found: found[1].replace("\\", ""), whole)
    return " ".join(re.sub(r"\bM\(([^)]*)\)", r"\1", whole).split())


def option_schema(option: Mapping[str, Any]) -> dict[str, Any]:
    """One option of an argument specification as JSON Schema."""
    kind = option.get("type", "str")
    found: dict[str, Any] = {"type": TYPES[kind]} if TYPES[kind] else {}
    if option.get("description"):
        found["description"] = plain(option["description"])
    inner = fields(option["options"]) if option.get("options") else None
    choices = {"enum": list(option["choices"])} if option.get("choices") else {}
    if kind == "path":
        found["format"] = "path"
    if kind == "list":
        of = option.get("elements", "raw")
        found["items"] = inner or {**({"type": TYPES[of]} if TYPES[of] else {}), **choices}
    elif inner:
        found |= inner
    else:
        found |= choices
    if "default" in option:
        found["default"] = option["default"]
    return found


def fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """A dictionary of options as the schema of an object."""
    found: dict[str, Any] = {
        "type": "object",
        "properties": {name: option_schema(option) for name, option in options.items()},
        "additionalProperties": False,
    }
    if required := [name for name, option in options.items() if option.get("required")]:
        found["required"] = required
    return found


def is_template(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


def from_role(role: str) -> dict[str, Any]:
    """The section as the role declares it."""
    folder = ROOT / "roles" / role
    spec = load(folder / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    defaults = load(folder / "defaults" / "main.yml")
    properties = {}
    for name, option in (spec.get("options") or {}).items():
        schema = option_schema(option)
        schema.pop("default", None)
        # What the role works out itself is no value that could be merged with.
        if name in defaults and not is_template(defaults[name]) and defaults[name] is not None:
            schema["default"] = defaults[name]
        properties[name.removeprefix(f"{role}_")] = schema
    return {
        "title": role.replace("_", " ").capitalize(),
        "description": plain(spec.get("short_description", "")),
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def kept(ours: Any, theirs: Any) -> Any:
    """C(theirs), with what C(ours) says besides, all the way down."""
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        return theirs
    merged: dict[str, Any] = {}
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        if key == "properties" and key in theirs:
            merged[key] = {name: kept(ours.get(key, {}).get(name), value) for name, value in theirs[key].items()}
        elif key == "items" and key in theirs:
            merged[key] = kept(ours.get(key), theirs[key])
        elif key in FROM_ROLE:
            merged |= {key: theirs[key]} if key in theirs else {}
        else:
            merged[key] = ours.get(key, theirs.get(key))
    return merged


def present(role: str) -> dict[str, Any]:
    """The section as it is."""
    path = SECTIONS / f"{role}.py"
    if not path.is_file():
        return {}
    found: dict[str, Any] = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), found)  # noqa: S102 - a file of this project
    section: dict[str, Any] = found["SECTION"]
    return section


def section_for(role: str) -> dict[str, Any]:
    """The section as it should be."""
    merged: dict[str, Any] = kept(present(role), from_role(role))
    return merged


def shown(section: Mapping[str, Any]) -> str:
    """The section as Python, long texts wrapped."""
    return pprint.pformat(section, width=100, sort_dicts=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("role", nargs="*")
    arguments = parser.parse_args()
    stale = [role for role in arguments.role or roles() if present(role) != section_for(role)]
    if arguments.check:
        for role in stale:
            print(f"the section {role} differs from its role: run scripts/build_config_sections.py {role}")
        return 1 if stale else 0
    for role in stale:
        path = SECTIONS / f"{role}.py"
        path.write_text(HEAD.format(role=role) + shown(section_for(role)) + "\n", encoding="utf-8")
        ruff = str(Path(sys.executable).with_name("ruff"))
        subprocess.run([ruff, "format", "--quiet", str(path)], check=True)
        print(f"wrote {path.relative_to(ROOT)}")
    # In a process of its own, which sees the sections as they are now.
    return subprocess.run([sys.executable, str(ROOT / "scripts" / "build_config_page.py")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
