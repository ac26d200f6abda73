# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists of declared VMs: one read of the cluster, one of each VM, and more only where that does not decide.

Names and states of /cluster/resources lag by up to ten seconds, so a VM that another run has just made has no name
there. The listing of a node is live; it is asked where names are missing, and where a state decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from .._model.cluster import Cluster, GuestRow
from .._model.identity import (
    TAG_CLONE,
    TAG_GENERATION,
    TAG_LINE,
    Foreign,
    Identity,
    Role,
    State,
    inherited_identity,
    read_identity,
    tag_value,
    tagged_state,
)
from .._model.interfaces import addresses
from .._model.vm import FoundVm, Source, Vm, VmSurvey
from .._model.vm_config import VmConfig
from .._pve.client import api_path
from .._pve.errors import ApiError, Kind
from .cluster import Reader, read_cluster, read_permissions
from .templates import READERS, judge, read_configs

T = TypeVar("T")
R = TypeVar("R")

Pause = Callable[[float, str], None]
"""Wait so many seconds for what is said; raises when the time of the run is up."""

_LOOK_EVERY = 0.5
_UNDER_WAY = "clone"
"""The lock of a clone that is being made. Until it is whole it has no name and no description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a survey is about. C(sources): the templates are wanted whether a VM is missing or not."""

    vms: tuple[Vm, ...]
    sources: bool = False
    auth_id: str = ""
    """Whose credentials they are."""


def survey_vms(reader: Reader, wanted: Wanted, pause: Pause) -> VmSurvey:
    """Everything that planning these VMs needs."""
    vms = wanted.vms
    cluster, notes = _named(reader, read_cluster(reader), vms, pause)
    rows = {vm.name: _rows_of(vm, cluster) for vm in vms}
    online = {row.vmid: row for found in rows.values() for row in found if _is_online(cluster, row)}
    known = read_vms(reader, online.values())
    found = {
        vm.name: tuple(known[row.vmid] for row in rows[vm.name] if row.vmid in known and _is_meant(vm, known[row.vmid]))
        for vm in vms
    }
    asking = [vm for vm in vms if not vm.absent and (wanted.sources or vm.replace or not found[vm.name])]
    sources, unusable = read_sources(reader, cluster, asking)
    return VmSurvey(
        cluster=cluster,
        found=found,
        sources=sources,
        unusable=unusable,
        unseen={vm.name: tuple(row for row in _unseen(vm, cluster)) for vm in vms},
        ha=read_ha(reader) if any(vm.ha is not None for vm in vms) else None,
        notes=notes,
        permissions=read_permissions(reader) if asking else {},
        auth_id=wanted.auth_id,
    )


def read_vms(reader: Reader, rows: Iterable[GuestRow]) -> dict[int, FoundVm]:
    """What the VMs are, by VMID; one that vanished meanwhile is left out."""
    rows = list(rows)
    answers = _side_by_side(rows, lambda row: _read_pending(reader, row))
    return {row.vmid: judge_vm(row, answer) for row, answer in zip(rows, answers, strict=True) if answer is not None}


def judge_vm(row: GuestRow, pending: Iterable[Mapping[str, Any]]) -> FoundVm:
    """A VM from the rows of C(pending): what is configured, what of it waits, and whose the VM is."""
    wanted: dict[str, Any] = {}
    waiting: dict[str, str | None] = {}
    live: dict[str, str] = {}
    for item in pending:
        key = item["key"]
        if "value" in item:
            wanted[key] = item["value"]
        if "pending" not in item and not item.get("delete"):
            continue
        if "value" in item:
            live[key] = str(item["value"])
        waiting[key] = None if item.get("delete") else str(item["pending"])
        if item.get("delete"):
            wanted.pop(key, None)
        else:
            wanted[key] = item["pending"]
    config = VmConfig(wanted)
    found = FoundVm(row=row, config=config, identity=None, pending=waiting, live=live)
    identity = read_identity(row.vmid, config.description)
    if identity is None:
        return replace(found, reason="it was not made by this collection", adoptable=not config.is_template)
    if isinstance(identity, Foreign):
        claimed = inherited_identity(config.description)
        may = claimed is not None and claimed.vmid != row.vmid and not config.is_template
        return replace(found, reason=identity.reason, claimed=claimed if may else None, adoptable=may)
    if identity.role is not Role.CLONE:
        return replace(found, reason=f"it is a {identity.role} of line {identity.line}")
    return replace(found, identity=identity)


def _read_pending(reader: Reader, row: GuestRow) -> list[Mapping[str, Any]] | None:
    try:
        return list(reader.get(api_path("nodes", row.node, "qemu", row.vmid, "pending")))
    except ApiError as error:
        if error.kind is Kind.NOT_FOUND:
            return None
        raise


def _side_by_side(items: Sequence[T], call: Callable[[T], R]) -> list[R]:
    if len(items) <= 1:
        return [call(item) for item in items]
    with ThreadPoolExecutor(max_workers=min(READERS, len(items))) as pool:
        return list(pool.map(call, items))


