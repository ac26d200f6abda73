# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stored image files go: ours by their name, with no template built from them, and no declared line's newest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._model.template import Generation, StoredImage, TemplateLine
from .build import stored_id
from .image import split_name, stored_view
from .steps import RemoveImage


@dataclass(slots=True)
class ImagePlan:
    """What goes, and what would go but for something that cannot be known."""

    before: dict[str, Any] = field(default_factory=dict)
    removed: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    steps: list[RemoveImage] = field(default_factory=list)


def plan_images(
    stored: Mapping[tuple[str, str], Sequence[StoredImage]],
    lines: Sequence[TemplateLine],
    image_ids: Collection[str],
    *,
    staying: Sequence[Generation],
    known: Sequence[Generation],
    unknown: Sequence[str],
) -> ImagePlan:
    """The plan for the files by (node, storage).

    C(known) are all generations, C(staying) those that do not go; C(unknown) are the offline nodes with VMs of lines.
    """
    plan = ImagePlan()
    recorded = {one.source.short for one in known if one.source}
    declared = {stored_id(line.image.id) for line in lines}
    ours = {stored_id(image) for image in image_ids} | declared
    ours |= {stored_id(one.identity.image) for one in known if one.identity.image}
    # The block of an own image holds its URL instead of an id: there the digest proves the name.
    proven = [split_name(file.filename) for files in stored.values() for file in files]
    ours |= {image for image, digest in proven if digest in recorded}
    used = {one.source.short for one in staying if one.source} | _asked_for(lines)
    for (node, storage), files in sorted(stored.items()):
        mine = [file for file in files if _fits(storage, file) and split_name(file.filename)[0] in ours]
        newest = _newest(mine)
        for file in sorted(mine, key=lambda file: file.volid):
            image, digest = split_name(file.filename)
            if digest in used or (image in declared and newest[image] is file):
                continue
            view = {"node": node, "storage": storage, **stored_view(file)}
            if unknown:
                reason = f"what the VMs on {', '.join(unknown)} were built from is not known"
                plan.kept.append({**view, "reason": reason})
                continue
            plan.before[f"{file.volid} on {node}"] = view
            plan.removed.append(view)
            plan.steps.append(RemoveImage(node=node, storage=storage, volid=file.volid))
    return plan


def _asked_for(lines: Sequence[TemplateLine]) -> set[str]:
    """The short digests that declared lines name: of a pinned checksum, or of a pinned build."""
    digests = {line.image.digest.short for line in lines if line.image.digest is not None}
    return digests | {line.pin.partition(":")[2][:12] for line in lines if line.pin is not None and ":" in line.pin}


def _fits(storage: str, file: StoredImage) -> bool:
    """Whether a file is exactly where and named as this collection stores it."""
    same_format = file.filename.rpartition(".")[2] == file.format
    return file.volid == f"{storage}:import/{file.filename}" and bool(split_name(file.filename)[0]) and same_format


def _newest(files: Sequence[StoredImage]) -> dict[str, StoredImage]:
    """By image id the file that was stored last."""
    found: dict[str, StoredImage] = {}
    for file in sorted(files, key=lambda file: (file.stored, file.volid)):
        found[split_name(file.filename)[0]] = file
    return found
