# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new VM takes that the credentials may not do: said before a clone is made that nobody could configure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from .._model.disk import Disk
from .._model.net import Net
from .._model.vm import Source, Vm, VmSurvey
from .._model.vm_config import is_disk_key
from .plan import Refusal, Step
from .privileges import Call, Permissions, missing, zone_bridge
from .vm_steps import CloneVm, ConfigureVm, GrowDisk, MoveDisk, StartVm

_MAJOR = 8
"""These calls need the same in all versions."""

_CALLS = {
    "config_cpu": ("cores", "sockets", "cpu", "numa"),
    "config_memory": ("memory", "balloon"),
    "config_hwtype": ("machine", "scsihw", "vga", "serial0"),
    "config_boot": ("boot",),
    "cloudinit": ("ciuser", "cipassword", "sshkeys", "nameserver", "searchdomain", "ciupgrade", "citype"),
}
_CALL_OF = {key: call for call, keys in _CALLS.items() for key in keys}
_NUMBER = re.compile(r"\d+$")


def rights_refusals(vm: Vm, survey: VmSurvey, steps: Iterable[Step]) -> Iterator[Refusal]:
    """Every privilege that making this VM lacks, with the line that grants it."""
    if not survey.permissions:
        return
    calls = [call for step in steps for call in _calls_of(vm, step)]
    for gap in missing(Permissions(survey.permissions), calls, pve_major=_MAJOR, auth_id=survey.auth_id):
        yield Refusal(
            subject=vm.subject,
            option="api_token_id" if "!" in survey.auth_id else "api_user",
            value=survey.auth_id,
            reason=f"it lacks {gap.privilege} on {gap.path}, needed for {gap.needed_for}",
            remedy=f"Run on a node: {gap.pveum}",
        )


def _calls_of(vm: Vm, step: Step) -> Iterator[Call]:
    pool = vm.place.pool
    match step:
        case CloneVm():
            yield from _clone(vm, step.source, step.vmid)
        case ConfigureVm():
            common: dict[str, Any] = {"node": step.node, "pool": pool}
            keys = [*step.changes, *step.delete, *(["cipassword"] if step.password else [])]
            for key in keys:
                yield _change(key, step.changes.get(key), common)
        case GrowDisk() | MoveDisk():
            yield Call(name="resize", node=step.node, pool=pool, storage=getattr(step, "storage", ""))
        case StartVm():
            yield Call(name="start", node=step.node, pool=pool)


def _clone(vm: Vm, source: Source, newid: int) -> Iterator[Call]:
    common: dict[str, Any] = {"name": "clone", "vmid": source.vmid, "newid": newid, "node": source.row.node}
    storages = [vm.place.storage] if vm.place.storage else sorted(source.storages)
    for storage in storages:
        yield Call(**common, pool=vm.place.pool, storage=storage)
    for net in source.config.nets().values():
        if net.bridge:
            yield Call(**common, pool=vm.place.pool, zone_bridge=zone_bridge(net.bridge, net.tag))


def _change(key: str, value: str | None, common: dict[str, Any]) -> Call:
    kind = _NUMBER.sub("", key)
    if key in _CALL_OF:
        return Call(name=_CALL_OF[key], **common)
    if kind == "ipconfig":
        return Call(name="cloudinit", **common)
    if kind == "net":
        net = Net.parse(value) if value is not None else None
        bridge = zone_bridge(net.bridge, net.tag) if net is not None and net.bridge else ""
        return Call(name="config_net", **common, zone_bridge=bridge)
    if is_disk_key(key):
        storage = Disk.parse(value).storage if value is not None else None
        new = (value or "").partition(":")[0] if storage is None else storage
        return Call(name="config_disk", **common, storage=new)
    return Call(name="config", **common)
