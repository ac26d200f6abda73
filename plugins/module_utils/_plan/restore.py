# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of restores: a backup becomes a generation again, once, and only where it is what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .._model.backup import Backup, RestoreSurvey, Wanted, of_line, takes_backups
from .._model.cluster import Cluster
from .._model.identity import Identity, State, describe, human_text, user_tags
from .._model.image import CloudImage
from .._model.template import Generation, Placement, TemplateLine
from .._model.vm_config import VmConfig
from .archive import archived_identity, target_storages
from .backup import backup_view, gaps, storage_refusal
from .build import TAGS_CHECKED, version_tuple
from .draft import Draft
from .fixed_vmid import Owner
from .keep_steps import FinishRestore, Restore
from .plan import Plan, Refusal
from .privileges import Call, Permissions, zone_bridge
from .steps import Destroy, Publish, Retire
from .unfinished import not_ours_to_end
from .views import generation_view, identity_view


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreWish:
    """C(storage) empty: where the disks were. C(recipe) and C(source), where given, are what the block must say."""

    node: str
    wanted: Wanted
    backup_storage: str
    owner: Owner
    now: datetime
    storage: str = ""
    pool: str = ""
    vmid: int | None = None
    vmid_range: tuple[int, int] = (9000, 9999)
    publish: bool = False
    recipe: str | None = None
    source: str | None = None

    @property
    def key(self) -> str:
        return f"{self.wanted.line}@{self.node}"

    @property
    def subject(self) -> str:
        return f"line {self.wanted.line} on node {self.node}"


def plan_restore(wish: RestoreWish, survey: RestoreSurvey) -> Plan:
    """Nothing where the generation is there already; else the restore, with what a former run has left of it."""
    refusal = _no_backup(wish, survey)
    if refusal is not None:
        return Plan(refusals=(refusal,))
    backup, block = survey.chosen, archived_identity(wish, survey)
    if isinstance(block, Refusal) or backup is None or survey.archived is None:
        return Plan(refusals=(block,) if isinstance(block, Refusal) else ())
    line = _as_line(wish, survey, survey.archived, block)
    there = _there(survey, backup, block)
    draft = Draft()
    if there is None:
        shown = _plan_making(wish, survey, line, block, draft)
    else:
        shown = generation_view(there)
        if wish.publish and there is not _current(survey):
            draft.steps.append(Publish(line=line, generation=there))
            shown = {**shown, "name": line.name, "state": State.CURRENT.value}
    if draft.refusals:
        return Plan(refusals=tuple(draft.refusals), notes=tuple(draft.notes))
    retired = _retire(wish, survey, line, shown, draft) if wish.publish else []
    _show(wish, survey, shown, retired, draft)
    result = {"template": {"line": line.line, "node": wish.node, **shown}, "retired": retired}
    return Plan(
        before=draft.before,
        after=draft.after,
        steps=tuple(draft.steps),
        notes=tuple(draft.notes),
        result={**result, "backup": backup_view(backup)},
        tracks=((wish.key, tuple(draft.steps)),),
    )


def _plan_making(
    wish: RestoreWish, survey: RestoreSurvey, line: TemplateLine, block: Identity, draft: Draft
) -> dict[str, Any]:
    """Finish what a former run began, or restore; returns how the generation will be shown."""
    finished = _plan_unfinished(wish, survey, line, draft)
    if draft.refusals:
        return {}
    state = (State.CURRENT if wish.publish else State.RETIRED).value
    if finished is not None:
        protection = survey.archived is not None and survey.archived.protection
        draft.steps.append(FinishRestore(line=line, generation=finished, protection=protection, publish=wish.publish))
        return {**identity_view(finished.identity), "name": _name(line, finished.identity, wish), "state": state}
    step = _restore(wish, survey, line, block, draft)
    if step is None:
        return {}
    draft.steps.append(step)
    return {**identity_view(step.identity), "name": _name(line, step.identity, wish), "state": state}


def _plan_unfinished(wish: RestoreWish, survey: RestoreSurvey, line: TemplateLine, draft: Draft) -> Generation | None:
    """Restores that did not end: one of the same backup that is complete is returned, others go."""
    finished = None
    for left in survey.unfinished:
        generation = left.generation
        if not generation.identity.restored:
            # A build: whoever keeps the line ends it.
            continue
        same = survey.chosen is not None and generation.identity.restored == survey.chosen.volid
        stopped = not_ours_to_end(line, left, wish.now)
        if stopped is not None:
            if same:
                draft.refusals.append(stopped)
        elif same and finished is None and not generation.incomplete:
            finished = generation
        else:
            draft.steps.append(Destroy(generation=generation, reason="an unfinished restore whose run is gone"))
            draft.before[f"vm {generation.vmid}"] = "building"
            draft.after[f"vm {generation.vmid}"] = "absent"
    return finished


