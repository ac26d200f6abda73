# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection file: YAML or JSON with the same facts as the connection options, readable by its owner only."""

from __future__ import annotations

import difflib
import json
import os
import stat
from pathlib import Path
from typing import Any

KEYS = (
    "host",
    "port",
    "user",
    "token_id",
    "token_secret",
    "password",
    "ca_path",
    "fingerprint",
    "validate_certs",
    "timeout",
)


class ConnectionOptionError(ValueError):
    """C(problems): every contradiction and gap found, each naming option, value and remedy; never a secret."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def load_connection_file(path: Path) -> dict[str, Any]:
    """The mapping in the file. Raises ConnectionOptionError when it is missing, open to others, or says nonsense."""
    option = f"`connection_file`={str(path)!r}"
    try:
        with path.open(encoding="utf-8") as stream:
            # Of the opened file, not of the path: the link may be changed in between.
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & 0o077:
                raise ConnectionOptionError(
                    (f"{option} is open to others (mode {mode:04o}) and may hold secrets. Run: chmod 600 {path}",)
                )
            text = stream.read()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConnectionOptionError((f"{option} cannot be read: {reason}. Give a YAML or JSON file.",)) from None
    content = _parse(text, option)
    if not isinstance(content, dict):
        raise ConnectionOptionError((f"{option} holds no mapping. Write keys such as `host: pve.example.org`.",))
    problems = [_unknown(option, key) for key in content if key not in KEYS]
    problems += [
        f"{option}: `{key}` is not a single value. Write one string or number."
        for key, value in content.items()
        if key in KEYS and isinstance(value, (dict, list))
    ]
    if problems:
        raise ConnectionOptionError(tuple(problems))
    return content


def _parse(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        not_json = exc
    # Loaded with the first file that needs it: few modules read a connection file.
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        raise ConnectionOptionError(
            (f"{option} is not JSON ({not_json}), and YAML needs PyYAML. Install it or write JSON.",)
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        # The text of the error quotes the file, which may hold a secret; its place is enough.
        place = f" at line {mark.line + 1}" if mark else ""
        raise ConnectionOptionError((f"{option} is neither JSON nor YAML{place}. Mend its syntax.",)) from None


def _unknown(option: str, key: Any) -> str:
    close = difflib.get_close_matches(str(key), KEYS, n=1)
    remedy = f"Did you mean `{close[0]}`?" if close else f"Known keys: {', '.join(KEYS)}."
    return f"{option}: unknown key {key!r}. {remedy}"
