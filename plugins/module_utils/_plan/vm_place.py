# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where new VMs come to live and under which VMID, so that the VMs of one plan do not get into each other's way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .._model.cluster import Cluster
from .._model.vm import Source, Vm, VmSurvey


@dataclass(frozen=True, slots=True)
class Offer:
    """A node on which a VM can be made, and the template to make it from."""

    node: str
    source: Source


def is_full(vm: Vm, source: Source) -> bool:
    """Whether the clone is a full one: as declared, else where the template's disks are no base volumes."""
    if vm.place.is_full or vm.place.full == "false":
        return vm.place.is_full
    disks = source.config.disks().items()
    return not all(
        disk.is_base for key, disk in disks if not (disk.is_cdrom or disk.is_cloudinit or key.startswith("unused"))
    )


def offers(vm: Vm, survey: VmSurvey) -> tuple[list[Offer], list[str]]:
    """The nodes that the VM may be made on, with the newest template that each of them reaches, and why others not."""
    place, cluster = vm.place, survey.cluster
    wanted = (place.node,) if place.node else place.nodes or tuple(sorted(cluster.nodes))
    found: list[Offer] = []
    reasons: list[str] = []
    for node in wanted:
        row = cluster.nodes.get(node)
        if row is None or not row.online:
            reasons.append(f"node {node} is {'not there' if row is None else 'offline'}")
            continue
        reached, hindrances = _reached(vm, node, survey)
        if reached is None:
            reasons += hindrances or [f"node {node} has no template of {vm.source}, nor one on shared storage"]
        else:
            found.append(Offer(node, reached))
    return found, list(dict.fromkeys(reasons))


def _reached(vm: Vm, node: str, survey: VmSurvey) -> tuple[Source | None, list[str]]:
    hindrances: list[str] = []
    usable: list[Source] = []
    for source in survey.sources.get(vm.source, ()):
        hindrance = _hindrance(vm, source, node, survey.cluster)
        if hindrance:
            hindrances.append(hindrance)
        elif hindrance is not None:
            usable.append(source)
    # Of equally new ones the node's own.
    newest = max(usable, key=lambda one: (one.generation, one.row.node == node), default=None)
    return newest, hindrances


def _hindrance(vm: Vm, source: Source, node: str, cluster: Cluster) -> str | None:
    """Why a template cannot be cloned to a node; empty: it can, None: it is another node's own."""
    target = vm.place.storage
    if target and (row := cluster.storage(node, target)) is not None and "images" not in row.content:
        return f"storage {target} of node {node} takes no disks (content images)"
    if target and (row is None or not row.available):
        return f"storage {target} is not available on node {node}"
    if source.row.node == node:
        return ""
    # PVE::API2::Qemu clone_vm: to another node only where every volume, also that of the cloud-init drive, is shared.
    for storage in {*source.storages, *([target] if target else [])}:
        row = cluster.storage(node, storage)
        if row is None or not row.shared or not row.available:
            return None
    return ""


@dataclass(slots=True)
class Placer:
    """Gives nodes and VMIDs to the VMs of one plan, each after the other."""

    cluster: Cluster
    taken: set[int]
    _given: dict[str, int] = field(default_factory=dict)
    """Bytes of memory given away on each node."""
    _made: dict[str, int] = field(default_factory=dict)
    _spread: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, vms: Iterable[Vm], cluster: Cluster) -> Placer:
        """Nothing given yet; declared VMIDs are promised to their VMs."""
        fixed = {vm.place.vmid for vm in vms if vm.place.vmid is not None and not vm.absent}
        return cls(cluster=cluster, taken=set(cluster.guests) | fixed)

    def vmid(self, vm: Vm) -> int | None:
        """The declared VMID, or the lowest free one of the block; None where none is free."""
        place = vm.place
        if place.vmid is not None:
            return place.vmid
        first, last = place.vmid_range
        found = next((vmid for vmid in range(first, last + 1) if vmid not in self.taken), None)
        if found is not None:
            self.taken.add(found)
        return found

    def choose(self, vm: Vm, found: Sequence[Offer]) -> Offer:
        """The best of these offers, which is given from now on."""
        best = min(found, key=lambda offer: self._rank(vm, offer.node))
        memory = vm.settings.get("memory")
        size = int(memory) if memory is not None and memory.isdigit() else best.source.config.memory_mib
        self._given[best.node] = self._given.get(best.node, 0) + size * 1024**2
        self._made[best.node] = self._made.get(best.node, 0) + 1
        self.count(vm, best.node)
        return best

    def count(self, vm: Vm, node: str) -> None:
        """A VM of this plan is, or will be, on a node, and its tag does not tell so yet."""
        if vm.place.spread:
            key = (vm.place.spread, node)
            self._spread[key] = self._spread.get(key, 0) + 1

    def _rank(self, vm: Vm, node: str) -> tuple[int, int, int, str]:
        """Fewest of its kind first, then most free memory, or fewest guests where nobody may see the memory."""
        tag = vm.place.spread
        same = 0
        if tag:
            tagged = sum(tag in row.tags and row.node == node for row in self.cluster.guests.values())
            same = tagged + self._spread.get((tag, node), 0)
        free = self.cluster.nodes[node].memory_free
        told = all(row.memory_free is not None for row in self.cluster.nodes.values() if row.online)
        left = -(free - self._given.get(node, 0)) if told and free is not None else 0
        guests = sum(row.node == node and not row.template for row in self.cluster.guests.values())
        return same, left, guests + self._made.get(node, 0), node
