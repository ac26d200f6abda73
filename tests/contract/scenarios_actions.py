# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors that act on guests are tried with."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from tests.support.guests import add_guest
from tests.support.workbench import Bench

ACTS: Mapping[str, str] = {
    "vm_power": "a reboot reboots in each run",
}
"""Doors that act, each with the reason why a second run may act again."""


def run_guest(bench: Bench) -> None:
    """A VM that runs."""
    add_guest(bench)


def power(*guests: str, **options: t.Any) -> t.Callable[[Bench], Mapping[str, t.Any]]:
    return lambda bench: {"guests": list(guests), **options}


ACTIONS: list[dict[str, t.Any]] = [
    {
        "door": "vm_power",
        "about": "reboot",
        "params": power("web", action="reboot"),
        "prepare": run_guest,
        "keyed": True,
    },
    {"door": "vm_power", "about": "stop", "params": power("101", action="stop"), "prepare": run_guest, "keyed": True},
    {
        "door": "vm_power",
        "about": "runs already",
        "params": power("web", action="start"),
        "prepare": run_guest,
        "changes": False,
    },
]