# --- names and states


def _named(reader: Reader, cluster: Cluster, vms: Sequence[Vm], pause: Pause) -> tuple[Cluster, tuple[str, ...]]:
    """The cluster with names and states as they are where they matter, and what was noticed."""
    names = {vm.name for vm in vms if vm.started is not None or vm.absent or vm.replace or vm.reboot}
    fixed = {vm.place.vmid for vm in vms if vm.name in names}
    asked = {
        row.node
        for row in cluster.guests.values()
        if row.type == "qemu" and (not row.is_named or row.name in names or row.vmid in fixed)
    }
    online = sorted(node for node in asked if (known := cluster.nodes.get(node)) is not None and known.online)
    guests = dict(cluster.guests)
    for listed in _side_by_side(online, lambda node: read_node(reader, node)):
        for vmid, live in listed.items():
            row = guests.get(vmid)
            if row is not None:
                guests[vmid] = replace(row, **live)
    named = replace(cluster, guests=guests)
    return _settled(reader, named, pause)


def read_listed(reader: Reader, *, named: bool) -> tuple[Cluster, list[GuestRow]]:
    """The cluster and its VMs. C(named): with the names as they are now, also of VMs that were just made."""
    cluster = read_cluster(reader)
    missing = sorted({row.node for row in cluster.guests.values() if row.type == "qemu" and not row.is_named})
    guests = dict(cluster.guests)
    nodes = [node for node in missing if named and (known := cluster.nodes.get(node)) is not None and known.online]
    for listed in _side_by_side(nodes, lambda node: read_node(reader, node)):
        guests |= {vmid: replace(guests[vmid], **live) for vmid, live in listed.items() if vmid in guests}
    return replace(cluster, guests=guests), list(guests.values())


def read_addresses(reader: Reader, vms: Sequence[FoundVm]) -> dict[int, tuple[str, ...]]:
    """The addresses that the agents of these VMs tell of; a VM whose agent does not answer is left out."""
    answers = _side_by_side(vms, lambda vm: _interfaces(reader, vm))
    return {
        vm.vmid: addresses(answer, [net.macaddr for net in vm.config.nets().values() if net.macaddr])
        for vm, answer in zip(vms, answers, strict=True)
        if answer is not None
    }


def _interfaces(reader: Reader, vm: FoundVm) -> list[Mapping[str, Any]] | None:
    path = api_path("nodes", vm.row.node, "qemu", vm.vmid, "agent", "network-get-interfaces")
    try:
        return list(reader.get(path)["result"])
    except ApiError as error:
        if error.kind in (Kind.AGENT, Kind.NOT_RUNNING, Kind.NOT_FOUND):
            return None
        raise


def read_node(reader: Reader, node: str) -> dict[int, dict[str, Any]]:
    """Names and states of the VMs of a node, as they are now, by VMID."""
    found: dict[int, dict[str, Any]] = {}
    for row in reader.get(api_path("nodes", node, "qemu")):
        told = {"name": row.get("name", ""), "status": row.get("status", "unknown")}
        found[int(row["vmid"])] = {**told, "template": bool(int(row.get("template") or 0)), "lock": row.get("lock", "")}
    return found


def _settled(reader: Reader, cluster: Cluster, pause: Pause) -> tuple[Cluster, tuple[str, ...]]:
    """Wait for clones that are being made: nobody can tell what they are before, and one of them may be declared."""
    guests = dict(cluster.guests)
    notes: list[str] = []
    for row in cluster.guests.values():
        if row.type != "qemu" or row.lock != _UNDER_WAY or row.is_named or not _is_online(cluster, row):
            continue
        done = await_clone(reader, row, pause)
        if done is None:
            del guests[row.vmid]
        elif done.name is not None:
            guests[row.vmid] = replace(row, name=done.name, lock=done.lock or "", tags=done.tags.as_set())
        elif done.lock:
            notes.append(dead_clone(row))
    return replace(cluster, guests=guests), tuple(notes)


def dead_clone(row: GuestRow) -> str:
    """Of a clone whose worker is gone."""
    return (
        f"VM {row.vmid} on {row.node} is locked (clone) and no task that these credentials see works on it: a clone of "
        "somebody else, or one that died. It bears no sign of whose it is; a dead one is removed on the node: "
        f"qm unlock {row.vmid} && qm destroy {row.vmid}"
    )


def await_clone(reader: Reader, row: GuestRow, pause: Pause) -> VmConfig | None:
    """The config of a clone that is being made, when it is whole or nobody works on it any more; None: it is gone."""
    while True:
        # In this order: a task that ends between the two reads has left its trace in the config.
        busy = is_cloning(reader, row.node)
        try:
            config = VmConfig(reader.get(api_path("nodes", row.node, "qemu", row.vmid, "config")))
        except ApiError as error:
            if error.kind is Kind.NOT_FOUND:
                return None
            raise
        if config.lock != _UNDER_WAY or not busy:
            return config
        pause(_LOOK_EVERY, f"the clone VM {row.vmid} on {row.node}, which is being made")


