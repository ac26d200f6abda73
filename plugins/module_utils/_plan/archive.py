# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive must be to become a generation: a whole template of the line, with the block of its own VM."""

from __future__ import annotations

from typing import Protocol

from .._model.backup import Backup, RestoreSurvey, Wanted
from .._model.cluster import BASE_STORAGES, Cluster
from .._model.identity import Foreign, Identity, Role, read_identity
from .._model.property_string import PropertyStringError
from .._model.vm_config import VmConfig
from .plan import Refusal


class Asked(Protocol):
    """What a restore is asked for, as far as it concerns the archive."""

    @property
    def wanted(self) -> Wanted: ...

    @property
    def recipe(self) -> str | None: ...

    @property
    def source(self) -> str | None: ...

    @property
    def subject(self) -> str: ...


_ANOTHER = "It is not restored as a generation; restore it by hand if it is wanted, or name another backup"


def archived_identity(wish: Asked, survey: RestoreSurvey) -> Identity | Refusal:
    """The block inside of the chosen archive, or why it must not be restored. Nothing has been made by then."""
    backup, archived = survey.chosen, survey.archived
    volid = backup.volid if backup else wish.wanted.volid
    if backup is None or archived is None:
        return Refusal(
            subject=wish.subject,
            option="backup",
            value=volid,
            reason=f"its configuration cannot be read: {survey.unread}",
            remedy="Check the file on the node (vma verify), and that VM.Backup is granted on the VM that it was made "
            "of, or on /vms where that VM is gone",
        )
    block = read_identity(backup.vmid, archived.description)
    problem = _problem(wish, backup, block)
    if problem is None and isinstance(block, Identity):
        unlike = _unlike(wish, backup, block)
        broken = _broken(archived, backup.vmid)
        if unlike is not None or not broken:
            return unlike or block
        problem = (f"it was no whole template when it was made: {broken}", _ANOTHER)
    reason, remedy = problem or ("", "")
    return Refusal(subject=wish.subject, option="backup", value=volid, reason=reason, remedy=remedy)


def _problem(wish: Asked, backup: Backup, block: Identity | Foreign | None) -> tuple[str, str] | None:
    """Why the block is none of a generation of the line, and what would help."""
    if block is None:
        return "it bears no identity block: it is of no template of this collection", _ANOTHER
    if isinstance(block, Foreign):
        return block.reason, _ANOTHER
    if block.role is not Role.TEMPLATE:
        return f"it is of a {block.role} of line {block.line}", _ANOTHER
    if block.line != wish.wanted.line:
        return f"it is of line {block.line}", "Name that line, or a backup of this one"
    label = backup.label
    if label is not None and (label.line, label.generation) != (block.line, block.generation):
        told = f"its notes say line {label.line}, generation {label.generation}"
        return f"{told}, and it is of generation {block.generation}", "Correct the notes, or name another one"
    return None


def _unlike(wish: Asked, backup: Backup, block: Identity) -> Refusal | None:
    for option, wanted, found in (
        ("generation", wish.wanted.generation, block.generation),
        ("recipe", wish.recipe, block.recipe),
        ("source", wish.source, block.source),
    ):
        if wanted is not None and wanted != found:
            return Refusal(
                subject=wish.subject,
                option=option,
                value=wanted,
                reason=f"{backup.volid} has {found or 'none'}",
                remedy="Name another backup, or leave the option out",
            )
    return None


def _broken(archived: VmConfig, vmid: int) -> str:
    try:
        return ", ".join(archived.template_is_complete(vmid))
    except PropertyStringError as error:
        return str(error)


def target_storages(cluster: Cluster, node: str, storage: str, archived: VmConfig) -> dict[str, str]:
    """The storages that the disks go to, each with why it cannot take them, empty where it can.

    Without C(storage) they go where they were; a CD-ROM other than cloud-init's drive is not restored.
    """
    wanted = {
        storage or disk.storage or ""
        for key, disk in archived.disks().items()
        if not key.startswith("unused") and (disk.is_cloudinit or not disk.is_cdrom)
    }
    bases = {
        storage or disk.storage or ""
        for key, disk in archived.disks().items()
        if not (key.startswith("unused") or disk.is_cloudinit or disk.is_cdrom)
    }
    return {name: _unfit(cluster, node, name, base=name in bases) for name in sorted(wanted)}


def _unfit(cluster: Cluster, node: str, storage: str, *, base: bool) -> str:
    row = cluster.storage(node, storage)
    if row is None:
        return "there is no such storage on the node, or these credentials may not see it"
    if not row.available:
        return "it is not available"
    if "images" not in row.content:
        return "it does not hold disks (content images)"
    if base and row.type not in BASE_STORAGES:
        return f"storage type {row.type} has no base images, so no template can be on it"
    return ""
