# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only writer of restores: a VM from an archive, ours from its first moment, and a whole template at last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from .._model.identity import Identity, State, describe, identity_tags, user_tags
from .._model.template import TemplateLine
from .._model.vm_config import VmConfig
from .._plan.keep_steps import FinishRestore, Restore
from .._plan.plan import Plan, Step
from .._plan.settings import publish_changes, retire_changes
from .._plan.steps import Destroy, Publish, Retire
from .._plan.views import identity_view
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, DeadlineExceeded, Kind, ProxmoxError, TaskFailed
from .advice import advice, is_stale
from .leftovers import not_removed, out_of_time, unproven
from .outcome import ApplyFailed, Outcome
from .removal import NotAsPlanned
from .vm_calls import VmCalls

MAX_CLASHES = 50
"""How many VMIDs are tried when other clients, or guests that these credentials may not see, hold them."""


def apply_restore(client: Client, plan: Plan) -> Outcome:
    """The steps in order. Raises ApplyFailed with what was done and what is left."""
    work = _Work(client, dict(plan.result))
    done: list[str] = []
    for number, step in enumerate(plan.steps):
        try:
            work.do(step)
        except ProxmoxError as cause:
            raise ApplyFailed(
                cause,
                step=step,
                done=tuple(done),
                left=(*work.clean_up(cause), *_pending(plan.steps[number:])),
                advice=_advice(step, cause, client.identity, work.vm.at),
                stale=is_stale(cause),
            ) from cause
        done.append(step.describe())
    return Outcome(result=work.result, warnings=tuple(work.vm.warnings))


class _Work:
    """One run over a plan."""

    def __init__(self, client: Client, result: dict[str, Any]) -> None:
        self.client = client
        self.result = result
        self.vm = VmCalls(client)
        self._open: tuple[str, int, Identity] | None = None
        self._half_made = False

    def do(self, step: Step) -> None:
        match step:
            case Restore():
                self._restore(step)
            case FinishRestore():
                generation = step.generation
                self._finish(step.line, generation.identity, generation.config, step.publish, step.protection)
            case Publish() if step.generation is not None:
                changes = publish_changes(
                    step.line, replace(step.generation.identity, withdrawn=""), step.generation.config
                )
                vmid, digest = step.generation.vmid, step.generation.config.digest
                self.vm.write(step.line.place.node, vmid, changes, digest=digest)
            case Retire():
                one = step.generation
                changes = retire_changes(step.line, one, step.withdrawn)
                self.vm.write(one.row.node, one.vmid, changes, digest=one.config.digest)
            case Destroy():
                self.vm.remove(step.generation.row.node, step.generation.vmid, step.generation.identity)
            case _:
                raise TypeError(f"no way to do {step!r}")

    def _restore(self, step: Restore) -> None:
        node = step.line.place.node
        identity = self._create(step)
        vmid = identity.vmid
        config = self.vm.config(node, vmid)
        changes = _overrides(step, identity)
        late = {key: value for key, value in changes.items() if not _shows(config, key, value)}
        if late:
            self.vm.write(node, vmid, late, digest=config.digest)
        self.vm.task("POST", node, vmid, "template", task="qmtemplate")
        config = self.vm.config(node, vmid)
        problems = config.template_is_complete(vmid)
        if problems:
            raise NotAsPlanned(f"VM {vmid} was restored and converted to a template, but not wholly: {_and(problems)}")
        self._finish(step.line, identity, config, step.publish, step.protection)

    def _create(self, step: Restore) -> Identity:
        """The restore itself. The options beside the archive override the archived ones, so that the VM bears its own
        identity as soon as it has a config; without C(template) the conversion is ours, and its failure is seen."""
        place = step.line.place
        for vmid in _candidates(step):
            identity = replace(step.identity, vmid=vmid)
            self.vm.at = vmid
            self._open = (place.node, vmid, identity)
            self._half_made = False
            params: dict[str, Any] = {
                "vmid": vmid,
                "archive": step.backup.volid,
                "storage": place.storage or None,
                "pool": place.pool or None,
                "unique": 1,
                **_overrides(step, identity),
            }
            if step.tag_later:
                del params["tags"]
            submit = partial(
                self.client.submit,
                "POST",
                api_path("nodes", place.node, "qemu"),
                params,
                node=place.node,
                type="qmrestore",
                id=vmid,
            )
            try:
                upid = self.client.retry_locked(submit)
            except ApiError as error:
                if error.kind is not Kind.ALREADY_EXISTS or vmid == place.vmid:
                    raise
                self._open = None
                continue
            self._half_made = True
            self.vm.warnings += self.client.wait(upid).warnings
            self._half_made = False
            return identity
        first, last = place.vmid_range
        raise NotAsPlanned(
            f"{step.line.subject}: vmid_range {first}-{last}: every VMID that was tried is taken by a guest that these "
            "credentials do not see. Give a free vmid_range"
        )

    def _finish(
        self, line: TemplateLine, identity: Identity, config: VmConfig, publish: bool, protection: bool
    ) -> None:
        """Take the marks of the restore away, as the last write: until then another run finishes it or cleans up."""
        identity = replace(identity, deadline="", withdrawn="" if publish else identity.withdrawn)
        changes = publish_changes(line, identity, config)
        state = State.CURRENT if publish else State.RETIRED
        if not publish:
            changes["name"] = f"{line.name}-{identity.generation}"
            tags = identity_tags(identity, State.RETIRED) | user_tags(config.tags.as_set())
            changes["tags"] = ";".join(sorted(tags))
        if protection:
            changes["protection"] = "1"
        self.vm.write(line.place.node, identity.vmid, changes, digest=config.digest)
        self._open = None
        view = {**identity_view(identity), "name": changes["name"], "state": state.value}
        self.result["template"] = {**self.result["template"], **view}

    def clean_up(self, cause: ProxmoxError) -> tuple[str, ...]:
        """Remove the restore that failed, if it is ours; returns what stays, in words."""
        if self._open is None:
            return ()
        node, vmid, identity = self._open
        if isinstance(cause, DeadlineExceeded):
            return (out_of_time(node, vmid, cause),)
        at = self.vm.at
        try:
            if self._half_made and isinstance(cause, TaskFailed) and self._is_empty(node, vmid):
                self._remove_empty(node, vmid)
                return ()
            ours, told = unproven(self.client, node, vmid, identity)
            if ours:
                self.vm.remove(node, vmid, identity)
        except ProxmoxError as error:
            told = not_removed(node, vmid, error)
        self.vm.at = at
        return (told,) if told else ()

    def _is_empty(self, node: str, vmid: int) -> bool:
        """Whether the VM is what a failed restore leaves: a config without anything in it, and without a lock.

        PVE::API2::Qemu takes the VMID before the worker begins, and cleans up nothing: the VM can be nobody else's.
        """
        try:
            config = self.vm.config(node, vmid)
        except ApiError as error:
            if error.kind in (Kind.NOT_FOUND, Kind.PERMISSION):
                return False
            raise
        return set(config.raw) <= {"digest", "meta", "memory", "vmgenid"}

    def _remove_empty(self, node: str, vmid: int) -> None:
        path = api_path("nodes", node, "qemu", vmid)
        self.client.retry_locked(
            lambda: self.client.run("DELETE", path, {"purge": 1}, node=node, type="qmdestroy", id=vmid)
        )


