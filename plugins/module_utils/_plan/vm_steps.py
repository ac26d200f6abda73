# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of plans of VMs, as values. C(vmid) is a proposal in what follows a clone: another client may be faster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .._model.identity import Identity
from .._model.vm import FoundVm, Source, Vm


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneVm:
    """Make a VM from a template."""

    vm: Vm
    source: Source
    node: str
    """Where the clone comes to live."""
    full: bool
    identity: Identity
    """As it is written, but for the VMID."""
    taken: frozenset[int]
    """VMIDs that the plan found in use, or promised to other VMs."""
    known: frozenset[int]
    """VMs whose names the plan has seen, none of which is this one."""
    human: str = ""
    """The text for people in the description."""

    @property
    def vmid(self) -> int:
        return self.identity.vmid

    def describe(self) -> str:
        kind = "a full clone" if self.full else "a linked clone"
        what = f", {self.vm.source}" if self.vm.line else ""
        return f"create VM {self.vmid} ({self.vm.name}) on {self.node}, {kind} of VM {self.source.vmid}{what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureVm:
    """Change the configuration in one write."""

    vm: Vm
    vmid: int
    node: str
    changes: Mapping[str, str]
    delete: tuple[str, ...] = ()
    digest: str | None = None
    password: bool = False
    """Set the declared cloud-init password as well."""
    identity: Identity | None = None
    """None: of the clone that the plan makes."""
    why: Literal["", "adopt", "complete"] = ""

    @property
    def needs_look(self) -> bool:
        """Whether a fresh clone has to be read before it is written to: its MAC addresses are new, and only with its
        digest the outcome of a write that was cut can be told where a password is in it."""
        return self.password or any(key.startswith("net") for key in self.changes)

    def describe(self) -> str:
        keys = [*self.changes, *(f"-{key}" for key in self.delete), *(["cipassword"] if self.password else [])]
        word = {"": "change", "adopt": "adopt, and set", "complete": "complete, and set"}[self.why]
        return f"{word} {', '.join(keys)} of VM {self.vmid} ({self.vm.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveDisk:
    """Move a disk to another storage; the old volume goes."""

    vm: Vm
    vmid: int
    node: str
    slot: str
    storage: str
    format: str = ""

    def describe(self) -> str:
        return f"move {self.slot} of VM {self.vmid} ({self.vm.name}) to {self.storage}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowDisk:
    """Grow a disk to so many bytes."""

    vm: Vm
    vmid: int
    node: str
    slot: str
    size: int

    def describe(self) -> str:
        return f"grow {self.slot} of VM {self.vmid} ({self.vm.name}) to {self.size / 1024**3:g}G"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPool:
    """Put a VM into its pool, out of another one where it is in one."""

    vm: Vm
    vmid: int
    node: str

    def describe(self) -> str:
        return f"put VM {self.vmid} ({self.vm.name}) into pool {self.vm.place.pool}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepHa:
    """Tell the HA manager to keep a VM, to keep it in another way, or to leave it alone."""

    vm: Vm
    vmid: int
    node: str
    action: Literal["add", "change", "remove"]
    settings: Mapping[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        words = {"add": "put VM {} under HA", "change": "change the HA of VM {}", "remove": "take VM {} out of HA"}
        told = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return words[self.action].format(f"{self.vmid} ({self.vm.name})") + (f": {told}" if told else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartVm:
    """Switch a VM on."""

    vm: Vm
    vmid: int
    node: str

    def describe(self) -> str:
        return f"start VM {self.vmid} ({self.vm.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopVm:
    """Switch a VM off, by its own leave unless C(force)."""

    vm: Vm
    vmid: int
    node: str
    force: bool

    def describe(self) -> str:
        return f"stop VM {self.vmid} ({self.vm.name})" if self.force else f"shut VM {self.vmid} ({self.vm.name}) down"


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootVm:
    """Reboot a VM where something waits for its next start."""

    vm: Vm
    vmid: int
    node: str
    expected: bool = False
    """Whether something waits already; otherwise it depends on what the changes come to."""

    def describe(self) -> str:
        end = "" if self.expected else ", if its changes need it"
        return f"reboot VM {self.vmid} ({self.vm.name}){end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyVm:
    """Remove a VM of ours with its disks, and its place in backup jobs, replication and HA."""

    vm: Vm
    found: FoundVm
    identity: Identity
    reason: str

    @property
    def vmid(self) -> int:
        return self.found.vmid

    @property
    def node(self) -> str:
        return self.found.row.node

    def describe(self) -> str:
        end = ", with its place in backup jobs, replication and HA"
        return f"destroy VM {self.vmid} ({self.vm.name}) on {self.node}{end}: {self.reason}"


VmStep: TypeAlias = (
    "CloneVm | ConfigureVm | MoveDisk | GrowDisk | JoinPool | KeepHa | StartVm | StopVm | RebootVm | DestroyVm"
)
