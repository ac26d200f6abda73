# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a template line is (desired), and what of it exists (actual)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .bake import Bake
from .cluster import Cluster, GuestRow
from .customize import Customize
from .identity import Identity, State
from .image import CloudImage, Digest
from .proof import ProofWish
from .vm_config import VmConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskWish:
    """The template's disk. C(size) in bytes, None for the image's own size; C(options) in Proxmox's own keys."""

    size: int | None = None
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EfiWish:
    """EFI variables. C(secure_boot) enrols the vendors' keys, the 2023 certificates where the server can choose."""

    secure_boot: bool = False
    type: Literal["2m", "4m"] = "4m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a line lives. None of it enters the recipe digest: the same recipe may live elsewhere."""

    node: str
    storage: str
    image_storage: str
    cloudinit_storage: str
    iso_storage: str = ""
    """Where the seed of a builder lies while it boots."""
    pool: str = ""
    vmid: int | None = None
    vmid_range: tuple[int, int] = (9000, 9999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """A cloud-init password. Proxmox never tells it back, so it is set on a new build, or always when asked."""

    value: str = field(repr=False)
    always: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """When the vendor is asked for a newer build; C(max_age) in seconds."""

    policy: Literal["never", "max_age", "always"] = "max_age"
    max_age: int = 30 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateLine:
    """One declared line on one node.

    C(settings) holds only what was declared, by Proxmox's config key in Proxmox's form; what is not declared is not
    compared. C(clears) are keys declared empty.
    """

    line: str
    name: str
    image: CloudImage
    own_image: bool = False
    place: Placement
    disk: DiskWish = DiskWish()
    bios: Literal["seabios", "ovmf"] | None = None
    efi: EfiWish | None = None
    tpm: Literal["v1.2", "v2.0"] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    clears: frozenset[str] = frozenset()
    description: str | None = None
    tags: frozenset[str] | None = None
    protection: bool | None = None
    password: Password | None = None
    transfer: Literal["auto", "download", "upload"] = "auto"
    require_signature: bool = False
    refresh: Refresh = Refresh()
    adopt: bool = False
    absent: bool = False
    keep: int | None = None
    """How many complete generations stay, the current one included; None keeps all."""
    customize: Customize | None = None
    bake: Bake | None = None
    prove: ProofWish | None = None
    hold: bool = False
    """No new generation is made while there is a current one, and no former one goes."""
    pin: str | None = None
    """The build to stay with: a generation, the vendor's name of a build, or the digest of the vendor's file."""

    @property
    def key(self) -> str:
        return f"{self.line}@{self.place.node}"

    @property
    def subject(self) -> str:
        return f"line {self.line} on node {self.place.node}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One template VM of a line that is proven ours. C(state) is what its tags say."""

    row: GuestRow
    identity: Identity
    state: State | None
    config: VmConfig
    incomplete: tuple[str, ...] = ()
    """Why it is no usable template, such as disks that are no base volumes; empty when it is complete."""

    @property
    def vmid(self) -> int:
        return self.row.vmid

    @property
    def source(self) -> Digest | None:
        return Digest.parse(self.identity.source) if self.identity.source else None

    def is_newer_than(self, other: Generation) -> bool:
        """Whether its build began later. The copy of a generation under another VMID is not newer."""
        return self.identity.generation > other.identity.generation


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignVm:
    """A VM that carries a line's tags or VMID and is not ours."""

    row: GuestRow
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A build that did not end: whose it is, and whether it may be taken over."""

    generation: Generation
    running_task: str = ""
    """UPID of a task on it that still runs."""
    owner_gone: bool = False
    """The run that made it was on this machine and its process is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineActual:
    """What exists of a line on its node."""

    generations: tuple[Generation, ...] = ()
    """Newest first, without unfinished ones. Of two copies of one generation the one at the declared VMID is first."""
    unfinished: tuple[Unfinished, ...] = ()
    """Builds, and clones that a proof has left."""
    foreign: tuple[ForeignVm, ...] = ()
    retired: tuple[GuestRow, ...] = ()
    """Templates that their tags call retired and whose config was not read: they are reported, nothing else."""
    occupant: GuestRow | None = None
    """The guest that holds the declared VMID and is no generation of this line."""
    occupant_config: VmConfig | None = None
    dependants: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """VMIDs of linked clones by the VMID of their base; read only when something may be destroyed."""
    examined: frozenset[int] = frozenset()
    """Generations whose clones were looked for. No other may be destroyed."""

    def excess(self, keep: int | None, after: Generation | None) -> tuple[Generation, ...]:
        """The generations beyond those to keep, newest first; C(after) is the current one after the plan, None when
        that one is still to be made.

        Only such whose config was read count: nothing else is proven ours. One that is newer than the current one
        stays: it tells what the line was rolled back from, or what follows when a pin goes.
        """
        if keep is None:
            return ()
        former = [
            g
            for g in self.generations
            if g is not after and not g.incomplete and (after is None or not g.is_newer_than(after))
        ]
        return tuple(sorted(former, key=lambda g: (g.identity.generation, g.vmid), reverse=True)[keep - 1 :])

    def contested(self, vmid: int | None, after: Generation | None) -> tuple[Generation, ...]:
        """The generations that may have to go for the sake of a fixed VMID; C(after) as with excess."""
        if vmid is None:
            return ()
        found = tuple(g for g in self.generations if g.vmid == vmid or g.state is State.CURRENT or g is after)
        return () if after is not None and after.vmid == vmid and found == (after,) else found

    def waiting(self, run: str) -> Generation | None:
        """The builder that a run has stopped before its seal, and that waits for whoever names that run."""
        found = (left.generation for left in self.unfinished)
        return next((one for one in found if one.identity.paused and one.identity.run == run), None)

    @property
    def current(self) -> Generation | None:
        """The newest complete generation that is tagged current."""
        for generation in self.generations:
            if generation.state is State.CURRENT and not generation.incomplete:
                return generation
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A file on a storage, as the storage lists it; size in bytes, C(stored) in Unix time, 0 where it is not told."""

    volid: str
    size: int
    format: str
    stored: int = 0

    @property
    def filename(self) -> str:
        return self.volid.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Everything that was read before planning."""

    cluster: Cluster
    permissions: Mapping[str, Mapping[str, int]]
    lines: Mapping[str, LineActual]
    auth_id: str = ""
    """The user or token that reads, C(user@realm!token)."""
    version: str = ""
    """PVE's version text such as C(8.4.1); read only when something will be built."""
    images: Mapping[tuple[str, str], tuple[StoredImage, ...]] = field(default_factory=dict)
    """Files of content C(import) by (node, storage); read only when something will be built."""
