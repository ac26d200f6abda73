# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists beside the declared lines: tags choose which configs are read, configs say whose a VM is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .._model.cluster import FILE_STORAGES, Cluster, GuestRow, StorageRow
from .._model.identity import TAG_CLONE, TAG_GENERATION, Foreign, Identity, Role, State, read_identity, tag_value
from .._model.prune import Named, PruneSurvey, tagged_lines
from .._model.template import ForeignVm, Generation, Unfinished
from .._model.vm_config import VmConfig
from .cluster import Reader, read_cluster, read_images, read_permissions
from .templates import judge, read_configs, read_unfinished
from .volumes import clones, list_volumes

# A build whose tags had to wait for a second write, and whose run ended before it, is known by its name.
_STAMPED = re.compile(r".+-\d{14}")


def survey_prune(
    reader: Reader, named: Named, *, images: bool, auth_id: str, is_gone: Callable[[str], bool]
) -> PruneSurvey:
    """Read what planning needs: the cluster once, a config for each VM that may go, a listing for each storage.

    With C(images) the declared generations are read as well: they tell which files are in use. C(is_gone) tells
    whether a run id belongs to a process known to be dead.
    """
    cluster = read_cluster(reader)
    tagged = [row for row in cluster.guests.values() if row.type == "qemu" and tagged_lines(row.tags)]
    unknown = tuple(row for row in tagged if not _is_online(cluster, row.node))
    found = _judge_all(reader, _wanted(cluster, named, images=images), is_gone)
    doomed = [one for one in found.generations if not named.has(one.identity.line, one.row.node)]
    stored = {(row.node, row.storage): read_images(reader, row.node, row.storage) for row in _stores(cluster, images)}
    return PruneSurvey(
        cluster=cluster,
        generations=tuple(found.generations),
        unfinished=tuple(found.unfinished),
        broken=tuple(found.broken),
        foreign=tuple(found.foreign),
        unknown=unknown,
        dependants=_clones(reader, doomed, found, cluster),
        permissions=read_permissions(reader),
        auth_id=auth_id,
        images=stored,
    )


@dataclass(slots=True)
class _Judged:
    """VMs by what their configs say of them."""

    generations: list[Generation] = field(default_factory=list)
    unfinished: list[Unfinished] = field(default_factory=list)
    broken: list[Generation] = field(default_factory=list)
    foreign: list[ForeignVm] = field(default_factory=list)


def _is_online(cluster: Cluster, node: str) -> bool:
    row = cluster.nodes.get(node)
    return row is not None and row.online


def _wanted(cluster: Cluster, named: Named, *, images: bool) -> list[GuestRow]:
    """The VMs whose config decides something.

    Of lines that have generations beside their declared nodes the declared ones count too: whether there is a current
    one among them.
    """
    here = [
        row
        for row in sorted(cluster.guests.values(), key=lambda row: row.vmid)
        if row.type == "qemu"
        and TAG_CLONE not in row.tags
        and _is_online(cluster, row.node)
        and (tagged_lines(row.tags) or _STAMPED.fullmatch(row.name))
    ]
    elsewhere = {line for row in here if not named.covers(row) for line in tagged_lines(row.tags)}
    return [row for row in here if images or not named.covers(row) or not elsewhere.isdisjoint(tagged_lines(row.tags))]


def _judge_all(reader: Reader, rows: Sequence[GuestRow], is_gone: Callable[[str], bool]) -> _Judged:
    """Clones by hand inherit tags: where a template on the same node has them too, they need no look."""
    originals = {_origin(row) for row in rows if row.template and tag_value(row.tags, TAG_GENERATION)}
    copies = [row for row in rows if not row.template and _origin(row) in originals]
    found = _Judged()
    found.foreign += [
        ForeignVm(row=row, reason="it is a clone that inherited the tags of its template") for row in copies
    ]
    beside = {row.vmid for row in copies}
    configs = read_configs(reader, (row for row in rows if row.vmid not in beside))
    for row in rows:
        if row.vmid in configs:
            _judge_one(reader, row, configs[row.vmid], is_gone, found)
    return found


def _origin(row: GuestRow) -> tuple[str, frozenset[str], str]:
    return row.node, frozenset(tagged_lines(row.tags)), tag_value(row.tags, TAG_GENERATION)


def _judge_one(reader: Reader, row: GuestRow, config: VmConfig, is_gone: Callable[[str], bool], found: _Judged) -> None:
    lines = tagged_lines(row.tags)
    identity = read_identity(row.vmid, config.description)
    if identity is None and not lines:
        # Only its name looks like a build's.
        return
    if isinstance(identity, Identity) and identity.role is Role.BUILDER:
        builder = Generation(row=row, identity=identity, state=None, config=config)
        found.unfinished.append(read_unfinished(reader, builder, is_gone))
        return
    judged = judge(row, config, lines[0] if len(lines) == 1 else None)
    if isinstance(judged, Foreign):
        found.foreign.append(ForeignVm(row=row, reason=judged.reason))
    elif judged.state is State.BUILDING or judged.identity.deadline:
        # A deadline goes with the publication. A copy on its way to a fixed VMID has inherited another state.
        found.unfinished.append(read_unfinished(reader, judged, is_gone))
    elif judged.incomplete:
        found.broken.append(judged)
    else:
        found.generations.append(judged)


def _clones(
    reader: Reader, doomed: Sequence[Generation], found: _Judged, cluster: Cluster
) -> dict[int, tuple[int, ...]]:
    """Clones by the VMID of their template. A copy under way to a fixed VMID has the same tags, and is no clone."""
    ours = {one.vmid for one in found.generations} | {one.generation.vmid for one in found.unfinished}
    hanging = clones(list_volumes(reader, doomed, cluster, thin=False), doomed)
    return {base: tuple(vmid for vmid in vmids if vmid not in ours) for base, vmids in hanging.items()}


def _stores(cluster: Cluster, images: bool) -> Iterator[StorageRow]:
    """The storages that may hold images, shared ones once."""
    seen: set[str] = set()
    for _key, row in sorted(cluster.storages.items()):
        usable = row.available and row.type in FILE_STORAGES and "import" in row.content
        if not images or not usable or row.storage in seen or not _is_online(cluster, row.node):
            continue
        if row.shared:
            seen.add(row.storage)
        yield row
