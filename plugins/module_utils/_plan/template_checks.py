# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a line: every reason at once, each with its remedy, before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol

from .._model.cluster import BASE_STORAGES, FILE_STORAGES, StorageRow
from .._model.image import ResolvedImage
from .._model.net import Net
from .._model.template import Generation, LineActual, Survey, TemplateLine
from .build import MIN_IMPORT, effective_bios, version_tuple
from .customise_checks import customise_calls, customise_refusals, proof_calls
from .plan import Refusal
from .privileges import Call, Permissions, missing, zone_bridge
from .quirks import quirk_refusals

_GIB = 1024**3


def line_refusals(line: TemplateLine, survey: Survey) -> list[Refusal]:
    """Reasons that hold whatever the line needs: its node, and whether its VMs would be seen at all."""
    found: list[Refusal] = []

    def refuse(option: str, value: Any, reason: str, remedy: str) -> None:
        found.append(Refusal(subject=line.subject, option=option, value=value, reason=reason, remedy=remedy))

    place = line.place
    node = survey.cluster.nodes.get(place.node)
    if node is None:
        known = ", ".join(sorted(survey.cluster.nodes)) or "none"
        refuse("node", place.node, "the cluster has no such node", f"Name one of: {known}")
    elif not node.online:
        refuse("node", place.node, "the node is offline, what is on it cannot be known", "Start it, or leave it out")
    if not _sees_guests(line, survey):
        refuse(
            "pool" if place.pool else "api_token_id",
            place.pool,
            "these credentials are not allowed to see guests, so templates that exist would be taken for absent",
            f"Grant VM.Audit on {'/pool/' + place.pool if place.pool else '/vms'} (playbook homelab.proxmox.access)",
        )
    return found


def build_refusals(
    line: TemplateLine, survey: Survey, source: ResolvedImage, taken: frozenset[int]
) -> tuple[int | None, list[Refusal]]:
    """The VMID that a new build would take, and what stands in its way."""
    found = [*_storage_refusals(line, survey), *_image_storage_refusals(line, survey, source)]
    found += [*_fit(line), *quirk_refusals(line), *customise_refusals(line, survey)]
    vmid = _free_vmid(line, survey, taken, found)
    pool = line.place.pool
    # Without Pool.Audit a pool is not listed, and yet VMs can be made in it.
    seen = bool(pool) and Permissions(survey.permissions).has(f"/pool/{pool}", "Pool.Audit")
    if seen and pool not in survey.cluster.pools:
        found.append(
            Refusal(
                subject=line.subject,
                option="pool",
                value=pool,
                reason="there is no such pool",
                remedy=f"Run on a node: pveum pool add {pool}",
            )
        )
    if version_tuple(survey.version) < MIN_IMPORT:
        found.append(
            Refusal(
                subject=line.subject,
                option="node",
                value=line.place.node,
                reason=f"it runs Proxmox VE {survey.version}, which cannot import disk images through the API",
                remedy="Upgrade the node to Proxmox VE 8.4 or newer",
            )
        )
    if not found:
        found += _privilege_refusals(line, survey, source)
    return vmid, found


def absence_refusals(line: TemplateLine, survey: Survey, actual: LineActual) -> list[Refusal]:
    """What forbids removing a line: protection, linked clones, a build that still runs."""
    found = []
    for generation in actual.generations:
        clones = actual.dependants.get(generation.vmid, ())
        if clones:
            found.append(
                _keeps(
                    line, generation, f"linked clones hang on it: {_ids(clones)}", "Remove or fully clone them first"
                )
            )
        if generation.config.protection:
            found.append(_keeps(line, generation, "it is protected", f"Run: qm set {generation.vmid} --protection 0"))
    return found


class TransferWish(Protocol):
    """What the user says about how an image gets to its storage."""

    @property
    def transfer(self) -> Literal["auto", "download", "upload"]: ...

    @property
    def require_signature(self) -> bool: ...


def choose_transfer(line: TemplateLine, survey: Survey, source: ResolvedImage) -> Literal["download", "upload"]:
    """How a line's image gets to its storage."""
    return transfer_for(line, line.place.node, survey.permissions, source)


def transfer_for(
    wish: TransferWish,
    node: str,
    granted: Mapping[str, Mapping[str, int]],
    source: ResolvedImage,
) -> Literal["download", "upload"]:
    """By the node where it can.

    By upload for packed files, files of this machine, signatures over the image that have to be checked here, and
    credentials without Sys.AccessNetwork.
    """
    packed = source.compression != "none"
    signed = source.needs_image_signature and wish.require_signature
    if packed or signed or not source.url.startswith(("http://", "https://")):
        return "upload"
    if wish.transfer != "auto":
        return wish.transfer
    permissions = Permissions(granted)
    node_may = permissions.has(f"/nodes/{node}", "Sys.AccessNetwork")
    root_may = permissions.has("/", "Sys.Audit") and permissions.has("/", "Sys.Modify")
    return "download" if node_may or root_may else "upload"


