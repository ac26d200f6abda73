# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who hangs on generations and how large they are: one listing for each storage, for all generations together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._model.cluster import Cluster
from .._model.disk import Disk
from .._model.template import Generation
from .._pve.errors import ApiError
from .cluster import Reader
from .templates import READERS, dependants, read_volumes

Shelf: TypeAlias = "tuple[str, str]"
"""Node and storage; a storage that all nodes share has no node here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """The disk volumes on the storages that were listed, and why others were not."""

    cluster: Cluster
    rows: Mapping[Shelf, Sequence[Mapping[str, Any]]]
    silent: Mapping[Shelf, str]

    def on(self, node: str, storage: str) -> Sequence[Mapping[str, Any]]:
        return self.rows.get(shelf(self.cluster, node, storage), ())


def shelf(cluster: Cluster, node: str, storage: str) -> Shelf:
    """The one place that a storage of a node is."""
    row = cluster.storage(node, storage)
    return ("" if row is not None and row.shared else node, storage)


def list_volumes(reader: Reader, generations: Sequence[Generation], cluster: Cluster, *, thin: bool) -> Volumes:
    """The volumes on the storages of these generations. C(thin): those on LVM-thin too, which tell sizes only."""
    wanted: dict[Shelf, str] = {}
    silent: dict[Shelf, str] = {}
    for generation in generations:
        node = generation.row.node
        for storage in sorted(_storages(generation)):
            row = cluster.storage(node, storage)
            place = shelf(cluster, node, storage)
            if row is None:
                silent[place] = "it is not there, or hidden from these credentials"
            elif not row.available:
                silent[place] = "it is not available"
            elif thin or row.type != "lvmthin":
                wanted.setdefault(place, node)
    rows: dict[Shelf, Sequence[Mapping[str, Any]]] = {}
    if wanted:
        with ThreadPoolExecutor(max_workers=min(READERS, len(wanted))) as pool:
            answers = pool.map(lambda item: _listed(reader, item[1], item[0][1]), wanted.items())
            for place, answer in zip(wanted, answers, strict=True):
                if isinstance(answer, str):
                    silent[place] = answer
                else:
                    rows[place] = answer
    return Volumes(cluster=cluster, rows=rows, silent=silent)


def _listed(reader: Reader, node: str, storage: str) -> list[Mapping[str, Any]] | str:
    """The volumes, or what the server says instead of listing them."""
    try:
        return read_volumes(reader, node, storage)
    except ApiError as error:
        return str(error)


def clones(volumes: Volumes, generations: Sequence[Generation]) -> dict[int, tuple[int, ...]]:
    """VMIDs of linked clones by the VMID of their template; templates are missing whose clones nobody can tell.

    Volumes of guests that the credentials may not see are not listed (check_volume_access in PVE/Storage.pm). Where
    a template's own volume is missing the listing tells nothing of it.
    """
    found: dict[int, tuple[int, ...]] = {}
    for node in sorted({generation.row.node for generation in generations}):
        here = [generation for generation in generations if generation.row.node == node]
        found |= dependants(volumes.on, here, node, volumes.cluster, by_tags=True)
    return {g.vmid: found.get(g.vmid, ()) for g in generations if _is_listed(volumes, g)}


def _is_listed(volumes: Volumes, generation: Generation) -> bool:
    node = generation.row.node
    for disk in _bases(generation):
        storage = disk.storage or ""
        row = volumes.cluster.storage(node, storage)
        # On LVM-thin tags tell, not volumes.
        if row is not None and row.type == "lvmthin":
            continue
        if all(found["volid"] != disk.volume for found in volumes.on(node, storage)):
            return False
    return True


def sizes(volumes: Volumes, generations: Sequence[Generation]) -> dict[int, int]:
    """Bytes of the base volumes of each generation; the config's word counts where a storage does not tell."""
    on_node = {
        (place[0], str(row["volid"])): int(row["size"])
        for place, rows in volumes.rows.items()
        for row in rows
        if "size" in row
    }
    found = {}
    for generation in generations:
        known = [_size(on_node, volumes.cluster, generation.row.node, disk) for disk in _bases(generation)]
        if known and None not in known:
            found[generation.vmid] = sum(size for size in known if size is not None)
    return found


def _size(sizes_of: Mapping[Shelf, int], cluster: Cluster, node: str, disk: Disk) -> int | None:
    place = shelf(cluster, node, disk.storage or "")[0]
    return sizes_of.get((place, disk.volume or ""), disk.size_bytes)


def _bases(generation: Generation) -> Iterator[Disk]:
    return (disk for disk in generation.config.disks().values() if disk.is_base)


def _storages(generation: Generation) -> set[str]:
    return {disk.storage for disk in _bases(generation) if disk.storage}
