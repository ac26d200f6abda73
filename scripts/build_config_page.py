# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/options.md, every option of the configuration, from its schema; with --check, only compare."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / ".venv" / "collections")]

from ansible_collections.homelab.proxmox.plugins.module_utils._config.schema import (  # noqa: E402
    SECTIONS,
    UNSET,
    Option,
    list_rule,
    options,
)

PAGE = ROOT / "docs" / "options.md"
HEAD = """\
# Options of the configuration

Written by `scripts/build_config_page.py`, not to be edited. [The guide](guides/configuration.md) says how layers meet.
The option `keep` of the section `templates` is written `templates.keep`, is the variable `templates_keep`, and is
`HOMELAB__TEMPLATES__KEEP` in the environment.
"""
RULES = {"append": "lists of layers are joined", "union": "lists of layers are joined, each item once"}
SHOWN = 60


def main() -> int:
    text = "\n".join([HEAD, *(line for section in SECTIONS for line in part(section))])
    if "--check" in sys.argv[1:]:
        current = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
        if current != text:
            print(f"{PAGE.relative_to(ROOT)} is not up to date: run scripts/build_config_page.py")
        return int(current != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


def part(section: str) -> Iterator[str]:
    """One section: what it is about, and a table."""
    schema = SECTIONS[section]
    yield f"## {section}\n"
    yield f"{sentence(schema['description'])}{'' if schema.get('x-variables', True) else ' No role variables.'}\n"
    yield "| option | type | default | what it is |"
    yield "|---|---|---|---|"
    for one in options(section):
        yield f"| `{one.key}` | {one.type or 'anything'} | {default(one)} | {cell(' '.join(remarks(one)))} |"
    yield ""


def remarks(one: Option) -> Iterator[str]:
    yield sentence(one.help)
    choices = one.choices or tuple(one.schema.get("items", {}).get("enum", ()))
    if choices:
        yield (
            f"One of {', '.join(f'`{choice}`' for choice in choices)}."
            if one.choices
            else (f"Any of {', '.join(f'`{choice}`' for choice in choices)}.")
        )
    bounds = [
        f"{word} {one.schema[name]}"
        for name, word in (("minimum", "at least"), ("maximum", "at most"))
        if name in one.schema
    ]
    if bounds:
        yield sentence(", ".join(bounds).capitalize())
    rule = list_rule(one.schema)
    if rule.startswith("by_key:"):
        yield f"*Items of layers are merged by their `{rule.removeprefix('by_key:')}`.*"
    elif rule in RULES:
        yield f"*{sentence(RULES[rule]).capitalize()}*"
    if one.secret:
        yield "*A secret.*"
    if one.once:
        yield "*Given with a run, not in files.*"


def default(one: Option) -> str:
    if one.default is UNSET:
        return ""
    text = json.dumps(one.default, ensure_ascii=False)
    return f"`{cell(text)}`" if len(text) <= SHOWN else "(long)"


def sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?")) else f"{text}."


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