def _keeps(line: TemplateLine, generation: Generation, reason: str, remedy: str) -> Refusal:
    return Refusal(
        subject=line.subject,
        option="state",
        value="absent",
        reason=f"VM {generation.vmid} ({generation.config.name}) stays: {reason}",
        remedy=remedy,
    )


def _ids(vmids: tuple[int, ...]) -> str:
    return ", ".join(str(vmid) for vmid in vmids)


def _sees_guests(line: TemplateLine, survey: Survey) -> bool:
    permissions = Permissions(survey.permissions)
    pool = line.place.pool
    return permissions.has("/vms", "VM.Audit") or bool(pool and permissions.has(f"/pool/{pool}", "VM.Audit"))


def _storage_refusals(line: TemplateLine, survey: Survey) -> Iterator[Refusal]:
    place = line.place
    # One storage for both is said once, under the option that was given.
    for name, option in {place.cloudinit_storage: "cloudinit_storage", place.storage: "storage"}.items():
        row = survey.cluster.storage(place.node, name)
        if row is None or not row.available:
            yield _no_storage(line, survey, option, name, row)
        elif "images" not in row.content:
            yield Refusal(
                subject=line.subject,
                option=option,
                value=name,
                reason=f"it does not hold disk images (content: {', '.join(sorted(row.content))})",
                remedy=f"Run: pvesm set {name} --content {','.join(sorted(row.content | {'images'}))}",
            )
        elif option == "storage" and row.type not in BASE_STORAGES:
            yield Refusal(
                subject=line.subject,
                option=option,
                value=name,
                reason=f"storage type {row.type} has no base images, so a template on it could not be cloned as one",
                remedy=f"Use a storage of type {', '.join(sorted(BASE_STORAGES))} (LVM-thin instead of LVM)",
            )


def _image_storage_refusals(line: TemplateLine, survey: Survey, source: ResolvedImage) -> Iterator[Refusal]:
    place = line.place
    row = survey.cluster.storage(place.node, place.image_storage)
    if row is None or not row.available:
        yield _no_storage(line, survey, "image_storage", place.image_storage, row)
        return
    yield from import_storage_refusals(line.subject, row)
    if source.size is not None and row.free is not None and source.size > row.free:
        yield Refusal(
            subject=line.subject,
            option="image_storage",
            value=place.image_storage,
            reason=f"the image needs {source.size / _GIB:.1f} GiB, {row.free / _GIB:.1f} GiB are free",
            remedy="Free some space or name another storage",
        )


def import_storage_refusals(subject: str, row: StorageRow, option: str = "image_storage") -> Iterator[Refusal]:
    """Whether a storage can take disk images as files."""
    if row.type not in FILE_STORAGES:
        yield Refusal(
            subject=subject,
            option=option,
            value=row.storage,
            reason=f"storage type {row.type} holds no files, images are stored as files before they are imported",
            remedy=f"Name a storage of type {', '.join(sorted(FILE_STORAGES))} with content 'import', such as local",
        )
    elif "import" not in row.content:
        yield Refusal(
            subject=subject,
            option=option,
            value=row.storage,
            reason=f"its content has no 'import' (content: {', '.join(sorted(row.content))})",
            remedy=f"Run: pvesm set {row.storage} --content {','.join(sorted(row.content | {'import'}))}",
        )


def _no_storage(line: TemplateLine, survey: Survey, option: str, name: str, row: StorageRow | None) -> Refusal:
    if row is not None:
        reason, remedy = "the storage is not available on this node", "Check it with: pvesm status"
    else:
        seen = ", ".join(row.storage for row in survey.cluster.storages_of(line.place.node)) or "none"
        reason = "the node has no such storage that these credentials may see"
        remedy = f"Name one of: {seen}; or grant Datastore.Audit on /storage/{name}"
    return Refusal(subject=line.subject, option=option, value=name, reason=reason, remedy=remedy)


