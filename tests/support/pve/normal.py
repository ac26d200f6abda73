# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make two replies comparable: what no two servers answer alike becomes a placeholder of its type."""

from __future__ import annotations

import re
import typing as t

# Members whose value is a measurement or a clock; only their type is compared.
MEASURED = frozenset((
    *("cpu", "mem", "disk", "maxcpu", "maxmem", "maxdisk", "uptime", "netin", "netout", "diskread", "diskwrite"),
    *("total", "used", "avail", "used_fraction", "ctime", "starttime", "endtime", "snaptime", "pid", "pstart"),
    "ssl_fingerprint",
))  # fmt: skip
# A guest's own figures are derived from its config, so they must be equal.
DERIVED = frozenset({"maxcpu", "maxmem", "maxdisk"})
CONTENT_TYPES = re.compile(r"(?:(?:images|rootdir|vztmpl|iso|backup|snippets|import),?)+")
ROW_KEYS = ("volid", "id", "key", "upid", "iface", "storage", "name", "poolid", "roleid", "Package", "filename", "node")
PATTERNS = (
    (re.compile(r"UPID:\w+:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{8}:"), "UPID:N:"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\bBC:24:11(?::[0-9A-F]{2}){3}", re.IGNORECASE), "MAC"),
    (re.compile(r"creation-qemu=[\d.]+,ctime=\d+"), "META"),
    (re.compile(r"instance-id: [0-9a-f]{40}"), "instance-id: ID"),
    (re.compile(r"pveupload-[0-9a-f]{32}"), "pveupload-ID"),
    (re.compile(r"tmp_dwnl\.\d+"), "tmp_dwnl.PID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d"), "STAMP"),
    (re.compile(r"\(\d\d:\d\d:\d\d\)"), "(LASTED)"),
    (re.compile(r"\([\d.]+ [KMG]B/s\)"), "(SPEED)"),
    (re.compile(r"100% +\S+"), "100% SPEED"),
)
# Lines that depend on speed, or on the stand-in for vzdump's archiver on the recorded server.
NOISE = re.compile(
    r"^transferred |^INFO: .*(?:stand-in|ionice|archive file size)|^VM \d+ not running$|^INFO: starting new backup"
)


class Normaliser:
    """Normalises the replies of one side."""

    def body(self, path: str, body: t.Any) -> t.Any:
        if not isinstance(body, dict):
            return body
        data = body.get("data")
        if path.endswith("/log") and isinstance(data, list):
            return {"data": self.log([row["t"] for row in data])}
        return {key: self.value(key, value) for key, value in body.items() if key != "total"}

    def log(self, lines: t.Iterable[str]) -> list[str]:
        return [self.text(line) for line in lines if not NOISE.search(line)]

    def value(self, key: str, value: t.Any, guest: bool = False) -> t.Any:
        """A value as the other side could have answered it too; ``guest``: it is a figure of a VM."""
        if isinstance(value, dict):
            if value.get("key") == "digest":
                return {"key": "digest", "value": "DIGEST"}
            own = value.get("type") == "qemu" or "cpus" in value
            return {name: self.value(name, item, own) for name, item in value.items()}
        if isinstance(value, list):
            return sorted((self.value(key, item) for item in value), key=row_key)
        if key in MEASURED and not (guest and key in DERIVED):
            return "<int>" if isinstance(value, float) else f"<{type(value).__name__}>"
        return self.scalar(key, value)

    def scalar(self, key: str, value: t.Any) -> t.Any:
        if not isinstance(value, str):
            return value
        if key == "content" and CONTENT_TYPES.fullmatch(value):
            return ",".join(sorted(value.split(",")))
        return "DIGEST" if key == "digest" else self.text(value)

    @staticmethod
    def text(text: str) -> str:
        for pattern, instead in PATTERNS:
            text = pattern.sub(instead, text)
        return text


def row_key(row: t.Any) -> str:
    """Lists come in any order: rows are sorted by what names them."""
    if isinstance(row, dict):
        return next((f"{name}={row[name]}" for name in ROW_KEYS if name in row), repr(sorted(row)))
    return str(row)


def differences(expected: t.Any, got: t.Any, where: str = "") -> list[str]:
    """Every place where two values differ, as ``where: expected -> got``."""
    if isinstance(expected, dict) and isinstance(got, dict):
        found = []
        for key in sorted({*expected, *got}):
            spot = f"{where}.{key}" if where else key
            if key not in got:
                found.append(f"{spot}: missing, recorded {short(expected[key])}")
            elif key not in expected:
                found.append(f"{spot}: not recorded, answered {short(got[key])}")
            else:
                found += differences(expected[key], got[key], spot)
        return found
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return [f"{where}: {short(expected)} -> {short(got)}"]
        return [
            line
            for n, pair in enumerate(zip(expected, got, strict=True))
            for line in differences(*pair, f"{where}[{n}]")
        ]
    return [] if expected == got and type(expected) is type(got) else [f"{where}: {short(expected)} -> {short(got)}"]


def short(value: t.Any) -> str:
    text = repr(value)
    return text if len(text) < 300 else text[:297] + "..."
