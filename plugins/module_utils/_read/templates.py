# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists of template lines: few requests, and a config read only where tags alone do not decide.

Tags and VMIDs of /cluster/resources are live; its C(template) flag lags by up to ten seconds. So tags choose which
configs are read, and only a config makes a generation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from .._model.cluster import Cluster, GuestRow
from .._model.disk import Disk
from .._model.identity import (
    TAG_CLONE,
    TAG_GENERATION,
    TAG_LINE,
    Foreign,
    Identity,
    Role,
    State,
    read_identity,
    tag_value,
    tagged_state,
)
from .._model.property_string import PropertyStringError
from .._model.template import ForeignVm, Generation, LineActual, Survey, TemplateLine, Unfinished
from .._model.vm_config import VmConfig
from .._pve.client import api_path
from .._pve.errors import ApiError, Kind
from .cluster import Reader, read_images, read_permissions, read_version

_PROOF = re.compile(r"-proof-\d{14}-\d$")
_UNDER_WAY = (State.BUILDING, State.CANDIDATE)

READERS = 8
"""Config reads in flight; a real node answers with three workers (MAX_WORKERS of pveproxy)."""

Listing: TypeAlias = "Callable[[str, str], Iterable[Mapping[str, Any]]]"
"""The disk volumes on a storage of a node, as the API lists them."""


def read_volumes(reader: Reader, node: str, storage: str) -> list[Mapping[str, Any]]:
    """The disk volumes on a storage: C(volid), C(size) in bytes and more. On LVM-thin it costs a real node 190 ms."""
    return list(reader.get(api_path("nodes", node, "storage", storage, "content"), content="images"))


def survey_lines(
    reader: Reader, lines: Sequence[TemplateLine], cluster: Cluster, *, auth_id: str, is_gone: Callable[[str], bool]
) -> Survey:
    """Read what planning needs. C(is_gone) tells whether a run id belongs to a process known to be dead."""
    permissions = read_permissions(reader)
    wanted = {vmid for line in lines for vmid in _to_read(line, cluster)}
    configs = read_configs(reader, (cluster.guests[vmid] for vmid in sorted(wanted)))
    # What is gone by now, most likely by another run, must not be taken for known: a copy of it may be there instead.
    gone = wanted - configs.keys()
    cluster = replace(cluster, guests={vmid: row for vmid, row in cluster.guests.items() if vmid not in gone})
    found = {line.key: _line_actual(reader, line, cluster, configs, is_gone) for line in lines}
    return Survey(cluster=cluster, permissions=permissions, lines=found, auth_id=auth_id)


def with_build_facts(reader: Reader, survey: Survey, lines: Iterable[TemplateLine]) -> Survey:
    """The survey with what only a build needs: PVE's version and the files on the image storages."""
    wanted: dict[tuple[str, str], None] = {}
    for line in lines:
        row = survey.cluster.storage(line.place.node, line.place.image_storage)
        if row is not None and row.available and "import" in row.content:
            wanted[line.place.node, line.place.image_storage] = None
    images = {key: read_images(reader, *key) for key in wanted}
    return replace(survey, version=read_version(reader), images=images)


def read_configs(reader: Reader, rows: Iterable[GuestRow]) -> dict[int, VmConfig]:
    """The configs of VMs by VMID; one that vanished meanwhile is left out."""
    rows = list(rows)
    if len(rows) <= 1:
        found = [_read_config(reader, row) for row in rows]
    else:
        with ThreadPoolExecutor(max_workers=min(READERS, len(rows))) as pool:
            found = list(pool.map(lambda row: _read_config(reader, row), rows))
    return {row.vmid: config for row, config in zip(rows, found, strict=True) if config is not None}


def _read_config(reader: Reader, row: GuestRow) -> VmConfig | None:
    try:
        return VmConfig(reader.get(api_path("nodes", row.node, "qemu", row.vmid, "config")))
    except ApiError as error:
        if error.kind is Kind.NOT_FOUND:
            return None
        raise


