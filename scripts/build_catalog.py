# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check catalog/*.yml and write plugins/module_utils/_images/shipped.py from them; with --check, only compare."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "catalog"
TARGET = ROOT / "plugins" / "module_utils" / "_images" / "shipped.py"
WIDTH = 100

HEAD = '''# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# fmt: off
"""The catalogue and its schema as JSON: GENERATED from catalog/ by scripts/build_catalog.py, not to be edited.

Python, since a module brings along the Python files that it imports, and nothing else.
"""

from __future__ import annotations

'''


def collection_on_path() -> None:
    """Make C(ansible_collections.homelab.proxmox) importable, as the tool environment lays it out."""
    tree = ROOT / ".venv" / "collections"
    if str(tree) not in sys.path:
        sys.path.insert(0, str(tree))


def read_sources(folder: Path = SOURCES) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema, and the documents by file name. Raises CatalogError with every problem of all files."""
    from ansible_collections.homelab.proxmox.plugins.module_utils._images import catalog_file  # noqa: PLC0415

    schema = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    documents, problems = {}, []
    for path in sorted(folder.glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        documents[path.name] = catalog_file.parse_yaml(text, path.name)
        problems += catalog_file.check_document(documents[path.name], schema, path.name)
    if problems:
        raise catalog_file.CatalogError(problems)
    return schema, documents


def literal(name: str, text: str) -> str:
    """A Python assignment of the text, wrapped into lines that every line-length check accepts."""
    lines: list[str] = []
    for start in range(0, len(text), WIDTH):
        lines.append(f"    {_quoted(text[start : start + WIDTH])}")
    return f"{name}: str = (\n" + "\n".join(lines) + "\n)\n"


def _quoted(text: str) -> str:
    if "'" not in text:
        return "'" + text.replace("\\", "\\\\") + "'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def compact(value: Mapping[str, Any]) -> str:
    """JSON without blanks, in the order of the source, ASCII only."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def without_prose(schema: Any) -> Any:
    """The schema as modules need it: a description stays only beside a pattern, whose message shows it."""
    if isinstance(schema, dict):
        drop = {"x-meaning", "$schema", "title"} | (set() if "pattern" in schema else {"description"})
        kept = {key: value for key, value in schema.items() if not (key in drop and not isinstance(value, dict))}
        kept.pop("x-meaning", None)
        return {key: without_prose(value) for key, value in kept.items()}
    return [without_prose(item) for item in schema] if isinstance(schema, list) else schema


def generated() -> str:
    """The text of shipped.py. Raises CatalogError when a source is wrong."""
    schema, documents = read_sources()
    return HEAD + literal("SCHEMA", compact(without_prose(schema))) + "\n" + literal("CATALOG", compact(documents))


def main() -> int:
    """Write the file, or with --check tell whether it is fresh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if shipped.py is not fresh")
    args = parser.parse_args()
    collection_on_path()
    from ansible_collections.homelab.proxmox.plugins.module_utils._images.catalog_file import (  # noqa: PLC0415
        CatalogError,
    )

    try:
        text = generated()
    except CatalogError as exc:
        print(exc, file=sys.stderr)
        return 1
    fresh = TARGET.exists() and TARGET.read_text(encoding="utf-8") == text
    if args.check:
        print("shipped.py is fresh" if fresh else "shipped.py is stale: run python3 scripts/build_catalog.py")
        return 0 if fresh else 1
    if not fresh:
        TARGET.write_text(text, encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(text)} bytes, {'unchanged' if fresh else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
