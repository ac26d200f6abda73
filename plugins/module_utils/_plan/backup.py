# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of backups: one complete backup of a generation, and how many of the line's stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._model.backup import Backup, BackupSurvey, Label, of_line, takes_backups, to_back_up
from .._model.cluster import Cluster
from .._model.template import Generation
from .keep_steps import DropBackup, ProtectBackup, TakeBackup
from .plan import Plan, Refusal, Step
from .privileges import Call, Permissions, missing


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupWish:
    """C(node) and C(generation) None: the current one, from any node. C(keep) None: all backups stay.

    C(protected) None leaves a backup that is there as it is.
    """

    line: str
    storage: str
    node: str | None = None
    generation: str | None = None
    compress: str = "zstd"
    protected: bool | None = None
    keep: int | None = None
    max_deletions: int = 5


def plan_backup(wish: BackupWish, survey: BackupSurvey) -> Plan:
    """What is missing of the wish, what goes, and what stays in spite of it."""
    chosen = to_back_up(
        survey.generations, survey.cluster, storage=wish.storage, node=wish.node, generation=wish.generation
    )
    if chosen is None:
        return Plan(refusals=(_no_generation(wish, survey),))
    refusals = list(_place_refusals(wish, survey, chosen))
    if refusals:
        return Plan(refusals=tuple(refusals))
    ours = of_line(survey.backups, wish.line)
    existing = next((one for one in ours if one.label == Label.of(chosen.identity)), None)
    steps: list[Step] = []
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if existing is None:
        steps.append(_take(wish, survey, chosen))
        before[_key(chosen)] = None
        after[_key(chosen)] = _planned(wish, chosen)
    elif wish.protected not in (None, existing.protected):
        shown = replace(existing, protected=bool(wish.protected))
        steps.append(ProtectBackup(backup=existing, protected=bool(wish.protected)))
        before[existing.volid], after[existing.volid] = backup_view(existing), backup_view(shown)
        ours = [shown if one is existing else one for one in ours]
        existing = shown
    # What was asked for counts as the newest, however old it is.
    ours.sort(key=lambda one: one.label == Label.of(chosen.identity), reverse=True)
    drops, kept = _retention(wish, ours, taken=existing is None)
    for drop in drops:
        steps.append(drop)
        before[drop.backup.volid], after[drop.backup.volid] = backup_view(drop.backup), None
    refusals = [*_brake(wish, drops), *_privilege_refusals(survey, chosen, steps)]
    if refusals:
        return Plan(refusals=tuple(refusals))
    gone = {drop.backup.volid for drop in drops}
    result = {
        "backup": backup_view(existing) if existing else _planned(wish, chosen),
        "backups": [backup_view(one) for one in ours if one.volid not in gone],
        "removed": [backup_view(drop.backup) for drop in drops],
        "kept": kept,
    }
    key = f"{wish.line}@{chosen.row.node}"
    return Plan(before=before, after=after, steps=tuple(steps), result=result, tracks=((key, tuple(steps)),))


def backup_view(backup: Backup) -> dict[str, Any]:
    """A backup in the vocabulary of results and diffs."""
    label = backup.label
    return {
        "volid": backup.volid,
        "node": backup.node,
        "storage": backup.storage,
        "line": label.line if label else None,
        "generation": label.generation if label else None,
        "vmid": backup.vmid,
        "size": backup.size,
        "created": backup.created,
        "protected": backup.protected,
    }


def _take(wish: BackupWish, survey: BackupSurvey, chosen: Generation) -> TakeBackup:
    return TakeBackup(
        generation=chosen,
        storage=wish.storage,
        compress=wish.compress,
        protected=bool(wish.protected),
        known=frozenset(one.volid for one in survey.backups),
    )


def _key(chosen: Generation) -> str:
    return f"{chosen.identity.line} {chosen.identity.generation}"


def _planned(wish: BackupWish, chosen: Generation) -> dict[str, Any]:
    """A backup that is still to be made: how it will be called and how large it will be nobody knows."""
    return {
        "volid": None,
        "node": chosen.row.node,
        "storage": wish.storage,
        "line": chosen.identity.line,
        "generation": chosen.identity.generation,
        "vmid": chosen.vmid,
        "size": None,
        "created": None,
        "protected": bool(wish.protected),
    }


def _retention(
    wish: BackupWish, ours: Sequence[Backup], *, taken: bool
) -> tuple[list[DropBackup], list[dict[str, Any]]]:
    """What goes beyond C(keep), the first ones staying; what is protected stays beside them and does not count."""
    if wish.keep is None:
        return [], []
    plain = [one for one in ours if not one.protected]
    new_counts = taken and not wish.protected
    beyond = plain[max(wish.keep - int(new_counts), 0) :]
    reason = f"{wish.keep} of line {wish.line} are kept"
    kept = [{**backup_view(one), "reason": "it is protected"} for one in ours if one.protected]
    return [DropBackup(backup=one, reason=reason) for one in reversed(beyond)], kept


