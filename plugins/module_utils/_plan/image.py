# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of stored images: which file has to be on a storage, or must go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .._model.cluster import Cluster
from .._model.image import CloudImage, ResolvedImage
from .._model.template import StoredImage
from .build import MIN_IMPORT, stored_filename, version_tuple
from .decide import Source, SourceProblem
from .plan import Plan, Refusal
from .privileges import Call, Permissions, missing
from .steps import FetchImage, RemoveImage
from .template_checks import import_storage_refusals, transfer_for

_STORED = re.compile(r"(?P<id>.+)-(?P<digest>[0-9a-f]{12})\.(?:qcow2|raw|vmdk)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWish:
    """One image on one storage of one node."""

    node: str
    storage: str
    image: CloudImage
    own_image: bool = False
    transfer: Literal["auto", "download", "upload"] = "auto"
    require_signature: bool = False
    refresh: Literal["never", "always"] = "always"
    absent: bool = False

    @property
    def subject(self) -> str:
        return f"image {self.image.id} on {self.storage} of node {self.node}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageActual:
    """What was read: the cluster, what may be done, and the files of content C(import)."""

    cluster: Cluster
    permissions: Mapping[str, Mapping[str, int]]
    auth_id: str
    version: str
    stored: tuple[StoredImage, ...]
    source: Source | None


def stored_builds(image_id: str, stored: Sequence[StoredImage]) -> tuple[StoredImage, ...]:
    """The files of an image, whatever their build, newest name last."""
    return tuple(file for file in stored if split_name(file.filename)[0] == image_id)


def split_name(filename: str) -> tuple[str, str]:
    """Image id and short digest that a stored name holds; empty for a file of somebody else."""
    match = _STORED.fullmatch(filename)
    return (match["id"], match["digest"]) if match else ("", "")


def stored_view(file: StoredImage) -> dict[str, Any]:
    """A stored file in the vocabulary of results."""
    image_id, digest = split_name(file.filename)
    return {
        "volid": file.volid,
        "filename": file.filename,
        "image": image_id or None,
        "short_digest": digest or None,
        "size": file.size,
        "format": file.format,
    }


def plan_image(wish: ImageWish, actual: ImageActual) -> Plan:
    """Present: the vendor's build is stored. Absent: no build of this image is."""
    refusals = _refusals(wish, actual)
    if refusals:
        return Plan(refusals=tuple(refusals))
    mine = stored_builds(wish.image.id, actual.stored)
    if wish.absent:
        return Plan(
            before={file.volid: stored_view(file) for file in mine},
            after={file.volid: None for file in mine},
            steps=tuple(RemoveImage(node=wish.node, storage=wish.storage, volid=file.volid) for file in mine),
            result={"image": None, "removed": [file.volid for file in mine]},
        )
    if wish.refresh == "never" and mine:
        return Plan(result={"image": stored_view(mine[-1])})
    source = actual.source
    if not isinstance(source, ResolvedImage):
        return _without_source(wish, mine, source)
    return _plan_present(wish, actual, source)


def _without_source(wish: ImageWish, mine: Sequence[StoredImage], source: SourceProblem | None) -> Plan:
    reason = source.message if source else "nobody asked its vendor"
    if mine and source is not None and source.unreachable:
        return Plan(result={"image": stored_view(mine[-1])}, notes=(f"{wish.subject}: not refreshed: {reason}",))
    refusal = Refusal(
        subject=wish.subject,
        option="url" if wish.own_image else "image",
        value=wish.image.url if wish.own_image else wish.image.id,
        reason=reason,
        remedy="Nothing was changed; run again when the vendor answers, or pin a checksum",
    )
    return Plan(refusals=(refusal,))


def _plan_present(wish: ImageWish, actual: ImageActual, source: ResolvedImage) -> Plan:
    filename = stored_filename(wish.image, source.digest)
    volid = f"{wish.storage}:import/{filename}"
    found = {
        "source": str(source.digest),
        "url": source.url,
        "build": source.build,
        "verification": source.verification,
    }
    for file in actual.stored:
        if file.volid == volid:
            return Plan(result={"image": {**stored_view(file), **found}})
    step = FetchImage(
        node=wish.node,
        storage=wish.storage,
        filename=filename,
        image=wish.image,
        source=source,
        via=transfer_for(wish, wish.node, actual.permissions, source),
        may_upload=wish.transfer == "auto",
    )
    refusals = tuple(_privilege_refusals(wish, actual, step.via))
    view = {
        "volid": volid,
        "filename": filename,
        "image": wish.image.id,
        "short_digest": source.digest.short,
        "size": source.size,
        "format": wish.image.format,
    }
    return Plan(
        before={volid: None},
        after={volid: found},
        steps=(step,),
        refusals=refusals,
        result={"image": {**view, **found}},
    )


def _privilege_refusals(wish: ImageWish, actual: ImageActual, call: str) -> Iterator[Refusal]:
    gaps = missing(
        Permissions(actual.permissions),
        [Call(name=call, node=wish.node, storage=wish.storage)],
        pve_major=version_tuple(actual.version)[0],
        auth_id=actual.auth_id,
    )
    for gap in gaps:
        yield Refusal(
            subject=wish.subject,
            option="api_token_id" if "!" in actual.auth_id else "api_user",
            value=actual.auth_id,
            reason=f"it lacks {gap.privilege} on {gap.path}, needed for {gap.needed_for}",
            remedy=f"Run on a node: {gap.pveum}",
        )


def _refusals(wish: ImageWish, actual: ImageActual) -> list[Refusal]:
    found: list[Refusal] = []

    def refuse(option: str, value: object, reason: str, remedy: str) -> None:
        found.append(Refusal(subject=wish.subject, option=option, value=value, reason=reason, remedy=remedy))

    node = actual.cluster.nodes.get(wish.node)
    row = actual.cluster.storage(wish.node, wish.storage)
    if node is None:
        known = ", ".join(sorted(actual.cluster.nodes)) or "none"
        refuse("node", wish.node, "the cluster has no such node", f"Name one of: {known}")
    elif not node.online:
        refuse("node", wish.node, "the node is offline", "Start it, or leave it out")
    elif row is None:
        seen = ", ".join(other.storage for other in actual.cluster.storages_of(wish.node)) or "none"
        refuse(
            "storage",
            wish.storage,
            "the node has no such storage that these credentials may see",
            f"Name one of: {seen}; or grant Datastore.Audit on /storage/{wish.storage}",
        )
    elif not row.available:
        refuse("storage", wish.storage, "the storage is not available on this node", "Check it with: pvesm status")
    elif not wish.absent:
        found += import_storage_refusals(wish.subject, row, "storage")
        if version_tuple(actual.version) < MIN_IMPORT:
            refuse(
                "node",
                wish.node,
                f"it runs Proxmox VE {actual.version}, which stores no disk images through the API",
                "Upgrade the node to Proxmox VE 8.4 or newer",
            )
    return found
