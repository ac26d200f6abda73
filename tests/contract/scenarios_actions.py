# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors that act on guests are tried with."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from tests.support.guests import add_guest, give_shell
from tests.support.workbench import Bench

ACTS: Mapping[str, str] = {
    "vm_power": "a reboot reboots in each run",
    "vm_snapshot_rollback": "each run goes back anew",
    "guest_exec": "the command runs in each run",
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


def open_guest(bench: Bench) -> None:
    """A VM with a real shell and one file."""
    give_shell(add_guest(bench), bench.folder / "guest")
    (bench.folder / "guest" / "app.conf").write_text("a = 1\n")


def inside(door: str, **options: t.Any) -> dict[str, t.Any]:
    """A use of a door inside of a guest; C(PATH) in texts is the folder of the guest's files."""

    def params(bench: Bench) -> Mapping[str, t.Any]:
        folder = str(bench.folder)
        filled = {key: one.replace("PATH", folder) if isinstance(one, str) else one for key, one in given.items()}
        return {"guest": "web", **filled}

    meta = {key: options.pop(key) for key in ("about", "changes", "here") if key in options}
    given = options
    return {"door": door, "params": params, "prepare": open_guest, "keyed": True, **meta}


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
    inside("guest_exec", about="a command", argv=["id", "-u"], secrets={"KEY": "Correct-Horse-77"}),
    inside("guest_exec", about="needless", cmd="false", creates="PATH/guest/app.conf", changes=False),
    inside("guest_file", about="another content", dest="PATH/guest/app.conf", content="a = 2\n", mode="0640"),
    inside("guest_file", about="a secret", dest="PATH/guest/key", secret_content="Correct-Horse-77"),
    inside("guest_file", about="absent", dest="PATH/guest/app.conf", state="absent"),
    inside("guest_file", about="there already", dest="PATH/guest/app.conf", content="a = 1\n", changes=False),
    inside("guest_file_fetch", about="a file", src="PATH/guest/app.conf", dest="PATH/app.conf", here=True),
]
