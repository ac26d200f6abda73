# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a given Proxmox VE release says of its own API: the recorded description of 8.4, fakepve's of 9.x."""

from __future__ import annotations

import functools
import json
import lzma
import re
import urllib.parse
from pathlib import Path

from fakepve import schema as pve_schema

RECORDED = Path(__file__).parent.parent / "recorded"
CONTENT_PATH = re.compile(r"^(/nodes/[^/]+/storage/[^/]+/content)/(.+)$")


@functools.cache
def load(major: int) -> pve_schema.Schema:
    """The API of that major release, path template -> method -> description."""
    if major >= 9:
        return repaired(pve_schema.load())
    with lzma.open(RECORDED / "pve-8.4-apidoc.json.xz") as stream:
        tree = json.load(stream)
    paths: dict[str, dict] = {}
    _collect(tree, paths)
    return repaired(pve_schema.Schema(paths))


def repaired(found: pve_schema.Schema) -> pve_schema.Schema:
    """Both descriptions were printed without the values that Perl computes for ``compression``."""
    call = found.paths["/nodes/{node}/storage/{storage}/download-url"]["POST"]
    call["parameters"]["properties"]["compression"]["enum"] = ["bz2", "gz", "lzo", "zst"]
    return found


def _collect(nodes: list[dict], paths: dict[str, dict]) -> None:
    for node in nodes:
        if node.get("info"):
            paths[node["path"]] = node["info"]
        _collect(node.get("children") or [], paths)


@functools.lru_cache(maxsize=4096)
def match(major: int, raw_path: str) -> pve_schema.Match | None:
    """The method table of a request path (percent-encoded, without the /api2/json prefix), or None.

    A volume id in ``.../content/{volume}`` may hold unescaped slashes: the real server takes both spellings.
    """
    schema = load(major)
    found = CONTENT_PATH.match(raw_path)
    if found:
        template = "/nodes/{node}/storage/{storage}/content/{volume}"
        segments = [urllib.parse.unquote(part) for part in found.group(1).split("/")]
        names = {"node": segments[2], "storage": segments[4], "volume": urllib.parse.unquote(found.group(2))}
        return pve_schema.Match(template, names, schema.paths[template])
    return schema.match("/".join(urllib.parse.unquote(part) for part in raw_path.split("/")))


@functools.cache
def config_types(major: int) -> dict[str, dict]:
    """The schema of every VM config option, numbered ones under ``net[n]``."""
    return load(major).paths["/nodes/{node}/qemu/{vmid}/config"]["PUT"]["parameters"]["properties"]


def option(major: int, key: str) -> dict | None:
    """The schema of one config option (net0 is found under net[n]), or None for an unknown one."""
    return pve_schema._prop(config_types(major), key)


def typed(major: int, key: str, value: object) -> object:
    """A config value as the server answers it: integers and booleans are numbers, everything else text."""
    kind = (option(major, key) or {}).get("type")
    if kind in ("integer", "boolean"):
        return int(value) if re.fullmatch(r"-?\d+", str(value)) else str(value)
    if kind == "number":
        number = float(str(value))
        return int(number) if number == int(number) else number
    return str(value)
