# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a line about its bake, and how they become what its builder is stopped for."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from .._model.bake import BAKE_USER, SEAL, Bake
from .._model.customize import Customize
from .._model.sshkeys import SshKeys

_LEAST = 60
# It stands in one line of the identity block.
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+~-]{0,99}")
_CALLS = ("stop_before", "resume", "abandon")


def bake_options() -> dict[str, dict[str, t.Any]]:
    """What roles add to a line, and which part of the bake a call is."""
    return {
        "bake_version": {"type": "str"},
        "bake_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "bake_timeout": {"type": "int", "default": 7200},
        "stop_before": {"type": "str", "choices": [SEAL]},
        "resume": {"type": "str"},
        "abandon": {"type": "str"},
    }


def bake_from(params: Mapping[str, t.Any], customize: Customize | None, problems: list[str]) -> Bake | None:
    """The bake of a line, None for a line without; everything that is wrong is added to C(problems)."""
    version, given = params["bake_version"], [name for name in _CALLS if params[name]]
    if version is None:
        problems += [f"{name}={params[name]!r}: name what the roles make with bake_version" for name in given]
        if params["bake_keys"]:
            problems.append("bake_keys: name what the roles make with bake_version, or leave the keys out")
        return None
    if not _VERSION.fullmatch(version):
        problems.append(
            f"bake_version={version!r}: use letters, digits and . _ : + ~ -, 100 at most, such as 2026.11-1"
        )
    if len(given) > 1:
        problems.append(f"{', '.join(given)}: a call is one part of a bake. Give one of them")
    if params["bake_timeout"] < _LEAST:
        problems.append(f"bake_timeout={params['bake_timeout']}: give {_LEAST} seconds or more")
    try:
        SshKeys.of(params["bake_keys"])
    except ValueError as error:
        # What is given as a key may be a private one.
        problems.append(f"bake_keys: {error}")
    if customize is not None and BAKE_USER in {user.name for user in customize.users}:
        problems.append(
            f"customize.users: {BAKE_USER} is the account of the bake, and goes at its end. Name it otherwise"
        )
    return Bake(
        version=version,
        keys=tuple(params["bake_keys"]),
        seconds=params["bake_timeout"],
        stop=bool(params["stop_before"]),
        resume=params["resume"] or "",
        abandon=params["abandon"] or "",
    )