def _restore(
    wish: RestoreWish, survey: RestoreSurvey, line: TemplateLine, block: Identity, draft: Draft
) -> Restore | None:
    backup, archived = survey.chosen, survey.archived
    if backup is None or archived is None:
        raise TypeError(f"{wish.subject}: a restore is planned without a backup")
    draft.refusals += _place_refusals(wish, survey.cluster, archived)
    vmid = _vmid(wish, survey.cluster, block.vmid)
    if isinstance(vmid, Refusal):
        draft.refusals.append(vmid)
        return None
    used = {one.identity.generation for one in survey.generations}
    used |= {left.generation.identity.generation for left in survey.unfinished if not _goes(left.generation, draft)}
    name = wish.now.strftime("%Y%m%d%H%M%S")
    identity = replace(
        block,
        vmid=vmid,
        generation=name if block.generation in used else block.generation,
        run=wish.owner.run,
        deadline=wish.owner.deadline,
        restored=backup.volid,
    )
    step = Restore(
        line=line,
        backup=backup,
        identity=identity,
        human=human_text(archived.description),
        tags=user_tags(archived.tags.as_set()),
        protection=archived.protection,
        publish=wish.publish,
        taken=frozenset(survey.cluster.guests),
        tag_later=_tag_later(survey, vmid),
    )
    try:
        describe(step.human, replace(identity, vmid=999_999_999))
    except ValueError as error:
        draft.refusals.append(_refusal(wish, "backup", backup.volid, str(error), "Restore it by hand, and shorten it"))
    draft.refusals += _privilege_refusals(wish, survey, archived, vmid)
    return step


def _goes(generation: Generation, draft: Draft) -> bool:
    return any(isinstance(step, Destroy) and step.generation is generation for step in draft.steps)


def _there(survey: RestoreSurvey, backup: Backup, block: Identity) -> Generation | None:
    """The complete generation that the backup is of, or that was made of it before."""
    for one in survey.generations:
        mine = (one.identity.generation, one.identity.recipe, one.identity.source)
        same = mine == (block.generation, block.recipe, block.source) or one.identity.restored == backup.volid
        if same and not one.incomplete:
            return one
    return None


def _current(survey: RestoreSurvey) -> Generation | None:
    found = [one for one in survey.generations if one.state is State.CURRENT and not one.incomplete]
    return max(found, key=lambda one: one.identity.generation, default=None)


def _retire(
    wish: RestoreWish, survey: RestoreSurvey, line: TemplateLine, shown: dict[str, Any], draft: Draft
) -> list[int]:
    """The generations that are current beside the restored one become retired, and withdrawn where they are newer."""
    if not draft.steps:
        return []
    retired = []
    for one in survey.generations:
        if one.state is State.CURRENT and not one.incomplete and one.vmid != shown["vmid"]:
            newer = one.identity.generation > shown["generation"]
            # Otherwise the next run over the line would go back to it.
            withdrawn = wish.now.isoformat(timespec="seconds") if newer else ""
            draft.steps.append(Retire(line=line, generation=one, withdrawn=withdrawn))
            retired.append(one.vmid)
    return retired


def _show(wish: RestoreWish, survey: RestoreSurvey, shown: dict[str, Any], retired: list[int], draft: Draft) -> None:
    if not draft.steps:
        return
    current = _current(survey)
    draft.before[wish.key] = generation_view(current) if wish.publish and current else None
    draft.after[wish.key] = {**shown, **({"retired": retired} if retired else {})}


def _as_line(wish: RestoreWish, survey: RestoreSurvey, archived: VmConfig, block: Identity) -> TemplateLine:
    """The line as it stands on the node, or as it stood: nothing is declared but its name."""
    current = _current(survey)
    name = current.config.name if current else None
    return TemplateLine(
        line=wish.wanted.line,
        name=name or (archived.name or wish.wanted.line).removesuffix(f"-{block.generation}"),
        image=CloudImage(
            id=block.image or wish.wanted.line,
            name=wish.wanted.line,
            family="",
            os_family="",
            release="",
            variant="",
            arch="x86_64",
            url=None,
            url_kind="none",
        ),
        place=Placement(
            node=wish.node,
            storage=wish.storage,
            image_storage="",
            cloudinit_storage="",
            pool=wish.pool,
            vmid=wish.vmid,
            vmid_range=wish.vmid_range,
        ),
    )