def line_rows(line: TemplateLine, cluster: Cluster) -> list[GuestRow]:
    """The VMs on the line's node that carry the line's tag, newest generation first.

    A build whose tags had to wait for a second write, and whose run ended before it, is known by its name; so is a
    clone that a proof has left.
    """
    tag = TAG_LINE + line.line
    untagged = re.compile(re.escape(line.name) + r"(?:-proof)?-\d{14}(?:-\d)?")
    here = [
        row
        for row in cluster.guests.values()
        if row.type == "qemu" and row.node == line.place.node and TAG_CLONE not in row.tags
        if tag in row.tags or (untagged.fullmatch(row.name) and not tag_value(row.tags, TAG_LINE))
    ]
    # While a generation moves to its fixed VMID there are two copies of it; the one that is there already counts.
    return sorted(
        here,
        key=lambda row: (tag_value(row.tags, TAG_GENERATION), row.vmid == line.place.vmid, row.template, row.vmid),
        reverse=True,
    )


def _to_read(line: TemplateLine, cluster: Cluster) -> set[int]:
    """VMIDs whose config decides something. Clones by hand inherit tags: where a template has the same generation
    tag, the others are its clones and need no look."""
    node = cluster.nodes.get(line.place.node)
    if node is None or not node.online:
        # Nothing on it can be read, and the planner refuses the line.
        return set()
    rows = line_rows(line, cluster)
    originals = {tag_value(row.tags, TAG_GENERATION) for row in rows if row.template}
    current = max((tag_value(row.tags, TAG_GENERATION) for row in rows if _is_current(row)), default="")
    wanted = set()
    for row in rows:
        generation = tag_value(row.tags, TAG_GENERATION)
        if row.vmid == line.place.vmid or _PROOF.search(row.name):
            wanted.add(row.vmid)
        if not row.template and generation in originals:
            continue
        # A retired one that is newer tells that the line was pinned or rolled back.
        if line.absent or tagged_state(row.tags) is not State.RETIRED or generation > current:
            wanted.add(row.vmid)
    if line.keep is not None and not line.absent:
        # Within what is kept anyway nobody needs to know more than the tags say.
        wanted |= {row.vmid for row in _retired(rows)[line.keep - 1 :]}
    occupant = cluster.guests.get(line.place.vmid) if line.place.vmid is not None else None
    if line.adopt and occupant is not None and occupant.type == "qemu":
        wanted.add(occupant.vmid)
    return wanted


def _line_actual(
    reader: Reader,
    line: TemplateLine,
    cluster: Cluster,
    configs: dict[int, VmConfig],
    is_gone: Callable[[str], bool],
) -> LineActual:
    generations: list[Generation] = []
    unfinished: list[Unfinished] = []
    foreign: list[ForeignVm] = []
    retired: list[GuestRow] = []
    for row in line_rows(line, cluster):
        if row.vmid not in configs:
            if row.template:
                retired.append(row)
            else:
                foreign.append(ForeignVm(row=row, reason="it is a clone that inherited the tags of its template"))
            continue
        found = judge(row, configs[row.vmid], line.line)
        if isinstance(found, Foreign):
            foreign.append(ForeignVm(row=row, reason=found.reason))
        elif _is_unfinished(found):
            unfinished.append(read_unfinished(reader, found, is_gone))
        else:
            generations.append(found)
    ours = {g.vmid for g in generations} | {u.generation.vmid for u in unfinished}
    vmid = line.place.vmid
    occupant = cluster.guests.get(vmid) if vmid is not None and vmid not in ours else None
    return LineActual(
        generations=tuple(generations),
        unfinished=tuple(unfinished),
        foreign=tuple(foreign),
        retired=tuple(retired),
        occupant=occupant,
        occupant_config=configs.get(occupant.vmid) if occupant else None,
        dependants=_clones(reader, generations, line, cluster, by_tags=False) if line.absent else {},
        examined=frozenset(one.vmid for one in generations) if line.absent else frozenset(),
    )


