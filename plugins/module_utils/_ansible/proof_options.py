# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option C(prove) of a line, and how it becomes what a template has to prove."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from .._model.proof import CommandCheck, ProofWish

Spec = dict[str, dict[str, t.Any]]

_NAME = re.compile(r"[A-Za-z0-9@_][A-Za-z0-9@._:+~-]*")
_MOST_CLONES = 4


def proof_options() -> Spec:
    """What is asked of the clones of a template."""
    return {
        "clones": {"type": "int", "default": 2},
        "timeout": {"type": "int", "default": 900},
        "commands": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "command": {"type": "str", "required": True},
                "status": {"type": "int", "default": 0},
                "stdout": {"type": "str"},
            },
        },
        "packages": {"type": "list", "elements": "str", "default": []},
        "services": {"type": "list", "elements": "str", "default": []},
        "ports": {"type": "list", "elements": "int", "default": []},
        "users": {"type": "list", "elements": "str", "default": []},
        "failed_units": {"type": "bool", "default": False},
        "keep_failed": {"type": "bool", "default": False},
    }


def proof_from(given: Mapping[str, t.Any] | None, problems: list[str], option: str = "prove") -> ProofWish | None:
    """What is to be proved, None for nothing; everything that is wrong is added to C(problems)."""
    if given is None:
        return None
    if not 1 <= given["clones"] <= _MOST_CLONES:
        problems.append(f"{option}.clones={given['clones']}: give 1 to {_MOST_CLONES}; two are needed to compare them")
    if given["timeout"] < 1:
        problems.append(f"{option}.timeout={given['timeout']}: give the seconds that a boot may take")
    for name in ("packages", "services", "users"):
        for number, value in enumerate(given[name]):
            if not _NAME.fullmatch(value):
                problems.append(f"{option}.{name}[{number}]={value!r}: it is no name")
    for number, port in enumerate(given["ports"]):
        if not 1 <= port <= 65535:
            problems.append(f"{option}.ports[{number}]={port}: ports go from 1 to 65535")
    commands = tuple(_command(one, f"{option}.commands[{n}]", problems) for n, one in enumerate(given["commands"]))
    return ProofWish(
        clones=given["clones"],
        timeout=given["timeout"],
        commands=commands,
        packages=tuple(given["packages"]),
        services=tuple(given["services"]),
        ports=tuple(given["ports"]),
        users=tuple(given["users"]),
        failed_units=given["failed_units"],
        keep_failed=given["keep_failed"],
    )


def _command(given: Mapping[str, t.Any], option: str, problems: list[str]) -> CommandCheck:
    if not given["command"].isascii():
        problems.append(f"{option}.command: the agent takes ASCII only")
    if given["stdout"] is not None:
        try:
            re.compile(given["stdout"])
        except re.error as error:
            problems.append(f"{option}.stdout={given['stdout']!r}: it is no regular expression: {error}")
    return CommandCheck(command=given["command"], status=given["status"], stdout=given["stdout"])