def _fit(line: TemplateLine) -> Iterator[Refusal]:
    image = line.image
    if line.disk.size is not None and image.virtual_disk_gib and line.disk.size < image.virtual_disk_gib * _GIB:
        yield Refusal(
            subject=line.subject,
            option="disk.size",
            value=f"{line.disk.size / _GIB:g}G",
            reason=f"the disk of {image.name} has {image.virtual_disk_gib:g}G, and disks only grow",
            remedy=f"Set disk.size to {image.virtual_disk_gib:g}G or more, or leave it out",
        )
    bios = effective_bios(line)
    if bios == "seabios" and not image.firmware.bios:
        yield Refusal(
            subject=line.subject,
            option="bios",
            value="seabios",
            reason=f"{image.name} boots with UEFI only",
            remedy="Set bios to ovmf",
        )
    if bios == "ovmf" and not image.firmware.uefi:
        yield Refusal(
            subject=line.subject,
            option="bios",
            value="ovmf",
            reason=f"{image.name} has no UEFI boot",
            remedy="Set bios to seabios",
        )
    if line.efi is not None and line.efi.secure_boot and not image.firmware.secure_boot:
        yield Refusal(
            subject=line.subject,
            option="efi.secure_boot",
            value=True,
            reason=f"{image.name} has no signed boot loader and would not start",
            remedy="Set efi.secure_boot to false",
        )


def _free_vmid(line: TemplateLine, survey: Survey, taken: frozenset[int], found: list[Refusal]) -> int | None:
    place = line.place
    if place.vmid is not None:
        row = survey.cluster.guests.get(place.vmid)
        if place.vmid not in taken:
            return place.vmid
        if place.vmid not in {g.vmid for g in survey.lines[line.key].generations}:
            name = row.name if row else "planned in this run"
            reason = f"another guest has it ({name}{' on ' + row.node if row else ''})"
            remedy = "Choose a free vmid, or set adopt: true if it is a template that this line shall take over"
            found.append(Refusal(subject=line.subject, option="vmid", value=place.vmid, reason=reason, remedy=remedy))
            return None
    first, last = place.vmid_range
    for vmid in range(first, last + 1):
        if vmid not in taken:
            return vmid
    found.append(
        Refusal(
            subject=line.subject,
            option="vmid_range",
            value=f"{first}-{last}",
            reason="every VMID of it is taken",
            remedy="Widen the range",
        )
    )
    return None


def _privilege_refusals(line: TemplateLine, survey: Survey, source: ResolvedImage) -> Iterator[Refusal]:
    return _gaps(line, survey, _calls(line, survey, source))


def _gaps(line: TemplateLine, survey: Survey, calls: Iterable[Call]) -> Iterator[Refusal]:
    gaps = missing(
        Permissions(survey.permissions),
        calls,
        pve_major=version_tuple(survey.version)[0],
        auth_id=survey.auth_id,
    )
    for gap in gaps:
        yield Refusal(
            subject=line.subject,
            option="api_token_id" if "!" in survey.auth_id else "api_user",
            value=survey.auth_id,
            reason=f"it lacks {gap.privilege} on {gap.path}, needed for {gap.needed_for}",
            remedy=f"Run on a node: {gap.pveum}",
        )


def _calls(line: TemplateLine, survey: Survey, source: ResolvedImage) -> Iterator[Call]:
    """The API calls of a new build."""
    place = line.place
    common: dict[str, Any] = {"node": place.node, "pool": place.pool, "vmid": None}
    for name in ("create", "resize"):
        yield Call(name=name, storage=place.storage, **common)
    for name in ("config", "cloudinit", "template", "destroy"):
        yield Call(name=name, **common)
    yield Call(name="cloudinit_drive", storage=place.cloudinit_storage, **common)
    yield Call(name="import", storage=place.image_storage, **common)
    for bridge in _bridges(line):
        yield Call(name="net", zone_bridge=bridge, **common)
    yield from customise_calls(line)
    yield from proof_calls(line)
    stored = survey.images.get((place.node, place.image_storage), ())
    if not any(source.digest.short in image.filename for image in stored):
        yield Call(name=choose_transfer(line, survey, source), storage=place.image_storage, **common)


def move_refusals(line: TemplateLine, survey: Survey) -> list[Refusal]:
    """Privileges that cloning a generation to its fixed VMID needs."""
    place = line.place
    common: dict[str, Any] = {"node": place.node, "pool": place.pool, "vmid": None}
    calls = [Call(name="clone", storage=place.storage, **common)]
    calls += [Call(name=name, **common) for name in ("config", "template", "destroy")]
    calls += [Call(name="net", zone_bridge=bridge, **common) for bridge in _bridges(line)]
    return list(_gaps(line, survey, calls))


def _bridges(line: TemplateLine) -> tuple[str, ...]:
    nets = [value for key, value in line.settings.items() if key.startswith("net")] or ["virtio,bridge=vmbr0"]
    parsed = [Net.parse(text) for text in nets]
    return tuple(dict.fromkeys(zone_bridge(net.bridge, net.tag) for net in parsed if net.bridge))
