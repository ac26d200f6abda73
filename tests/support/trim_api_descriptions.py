# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut the permissions of the calls this collection makes out of Proxmox's own API descriptions.

Run it from the root of the checkout after the table of privileges got a new endpoint:
C(PYTHONPATH=.venv/collections .venv/bin/python tests/support/trim_api_descriptions.py).
The 8.4 description was recorded from a server; that of PVE 9 comes with fakepve, which leaves out the words.
"""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fakepve
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privilege_table import ADMIN_NEEDS, NEEDS

RECORDED = Path(__file__).parent / "recorded"


def description_8() -> dict[str, Mapping[str, Any]]:
    with lzma.open(RECORDED / "pve-8.4-apidoc.json.xz") as file:
        return dict(_flat(json.load(file)))


def description_9() -> dict[str, Mapping[str, Any]]:
    with gzip.open(Path(fakepve.__file__).parent / "data" / "pve-api.json.gz") as file:
        return json.load(file)["paths"]


def _flat(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for node in nodes:
        if "info" in node:
            yield node["path"], node["info"]
        yield from _flat(node.get("children", []))


def endpoints() -> list[str]:
    used = {entry.endpoint for table in NEEDS.values() for entry in table.values()}
    return sorted(used | {entry.endpoint for entry in ADMIN_NEEDS.values()})


def excerpt(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Endpoint to its C(permissions), and the privileges that the version knows."""
    found = {}
    for endpoint in endpoints():
        method, path = endpoint.split()
        found[endpoint] = paths[path][method]["permissions"]
    known = paths["/access/roles/{roleid}"]["GET"]["returns"]["properties"]
    return {"privileges": sorted(known), "permissions": found}


def main() -> None:
    for name, paths in (("api-8.4.json", description_8()), ("api-9.json", description_9())):
        text = json.dumps(excerpt(paths), indent=1, sort_keys=True, ensure_ascii=False)
        (RECORDED / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
