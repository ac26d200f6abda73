# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of keeping generations: to back them up, to let backups go, and to restore one."""

from __future__ import annotations

from dataclasses import dataclass

from .._model.backup import Backup, Label
from .._model.identity import Identity
from .._model.template import Generation, TemplateLine


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBackup:
    """vzdump of one generation."""

    generation: Generation
    storage: str
    compress: str
    protected: bool
    known: frozenset[str]
    """The backups that were there when the plan was made, by their volumes."""

    @property
    def label(self) -> Label:
        return Label.of(self.generation.identity)

    def describe(self) -> str:
        one = self.generation
        what = f"VM {one.vmid} on {one.row.node}, generation {one.identity.generation} of line {one.identity.line}"
        return f"back up {what}, to {self.storage}" + (", protected" if self.protected else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectBackup:
    """Protect a backup that is there, or no longer."""

    backup: Backup
    protected: bool

    def describe(self) -> str:
        return f"{'protect' if self.protected else 'no longer protect'} {self.backup.volid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropBackup:
    """Delete a backup of ours."""

    backup: Backup
    reason: str

    def describe(self) -> str:
        return f"delete {self.backup.volid}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A generation from its backup, as a VM of its own."""

    line: TemplateLine
    """As it stands on the node; its placement says where the restored one goes."""
    backup: Backup
    identity: Identity
    """As it shall be, with a proposed VMID and this run's deadline."""
    human: str
    """What the archived description says beside the block."""
    tags: frozenset[str]
    """The user's tags of the archived config."""
    protection: bool
    publish: bool
    taken: frozenset[int]
    tag_later: bool = False
    """Tags go in a write of their own: these credentials may set them only once the VM is in its pool."""

    def describe(self) -> str:
        what = f"generation {self.identity.generation} of {self.line.subject}"
        end = " and publish it as the current one" if self.publish else "; it is kept beside the current one"
        return f"restore {self.backup.volid} as VM {self.identity.vmid}, {what}{end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRestore:
    """Take the marks of a restore under way from a VM that is complete: a former run did not get to that."""

    line: TemplateLine
    generation: Generation
    protection: bool
    publish: bool

    def describe(self) -> str:
        end = " and publish it as the current one" if self.publish else ""
        return f"finish the restore of VM {self.generation.vmid}, {self.line.subject}{end}"
