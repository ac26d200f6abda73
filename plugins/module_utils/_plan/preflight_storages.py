# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: what each storage can hold, whether templates can be cloned from it, and how much is free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .._model.cluster import BASE_STORAGES, StorageRow
from .._model.preflight import Finding, Level, PreflightFacts, PreflightWish
from .privilege_table import CAPABILITIES, Kind
from .privileges import Permissions
from .template_checks import import_storage_refusals

_GIB = 1024**3
_CONTENT: Mapping[Kind, str] = {
    Kind.DISK_STORAGE: "images",
    Kind.IMAGE_STORAGE: "import",
    Kind.BACKUP_STORAGE: "backup",
}
_NOUN: Mapping[Kind, str] = {
    Kind.DISK_STORAGE: "disks of virtual machines",
    Kind.IMAGE_STORAGE: "images",
    Kind.BACKUP_STORAGE: "backups",
}


def named_storages(wish: PreflightWish) -> dict[Kind, tuple[str, ...]]:
    """What the user named for each purpose."""
    return {
        Kind.DISK_STORAGE: wish.storages,
        Kind.IMAGE_STORAGE: wish.image_storages,
        Kind.BACKUP_STORAGE: wish.backup_storages,
    }


def used_storages(wish: PreflightWish, facts: PreflightFacts) -> dict[Kind, tuple[str, ...]]:
    """The storages for each purpose: the named ones, or all that hold such content somewhere."""
    found = {}
    for kind, names in named_storages(wish).items():
        rows = (row for (node, _name), row in facts.cluster.storages.items() if _asked(wish, node))
        fitting = sorted({row.storage for row in rows if _CONTENT[kind] in row.content})
        found[kind] = names or tuple(fitting)
    return found


def kinds_of(capabilities: Iterable[str]) -> frozenset[Kind]:
    """The purposes for which these capabilities need a storage."""
    calls = {call for name in capabilities for call in CAPABILITIES[name]}
    needed = {
        Kind.DISK_STORAGE: bool(calls & {"create", "clone"}),
        Kind.IMAGE_STORAGE: bool(calls & {"download", "upload", "import"}),
        Kind.BACKUP_STORAGE: "backup" in calls,
    }
    return frozenset(kind for kind, wanted in needed.items() if wanted)


def storage_findings(wish: PreflightWish, facts: PreflightFacts) -> Iterator[Finding]:
    """Content, base images and space, per node and storage."""
    used = used_storages(wish, facts)
    named = named_storages(wish)
    needed = kinds_of(wish.capabilities)
    wanted = [kind for kind in _CONTENT if kind in needed or named[kind]]
    for node in wish.nodes or sorted(facts.cluster.nodes):
        row = facts.cluster.nodes.get(node)
        if row is None or not row.online:
            continue
        purposes: dict[str, list[Kind]] = {}
        for kind in wanted:
            here = [name for name in used[kind] if named[kind] or _holds(facts, node, name, kind)]
            if not here:
                yield _none_at_all(node, kind, facts)
            for name in here:
                purposes.setdefault(name, []).append(kind)
        for name, kinds in sorted(purposes.items()):
            yield from _storage(wish, facts, node, name, kinds)


def _asked(wish: PreflightWish, node: str) -> bool:
    return not wish.nodes or node in wish.nodes


def _holds(facts: PreflightFacts, node: str, name: str, kind: Kind) -> bool:
    row = facts.cluster.storage(node, name)
    return row is not None and _CONTENT[kind] in row.content


def _none_at_all(node: str, kind: Kind, facts: PreflightFacts) -> Finding:
    """Lists leave out what may not be seen, so an empty one proves nothing without the privilege on all of them."""
    content = _CONTENT[kind]
    if Permissions(facts.permissions).has("/storage", "Datastore.Audit"):
        return Finding(
            check="content",
            level=Level.ERROR,
            subject=node,
            message=f"no storage of this node holds {_NOUN[kind]} (content '{content}')",
            remedy=f"Run on a node: pvesm set STORAGE --content …,{content}",
        )
    return Finding(
        check="content",
        level=Level.UNKNOWN,
        subject=node,
        message=f"no storage that these credentials may see holds {_NOUN[kind]} (content '{content}')",
        remedy="Datastore.Audit on /storage/STORAGE would show it",
    )


