# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freeze and thaw: a guest that took minutes to boot serves several tests, each from the same moment."""

from __future__ import annotations

import copy
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ..pve.storage import Volume
from ..pve.vm import Vm
from .machine import Machine, MachineError
from .tools import run

TAG = "lab"


@dataclass
class Frozen:
    """One moment of a VM: its config and its volumes with copies of their files."""

    vmid: int
    node: str
    config: dict[str, t.Any]
    pending: dict[str, t.Any]
    cloudinit: dict[str, str] | None
    volumes: dict[str, tuple[Volume, Path]] = field(default_factory=dict)


class FreezerMixin:
    """Mixin of LabCluster. Call these between requests, from the thread of the test."""

    home: Path

    def freeze(self, vmid: int, folder: str = "frozen") -> Frozen:
        """Keep a running VM as it is, memory included; it goes on running (in a new process) afterwards.

        All its disks must be qcow2 files. A base that a disk hangs on is not copied and has to stay.
        """
        vm = self.vms[vmid]
        machine: Machine = self.machines.pop(vmid)
        said = machine.monitor(f"savevm {TAG}")
        machine.kill()
        if said.strip():
            raise MachineError(said.strip())
        kept = Frozen(vmid, vm.node, copy.deepcopy(vm.config), copy.deepcopy(vm.pending), copy.copy(vm.cloudinit))
        where = self.home / folder / str(vmid)
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        for volid, volume in self.volumes(vm.node).items():
            if volume.path is not None and volume.content == "images" and volume.vmid == vmid:
                run("cp", "--sparse=always", "--reflink=auto", volume.path, where / str(len(kept.volumes)))
                kept.volumes[volid] = (copy.copy(volume), where / str(len(kept.volumes)))
        self.start_machine(vm, "-loadvm", TAG)
        return kept

    def thaw(self, kept: Frozen) -> Vm:
        """Put the VM back as it was frozen, whatever became of it meanwhile; it runs on from that moment."""
        self.remove_vm(kept.vmid)
        vm = self.vms[kept.vmid] = Vm(kept.vmid, node=kept.node, config=copy.deepcopy(kept.config))
        vm.pending.update(copy.deepcopy(kept.pending))
        vm.cloudinit = copy.copy(kept.cloudinit)
        for volid, (volume, file) in kept.volumes.items():
            storage, _unused, name = volid.partition(":")
            restored = copy.copy(volume)
            restored.path = self.place(storage, kept.node, name)
            run("cp", "--sparse=always", "--reflink=auto", file, restored.path)
            self.shelf(storage, kept.node)[name] = restored
        self.start_machine(vm, "-loadvm", TAG)
        vm.status = vm.qmpstatus = "running"
        return vm