def _name(line: TemplateLine, identity: Identity, wish: RestoreWish) -> str:
    return line.name if wish.publish else f"{line.name}-{identity.generation}"


def _vmid(wish: RestoreWish, cluster: Cluster, former: int) -> int | Refusal:
    """The declared VMID, else the former one where it is free and in the range, else the first free one."""
    if wish.vmid is not None:
        holder = cluster.guests.get(wish.vmid)
        if holder is None:
            return wish.vmid
        reason = f"it is taken by {holder.name} on {holder.node}"
        return _refusal(wish, "vmid", wish.vmid, reason, "Choose a free one, or leave it out")
    first, last = wish.vmid_range
    candidates: list[int] = [former, *range(first, last + 1)]
    for vmid in candidates:
        if first <= vmid <= last and vmid not in cluster.guests:
            return vmid
    return _refusal(wish, "vmid_range", f"{first}-{last}", "all of its VMIDs are taken", "Widen it")


def _tag_later(survey: RestoreSurvey, vmid: int) -> bool:
    may = Permissions(survey.permissions).has(f"/vms/{vmid}", "VM.Config.Options")
    return version_tuple(survey.version) >= TAGS_CHECKED and not may


def _refusal(wish: RestoreWish, option: str, value: object, reason: str, remedy: str) -> Refusal:
    return Refusal(subject=wish.subject, option=option, value=value, reason=reason, remedy=remedy)


def _no_backup(wish: RestoreWish, survey: RestoreSurvey) -> Refusal | None:
    """Why nothing can be looked into: the node, the storage, or that there is no such backup."""
    node = survey.cluster.nodes.get(wish.node)
    if node is None:
        known = ", ".join(sorted(survey.cluster.nodes)) or "none"
        return _refusal(wish, "node", wish.node, "the cluster has no such node", f"Name one of: {known}")
    if not node.online:
        return _refusal(wish, "node", wish.node, "the node is offline", "Start it, or name another one")
    if not takes_backups(survey.cluster, wish.node, wish.backup_storage):
        return storage_refusal(survey.cluster, wish.subject, wish.node, wish.backup_storage, option="backup_storage")
    return None if survey.chosen is not None else _not_listed(wish, survey)


def _not_listed(wish: RestoreWish, survey: RestoreSurvey) -> Refusal:
    listed = of_line(survey.backups, wish.wanted.line)
    there = ", ".join(one.volid for one in listed) or "none that these credentials may see"
    asked = wish.wanted
    option, value, what = "line", asked.line, "a backup of it"
    if asked.volid is not None:
        option, value, what = "backup", asked.volid, "such a backup"
    elif asked.generation is not None:
        option, value, what = "generation", asked.generation, "a backup of that generation"
    reason = f"there is not {what} on {wish.backup_storage}"
    return _refusal(wish, option, value, reason, f"Backups of the line there: {there}")


def _place_refusals(wish: RestoreWish, cluster: Cluster, archived: VmConfig) -> Iterator[Refusal]:
    if wish.pool and cluster.pools and wish.pool not in cluster.pools:
        yield _refusal(wish, "pool", wish.pool, "there is no such pool that can be seen", "Create it: pveum pool add")
    for storage, problem in target_storages(cluster, wish.node, wish.storage, archived).items():
        if problem:
            given = repr(wish.storage) if wish.storage else f"None: the disks were on {storage}"
            yield _refusal(wish, "storage", storage, f"{problem} (storage={given})", "Name a storage for the disks")


def _privilege_refusals(wish: RestoreWish, survey: RestoreSurvey, archived: VmConfig, vmid: int) -> Iterator[Refusal]:
    storages = target_storages(survey.cluster, wish.node, wish.storage, archived)
    calls = [Call(name="restore", node=wish.node, storage=storage, vmid=vmid, pool=wish.pool) for storage in storages]
    calls += [
        Call(name="restore_net", node=wish.node, zone_bridge=zone_bridge(net.bridge, net.tag))
        for net in archived.nets().values()
        if net.bridge
    ]
    yield from gaps(calls, survey.permissions, survey.auth_id, subject=wish.subject)
