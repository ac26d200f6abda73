# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of template plans, as values. A step says what; how is the executor's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .._model.identity import Identity
from .._model.image import CloudImage, ResolvedImage
from .._model.proof import ProofWish
from .._model.template import Generation, TemplateLine


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchImage:
    """Get a verified image onto a storage under a name that holds its digest."""

    node: str
    storage: str
    filename: str
    image: CloudImage
    source: ResolvedImage
    via: Literal["download", "upload"]
    may_upload: bool = False
    """When the node cannot reach the vendor, fetch the image here instead."""

    @property
    def volid(self) -> str:
        return f"{self.storage}:import/{self.filename}"

    def describe(self) -> str:
        how = "download by the node" if self.via == "download" else "fetch here and upload"
        return f"{how} {self.source.url} as {self.volid} on {self.node} ({self.source.verification})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage:
    """Delete a stored image."""

    node: str
    storage: str
    volid: str

    def describe(self) -> str:
        return f"delete {self.volid} on {self.node}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One new generation.

    The VMID is a proposal: the executor takes the next free one when another client was faster.
    """

    line: TemplateLine
    identity: Identity
    """As published, but for the VMID."""
    volid: str
    taken: frozenset[int]
    generations: frozenset[str]
    """The generation tags of this line's VMs that were there when the plan was made."""
    version: str
    tag_later: bool = False
    """Tags go in a write of their own: these credentials may set them only once the VM is in its pool."""

    def describe(self) -> str:
        end = "grow" if self.line.customize is not None else "grow, convert to a template"
        return f"create VM {self.identity.vmid} for {self.line.subject} from {self.volid}, {end}"

    def candidates(self) -> Iterator[int]:
        """The planned VMID, then the free ones of the range; a fixed one has no other."""
        yield self.identity.vmid
        place = self.line.place
        if self.identity.vmid != place.vmid:
            first, last = place.vmid_range
            yield from (v for v in range(first, last + 1) if v not in self.taken and v != self.identity.vmid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customise:
    """Boot the VM that the plan's Build made, with a seed that tells it what to become, and wait until it is that."""

    line: TemplateLine

    def describe(self) -> str:
        return f"boot the new VM of {self.line.subject} and customise it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Leave the VM that was customised running before it is sealed, for roles to work on it."""

    line: TemplateLine
    deadline: str
    """Until when other runs leave it alone."""

    def describe(self) -> str:
        return f"stop the new VM of {self.line.subject} before the seal, until {self.deadline}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Take over a builder that was stopped before its seal."""

    line: TemplateLine
    generation: Generation
    run: str
    deadline: str

    def describe(self) -> str:
        return f"take over VM {self.generation.vmid}, the builder of {self.line.subject} that its roles are done with"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Take out of the booted VM what no two clones may share, prove it, shut it down, and take its seed away."""

    line: TemplateLine

    def describe(self) -> str:
        return f"seal the new VM of {self.line.subject} and shut it down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Convert:
    """Convert the VM that was customised to a template."""

    line: TemplateLine

    def describe(self) -> str:
        return f"convert the new VM of {self.line.subject} to a template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove:
    """Clone a template, boot the clones, look at them, and destroy them again."""

    line: TemplateLine
    wish: ProofWish
    taken: frozenset[int]
    """VMIDs that the clones cannot have."""
    owner: tuple[str, str]
    """Run and deadline, for whoever finds the clones when this run is gone."""
    generation: Generation | None = None
    """None: the generation that the plan's Build of this line made."""
    record: bool = False
    """Write the result into the template's identity at once; a generation that is published next says it then."""

    def describe(self) -> str:
        which = f"VM {self.generation.vmid}" if self.generation else "the new generation"
        return f"prove that {self.wish.clones} clones of {which} of {self.line.subject} boot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Make a complete generation the line's current one: a new build, or one found complete but unpublished."""

    line: TemplateLine
    generation: Generation | None = None
    """None: the generation that the plan's Build of this line made."""
    changes: Mapping[str, str] = field(default_factory=dict)
    """Settings that were declared anew since a build that was found complete."""
    delete: tuple[str, ...] = ()

    def describe(self) -> str:
        which = f"VM {self.generation.vmid}" if self.generation else "the new generation"
        return f"publish {which} as the current {self.line.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire:
    """Mark a former current generation as retired and give its name away. It stays."""

    line: TemplateLine
    generation: Generation
    withdrawn: str = ""
    """When the line is rolled back from it, so that its build is not made again."""

    def describe(self) -> str:
        how = "withdraw" if self.withdrawn else "retire"
        return f"{how} VM {self.generation.vmid} of {self.line.subject}; it is kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Give the current generation the line's fixed VMID: a full clone, converted, read back and published."""

    line: TemplateLine
    vmid: int
    generation: Generation | None
    """None: the one that the plan's Build of this line made."""
    run: str
    deadline: str

    def describe(self) -> str:
        which = f"VM {self.generation.vmid}" if self.generation else "the new generation"
        return f"clone {which} fully to VM {self.vmid}, the fixed VMID of {self.line.subject}, and convert it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Remove a generation whose copy has the fixed VMID."""

    line: TemplateLine
    vmid: int
    """The fixed VMID, which the copy has."""
    generation: Generation | None
    """None: the one that the plan's Build of this line made."""

    def describe(self) -> str:
        which = f"VM {self.generation.vmid}" if self.generation else "the new generation under its first VMID"
        return f"remove {which}, of which VM {self.vmid} is the copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """Change a template's configuration in place."""

    line: TemplateLine
    vmid: int
    changes: Mapping[str, str]
    delete: tuple[str, ...] = ()
    digest: str | None = None
    password: bool = False
    """Set the line's cloud-init password as well."""

    def describe(self) -> str:
        keys = [*self.changes, *(f"-{key}" for key in self.delete), *(["cipassword"] if self.password else [])]
        return f"change {', '.join(keys)} of VM {self.vmid} in place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Write an identity into a template that was made by hand."""

    line: TemplateLine
    identity: Identity
    changes: Mapping[str, str]
    delete: tuple[str, ...] = ()
    digest: str | None = None
    password: bool = False
    """Set the line's cloud-init password as well."""

    def describe(self) -> str:
        return f"adopt VM {self.identity.vmid} as the current {self.line.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy:
    """Remove a VM that is proven ours, with its disks."""

    generation: Generation
    reason: str

    def describe(self) -> str:
        return f"destroy VM {self.generation.vmid} on {self.generation.row.node}: {self.reason}"
