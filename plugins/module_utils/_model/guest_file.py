# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file in a guest as a look finds it, and a command that is to run there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

NONE, FILE, FOLDER, LINK, OTHER = "none", "file", "folder", "link", "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is at a path in a guest. C(sum) is the SHA-256 of a file where that was asked, C(target) that of a link."""

    path: str
    kind: str
    mode: int = 0
    uid: str = ""
    gid: str = ""
    owner: str = ""
    group: str = ""
    size: int = 0
    sum: str = ""
    target: str = ""
    folder: bool = False
    """Whether the folder that it is in, or would be in, is there."""

    @property
    def exists(self) -> bool:
        return self.kind != NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is run in a guest: C(argv), or C(text) by C(/bin/sh). None of it but C(argv) shows in a list of processes.

    C(limit): seconds. C(most): bytes of each of its outputs that are returned.
    """

    argv: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    stdin: bytes = field(default=b"", repr=False)
    folder: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    limit: int
    most: int

    @property
    def shown(self) -> str:
        """In one line, for a person."""
        text = shlex.join(self.argv) if self.argv else next(iter(self.text.strip().splitlines()), "")
        more = not self.argv and len(self.text.strip().splitlines()) > 1
        return text[:80] + (" …" if more or len(text) > 80 else "")


def path_problem(path: str) -> str:
    """Why a path in a guest cannot be meant; empty when it can."""
    if not path.startswith("/"):
        return "give the whole path, from / on"
    if path.endswith("/"):
        return "give the file, not a folder"
    if "\0" in path or "\n" in path:
        return "a path with a line end or a NUL cannot be meant"
    return ""
