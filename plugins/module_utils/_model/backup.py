# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of generations: what tells them from everybody else's, and what the config inside of an archive says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .cluster import Cluster, GuestRow
from .identity import Identity, State, short_recipe
from .template import ForeignVm, Generation, Unfinished
from .vm_config import VmConfig

_LABEL = re.compile(r"homelab line=(\S+) generation=(\S+)(?: recipe=([0-9a-f]{1,12}))?(?:\s|$)")
_SECTION = re.compile(r"\[.*\]\s*")
_KEY = re.compile(r"([a-z][a-z0-9_-]*):\s*(.*?)\s*")
# Notes of the archiver among those of the user: PVE::QemuServer::restore_update_config_line leaves them out.
_ARCHIVERS = ("#qmdump#", "#vzdump#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The notes of a backup of ours. VMIDs are used again, so nothing else tells whose a backup is.

    One line: of notes with several, a listing gives the first only (API description of the content listing).
    """

    line: str
    generation: str
    recipe: str = ""
    """What of the recipe's digest stands in tags."""

    @classmethod
    def of(cls, identity: Identity) -> Label:
        """The label for a backup of this generation."""
        return cls(line=identity.line, generation=identity.generation, recipe=short_recipe(identity.recipe))

    @classmethod
    def parse(cls, notes: str) -> Label | None:
        """What notes say, None where they are not ours. What a person adds behind is left alone."""
        match = _LABEL.match(notes)
        return None if match is None else cls(line=match[1], generation=match[2], recipe=match[3] or "")

    def render(self) -> str:
        """The notes. They hold none of the C({{variables}}) and backslashes that vzdump would expand."""
        recipe = f" recipe={self.recipe}" if self.recipe else ""
        return f"homelab line={self.line} generation={self.generation}{recipe}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A VM's backup on a storage, as a node lists it: only complete ones are listed. C(size) in bytes.

    C(vmid) is the VM it was made of, which may be another one by now; C(created) is Unix time.
    """

    node: str
    storage: str
    volid: str
    vmid: int
    size: int
    created: int
    protected: bool = False
    notes: str = ""

    @property
    def label(self) -> Label | None:
        return Label.parse(self.notes)


def backup_of(node: str, storage: str, row: Mapping[str, Any]) -> Backup | None:
    """A row of GET /nodes/{node}/storage/{storage}/content?content=backup; None for a backup of no VM."""
    if row.get("subtype", "qemu") != "qemu" or row.get("vmid") is None:
        return None
    return Backup(
        node=node,
        storage=storage,
        volid=str(row["volid"]),
        vmid=int(row["vmid"]),
        size=int(row.get("size", 0)),
        created=int(row.get("ctime", 0)),
        protected=bool(int(row.get("protected", 0))),
        notes=str(row.get("notes", "")),
    )


def of_line(backups: Iterable[Backup], line: str) -> list[Backup]:
    """The backups of a line, the last one that was made first."""
    ours = [one for one in backups if one.label is not None and one.label.line == line]
    return sorted(ours, key=lambda one: (one.created, one.volid), reverse=True)


def takes_backups(cluster: Cluster, node: str, storage: str) -> bool:
    """Whether a node can put backups there now."""
    row = cluster.storage(node, storage)
    return row is not None and row.available and "backup" in row.content


def to_back_up(
    generations: Iterable[Generation], cluster: Cluster, *, storage: str, node: str | None, generation: str | None
) -> Generation | None:
    """The generation that is meant: the named one, else the newest current one.

    Lines are alike on all nodes, so of several nodes the first that has the storage will do.
    """
    candidates = [
        one
        for one in generations
        if not (one.incomplete or one.identity.deadline)
        and node in (None, one.row.node)
        and (one.identity.generation == generation if generation else one.state is State.CURRENT)
    ]
    candidates.sort(key=lambda one: (one.row.node, one.vmid))
    candidates.sort(
        key=lambda one: (one.identity.generation, takes_backups(cluster, one.row.node, storage)), reverse=True
    )
    return candidates[0] if candidates else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSurvey:
    """What was read before a backup is planned."""

    cluster: Cluster
    generations: tuple[Generation, ...]
    """The line's, on all nodes that can be seen."""
    unknown: tuple[GuestRow, ...]
    """The line's VMs on nodes that are offline."""
    backups: tuple[Backup, ...]
    """All VMs' backups on the storage, as the node of the chosen generation lists them."""
    permissions: Mapping[str, Mapping[str, int]]
    auth_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which backup is meant: by its volume, or by line and generation; C(generation) None for the last one made."""

    line: str
    volid: str | None = None
    generation: str | None = None

    def pick(self, backups: Sequence[Backup]) -> Backup | None:
        """The one that is meant."""
        if self.volid is not None:
            return next((one for one in backups if one.volid == self.volid), None)
        found = of_line(backups, self.line)
        return next(
            (one for one in found if self.generation is None or one.label and one.label.generation == self.generation),
            None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSurvey:
    """What was read before a restore is planned."""

    cluster: Cluster
    generations: tuple[Generation, ...]
    """The line's on the node, newest first, incomplete ones among them."""
    unfinished: tuple[Unfinished, ...]
    foreign: tuple[ForeignVm, ...]
    backups: tuple[Backup, ...]
    chosen: Backup | None
    archived: VmConfig | None
    """The config in the chosen archive; None where it was not or could not be read."""
    unread: str
    """What the server said instead of giving the config."""
    permissions: Mapping[str, Mapping[str, int]]
    auth_id: str
    version: str


def archived_config(text: str) -> VmConfig:
    """The config file in an archive: its current part, without pending changes and snapshots.

    The description is a comment of one line each, in which PVE::Tools::encode_text has escaped what is not plain.
    """
    values: dict[str, object] = {}
    human: list[str] = []
    for line in text.splitlines():
        if _SECTION.fullmatch(line):
            break
        if line.startswith("#"):
            if not line.startswith(_ARCHIVERS):
                human.append(unquote(line[1:]))
        elif match := _KEY.fullmatch(line):
            values.setdefault(match[1], match[2])
    if human:
        values["description"] = "\n".join(human)
    return VmConfig(values)