def _overrides(step: Restore, identity: Identity) -> dict[str, str]:
    """What the VM says otherwise than its archive, from its first moment until it is finished."""
    return {
        "name": f"{step.line.name}-{identity.generation}",
        "description": describe(step.human, identity),
        "tags": ";".join(sorted(identity_tags(identity, State.BUILDING) | step.tags)),
        # A protected VM could not be removed when the restore fails.
        "protection": "0",
        "template": "0",
    }


def _shows(config: VmConfig, key: str, value: str) -> bool:
    match key:
        case "name":
            return config.name == value
        case "description":
            return config.description == value.rstrip()
        case "tags":
            return config.tags.as_set() == frozenset(value.split(";"))
        case "protection":
            return not config.protection
    return not config.is_template


def _candidates(step: Restore) -> Iterator[int]:
    """The planned VMID, then the free ones of the range."""
    yield step.identity.vmid
    place = step.line.place
    if step.identity.vmid == place.vmid:
        return
    first, last = place.vmid_range
    free = (v for v in range(first, last + 1) if v not in step.taken and v != step.identity.vmid)
    for _count, vmid in zip(range(MAX_CLASHES), free, strict=False):
        yield vmid


def _pending(steps: tuple[Step, ...]) -> Iterator[str]:
    """What steps that failed or were not begun leave as it is."""
    for step in steps:
        match step:
            case Retire():
                yield f"VM {step.generation.vmid} is tagged as current as before"
            case Destroy():
                yield f"VM {step.generation.vmid} was not destroyed ({step.reason}), the next run tries again"
            case FinishRestore():
                yield f"VM {step.generation.vmid} is restored and not finished, the next run finishes it"


def _advice(step: Step, cause: ProxmoxError, identity: str, vmid: int | None) -> str:
    kind = getattr(cause, "kind", None)
    if isinstance(step, Restore):
        place = step.line.place
        if kind is Kind.NO_SPACE:
            return f"storage={place.storage!r}: it has no space left. Free some, or name another storage"
        if kind is Kind.ALREADY_EXISTS and place.vmid is not None:
            return f"vmid={place.vmid}: another client took it meanwhile. Choose a free one, or give vmid_range instead"
    return advice(step, cause, identity=identity, vmid=vmid)


def _and(problems: tuple[str, ...]) -> str:
    return ", ".join(problems)
