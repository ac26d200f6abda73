# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests for the tests of the actions on them."""

from __future__ import annotations

import typing as t
from pathlib import Path

from .pve.shell import Shell
from .pve.vm import Vm
from .workbench import Bench


def add_guest(bench: Bench, vmid: int = 101, name: str = "web", *, running: bool = True, **options: t.Any) -> Vm:
    """A VM with a disk on C(storage), an agent unless C(config) says otherwise, and a guest that has booted."""
    storage = options.pop("storage", "local-lvm")
    node = options.setdefault("node", "pve1")
    disk = bench.cluster.allocate(node, storage, vmid, 1024**3, fmt="qcow2")
    config = {"scsi0": f"{disk},size=1G", "agent": "1", "memory": 512, **options.pop("config", {})}
    vm = bench.cluster.add_vm(vmid, name, config=config, **options)
    if running:
        bench.server.call(bench.cluster.boot, vm)
    return vm


def give_shell(vm: Vm, home: Path) -> Shell:
    """Let the guest's shell be real; its files are below C(home)."""
    vm.inside.shell = Shell(home)
    return vm.inside.shell


def guest_of(result: dict[str, t.Any], vmid: int = 101) -> dict[str, t.Any]:
    """What a result tells of one guest."""
    (found,) = (one for one in result["guests"] if one["vmid"] == vmid)
    return found
