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
    "vm_snapshot_rollback": "each run goes back anew",
}
"""Doors that act, each with the reason why a second run may act again."""


def run_guest(bench: Bench) -> None:
    """A VM that runs."""
    add_guest(bench)


def take_snapshots(bench: Bench) -> None:
    """A VM that runs, and was snapshotted on three days."""
    vm = add_guest(bench)
    for name in ("auto-1", "auto-2", "before"):
        for one in vm.snapshots.values():
            one["snaptime"] -= 86400
        assert bench.call("vm_snapshot", {"guests": ["web"], "name": name})["changed"]


def on(*guests: str, **options: t.Any) -> t.Callable[[Bench], Mapping[str, t.Any]]:
    return lambda bench: {"guests": list(guests), **options}


ACTIONS: list[dict[str, t.Any]] = [
    {
        "door": "vm_power",
        "about": "reboot",
        "params": on("web", action="reboot"),
        "prepare": run_guest,
        "keyed": True,
    },
    {"door": "vm_power", "about": "stop", "params": on("101", action="stop"), "prepare": run_guest, "keyed": True},
    {
        "door": "vm_power",
        "about": "runs already",
        "params": on("web", action="start"),
        "prepare": run_guest,
        "changes": False,
    },
    {
        "door": "vm_snapshot",
        "about": "first one",
        "params": on("web", name="before", description="Before it", vmstate=True),
        "prepare": run_guest,
        "keyed": True,
    },
    {
        "door": "vm_snapshot",
        "about": "another description, and fewer",
        "params": on("web", name="before", description="After", prefix="auto-", keep=1, confirm=True),
        "prepare": take_snapshots,
        "keyed": True,
    },
    {
        "door": "vm_snapshot",
        "about": "absent",
        "params": on("web", name="before", state="absent"),
        "prepare": take_snapshots,
        "keyed": True,
    },
    {
        "door": "vm_snapshot",
        "about": "there already",
        "params": on("web", name="before"),
        "prepare": take_snapshots,
        "changes": False,
    },
    {
        "door": "vm_snapshot_rollback",
        "about": "back to it",
        "params": on("web", name="before", start=True, confirm=True),
        "prepare": take_snapshots,
        "keyed": True,
    },
]
