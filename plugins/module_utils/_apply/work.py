# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work on one track of a template plan: how each step is done, and how what was half-made is cleaned up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, singledispatchmethod
from itertools import islice
from typing import TYPE_CHECKING, Any

from .._model.identity import (
    TAG_GENERATION,
    Identity,
    State,
    describe,
    human_text,
    tag_value,
    tagged_state,
)
from .._model.template import TemplateLine
from .._model.vm_config import VmConfig
from .._plan.build import building_tags, create_params, disk_size
from .._plan.plan import Step
from .._plan.settings import publish_changes, retire_changes
from .._plan.steps import (
    Adopt,
    Build,
    Configure,
    Convert,
    Customise,
    Destroy,
    FetchImage,
    Pause,
    Prove,
    Publish,
    Release,
    Resume,
    Retire,
    Seal,
    Settle,
)
from .._plan.views import identity_view
from .._pve.client import api_path
from .._pve.errors import ApiError, DeadlineExceeded, Kind, ProxmoxError, TaskFailed
from .._read.cluster import read_cluster
from .._read.templates import line_rows
from .images import put_image
from .leftovers import not_removed, out_of_time, stays_of_image, stays_of_steps, unproven
from .removal import NotAsPlanned
from .scheduler import Turns
from .vm_calls import VmCalls
from .watching import Watch, WatchedFetcher

if TYPE_CHECKING:
    from .builder import Builder

_GIB = 1024**3


MAX_CLASHES = 50
"""How many VMIDs are tried when other clients, or guests that these credentials may not see, hold them."""


class Overtaken(ProxmoxError):
    """Another run builds, or has built, the same line meanwhile. The plan has to be made again."""


