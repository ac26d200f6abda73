# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a VM differs from what is declared, and how to write it: for a VM that exists and for a fresh clone alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .._model.disk import Disk
from .._model.identity import TAG_CLONE, Identity, clone_tags, describe, human_text, read_identity, user_tags
from .._model.size import format_gib, format_size
from .._model.vm import DiskSlot, Source, Vm
from .._model.vm_config import VmConfig
from .plan import Refusal
from .settings import SERVER_DEFAULTS, merged_value, password_sides, same_setting

_DEFAULTS = {**SERVER_DEFAULTS, "onboot": "0", "numa": "0"}


@dataclass(slots=True)
class VmChanges:
    """C(changes) and C(delete) go into one write; disks that exist are moved and grown by calls of their own."""

    changes: dict[str, str] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    password: bool = False
    moves: list[tuple[str, str, str]] = field(default_factory=list)
    """Slot, storage, format."""
    grows: list[tuple[str, int]] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def writes(self) -> bool:
        """Whether there is anything for the one write."""
        return bool(self.changes or self.delete or self.password)

    def differs(self, key: str, before: Any, after: Any) -> None:
        self.before[key], self.after[key] = before, after


def vm_changes(vm: Vm, identity: Identity, config: VmConfig) -> VmChanges:
    """The difference. A clone that was not configured yet is told by its tags, and gets its password."""
    found = VmChanges()
    _settings(vm, config, found)
    for slot in vm.disks:
        _disk(vm, slot, config, found)
    _identity(vm, identity, config, found)
    found.delete = tuple(sorted(key for key in vm.clears if config.text(key) is not None))
    for key in found.delete:
        found.differs(key, config.text(key), None)
    # Of a VM that is taken over the tags tell nothing.
    fresh = is_raw(config) and read_identity(identity.vmid, config.description) == identity
    if vm.password is not None and (vm.password.always or fresh or "cipassword" not in config.raw):
        found.password = True
        found.before["cipassword"], found.after["cipassword"] = password_sides(config)
    return found


def is_raw(config: VmConfig) -> bool:
    """Whether a clone has still the tags of its template, so that whoever made it did not come further."""
    return TAG_CLONE not in config.tags.as_set()


def own_tags(vm: Vm, identity: Identity, config: VmConfig) -> frozenset[str]:
    """The tags that the VM is to have; those that are not declared stay."""
    own = vm.tags if vm.tags is not None else user_tags(config.tags.as_set())
    spread = {vm.place.spread} if vm.place.spread else set()
    return clone_tags(identity) | own | spread


def inherited(source: Source, vm: Vm, *, full: bool, description: str = "") -> VmConfig:
    """What a clone of this template will have, as far as it can be told: MAC addresses are made anew."""
    raw: dict[str, object] = {
        key: value
        for key, value in source.config.raw.items()
        if key not in ("template", "digest", "protection", "lock", "parent") and not key.startswith("unused")
    }
    for key, net in source.config.nets().items():
        raw[key] = str(net.replace_texts({"macaddr": None}))
    if full and vm.place.storage:
        for key, disk in source.config.disks().items():
            if disk.storage and (disk.is_cloudinit or not disk.is_cdrom) and disk.volume and key in raw:
                name = disk.volume.partition(":")[2]
                raw[key] = str(disk.replace_texts({"file": f"{vm.place.storage}:{name}"}))
    return VmConfig({**raw, "name": vm.name, "description": description})


def _settings(vm: Vm, config: VmConfig, found: VmChanges) -> None:
    wanted = dict(vm.settings)
    if vm.protection is not None:
        wanted["protection"] = str(int(vm.protection))
    for key, value in wanted.items():
        actual = config.text(key)
        if actual is None and _DEFAULTS.get(key) == value:
            continue
        if actual is None or not same_setting(key, value, actual):
            found.changes[key] = value if actual is None else merged_value(key, value, actual)
            found.differs(key, actual, found.changes[key])


