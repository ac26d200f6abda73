# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM is to be (desired), and what of it and its template exists (actual)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from .cluster import Cluster, GuestRow
from .identity import Identity
from .template import Password
from .vm_config import VmConfig


class WaitFor(StrEnum):
    """What a VM has to have come to before it counts as there."""

    NONE = "none"
    AGENT = "agent"
    CLOUD_INIT = "cloud_init"
    SSH = "ssh"


@dataclass(frozen=True, slots=True, kw_only=True)
class VmPlace:
    """Where a new VM comes to live. One that exists stays where it is."""

    node: str = ""
    """Empty: whichever suits best."""
    nodes: tuple[str, ...] = ()
    """The nodes to choose from; empty: all."""
    spread: str = ""
    """A tag: VMs with it are spread evenly over the nodes."""
    vmid: int | None = None
    vmid_range: tuple[int, int] = (100, 8999)
    pool: str = ""
    storage: str = ""
    format: str = ""
    full: Literal["auto", "true", "false"] = "auto"

    @property
    def is_full(self) -> bool:
        """Whether the clone is a copy of its own. A storage or format that is named can only be had so."""
        return self.full == "true" or (self.full == "auto" and bool(self.storage or self.format))


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSlot:
    """One disk: C(size) in bytes. Where the slot is free a disk is added, otherwise it is grown, moved, changed."""

    slot: str
    size: int | None = None
    storage: str = ""
    format: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """In Proxmox's own keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HaWish:
    """How the HA manager keeps the VM; C(settings) by Proxmox's keys. C(managed) false: not at all."""

    managed: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """C(seconds) is for all VMs of a run together."""

    wanted: WaitFor = WaitFor.NONE
    seconds: int = 600
    port: int = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm:
    """One declared VM. C(settings) and C(clears) as with a template line: only what was declared."""

    name: str
    line: str = ""
    template: str = ""
    """A template by VMID or name, for what is no line."""
    place: VmPlace = VmPlace()
    settings: Mapping[str, str] = field(default_factory=dict)
    clears: frozenset[str] = frozenset()
    disks: tuple[DiskSlot, ...] = ()
    description: str | None = None
    tags: frozenset[str] | None = None
    protection: bool | None = None
    password: Password | None = None
    ha: HaWish | None = None
    started: bool | None = None
    reboot: bool = False
    """Reboot where a change needs it."""
    force_stop: bool = False
    shutdown_timeout: int = 180
    replace: bool = False
    adopt: bool = False
    absent: bool = False
    wait: Wait = Wait()

    @property
    def subject(self) -> str:
        return f"VM {self.name}"

    @property
    def source(self) -> str:
        """What it is cloned from, in words."""
        return f"line {self.line}" if self.line else f"template {self.template}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A template that can be cloned; C(line) and C(generation) are empty for one that is none of ours."""

    row: GuestRow
    config: VmConfig
    line: str = ""
    generation: str = ""
    image: str = ""

    @property
    def vmid(self) -> int:
        return self.row.vmid

    @property
    def storages(self) -> frozenset[str]:
        """Where its volumes are, the cloud-init drive's among them; an ISO in a drive is not copied."""
        disks = self.config.disks().items()
        return frozenset(
            disk.storage
            for key, disk in disks
            if disk.storage and (disk.is_cloudinit or not disk.is_cdrom) and not key.startswith("unused")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVm:
    """A VM that exists under a declared name or VMID. C(pending) is what waits for its next start, by key, None for a
    key that goes; C(config) has it included."""

    row: GuestRow
    config: VmConfig
    identity: Identity | None
    """None: it is not ours, for C(reason)."""
    reason: str = ""
    adoptable: bool = False
    """Of one that is not ours: whether it may be taken over."""
    claimed: Identity | None = None
    """Of one that is not ours: the identity of the template that it inherited."""
    pending: Mapping[str, str | None] = field(default_factory=dict)
    live: Mapping[str, str] = field(default_factory=dict)
    """The values in force of what is pending."""

    @property
    def vmid(self) -> int:
        return self.row.vmid

    @property
    def running(self) -> bool:
        return self.row.status == "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSurvey:
    """Everything that was read before planning."""

    cluster: Cluster
    """With names and states as the nodes themselves tell them."""
    found: Mapping[str, tuple[FoundVm, ...]]
    """What exists under each declared name; under a declared VMID as well."""
    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    """Templates by what they are asked for (Vm.source), newest generation first."""
    unusable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Why further templates of that name cannot be cloned, in words."""
    unseen: Mapping[str, tuple[GuestRow, ...]] = field(default_factory=dict)
    """Guests that may be the VM of that name, and cannot be looked at."""
    ha: Mapping[int, Mapping[str, str]] | None = None
    """What the HA manager keeps, by VMID; None where nobody asked."""
    notes: tuple[str, ...] = ()
    permissions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What the caller may do; read only where a VM is to be made."""
    auth_id: str = ""
    """The user or token that reads, C(user@realm!token)."""