def is_cloning(reader: Reader, node: str) -> bool:
    """Whether a clone is being made from a template of the node."""
    tasks = reader.get(api_path("nodes", node, "tasks"), source="active", typefilter="qmclone")
    return any(not task.get("endtime") for task in tasks)


def _is_online(cluster: Cluster, row: GuestRow) -> bool:
    node = cluster.nodes.get(row.node)
    return node is not None and node.online


def _rows_of(vm: Vm, cluster: Cluster) -> list[GuestRow]:
    return [
        row
        for row in cluster.guests.values()
        if row.type == "qemu" and (row.vmid == vm.place.vmid or (row.name == vm.name and not row.template))
    ]


def _is_meant(vm: Vm, found: FoundVm) -> bool:
    """The flag and the name of the row may be old; what is configured counts."""
    if found.vmid == vm.place.vmid:
        return True
    return found.config.name == vm.name and not found.config.is_template


def _unseen(vm: Vm, cluster: Cluster) -> Iterable[GuestRow]:
    for row in cluster.guests.values():
        if row.type != "qemu" or _is_online(cluster, row):
            continue
        if row.name == vm.name or row.vmid == vm.place.vmid or (not row.is_named and TAG_CLONE in row.tags):
            yield row


# --- templates


def read_sources(
    reader: Reader, cluster: Cluster, vms: Iterable[Vm]
) -> tuple[dict[str, tuple[Source, ...]], dict[str, tuple[str, ...]]]:
    """The templates that these VMs may be cloned from, and why others cannot be, both by what is asked for."""
    asked = {vm.source: vm for vm in vms if vm.line or vm.template}
    rows = {name: _candidates(vm, cluster) for name, vm in asked.items()}
    configs = read_configs(reader, {row.vmid: row for found in rows.values() for row in found}.values())
    sources: dict[str, tuple[Source, ...]] = {}
    unusable: dict[str, tuple[str, ...]] = {}
    for name, vm in asked.items():
        judged = [_source(vm, row, configs[row.vmid]) for row in rows[name] if row.vmid in configs]
        usable = [one for one in judged if isinstance(one, Source)]
        sources[name] = tuple(sorted(usable, key=lambda one: (one.generation, -one.vmid), reverse=True))
        unusable[name] = tuple(one for one in judged if isinstance(one, str))
    return sources, unusable


def _candidates(vm: Vm, cluster: Cluster) -> list[GuestRow]:
    rows = [row for row in cluster.guests.values() if row.type == "qemu" and _is_online(cluster, row)]
    if vm.line:
        return current_rows(rows, vm.line)
    if vm.template.isdigit():
        return [row for row in rows if row.vmid == int(vm.template)]
    return [row for row in rows if row.name == vm.template and TAG_CLONE not in row.tags]


def current_rows(rows: Iterable[GuestRow], line: str) -> list[GuestRow]:
    """Those that their tags call the line's current generation.

    Clones by hand carry the same tags. The flag lags, so that only where a template is flagged the others are dropped.
    """
    tagged = [
        row
        for row in rows
        if TAG_LINE + line in row.tags and tagged_state(row.tags) is State.CURRENT and TAG_CLONE not in row.tags
    ]
    flagged = {(row.node, tag_value(row.tags, TAG_GENERATION)) for row in tagged if row.template}
    return [row for row in tagged if row.template or (row.node, tag_value(row.tags, TAG_GENERATION)) not in flagged]


def _source(vm: Vm, row: GuestRow, config: VmConfig) -> Source | str:
    """A template that can be cloned, or why it cannot."""
    if vm.line:
        return _source_of_line(vm, row, config)
    if not config.is_template:
        return f"VM {row.vmid} on {row.node} is no template"
    identity = read_identity(row.vmid, config.description)
    if isinstance(identity, Identity) and identity.role is Role.TEMPLATE:
        return Source(row=row, config=config, line=identity.line, generation=identity.generation, image=identity.image)
    return Source(row=row, config=config)


def _source_of_line(vm: Vm, row: GuestRow, config: VmConfig) -> Source | str:
    judged = judge(row, config, vm.line)
    if isinstance(judged, Foreign):
        return f"VM {row.vmid} on {row.node}: {judged.reason}"
    if judged.state is not State.CURRENT or judged.identity.role is not Role.TEMPLATE:
        return f"VM {row.vmid} on {row.node} is not the current generation any more"
    if judged.incomplete:
        return f"VM {row.vmid} on {row.node} is no whole template ({', '.join(judged.incomplete)})"
    one = judged.identity
    return Source(row=row, config=config, line=one.line, generation=one.generation, image=one.image)


def read_ha(reader: Reader) -> dict[int, dict[str, str]]:
    """What the HA manager keeps, by VMID."""
    found: dict[int, dict[str, str]] = {}
    for row in reader.get("/cluster/ha/resources"):
        kind, _colon, vmid = str(row.get("sid", "")).partition(":")
        if kind == "vm" and vmid.isdigit():
            found[int(vmid)] = {key: str(value) for key, value in row.items()}
    return found