def _identity(vm: Vm, identity: Identity, config: VmConfig, found: VmChanges) -> None:
    if config.name != vm.name:
        found.changes["name"] = vm.name
        found.differs("name", config.name, vm.name)
    tags = own_tags(vm, identity, config)
    if config.tags.as_set() != tags:
        found.changes["tags"] = ";".join(sorted(tags))
        found.differs("tags", sorted(config.tags.as_set()), sorted(tags))
    shown = human_text(config.description)
    human = human_text(vm.description) if vm.description is not None else shown
    if shown != human or read_identity(identity.vmid, config.description) != identity:
        try:
            found.changes["description"] = describe(human, identity)
        except ValueError as error:
            found.refusals.append(_refusal(vm, "description", f"{human[:20]}…", str(error), "Shorten it"))
    if shown != human:
        found.differs("description", shown, human)


def _disk(vm: Vm, slot: DiskSlot, config: VmConfig, found: VmChanges) -> None:
    text = config.text(slot.slot)
    if text is None:
        _new_disk(vm, slot, config, found)
        return
    disk = Disk.parse(text)
    if disk.is_cdrom or disk.is_cloudinit:
        what = "the cloud-init drive" if disk.is_cloudinit else "a CD-ROM drive"
        reason, remedy = f"there is {what}", "Name a slot that holds a disk, or a free one"
        found.refusals.append(_refusal(vm, "disks.slot", slot.slot, reason, remedy))
        return
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if slot.storage and slot.storage != disk.storage:
        found.moves.append((slot.slot, slot.storage, slot.format))
        before["storage"], after["storage"] = disk.storage, slot.storage
    if slot.size is not None and disk.size_bytes is not None and slot.size != disk.size_bytes:
        if slot.size > disk.size_bytes:
            found.grows.append((slot.slot, slot.size))
            before["size"], after["size"] = format_size(disk.size_bytes), format_size(slot.size)
        else:
            found.refusals.append(_shrinks(vm, slot.slot, slot.size, disk.size_bytes))
    changed = disk.replace_texts(dict(slot.options))
    if not changed.same_as(disk):
        found.changes[slot.slot] = str(changed)
        for key, value in slot.options.items():
            if disk.get(key) != value:
                before[key], after[key] = disk.get(key), value
    if before != after:
        found.differs(slot.slot, before, after)


def _shrinks(vm: Vm, slot: str, wanted: int, actual: int) -> Refusal:
    has = format_size(actual)
    reason, remedy = f"{slot} has {has}, and disks only grow", f"Set size to {has} or more, or leave it out"
    return _refusal(vm, "disks.size", format_size(wanted), reason, remedy)


def _new_disk(vm: Vm, slot: DiskSlot, config: VmConfig, found: VmChanges) -> None:
    storage = slot.storage or vm.place.storage or _system_storage(config)
    if slot.size is None or not storage:
        option = "disks.size" if slot.size is None else "disks.storage"
        reason = f"there is no disk in {slot.slot} yet"
        found.refusals.append(
            _refusal(vm, option, None, reason, "Give size and storage for a disk that is to be added")
        )
        return
    options = {**({"format": slot.format} if slot.format else {}), **slot.options}
    text = ",".join([f"{storage}:{format_gib(slot.size)}", *(f"{key}={value}" for key, value in options.items())])
    found.changes[slot.slot] = text
    found.differs(slot.slot, None, {"size": format_size(slot.size), "storage": storage, **options})


def _system_storage(config: VmConfig) -> str:
    """Where the first disk is: a further one comes to the same place unless something else is said."""
    for key, disk in config.disks().items():
        if not (disk.is_cdrom or disk.is_cloudinit or key.startswith(("efidisk", "tpmstate", "unused"))):
            return disk.storage or ""
    return ""


def _refusal(vm: Vm, option: str, value: object, reason: str, remedy: str) -> Refusal:
    return Refusal(subject=vm.subject, option=option, value=value, reason=reason, remedy=remedy)
