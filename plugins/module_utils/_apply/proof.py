# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving a template: clones of it boot, answer, are what was declared, and are not each other's twins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from .._model.identity import Identity, Role, describe
from .._model.ipconfig import IpConfig
from .._model.proof import ProofWish
from .._model.template import TemplateLine
from .._model.vm_config import VmConfig
from .._plan.steps import Prove
from .._pve.client import api_path
from .._pve.errors import ApiError, Kind, ProxmoxError, TaskFailed
from .guest import Guest, GuestFailed
from .proof_checks import Who, found_wrong, twins, who_is
from .removal import remove_vm
from .scheduler import run_all
from .vm_calls import VmCalls

_LOOK_EVERY = 2.0
_ALIVE_BYTES = 8 * 1024 * 1024
"""What a guest without an agent has to have read from its disk: the firmware and a boot loader read less."""


class ProofFailed(ProxmoxError):
    """What the template was to prove does not hold; C(left) are the clones that were left for inspection."""

    def __init__(self, message: str, left: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.left = left


@dataclass(slots=True)
class _Clone:
    vmid: int
    identity: Identity
    started: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one clone turned out to be; times in seconds since its start."""

    vmid: int
    wrong: tuple[str, ...]
    who: Who
    agent_after: float
    done_after: float


class Proof:
    """One template's proof. C(identity) is the template's own, C(config) what is configured of it."""

    def __init__(
        self, vm: VmCalls, step: Prove, identity: Identity, config: VmConfig, *, tell: Callable[[str], None]
    ) -> None:
        self._vm = vm
        self._client = vm.client
        self._line: TemplateLine = step.line
        self._wish: ProofWish = step.wish
        self._step = step
        self._node = step.line.place.node
        self._template = identity
        self._config = config
        self._tell = tell
        self._clones: list[_Clone] = []

    def hold(self, now: str) -> str:
        """Prove; returns what the identity says of it. Raises ProofFailed with everything that does not hold."""
        try:
            problems, summary = self._look()
        except (GuestFailed, ProxmoxError) as error:
            left = self._clean_up(keep=self._wish.keep_failed and isinstance(error, GuestFailed))
            if isinstance(error, GuestFailed):
                raise ProofFailed(str(error), left) from error
            raise
        left = self._clean_up(keep=self._wish.keep_failed and bool(problems))
        if problems:
            raise ProofFailed(f"{self._line.subject}: the proof does not hold: " + "; ".join(problems), left)
        return f"{summary[0]} {now}: {summary[1]}"

    def _look(self) -> tuple[list[str], tuple[str, str]]:
        for number in range(1, self._wish.clones + 1):
            self._clone(number)
        for clone in self._clones:
            self._tell(f"boot VM {clone.vmid}")
            clone.started = True
            self._vm.task("POST", self._node, clone.vmid, "status/start", task="qmstart")
        if self._config.agent is None or not self._config.agent.enabled:
            return self._alive()
        jobs = [partial(self._examine, clone.vmid) for clone in self._clones]
        looks = run_all(jobs, len(jobs))
        failures = [str(look) for look in looks if isinstance(look, GuestFailed)]
        if failures:
            raise GuestFailed("; ".join(failures))
        seen = [look for look in looks if isinstance(look, _Look)]
        problems = [f"VM {look.vmid}: {text}" for look in seen for text in look.wrong]
        problems += twins([(look.vmid, look.who) for look in seen])
        text = (
            f"{len(seen)} clones, agent after {seen[0].agent_after:.0f} s, cloud-init after {seen[0].done_after:.0f} s"
        )
        return problems, ("passed", text)

    def _examine(self, vmid: int) -> _Look | GuestFailed:
        """What a clone that was just started turns out to be. Most of it is waiting, so all are looked at at once."""
        guest = Guest(self._client, self._node, vmid)
        clock = self._client.clock
        started = clock.monotonic()
        try:
            guest.wait(self._wish.timeout)
            agent_after = clock.monotonic() - started
            self._await_cloud_init(guest, vmid)
            done_after = clock.monotonic() - started
            self._tell(f"look at VM {vmid}")
            wrong = tuple(found_wrong(guest, self._wish, self._config))
            return _Look(vmid=vmid, wrong=wrong, who=who_is(guest), agent_after=agent_after, done_after=done_after)
        except GuestFailed as failure:
            return failure

    def _alive(self) -> tuple[list[str], tuple[str, str]]:
        """Without an agent only the machine can be looked at: it runs, reads its disk and sends into its network."""
        problems = []
        for clone in self._clones:
            path = api_path("nodes", self._node, "qemu", clone.vmid, "status", "current")
            end = self._client.clock.monotonic() + self._wish.timeout
            while True:
                seen = self._client.get(path)
                reads, sent = int(seen.get("diskread") or 0), int(seen.get("netout") or 0)
                networked = not self._config.nets() or sent > 0
                if seen.get("status") == "running" and reads >= _ALIVE_BYTES and networked:
                    break
                if seen.get("status") != "running" or self._client.clock.monotonic() > end:
                    problems.append(
                        f"VM {clone.vmid}: it is {seen.get('status')}, has read {reads} bytes of its disk and sent "
                        f"{sent} into its network, so it did not boot"
                    )
                    break
                self._client.deadline.pause(_LOOK_EVERY, f"a sign of life of VM {clone.vmid}")
        return problems, ("degraded", f"{len(self._clones)} clones run; without a guest agent nothing more is known")

    def _clone(self, number: int) -> None:
        """A linked clone where the storage has such. It bears its own identity from the first moment."""
        for vmid in self._free():
            identity = replace(
                self._template,
                vmid=vmid,
                role=Role.PROOF,
                run=self._step.owner[0],
                deadline=self._step.owner[1],
                proof="",
            )
            params = {
                "newid": vmid,
                "name": f"{self._line.name}-proof-{identity.generation}-{number}",
                "description": describe("A clone for a proof; it is destroyed when the proof has ended.", identity),
                "pool": self._line.place.pool or None,
            }
            try:
                self._vm.task("POST", self._node, self._template.vmid, "clone", params, task="qmclone")
            except (ApiError, TaskFailed) as error:
                if error.kind is not Kind.ALREADY_EXISTS:
                    raise
                continue
            self._clones.append(_Clone(vmid, identity))
            self._vm.write(self._node, vmid, dict(self._addresses()), delete=("tags",))
            return
        first, last = self._line.place.vmid_range
        raise GuestFailed(
            f"{self._line.subject}: vmid_range {first}-{last}: no VMID is free for a clone to be proved with"
        )

    def _addresses(self) -> Iterator[tuple[str, str]]:
        """Two clones must not have one address, and none that is meant for somebody else."""
        for key, address in self._config.ipconfigs().items():
            changed = IpConfig.parse(str(address))
            if changed.ip not in (None, "dhcp") or changed.ip6 not in (None, "dhcp", "auto"):
                yield key, "ip=dhcp"

    def _free(self) -> Iterator[int]:
        first, last = self._line.place.vmid_range
        used = {clone.vmid for clone in self._clones} | {self._template.vmid} | self._step.taken
        return (vmid for vmid in range(first, last + 1) if vmid not in used)

    def _await_cloud_init(self, guest: Guest, vmid: int) -> None:
        end = self._client.clock.monotonic() + self._wish.timeout
        while True:
            status, errors = guest.cloud_init()
            if status in ("done", "disabled"):
                return
            if status not in ("running", "not run", "not started", "degraded done", "degraded running"):
                raise GuestFailed(f"cloud-init of VM {vmid} ended as {status}: {'; '.join(errors)}\n{guest.tail()}")
            if status == "degraded done":
                return
            if self._client.clock.monotonic() > end:
                raise GuestFailed(
                    f"cloud-init of VM {vmid} is still {status} after {self._wish.timeout} s\n{guest.tail()}"
                )
            self._client.deadline.pause(_LOOK_EVERY, f"cloud-init of VM {vmid}")

    def _clean_up(self, *, keep: bool) -> tuple[str, ...]:
        """Destroy the clones; returns what stays, in words."""
        if keep:
            return tuple(f"VM {clone.vmid} on {self._node}, a clone of the failed proof" for clone in self._clones)
        left = []
        for clone in self._clones:
            try:
                self._vm.warnings += self._remove(clone)
            except ProxmoxError as error:
                left.append(f"VM {clone.vmid} on {self._node}, a clone of the proof: it could not be removed ({error})")
        return tuple(left)

    def _remove(self, clone: _Clone) -> tuple[str, ...]:
        return remove_vm(self._client, self._node, clone.vmid, clone.identity, running=clone.started) or ()