def _is_unfinished(found: Generation) -> bool:
    """A build under way, a clone that a proof has left, or what is tagged as whole and is not."""
    if found.identity.role is Role.PROOF or found.state in _UNDER_WAY:
        return True
    return bool(found.incomplete) and found.state is not State.RETIRED


def _is_current(row: GuestRow) -> bool:
    return row.template and tagged_state(row.tags) is State.CURRENT


def _retired(rows: Iterable[GuestRow]) -> list[GuestRow]:
    """Templates that their tags call retired, newest first."""
    return [row for row in rows if row.template and tagged_state(row.tags) is State.RETIRED]


def with_all(reader: Reader, survey: Survey, lines: Iterable[TemplateLine]) -> Survey:
    """The survey with the config of every retired generation of these lines: a pin may ask for any of them."""
    found = dict(survey.lines)
    for line in lines:
        found[line.key] = _with_retired(reader, line, found[line.key], found[line.key].retired)
    return replace(survey, lines=found)


def with_former(
    reader: Reader, survey: Survey, lines: Iterable[TemplateLine], after: Mapping[str, Generation | None]
) -> Survey:
    """The survey with what deciding on former generations needs.

    C(after) is what will be current, by the line's key, None for a line that gets a new generation.

    Configs are read of those beyond what is kept, and volumes are listed only where something may be destroyed.
    """
    found = dict(survey.lines)
    for line in lines:
        actual = found[line.key]
        if line.absent:
            continue
        stays = after.get(line.key)
        if line.keep is not None and stays is None and actual.retired:
            # With a new generation the current one is retired, so one more of the retired ones may have to go.
            actual = _with_retired(reader, line, actual, _retired(actual.retired)[max(line.keep - 2, 0) :])
        contested = actual.contested(line.place.vmid, stays)
        doomed = {one.vmid: one for one in (*actual.excess(line.keep, stays), *contested)}
        if doomed:
            ours = {one.vmid for one in actual.generations}
            clones = _clones(reader, tuple(doomed.values()), line, survey.cluster, by_tags=True, ours=ours)
            actual = replace(actual, dependants=clones, examined=frozenset(doomed))
        found[line.key] = actual
    return replace(survey, lines=found)


def _with_retired(reader: Reader, line: TemplateLine, actual: LineActual, wanted: Sequence[GuestRow]) -> LineActual:
    """What exists of a line, with these retired rows judged by their configs."""
    configs = read_configs(reader, wanted)
    judged = [judge(row, configs[row.vmid], line.line) for row in wanted if row.vmid in configs]
    ours = tuple(one for one in judged if isinstance(one, Generation))
    read = {one.vmid for one in ours}
    return replace(
        actual,
        generations=(*actual.generations, *ours),
        retired=tuple(row for row in actual.retired if row.vmid not in read),
    )


def judge(row: GuestRow, config: VmConfig, line: str | None = None) -> Generation | Foreign:
    """Whether a VM is a generation of ours. With C(line), of that line."""
    identity = read_identity(row.vmid, config.description)
    if identity is None:
        return Foreign("it has the line's tag or name, and no identity block")
    if isinstance(identity, Foreign):
        return identity
    if identity.role not in (Role.TEMPLATE, Role.PROOF):
        return Foreign(f"its identity block says that it is a {identity.role}")
    if line is not None and identity.line != line:
        return Foreign(f"its identity block belongs to line {identity.line}")
    try:
        return _generation(row, identity, config)
    except PropertyStringError as error:
        return Foreign(f"its configuration cannot be understood: {error}")


def _generation(row: GuestRow, identity: Identity, config: VmConfig) -> Generation:
    # The config's tags are the ones read last.
    return Generation(
        row=row,
        identity=identity,
        state=tagged_state(config.tags.as_set()),
        config=config,
        incomplete=config.template_is_complete(row.vmid),
    )