class Work:
    """One run over a plan: what it has made so far."""

    def __init__(self, watch: Watch, fetch: WatchedFetcher, turns: Turns, results: dict[str, Any]) -> None:
        self.watch = watch
        self.client = watch.client
        self.fetch = watch.fetching(fetch)
        self.turns = turns
        self.results = results
        self.vm = VmCalls(watch.client)
        self.partly: list[str] = []
        self.unproved: tuple[str, ...] = ()
        self._published: set[str] = set()
        self.made: dict[str, tuple[Identity, VmConfig]] = {}
        self.open: tuple[TemplateLine, int, Identity] | None = None

    @singledispatchmethod
    def do(self, step: Step) -> None:
        raise TypeError(f"no way to do {step!r}")

    @do.register
    def _fetch_image(self, step: FetchImage) -> None:
        def put() -> tuple[str, ...]:
            with self.turns.heavy(step.node, step.storage):
                self.watch.begin()
                return put_image(self.client, step, self.fetch)

        self.vm.warnings += self.turns.once(step, put) or ()

    @do.register
    def _build(self, step: Build) -> None:
        identity = self._make(step)
        if step.line.customize is None:
            self._complete(step.line, identity)

    @do.register
    def _customise(self, step: Customise) -> None:
        line = step.line
        with self.turns.heavy(line.place.node, line.place.storage):
            self.watch.begin()
            if line.customize is not None:
                self.builder(line).customise(line.customize)

    @do.register
    def _pause(self, step: Pause) -> None:
        from .baking import pause  # noqa: PLC0415 - as with the builder

        pause(self, step)

    @do.register
    def _resume(self, step: Resume) -> None:
        from .baking import resume  # noqa: PLC0415 - as with the builder

        resume(self, step)

    @do.register
    def _seal(self, step: Seal) -> None:
        self.builder(step.line).seal()

    @do.register
    def _convert(self, step: Convert) -> None:
        if self.open is None:
            raise TypeError(f"{step.line.subject}: there is nothing to convert")
        _line, vmid, identity = self.open
        self.vm.task("POST", step.line.place.node, vmid, "template", task="qmtemplate")
        self._complete(step.line, identity)

    def builder(self, line: TemplateLine) -> Builder:
        """The VM that is under way."""
        # Modules are compiled anew in each run; what only some lines need is loaded by those.
        from .builder import Builder  # noqa: PLC0415

        if self.open is None:
            raise TypeError(f"{line.subject}: there is nothing to customise")
        _line, vmid, identity = self.open
        return Builder(self.vm, line, vmid=vmid, run=f"{vmid}-{identity.generation}", tell=self.watch.note)

    def _complete(self, line: TemplateLine, identity: Identity) -> None:
        """Read back that the build is a whole template."""
        config = self.vm.config(line.place.node, identity.vmid)
        problems = config.template_is_complete(identity.vmid)
        if problems:
            raise NotAsPlanned(f"VM {identity.vmid} was converted to a template, but not wholly: {', '.join(problems)}")
        self.made[line.key] = (identity, config)
        self.open = None
        self.partly.clear()

    def _make(self, step: Build) -> Identity:
        # What keeps the storage busy is the import; to grow and to convert a disk are changes of its metadata.
        with self.turns.heavy(step.line.place.node, step.line.place.storage):
            self.watch.begin()
            vmid = self._create(step)
        identity = replace(step.identity, vmid=vmid)
        self.open = (step.line, vmid, identity)
        self.partly.append(f"created VM {vmid}")
        if step.tag_later:
            self.vm.write(step.line.place.node, vmid, {"tags": building_tags(step, vmid)})
        self._refuse_rivals(step, vmid)
        self._grow(step.line, vmid)
        if step.line.customize is None:
            self.vm.task("POST", step.line.place.node, vmid, "template", task="qmtemplate")
        return identity

    @do.register
    def _prove(self, step: Prove) -> None:
        from .proving import prove  # noqa: PLC0415 - as with the builder

        prove(self, step)

    @do.register
    def _publish(self, step: Publish) -> None:
        line = step.line
        if line.key in self.made:
            identity, config = self.made[line.key]
        elif step.generation is not None:
            identity, config = step.generation.identity, step.generation.config
        else:
            raise TypeError(f"{line.subject}: there is nothing to publish")
        identity = replace(identity, deadline="", withdrawn="")
        changes = {**step.changes, **publish_changes(line, identity, config)}
        if line.password is not None:
            # Not in the create call: Proxmox VE stores a password in plain text there, and hashed on a PUT.
            changes["cipassword"] = line.password.value
        self.vm.write(line.place.node, identity.vmid, changes, delete=step.delete, digest=config.digest)
        self._published.add(line.key)
        self._report(line, identity, changes)

    @do.register
    def _retire(self, step: Retire) -> None:
        generation = step.generation
        changes = retire_changes(step.line, generation, step.withdrawn)
        there = self.vm.write_if_there(generation.row.node, generation.vmid, changes, digest=generation.config.digest)
        retired = self.results[step.line.key]["retired"]
        if there and generation.vmid not in retired:
            retired.append(generation.vmid)

    @do.register
    def _configure(self, step: Configure) -> None:
        changes = dict(step.changes)
        if step.password and step.line.password is not None:
            changes["cipassword"] = step.line.password.value
        self.vm.write(step.line.place.node, step.vmid, changes, delete=step.delete, digest=step.digest)
        current = self.results[step.line.key]["current"]
        current["name"] = changes.get("name", current["name"])

    @do.register
    def _adopt(self, step: Adopt) -> None:
        changes = dict(step.changes)
        if step.password and step.line.password is not None:
            changes["cipassword"] = step.line.password.value
        self.vm.write(step.line.place.node, step.identity.vmid, changes, delete=step.delete, digest=step.digest)
        self._report(step.line, step.identity, step.changes)

    @do.register
    def _destroy(self, step: Destroy) -> None:
        generation = step.generation
        identity = generation.identity
        # A builder that was left to its roles runs.
        self.vm.remove(generation.row.node, generation.vmid, identity, running=bool(identity.paused))
        for result in self.results.values():
            _forget(result, generation.vmid)

    @do.register
    def _settle(self, step: Settle) -> None:
        line, node = step.line, step.line.place.node
        origin = self._of_step(step)
        identity = replace(origin, vmid=step.vmid, run=step.run, deadline=step.deadline)
        with self.turns.heavy(node, line.place.storage):
            self.watch.begin()
            self._clone(step, origin.vmid, identity)
        self.vm.task("POST", node, step.vmid, "template", task="qmtemplate")
        config = self.vm.config(node, step.vmid)
        problems = config.template_is_complete(step.vmid)
        if problems:
            raise NotAsPlanned(f"VM {step.vmid} was converted to a template, but not wholly: {', '.join(problems)}")
        identity = replace(identity, deadline="")
        changes = publish_changes(line, identity, config)
        self.vm.write(node, step.vmid, changes, digest=config.digest)
        self.open = None
        self.partly.clear()
        view = {**identity_view(identity), "name": changes["name"], "state": State.CURRENT.value}
        self.results[line.key]["current"] = view

    def _clone(self, step: Settle, origin: int, identity: Identity) -> None:
        """A full clone bears its own identity from its first moment: it is given in the call, tags are inherited."""
        line, node = step.line, step.line.place.node
        self.vm.at = step.vmid
        self.open = (line, step.vmid, identity)
        human = human_text(self.vm.config(node, origin).description)
        params = {
            "newid": step.vmid,
            "name": line.name,
            "description": describe(human, identity),
            "full": 1,
            "storage": line.place.storage,
            "pool": line.place.pool or None,
        }
        path = api_path("nodes", node, "qemu", origin, "clone")
        clone = partial(self.client.run, "POST", path, params, node=node, type="qmclone", id=origin)
        try:
            self.vm.warnings += self.client.retry_locked(clone).warnings
        except (ApiError, TaskFailed) as error:
            if error.kind is Kind.ALREADY_EXISTS:
                self.open = None
            raise
        self.partly.append(f"cloned VM {origin} to VM {step.vmid}")

    @do.register
    def _release(self, step: Release) -> None:
        identity = self._of_step(step)
        self.vm.remove(step.line.place.node, identity.vmid, identity)
        for result in self.results.values():
            _forget(result, identity.vmid)

    def _of_step(self, step: Settle | Release) -> Identity:
        return step.generation.identity if step.generation is not None else self.made[step.line.key][0]

    def clean_up(self, pending: Sequence[Step], cause: Exception) -> tuple[str, ...]:
        """Remove the build that failed, if it is ours and worth nothing; returns what stays, in words."""
        left = [*stays_of_image(pending[0], cause), *self.unproved]
        if self.open is not None:
            left += self._discard(*self.open, cause)
            pending = [step for step in pending if not _is_of(step, self.open[1])]
        made = {key: identity.vmid for key, (identity, _config) in self.made.items()}
        return (*left, *stays_of_steps(pending, made, self._published))

    def _create(self, step: Build) -> int:
        place = step.line.place
        path = api_path("nodes", place.node, "qemu")
        for vmid in islice(step.candidates(), MAX_CLASHES + 1):
            self.vm.at = vmid
            self.open = (step.line, vmid, replace(step.identity, vmid=vmid))
            create = partial(
                self.client.run, "POST", path, create_params(step, vmid), node=place.node, type="qmcreate", id=vmid
            )
            try:
                result = self.client.retry_locked(create)
            except (ApiError, TaskFailed) as error:
                if error.kind is Kind.ALREADY_EXISTS:
                    self.open = None
                if self.open is not None or vmid == place.vmid:
                    raise
                continue
            self.vm.warnings += result.warnings
            return vmid
        raise NotAsPlanned(
            f"{step.line.subject}: vmid_range {place.vmid_range[0]}-{place.vmid_range[1]}: "
            "every VMID that was tried is taken by a guest that these credentials do not see. Give a free vmid_range"
        )

    def _refuse_rivals(self, step: Build, vmid: int) -> None:
        """Now that this build can be seen, look for one of another run: of two that overlap, one sees the other."""
        for row in line_rows(step.line, read_cluster(self.client)):
            known = tag_value(row.tags, TAG_GENERATION) in step.generations
            if row.vmid != vmid and not known and tagged_state(row.tags) in (State.BUILDING, State.CURRENT):
                raise Overtaken(f"{step.line.subject}: another run has meanwhile made VM {row.vmid} of this line")

    def _grow(self, line: TemplateLine, vmid: int) -> None:
        size = disk_size(line)
        if size is None:
            return
        config = self.vm.config(line.place.node, vmid)
        actual = config.disks()["scsi0"].size_bytes or 0
        if line.disk.size is not None and size < actual:
            has = f"{actual / _GIB:g}G"
            raise NotAsPlanned(
                f"{line.subject}: disk.size='{size / _GIB:g}G': the image's disk has {has}, and disks only grow. "
                f"Set disk.size to {has} or more, or leave it out"
            )
        # A resize to the same size fails in the task: "shrinking disks is not supported".
        if size > actual:
            self.vm.task("PUT", line.place.node, vmid, "resize", {"disk": "scsi0", "size": str(size)})

    def _discard(self, line: TemplateLine, vmid: int, identity: Identity, cause: Exception) -> list[str]:
        node = line.place.node
        if isinstance(cause, DeadlineExceeded):
            return [out_of_time(node, vmid, cause)]
        at = self.vm.at
        try:
            ours, told = unproven(self.client, node, vmid, identity)
            if ours:
                self.vm.remove(node, vmid, identity)
        except ProxmoxError as error:
            told = not_removed(node, vmid, error)
        self.vm.at = at
        return [told] if told else []

    def _report(self, line: TemplateLine, identity: Identity, changes: Any) -> None:
        result = self.results[line.key]
        former = result["current"]
        if former and former["vmid"] != identity.vmid:
            result["retired"].append(former["vmid"])
        result["unfinished"] = [vmid for vmid in result["unfinished"] if vmid != identity.vmid]
        result["current"] = {**identity_view(identity), "name": changes["name"], "state": State.CURRENT.value}


def _forget(result: dict[str, Any], vmid: int) -> None:
    for key in ("retired", "unfinished"):
        result[key] = [other for other in result[key] if other != vmid]
    if result["current"] and result["current"]["vmid"] == vmid:
        result["current"] = None


def _is_of(step: Step, vmid: int) -> bool:
    """Whether a step is to publish that VM, which is no more, or of which is said what is left."""
    return isinstance(step, Publish) and step.generation is not None and step.generation.vmid == vmid
