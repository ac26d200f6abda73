# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of a line's backups, and what is inside of one."""

from __future__ import annotations

from collections.abc import Callable

from .._model.backup import (
    Backup,
    BackupSurvey,
    RestoreSurvey,
    Wanted,
    archived_config,
    backup_of,
    takes_backups,
    to_back_up,
)
from .._model.identity import State
from .._model.template import ForeignVm, Generation, Unfinished
from .._model.vm_config import VmConfig
from .._pve.client import api_path
from .._pve.errors import ApiError
from .cluster import Reader, read_cluster, read_permissions, read_version
from .templates import read_lines, read_unfinished


def read_backups(reader: Reader, node: str, storage: str) -> list[Backup]:
    """Every VM's backups on a storage that these credentials may see."""
    rows = reader.get(api_path("nodes", node, "storage", storage, "content"), content="backup")
    found = (backup_of(node, storage, row) for row in rows)
    return [one for one in found if one is not None]


def survey_backup(
    reader: Reader, line: str, *, storage: str, node: str | None, generation: str | None, auth_id: str
) -> BackupSurvey:
    """Read what planning a backup needs; the storage is listed once, by the node that will be asked for the backup."""
    cluster = read_cluster(reader)
    found, unknown = read_lines(reader, cluster, line=line)
    generations = tuple(one for one in found if isinstance(one, Generation) and one.identity.line == line)
    chosen = to_back_up(generations, cluster, storage=storage, node=node, generation=generation)
    listed: list[Backup] = []
    if chosen is not None and takes_backups(cluster, chosen.row.node, storage):
        listed = read_backups(reader, chosen.row.node, storage)
    return BackupSurvey(
        cluster=cluster,
        generations=generations,
        unknown=tuple(unknown),
        backups=tuple(listed),
        permissions=read_permissions(reader),
        auth_id=auth_id,
    )


def survey_restore(
    reader: Reader, wanted: Wanted, *, node: str, storage: str, auth_id: str, is_gone: Callable[[str], bool]
) -> RestoreSurvey:
    """Read what planning a restore needs. C(is_gone) tells whether a run id belongs to a process known to be dead."""
    cluster = read_cluster(reader)
    online = node in cluster.nodes and cluster.nodes[node].online
    found = read_lines(reader, cluster, line=wanted.line, node=node)[0] if online else []
    generations: list[Generation] = []
    unfinished: list[Unfinished] = []
    for one in found:
        if isinstance(one, ForeignVm) or one.identity.line != wanted.line:
            continue
        if one.state is State.BUILDING or one.identity.deadline:
            unfinished.append(read_unfinished(reader, one, is_gone))
        else:
            generations.append(one)
    listed = read_backups(reader, node, storage) if online and takes_backups(cluster, node, storage) else []
    chosen = wanted.pick(listed)
    archived, unread = _read_archived(reader, chosen) if chosen is not None else (None, "")
    return RestoreSurvey(
        cluster=cluster,
        generations=tuple(generations),
        unfinished=tuple(unfinished),
        foreign=tuple(one for one in found if isinstance(one, ForeignVm)),
        backups=tuple(listed),
        chosen=chosen,
        archived=archived,
        unread=unread,
        permissions=read_permissions(reader),
        auth_id=auth_id,
        version=read_version(reader),
    )


def _read_archived(reader: Reader, backup: Backup) -> tuple[VmConfig | None, str]:
    """The config in an archive, or what the server says instead."""
    path = api_path("nodes", backup.node, "vzdump", "extractconfig")
    try:
        return archived_config(str(reader.get(path, volume=backup.volid))), ""
    except ApiError as error:
        return None, str(error)
