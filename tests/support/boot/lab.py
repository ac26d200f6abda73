# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LabCluster: the fake Proxmox VE cluster whose VMs are real."""

from __future__ import annotations

import os
import shutil
import tempfile
import typing as t
from pathlib import Path

from ..pve import FakeCluster
from .agent import AgentMixin
from .disks import DisksMixin
from .freezer import FreezerMixin
from .image import HOME
from .power import PowerMixin
from .turns import finish, in_turns

# Their bodies await nothing. Transfers do; they have threads of their own.
IN_TURNS = frozenset(
    ("qmcreate", "qmclone", "qmtemplate", "qmdestroy", "qmmove", "qmigrate", "qmrestore", "resize")
    + ("qmstart", "qmstop", "qmshutdown", "qmreboot", "qmreset", "qmsuspend", "qmresume")
)


class LabCluster(AgentMixin, PowerMixin, DisksMixin, FreezerMixin, FakeCluster):
    """FakeCluster with disks that are files, a QEMU process per running VM, and agent calls that reach the guest.

    ``home``: a folder for the disks, removed at the end (default: a new one below build/lab). ``logs``: a folder for
    the serial ports' output, which the next lab empties (default: build/lab/serial). ``restrict``: guests reach nothing
    outside. ``patience``: shutdown time-outs of callers are stretched by it, since guests without KVM take their time.

    Not modelled: snapshots, backups with their data, hotplug, changing CD-ROMs of a running VM, firewalls.
    """

    def __init__(
        self, *, home: Path | None = None, logs: Path | None = None, restrict: bool = True, patience: float = 10.0,
        **options: t.Any,
    ) -> None:  # fmt: skip
        HOME.mkdir(parents=True, exist_ok=True)
        remove_left_behind(HOME)
        self.home = home or Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=HOME))
        self.logs = logs or HOME / "serial"
        self.logs.mkdir(parents=True, exist_ok=True)
        for old in self.logs.glob("*.log"):
            old.unlink()
        self.restrict = restrict
        self.patience = patience
        super().__init__(**options)

    def _init_zzz_lab(self) -> None:
        # Outside of everything that plans how tasks end, so that only the real work leaves the event loop.
        start = self.run_task

        async def run_task(node: str, kind: str, ident: t.Any, user: str, body: t.Any) -> str:
            return await start(node, kind, ident, user, _threaded(body) if kind in IN_TURNS else body)

        self.run_task = run_task

    # ------------------------------------------------------------ inspection

    def serial_log(self, vmid: int) -> Path:
        """Where the output of a VM's serial port is kept, over all its starts."""
        return self.logs / f"{vmid}.log"

    def serial(self, vmid: int) -> str:
        """The output itself; empty when the VM never ran."""
        path = self.serial_log(vmid)
        return path.read_text(errors="replace") if path.exists() else ""

    def ssh_port(self, vmid: int) -> int:
        """The port of 127.0.0.1 that leads to the SSH server of a running VM."""
        return self.machines[vmid].ssh_port()

    def close(self) -> None:
        """End every QEMU process and remove the disks; the serial logs stay."""
        while self.machines:
            self.machines.popitem()[1].kill()
        shutil.rmtree(self.home, ignore_errors=True)
        super().close()


def remove_left_behind(home: Path) -> None:
    """Remove the disks of labs whose process was killed."""
    for folder in home.glob("run-*-*"):
        pid = folder.name.split("-")[1]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _threaded(body: t.Callable[[list[str]], t.Coroutine[t.Any, t.Any, None]]) -> t.Any:
    async def run(log: list[str]) -> None:
        await in_turns(lambda: finish(body(log)))

    return run