def _brake(wish: BackupWish, drops: Sequence[DropBackup]) -> Iterator[Refusal]:
    if len(drops) > wish.max_deletions:
        yield Refusal(
            subject=f"line {wish.line}",
            option="max_deletions",
            value=wish.max_deletions,
            reason=f"{len(drops)} backups would go ({', '.join(drop.backup.volid for drop in drops)})",
            remedy=f"Look at them, and set max_deletions to {len(drops)} if they shall go",
        )


def _no_generation(wish: BackupWish, survey: BackupSurvey) -> Refusal:
    offline = sorted({row.node for row in survey.unknown})
    here = [one for one in survey.generations if wish.node in (None, one.row.node) and not one.incomplete]
    there = ", ".join(sorted({one.identity.generation for one in here})) or "none"
    subject = f"line {wish.line}" + (f" on node {wish.node}" if wish.node else "")
    more = f" Nodes that are offline and hold VMs of it: {', '.join(offline)}." if offline else ""
    if wish.generation is not None:
        return Refusal(
            subject=subject,
            option="generation",
            value=wish.generation,
            reason="there is no complete generation of that name that these credentials may see",
            remedy=f"Name one of: {there}.{more}".rstrip("."),
        )
    return Refusal(
        subject=subject,
        option="line",
        value=wish.line,
        reason="it has no current generation that these credentials may see",
        remedy=f"Build it first; complete generations: {there}.{more}".rstrip("."),
    )


def _place_refusals(wish: BackupWish, survey: BackupSurvey, chosen: Generation) -> Iterator[Refusal]:
    node, subject = chosen.row.node, f"line {wish.line} on node {chosen.row.node}"
    refusal = storage_refusal(survey.cluster, subject, node, wish.storage, option="storage")
    if refusal is not None:
        yield refusal
    if chosen.config.lock:
        yield Refusal(
            subject=subject,
            option="generation",
            value=chosen.identity.generation,
            reason=f"VM {chosen.vmid} is locked ({chosen.config.lock})",
            remedy=f"Run again when that operation has ended; a lock that nobody holds: qm unlock {chosen.vmid}",
        )


def storage_refusal(cluster: Cluster, subject: str, node: str, storage: str, *, option: str) -> Refusal | None:
    """Why a node can neither put backups on a storage nor read them there."""
    if takes_backups(cluster, node, storage):
        return None
    row = cluster.storage(node, storage)
    fit = sorted(one.storage for one in cluster.storages_of(node) if "backup" in one.content)
    if row is None:
        reason, remedy = "there is no such storage, or these credentials may not see it", "Grant Datastore.Audit on it"
    elif "backup" not in row.content:
        reason = f"it does not hold backups (content {', '.join(sorted(row.content)) or 'nothing'})"
        content = ",".join(sorted(row.content | {"backup"}))
        remedy = f"Run on a node: pvesm set {storage} --content {content}"
    else:
        reason, remedy = "it is not available", "Check it on the node: pvesm status"
    others = f", or name one of: {', '.join(fit)}" if fit else ""
    return Refusal(subject=subject, option=option, value=storage, reason=reason, remedy=remedy + others)


def _privilege_refusals(survey: BackupSurvey, chosen: Generation, steps: Sequence[Step]) -> Iterator[Refusal]:
    calls: list[Call] = []
    guests = survey.cluster.guests
    for step in steps:
        match step:
            case TakeBackup():
                pool = chosen.row.pool
                calls.append(
                    Call(name="backup", node=chosen.row.node, storage=step.storage, vmid=chosen.vmid, pool=pool)
                )
            case DropBackup() | ProtectBackup():
                one = step.backup
                # A VM that is there no more is in no pool.
                pool = guests[one.vmid].pool if one.vmid in guests else ""
                name = "backup_delete" if isinstance(step, DropBackup) else "backup_change"
                calls.append(Call(name=name, node=one.node, storage=one.storage, vmid=one.vmid, pool=pool))
    yield from gaps(calls, survey.permissions, survey.auth_id, subject=f"line {chosen.identity.line}")


def gaps(
    calls: Sequence[Call], permissions: Mapping[str, Mapping[str, int]], auth_id: str, *, subject: str
) -> Iterator[Refusal]:
    """A refusal for every privilege that the calls need and the caller lacks; 8 and 9 ask for the same here."""
    for gap in missing(Permissions(permissions), calls, pve_major=8, auth_id=auth_id):
        yield Refusal(
            subject=subject,
            option="api_token_id" if "!" in auth_id else "api_user",
            value=auth_id,
            reason=f"it lacks {gap.privilege} on {gap.path}, needed for {gap.needed_for}",
            remedy=f"Run on a node: {gap.pveum}",
        )
