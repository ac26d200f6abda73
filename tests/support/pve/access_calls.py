# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls whose permissions the API description gives in words, as rules.

A rule raises the HTTP refusal, or returns the exit status of the task in which the server notices it.
"""

from __future__ import annotations

import re
import typing as t

from fakepve.model import PveError
from fakepve.qemu import DRIVE_KEY, is_cdrom, split_drive
from fakepve.routing import split_list

from .access_model import denied
from .access_rules import (
    BY_VALUE,
    Scope,
    need_for_bridge,
    need_for_device,
    need_for_drives,
    need_for_option,
    need_for_volume,
    volume_kind,
)

Rule = t.Callable[[Scope], "str | None"]
VM = "/nodes/{node}/qemu/{vmid}"
CONTENT = "/nodes/{node}/storage/{storage}/content/{volume}"


def in_task(scope: Scope, path: str, priv: str) -> str | None:
    """The exit status of a worker that finds this privilege missing."""
    if scope.model.has(scope.user, path, priv):
        return None
    return f"403 {denied(f'{path}, {priv}').message}"


def create_vm(scope: Scope) -> str | None:
    values = scope.values
    vmid, pool, storage = values["vmid"], values.get("pool"), values.get("storage")
    if pool and pool not in scope.model.pools():
        raise denied(f"pool '{pool}' does not exist")
    if storage:
        scope.check(f"/storage/{storage}", "Datastore.AllocateSpace")
    if not scope.model.has(scope.user, f"/vms/{vmid}", "VM.Allocate") and not (
        pool and scope.model.has(scope.user, f"/pool/{pool}", "VM.Allocate")
    ):
        raise denied()
    if values.get("ha-managed"):
        scope.check("/", "Sys.Console")
    if values.get("start"):
        scope.guest(vmid, pool, "VM.PowerMgmt")
    if values.get("archive"):
        need_for_volume(scope, vmid, str(values["archive"]))
    options = scope.options()
    need_for_drives(scope, vmid, options, storage)
    for key in options:
        need_for_option(scope, vmid, pool, key)
    if "tags" in options and scope.guests.tags_are_checked_at_creation():
        # assert_tag_permissions of pve-guest-common asks for the VM's own path, before it is in its pool.
        scope.check(f"/vms/{vmid}", "VM.Config.Options")
    for key, value in options.items():
        if BY_VALUE.fullmatch(key):
            need_for_device(scope, (vmid, pool), key, value)
    _bridges(scope, options)
    return None


def update_vm(scope: Scope) -> str | None:
    root_only(scope)
    vmid, options, current = scope.values["vmid"], scope.options(), scope.config(scope.values["vmid"])
    deletes = split_list(scope.values.get("delete"))
    if any(not scope.guests.knows_option(key) or key in options for key in deletes):
        return None  # refused as a bad parameter before any privilege is looked at
    removed = [key for key in deletes if key in current]
    for key in [*deletes, *options]:
        need_for_option(scope, vmid, None, key)
    need_for_drives(scope, vmid, options, None)
    _bridges(scope, options)
    for key in removed:
        _removed(scope, vmid, key, str(current[key]))
    for key, value in options.items():
        for text in [str(current[key]), value] if key in current else [value]:
            if DRIVE_KEY.match(key):
                _drive(scope, vmid, text)
            elif BY_VALUE.fullmatch(key):
                need_for_device(scope, (vmid, None), key, text, "modify")
            elif re.fullmatch(r"net\d+", key):
                need_for_bridge(scope, text)
        if key == "tags":
            scope.guest(vmid, None, "VM.Config.Options")
    return None


def _bridges(scope: Scope, options: t.Mapping[str, str]) -> None:
    for key, value in options.items():
        if re.fullmatch(r"net\d+", key):
            need_for_bridge(scope, value)


def _drive(scope: Scope, vmid: object, value: str) -> None:
    """Changing a drive: cloud-init, CD-ROM and disks have different privileges."""
    volume, props = split_drive(value)
    if volume.endswith(":cloudinit") or re.search(r"vm-\d+-cloudinit", volume):
        scope.guest(vmid, None, "VM.Config.Cloudinit", "VM.Config.CDROM")
    elif is_cdrom(volume, props):
        scope.guest(vmid, None, "VM.Config.CDROM")
    else:
        scope.guest(vmid, None, "VM.Config.Disk")


def _removed(scope: Scope, vmid: object, key: str, value: str) -> None:
    if key.startswith("unused"):
        scope.guest(vmid, None, "VM.Config.Disk")
        scope.check(f"/storage/{value.partition(':')[0]}", "Datastore.AllocateSpace")
    elif DRIVE_KEY.match(key):
        _drive(scope, vmid, value)
    elif BY_VALUE.fullmatch(key):
        need_for_device(scope, (vmid, None), key, value, "delete")
    elif key == "tags":
        scope.guest(vmid, None, "VM.Config.Options")
    elif re.fullmatch(r"net\d+", key):
        need_for_bridge(scope, value)


def clone_vm(scope: Scope) -> str | None:
    pool, storage, source = scope.values.get("pool"), scope.values.get("storage"), scope.config(scope.values["vmid"])
    if pool and pool not in scope.model.pools():
        raise denied(f"pool '{pool}' does not exist")
    for key, value in sorted(source.items()):
        volume, props = split_drive(str(value)) if DRIVE_KEY.match(key) else ("", {})
        if volume and not is_cdrom(volume, props) and ":" in volume:
            scope.check(f"/storage/{storage or volume.partition(':')[0]}", "Datastore.AllocateSpace")
    _bridges(scope, {key: str(value) for key, value in source.items()})
    return None


def resize_disk(scope: Scope) -> str | None:
    root_only(scope)
    volume = str(scope.config(scope.values["vmid"]).get(scope.values.get("disk"), ""))
    return in_task(scope, f"/storage/{volume.partition(':')[0]}", "Datastore.AllocateSpace") if ":" in volume else None


def move_disk(scope: Scope) -> str | None:
    root_only(scope)
    if scope.values.get("storage"):
        scope.check(f"/storage/{scope.values['storage']}", "Datastore.AllocateSpace")
    return None


def vzdump(scope: Scope) -> str | None:
    values = scope.values
    for key in ("tmpdir", "dumpdir", "script", "job-id"):
        if values.get(key) is not None:
            raise PveError(400, "Parameter verification failed.", {key: "Only root may set this option."})
    if any(values.get(key) is not None for key in ("bwlimit", "ionice", "performance")):
        scope.check("/", "Sys.Modify")
    storage = values.get("storage")
    if storage:
        scope.check(f"/storage/{storage}", "Datastore.AllocateSpace")
        if values.get("prune-backups") is not None or values.get("maxfiles") is not None:
            scope.check(f"/storage/{storage}", "Datastore.Allocate")
    for vmid in split_list(values.get("vmid")):
        refusal = in_task(scope, f"/vms/{vmid}", "VM.Backup")
        if refusal:
            return refusal
    return None


def delete_volume(scope: Scope) -> str | None:
    volid = _volid(scope)
    kind, owner = volume_kind(volid)
    if kind == "backup" and owner:
        scope.check(f"/storage/{volid.partition(':')[0]}", "Datastore.AllocateSpace")
        scope.check(f"/vms/{owner}", "VM.Backup")
    else:
        scope.check(f"/storage/{volid.partition(':')[0]}", "Datastore.Allocate")
    return None


def read_volume(scope: Scope) -> str | None:
    need_for_volume(scope, None, _volid(scope))
    return None


def read_archive(scope: Scope) -> str | None:
    need_for_volume(scope, None, str(scope.values["volume"]))
    return None


def _volid(scope: Scope) -> str:
    volume = str(scope.values["volume"])
    return volume if ":" in volume else f"{scope.values['storage']}:{volume}"


def rollback(scope: Scope) -> str | None:
    if scope.values.get("start"):
        scope.check(f"/vms/{scope.values['vmid']}", "VM.PowerMgmt")
    return None


def read_pools(scope: Scope) -> str | None:
    if scope.values.get("poolid"):
        scope.check(f"/pool/{scope.values['poolid']}", "Pool.Audit")
    return None


def root_only(scope: Scope) -> str | None:
    """skiplock and its like are refused even to the tokens of root@pam."""
    for key in ("skiplock", "migratedfrom", "stateuri"):
        if scope.values.get(key):
            raise PveError(400, "Parameter verification failed.", {key: "Only root may use this option."})
    return None


RULES: dict[tuple[str, str], Rule] = {
    ("POST", "/nodes/{node}/qemu"): create_vm,
    ("PUT", f"{VM}/config"): update_vm,
    ("POST", f"{VM}/config"): update_vm,
    ("POST", f"{VM}/clone"): clone_vm,
    ("PUT", f"{VM}/resize"): resize_disk,
    ("POST", f"{VM}/move_disk"): move_disk,
    ("DELETE", VM): root_only,
    ("POST", f"{VM}/snapshot/{{snapname}}/rollback"): rollback,
    ("POST", "/nodes/{node}/vzdump"): vzdump,
    ("GET", "/nodes/{node}/vzdump/extractconfig"): read_archive,
    ("GET", CONTENT): read_volume,
    ("PUT", CONTENT): read_volume,
    ("DELETE", CONTENT): delete_volume,
    ("GET", "/pools"): read_pools,
    **{
        ("POST", f"{VM}/status/{action}"): root_only
        for action in ("start", "stop", "shutdown", "reset", "suspend", "resume")
    },
}
