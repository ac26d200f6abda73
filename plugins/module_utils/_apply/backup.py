# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only writer of backups: takes them, and lets those go that a plan names."""

from __future__ import annotations

from typing import Any

from .._model.backup import Backup, Label
from .._plan.backup import backup_view
from .._plan.keep_steps import DropBackup, ProtectBackup, TakeBackup
from .._plan.plan import Plan, Step
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, ConnectionFailed, DeadlineExceeded, Kind, ProxmoxError, WriteLost
from .._read.backups import read_backups
from .advice import advice
from .outcome import ApplyFailed, Outcome
from .removal import NotAsPlanned


def apply_backup(client: Client, plan: Plan) -> Outcome:
    """The steps in order; what goes goes last. Raises ApplyFailed with what was done and what is left."""
    work = _Work(client, dict(plan.result))
    done: list[str] = []
    for step in plan.steps:
        try:
            work.do(step)
        except ProxmoxError as cause:
            raise ApplyFailed(
                cause,
                step=step,
                done=tuple(done),
                left=work.left_by(step, cause),
                advice=advice(step, cause, identity=client.identity) or _advice(step, cause),
            ) from cause
        done.append(step.describe())
    return Outcome(result=work.result, warnings=tuple(work.warnings))


class _Work:
    """One run over a plan."""

    def __init__(self, client: Client, result: dict[str, Any]) -> None:
        self.client = client
        self.result = result
        self.warnings: list[str] = []

    def do(self, step: Step) -> None:
        match step:
            case TakeBackup():
                self._take(step)
            case ProtectBackup():
                self._change(step.backup, {"protected": int(step.protected)})
            case DropBackup():
                self._drop(step)
            case _:
                raise TypeError(f"no way to do {step!r}")

    def _take(self, step: TakeBackup) -> None:
        one, node = step.generation, step.generation.row.node
        params = {
            "vmid": one.vmid,
            "storage": step.storage,
            # A template never runs, so nothing is stopped; the other modes ask the storage for snapshots.
            "mode": "stop",
            "compress": step.compress,
            "notes-template": step.label.render(),
            # Without it vzdump prunes by the storage's own retention, by VMID: backups of other VMs might go.
            "remove": 0,
        }
        if step.protected:
            params["protected"] = 1
        path = api_path("nodes", node, "vzdump")
        self.warnings += self.client.run("POST", path, params, node=node, type="vzdump", id=one.vmid).warnings
        made = self._labelled(step)
        if step.protected and not made.protected:
            self._change(made, {"protected": 1})
        view = {**backup_view(made), "protected": step.protected or made.protected}
        self.result["backup"] = view
        gone = {entry["volid"] for entry in self.result["removed"]}
        self.result["backups"] = [view, *(entry for entry in self.result["backups"] if entry["volid"] not in gone)]

    def _labelled(self, step: TakeBackup) -> Backup:
        """The backup that was made; vzdump only warns when it could not write the notes."""
        new = _new(self.client, step)
        made = next((one for one in new if one.label == step.label), None)
        if made is not None:
            return made
        if len(new) != 1:
            raise NotAsPlanned(
                f"vzdump of VM {step.generation.vmid} ended well, and {step.storage} lists "
                f"{len(new) or 'no'} new backups of it"
            )
        self._change(new[0], {"notes": step.label.render()})
        return next(one for one in _new(self.client, step) if one.volid == new[0].volid)

    def _change(self, backup: Backup, attributes: dict[str, str | int]) -> None:
        """Write attributes of a backup; a write that was cut is done again, as it says the same twice."""
        try:
            self.client.put(_path(backup), attributes)
        except WriteLost:
            self.client.put(_path(backup), attributes)

    def _drop(self, step: DropBackup) -> None:
        one = step.backup
        # Somebody may have protected it, or written other notes, since the plan was made.
        found = {row.volid: row for row in read_backups(self.client, one.node, one.storage)}.get(one.volid)
        if found is None:
            self.warnings.append(f"{one.volid} was gone already")
            return
        if found.protected or found.label != one.label:
            raise NotAsPlanned(f"{one.volid} is no longer what the plan saw; it was left alone")
        self.warnings += self.client.run(
            "DELETE", _path(one), node=one.node, type="imgdel", id=f"{one.vmid}@{one.storage}"
        ).warnings

    def left_by(self, step: Step, cause: ProxmoxError) -> tuple[str, ...]:
        """What the failed step leaves, in words."""
        if isinstance(step, DropBackup):
            return (f"{step.backup.volid}: it may be deleted or not; the next run looks",) if _blind(cause) else ()
        if not isinstance(step, TakeBackup):
            return ()
        what = f"a backup of VM {step.generation.vmid} on {step.storage}"
        if isinstance(cause, DeadlineExceeded) and cause.upid is not None:
            return (f"{what}: the task {cause.upid} goes on; the next run finds the backup by its notes",)
        if _blind(cause):
            return (f"{what}: it is not known whether it was made; the next run looks",)
        try:
            new = _new(self.client, step)
        except ProxmoxError as error:
            return (f"{what}, if there is one: the storage could not be listed ({error})",)
        return tuple(_left(one, step.label) for one in new)


def _left(one: Backup, label: Label) -> str:
    if one.label == label:
        return f"{one.volid}, which is complete: the next run counts it"
    return f"{one.volid}, which bears no notes of ours: the next run does not count it. Look at it, and delete it"


def _new(client: Client, step: TakeBackup) -> list[Backup]:
    """The VM's backups that were not there when the plan was made."""
    listed = read_backups(client, step.generation.row.node, step.storage)
    return [one for one in listed if one.vmid == step.generation.vmid and one.volid not in step.known]


def _path(backup: Backup) -> str:
    return api_path("nodes", backup.node, "storage", backup.storage, "content", backup.volid)


def _blind(cause: ProxmoxError) -> bool:
    read = isinstance(cause, ApiError) and cause.method == "GET"
    return read or isinstance(cause, WriteLost | DeadlineExceeded | ConnectionFailed)


def _advice(step: Step, cause: ProxmoxError) -> str:
    if getattr(cause, "kind", None) is Kind.NO_SPACE and isinstance(step, TakeBackup):
        return f"storage={step.storage!r}: it has no space left. Free some, or name another storage"
    return ""
