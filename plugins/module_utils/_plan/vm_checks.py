# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a VM is not made, touched or removed: each refusal names the option, what is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from .._model.ipconfig import IpConfig
from .._model.vm import FoundVm, Source, Vm, VmSurvey
from .._model.vm_config import VmConfig
from .plan import Refusal
from .privileges import Permissions

_NO_ADDRESS = (None, "dhcp", "auto", "manual")


def refusal(vm: Vm, option: str, value: object, reason: str, remedy: str) -> Refusal:
    return Refusal(subject=vm.subject, option=option, value=value, reason=reason, remedy=remedy)


def meant(vm: Vm, survey: VmSurvey) -> FoundVm | Refusal | None:
    """The VM that exists under the declared name or VMID, or why that cannot be told."""
    found = survey.found[vm.name]
    vmid = vm.place.vmid
    named = [one for one in found if one.config.name == vm.name and not one.config.is_template]
    at = next((one for one in found if one.vmid == vmid), None)
    if at is not None and at in named:
        return at
    if at is not None or (vmid is not None and vmid in survey.cluster.guests and not vm.absent):
        return _occupied(vm, survey, at)
    if len(named) > 1:
        where = " and ".join(f"VM {one.vmid} on {one.row.node}" for one in named)
        return refusal(
            vm,
            "name",
            vm.name,
            f"{where} have this name",
            "Rename or remove all but one, or name the right one by vmid",
        )
    if named and vmid is not None:
        return refusal(
            vm, "vmid", vmid, f"it is there as VM {named[0].vmid}", f"Set vmid to {named[0].vmid}, or leave it out"
        )
    unseen = survey.unseen[vm.name]
    if unseen and not named:
        row = unseen[0]
        reason = f"VM {row.vmid} may be it, and its node {row.node} is offline"
        return refusal(vm, "name", vm.name, reason, "Run again when the node is back")
    return named[0] if named else None


def _occupied(vm: Vm, survey: VmSurvey, at: FoundVm | None) -> Refusal | None:
    """The declared VMID has another guest. Nothing that is to be absent is there under another name."""
    vmid = vm.place.vmid
    if vmid is None or (vm.absent and at is not None and at.config.name != vm.name):
        return None
    row = at.row if at is not None else survey.cluster.guests[vmid]
    name = (at.config.name if at is not None else row.name) or "without a name"
    kind = "container" if row.type == "lxc" else "template" if row.template else "VM"
    return refusal(
        vm, "vmid", vmid, f"it is {kind} {name} on {row.node}", "Give a free vmid, or leave it out and use vmid_range"
    )


def not_ours(vm: Vm, found: FoundVm) -> Refusal | None:
    """Whether a VM may be touched: it is ours, or is to be taken over and can be."""
    if found.identity is not None:
        return None
    where = f"VM {found.vmid} on {found.row.node}"
    if vm.absent:
        remedy = "It is left alone. Remove it by hand, or take it over first (state=present, adopt=true)"
        return refusal(vm, "state", "absent", f"{where}: {found.reason}", remedy)
    if vm.adopt and found.adoptable:
        return None
    if vm.adopt:
        return refusal(vm, "adopt", True, f"{where} cannot be taken over: {found.reason}", "Give another name")
    remedy = "Set adopt=true to take it over, or give another name"
    return refusal(vm, "name", vm.name, f"{where} has this name, and {found.reason}", remedy)


def removal_refusals(vm: Vm, found: FoundVm, option: str, value: object) -> Iterator[Refusal]:
    """Why a VM of ours is not destroyed."""
    where = f"VM {found.vmid} on {found.row.node}"
    if found.config.protection:
        remedy = "Set protection=false first, in a run of its own"
        yield refusal(vm, option, value, f"{where} is protected", remedy)
    if found.running and not vm.force_stop:
        remedy = "Shut it down first (started=false), or set force_stop=true to switch it off"
        yield refusal(vm, option, value, f"{where} runs", remedy)


def source_refusals(vm: Vm, survey: VmSurvey, reasons: Sequence[str]) -> Iterator[Refusal]:
    """Why there is nothing to make the VM of."""
    if not vm.line and not vm.template:
        yield refusal(
            vm, "line", None, "it does not exist yet", "Name the line, or the template, that it is cloned from"
        )
        return
    option, value = ("line", vm.line) if vm.line else ("template", vm.template)
    why = [*survey.unusable.get(vm.source, ()), *reasons]
    if not survey.sources.get(vm.source) and not survey.unusable.get(vm.source):
        why.insert(0, f"there is no {'current generation of it' if vm.line else 'such template'} that can be seen")
    remedy = "Build the line on that node, allow another node, or put both on shared storage"
    yield refusal(vm, option, value, "; ".join(why), remedy if vm.line else "Name a template that the node reaches")


def pool_refusals(vm: Vm, survey: VmSurvey) -> Iterator[Refusal]:
    pool = vm.place.pool
    # Without Pool.Audit a pool is not listed, and yet VMs can be made in it.
    seen = bool(pool) and Permissions(survey.permissions).has(f"/pool/{pool}", "Pool.Audit")
    if pool and pool not in survey.cluster.pools and (seen or not survey.permissions):
        reason = "there is no such pool" if seen else "there is no such pool, or it may not be seen (Pool.Audit)"
        yield refusal(vm, "pool", pool, reason, f"Run on a node: pveum pool add {pool}")


def inherited_addresses(vm: Vm, source: Source, config: VmConfig) -> Iterator[Refusal]:
    """Two clones must not get one static address because nobody said anything."""
    for key, address in config.ipconfigs().items():
        if key not in vm.settings and key not in vm.clears and static_addresses(address):
            number = key.removeprefix("ipconfig")
            yield refusal(
                vm,
                "ipconfig",
                None,
                f"the template VM {source.vmid} has the fixed address {address} in {key}, which every clone would get",
                f"Declare ipconfig with an entry for device {number}, such as ip: dhcp",
            )


def static_addresses(address: IpConfig) -> list[str]:
    """The addresses themselves, without their prefix lengths."""
    return [str(text).partition("/")[0] for text in (address.ip, address.ip6) if text not in _NO_ADDRESS]


def twice(vms: Iterable[Vm]) -> dict[str, list[Refusal]]:
    """What two declared VMs cannot both have: a VMID, a fixed address; by the name of the later one."""
    found: dict[str, list[Refusal]] = {}
    vmids: dict[int, Vm] = {}
    addresses: dict[str, Vm] = {}
    for vm in vms:
        if vm.absent:
            continue
        vmid = vm.place.vmid
        first = vm if vmid is None else vmids.setdefault(vmid, vm)
        if first is not vm:
            reason, remedy = f"it is declared for {first.subject} as well", "Give each VM a vmid of its own"
            found.setdefault(vm.name, []).append(refusal(vm, "vmid", vmid, reason, remedy))
        for text in _declared_addresses(vm.settings):
            other = addresses.setdefault(text, vm)
            if other is not vm:
                reason, remedy = f"{other.subject} has the same address", "Give each VM an address of its own"
                found.setdefault(vm.name, []).append(refusal(vm, "ipconfig", text, reason, remedy))
    return found


def _declared_addresses(settings: Mapping[str, str]) -> Iterator[str]:
    for address in VmConfig(settings).ipconfigs().values():
        yield from static_addresses(address)