def _storage(wish: PreflightWish, facts: PreflightFacts, node: str, name: str, kinds: list[Kind]) -> Iterator[Finding]:
    subject = f"{node}/{name}"
    is_named = any(name in named_storages(wish)[kind] for kind in kinds)
    bad = Level.ERROR if is_named else Level.WARNING
    row = facts.cluster.storage(node, name)
    if row is None:
        yield _absent(subject, name, facts)
        return
    if not row.available:
        yield Finding(
            check="content",
            level=bad,
            subject=subject,
            message="the storage is not available on this node",
            remedy="Look on the node with: pvesm status",
        )
        return
    for kind in kinds:
        yield _content(subject, row, kind)
    if Kind.DISK_STORAGE in kinds:
        yield _base(wish, subject, row, is_named)
    yield _space(wish, subject, row, bad)


def _absent(subject: str, name: str, facts: PreflightFacts) -> Finding:
    if not Permissions(facts.permissions).has(f"/storage/{name}", "Datastore.Audit"):
        return Finding(
            check="content",
            level=Level.UNKNOWN,
            subject=subject,
            message="these credentials may not see whether there is such a storage",
            remedy=f"Datastore.Audit on /storage/{name} would show it",
        )
    return Finding(
        check="content",
        level=Level.ERROR,
        subject=subject,
        message="the node has no such storage",
        remedy=f"Look at its nodes and whether it is disabled: pvesm config {name}",
    )


def _content(subject: str, row: StorageRow, kind: Kind) -> Finding:
    content = _CONTENT[kind]
    if content in row.content:
        return Finding(check="content", level=Level.OK, subject=subject, message=f"it takes {_NOUN[kind]}")
    if kind is Kind.IMAGE_STORAGE:
        for refusal in import_storage_refusals(subject, row):
            return Finding(
                check="content",
                level=Level.ERROR,
                subject=subject,
                message=refusal.reason,
                remedy=refusal.remedy,
            )
    listed = ",".join(sorted(row.content | {content}))
    return Finding(
        check="content",
        level=Level.ERROR,
        subject=subject,
        message=f"it does not take {_NOUN[kind]} (content: {', '.join(sorted(row.content)) or 'none'})",
        remedy=f"Run: pvesm set {row.storage} --content {listed}",
    )


def _base(wish: PreflightWish, subject: str, row: StorageRow, is_named: bool) -> Finding:
    """The one table of the collection, BASE_STORAGES, decides."""
    if row.type in BASE_STORAGES:
        return Finding(
            check="base", level=Level.OK, subject=subject, message=f"{row.type} has base images and linked clones"
        )
    builds = any("template" in CAPABILITIES[name] for name in wish.capabilities)
    return Finding(
        check="base",
        level=Level.ERROR if is_named and builds else Level.WARNING,
        subject=subject,
        message=f"storage type {row.type} has no base images: templates on it are refused, clones onto it are full",
        remedy=f"Use a storage of type {', '.join(sorted(BASE_STORAGES))} for templates (LVM-thin instead of LVM)",
    )


def _space(wish: PreflightWish, subject: str, row: StorageRow, bad: Level) -> Finding:
    if row.free is None or not row.total:
        return Finding(
            check="space", level=Level.UNKNOWN, subject=subject, message="the node does not tell how much is free"
        )
    free = f"{row.free / _GIB:.1f} of {row.total / _GIB:.1f} GiB are free"
    if row.free >= wish.min_free:
        return Finding(check="space", level=Level.OK, subject=subject, message=free)
    return Finding(
        check="space",
        level=bad,
        subject=subject,
        message=f"{free}, min_free asks for {wish.min_free / _GIB:g}",
        remedy="Remove what is not needed (old images: image with state absent), or name another storage",
    )
