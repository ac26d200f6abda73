# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that are there whole or not at all, and readable by their owner only."""

from __future__ import annotations

import json
import os
import secrets
import typing as t
from pathlib import Path


def make_folder(path: Path) -> None:
    """A folder for its owner only; what is there keeps its mode. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write(path: Path, text: str) -> None:
    """Replace the file at once. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: t.Any) -> None:
    """The same for JSON."""
    write(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> dict[str, t.Any]:
    """The mapping in a file; empty where there is none, or another thing in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