def read_lines(
    reader: Reader, cluster: Cluster, *, line: str | None = None, node: str | None = None
) -> tuple[list[Generation | ForeignVm], list[GuestRow]]:
    """Every VM that carries a line's tag, by line and node, newest generation first; one config read each.

    The second list are those on nodes that are offline: nobody can tell what they are.
    """
    rows = [
        row
        for row in cluster.guests.values()
        if row.type == "qemu"
        and TAG_CLONE not in row.tags
        and node in (None, row.node)
        and (TAG_LINE + line in row.tags if line else any(tag.startswith(TAG_LINE) for tag in row.tags))
    ]
    rows.sort(key=lambda row: (tag_value(row.tags, TAG_GENERATION), row.vmid), reverse=True)
    rows.sort(key=lambda row: (tag_value(row.tags, TAG_LINE), row.node))
    unknown = [row for row in rows if row.node not in cluster.nodes or not cluster.nodes[row.node].online]
    configs = read_configs(reader, (row for row in rows if row not in unknown))
    found: list[Generation | ForeignVm] = []
    for row in rows:
        if row.vmid in configs:
            judged = judge(row, configs[row.vmid])
            found.append(ForeignVm(row=row, reason=judged.reason) if isinstance(judged, Foreign) else judged)
    return found, unknown


def read_unfinished(reader: Reader, generation: Generation, is_gone: Callable[[str], bool]) -> Unfinished:
    row = generation.row
    tasks = reader.get(api_path("nodes", row.node, "tasks"), vmid=row.vmid, source="active")
    running = [task["upid"] for task in tasks if not task.get("endtime")]
    return Unfinished(
        generation=generation,
        running_task=running[0] if running else "",
        # A builder that waits for roles is nobody's process: its deadline alone says when it is given up.
        owner_gone=not generation.identity.paused and is_gone(generation.identity.run),
    )


def _clones(
    reader: Reader,
    generations: Sequence[Generation],
    line: TemplateLine,
    cluster: Cluster,
    *,
    by_tags: bool,
    ours: Collection[int] = (),
) -> dict[int, tuple[int, ...]]:
    listing = partial(read_volumes, reader)
    return dependants(listing, generations, line.place.node, cluster, by_tags=by_tags, ours=ours)


def dependants(
    listing: Listing,
    generations: Sequence[Generation],
    node: str,
    cluster: Cluster,
    *,
    by_tags: bool,
    ours: Collection[int] = (),
) -> dict[int, tuple[int, ...]]:
    """Clones by the VMID of their template; C(listing) is asked for the volumes of a node's storage.

    Volume names tell of linked clones, but for LVM-thin, which forgets whose clone a volume is. There, with
    C(by_tags), every guest counts that carries the generation's tag, as clones inherit it: the server would let the
    base go. C(ours) are VMIDs of further generations, none of which is a clone: a copy has the same tag.
    """
    bases = {g.vmid for g in generations}
    storages = {
        disk.storage for g in generations for disk in g.config.disks().values() if disk.is_base and disk.storage
    }
    found: dict[int, set[int]] = {}
    thin = {storage for storage in storages if (row := cluster.storage(node, storage)) and row.type == "lvmthin"}
    for generation in generations:
        if by_tags and any(disk.storage in thin for disk in generation.config.disks().values() if disk.is_base):
            tag = TAG_GENERATION + generation.identity.generation
            same = {tag, TAG_LINE + generation.identity.line}
            # The generations of one run have the same time, and so the same tag, but a line has one of them on a node.
            # LVM-thin belongs to one node, and so do its clones.
            carriers = {
                row.vmid
                for row in cluster.guests.values()
                if same <= row.tags and row.node == node and row.vmid not in (bases | set(ours))
            }
            if carriers:
                found.setdefault(generation.vmid, set()).update(carriers)
    for storage in sorted(storages - thin):
        for volume in listing(node, storage):
            disk = Disk.parse(volume["volid"])
            if disk.base is not None and disk.base.vmid in bases and disk.owner_vmid is not None:
                found.setdefault(disk.base.vmid, set()).add(disk.owner_vmid)
    return {vmid: tuple(sorted(clones)) for vmid, clones in found.items()}
