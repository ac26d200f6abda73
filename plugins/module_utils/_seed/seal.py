# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing a guest before it becomes a template, and the proof that it was."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from .errors import SeedError
from .seal_text import SEAL, VERIFY

# What the agent takes as the input of a command (pve-manager's schema of agent/exec).
MAX_INPUT = 65536

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verify script found: whether all is well, the checks that failed, and what was left, one a line."""

    ok: bool
    failed: tuple[str, ...]
    left: str


def seal_script(build_user: str | None = None) -> str:
    """The script that seals, to be run by C(/bin/sh) as root; it can be run again. Raises SeedError for a strange name.

    It ends with status 0 whatever it met: what counts is what C(verify_script) finds, whose answer can be asked for
    again (an exit status is told once only).
    """
    return _with_user(SEAL, build_user)


def verify_script(build_user: str | None = None) -> str:
    """The script that prints one line of JSON for C(parse_verdict). It changes nothing. Raises SeedError."""
    return _with_user(VERIFY, build_user)


def _with_user(text: str, build_user: str | None) -> str:
    if build_user is not None and not _USER.fullmatch(build_user):
        raise SeedError(f"{build_user!r} is no name of a build user")
    if build_user == "root":
        raise SeedError("root cannot be the build user")
    head, rest = text.split("set -u\n", 1)
    return f"{head}set -u\nbuild_user={build_user or ''}\n{rest}"


def parse_verdict(text: str) -> Verdict:
    """Read what the verify script printed. Raises SeedError when it is not that."""
    try:
        answer = json.loads(text)
        ok, checks, left = answer["ok"], answer["checks"], base64.b64decode(answer["left"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as exc:
        raise SeedError(f"the guest did not answer whether it is sealed, but: {text.strip()[:500]!r}") from exc
    if not isinstance(checks, dict) or not checks or not isinstance(ok, bool):
        raise SeedError(f"the guest did not answer whether it is sealed, but: {text.strip()[:500]!r}")
    failed = tuple(sorted(name for name, fine in checks.items() if fine is not True))
    lines = [line for line in left.decode("utf-8", "replace").splitlines() if line]
    return Verdict(ok and not failed, failed, "\n".join(lines))
