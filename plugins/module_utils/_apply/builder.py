# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A builder: a VM from the first boot with its seed to the moment it is sealed and switched off."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._model.bake import BAKE_USER
from .._model.customize import Customize
from .._model.template import TemplateLine
from .._plan.build import cloudinit_drive
from .._pve.client import api_path
from .._pve.errors import ProxmoxError
from .._seed.cloud_config import BuildUser, build_seed
from .._seed.errors import SeedError
from .._seed.iso import seed_iso
from .._seed.runner import STATUS_FILE
from .._seed.seal import parse_verdict, seal_script, verify_script
from .._seed.status import parse_status
from .guest import Guest, GuestFailed
from .proof_checks import who_is
from .removal import SEED_SLOT, seed_name
from .vm_calls import VmCalls

BOOT_SECONDS = 900.0
"""Until the agent answers. It may have to be installed first, and an emulated guest on a busy node took 265 s."""

_LOOK_EVERY = 3.0
_SHUTDOWN_SECONDS = 180


class Builder:
    """C(tell) is told in a few words what goes on; C(run) names this boot to the guest."""

    def __init__(self, vm: VmCalls, line: TemplateLine, *, vmid: int, run: str, tell: Callable[[str], None]) -> None:
        self._client = vm.client
        self._vm = vm
        self._line = line
        self._node = line.place.node
        self._vmid = vmid
        self._run = run
        self._tell = tell
        self._guest = Guest(vm.client, self._node, vmid)

    def customise(self, customize: Customize) -> None:
        """Boot with the seed, and wait until everything in it is done. Raises GuestFailed with what failed."""
        self._upload(customize)
        self._vm.write(self._node, self._vmid, {SEED_SLOT: f"{self._seed_volume},media=cdrom"})
        self._vm.task("POST", self._node, self._vmid, "status/start", task="qmstart")
        self._tell("boot")
        self._guest.wait(BOOT_SECONDS)
        self._await_steps()
        self._await_cloud_init()

    def seal(self) -> None:
        """Seal, prove that it is sealed, shut down, and swap the seed for the drive that clones are told by."""
        self._tell("seal")
        user = BAKE_USER if self._line.bake is not None else None
        self._guest.script(seal_script(user), "the seal")
        answer = self._guest.script(verify_script(user), "the check of the seal")
        try:
            verdict = parse_verdict(answer.out)
        except SeedError as error:
            raise GuestFailed(f"VM {self._vmid}: {error}") from error
        if not verdict.ok:
            raise GuestFailed(f"VM {self._vmid} is not sealed ({', '.join(verdict.failed)}):\n{verdict.left}")
        self._tell("shut down")
        self._vm.task(
            "POST", self._node, self._vmid, "status/shutdown", {"timeout": _SHUTDOWN_SECONDS}, task="qmshutdown"
        )
        self._vm.write(self._node, self._vmid, dict(cloudinit_drive(self._line)), delete=(SEED_SLOT,))
        self._remove_seed()

    def reach(self) -> dict[str, Any]:
        """How roles get into it: its addresses, the account, and the keys that its SSH server shows."""
        addresses = self._guest.addresses()
        user = self._build_user()
        return {
            "addresses": addresses,
            "host": addresses[0] if addresses else None,
            "user": user.name if user is not None else None,
            "host_keys": sorted(who_is(self._guest).get("host-key", ())),
        }

    def wake(self) -> None:
        """Roles may have restarted it, or switched it off."""
        state = self._client.get(api_path("nodes", self._node, "qemu", self._vmid, "status", "current"))
        if state.get("status") != "running":
            self._vm.task("POST", self._node, self._vmid, "status/start", task="qmstart")
        self._tell("wait for the agent")
        self._guest.wait(BOOT_SECONDS)

    def _build_user(self) -> BuildUser | None:
        bake = self._line.bake
        return BuildUser(name=BAKE_USER, ssh_authorized_keys=bake.keys) if bake is not None and bake.keys else None

    @property
    def _seed_volume(self) -> str:
        return f"{self._line.place.iso_storage}:iso/{seed_name(self._vmid)}"

    def _upload(self, customize: Customize) -> None:
        try:
            image = seed_iso(build_seed(customize, run=self._run, build_user=self._build_user()))
        except SeedError as error:
            raise GuestFailed(str(error)) from error
        with tempfile.TemporaryDirectory(prefix="homelab-seed-") as folder:
            path = Path(folder, seed_name(self._vmid))
            path.write_bytes(image)
            upid = self._client.upload(
                self._node, self._line.place.iso_storage, content="iso", path=path, filename=path.name
            )
            self._vm.warnings += self._client.wait(upid).warnings

    def _remove_seed(self) -> None:
        """What is left of it is said, and hinders nothing."""
        storage = self._line.place.iso_storage
        path = api_path("nodes", self._node, "storage", storage, "content", self._seed_volume)
        try:
            self._client.run("DELETE", path, node=self._node, type="imgdel", id=storage)
        except ProxmoxError as error:
            self._vm.warnings.append(f"the seed {self._seed_volume} on {self._node} could not be removed: {error}")

    def _await_steps(self) -> None:
        shown = ""
        while True:
            content = self._guest.read(STATUS_FILE)
            progress = parse_status((content or b"").decode("utf-8", "replace"), self._run)
            if progress.failure is not None:
                raise GuestFailed(f"customising VM {self._vmid} failed: {progress.failure}")
            if progress.result == "done":
                return
            if progress.result is not None:
                raise GuestFailed(f"customising VM {self._vmid} failed: {self._guest.tail()}")
            if not progress.steps and self._guest.cloud_init()[0] not in ("running", "not run", "not started"):
                # It was over before the first step began.
                raise GuestFailed(
                    f"cloud-init of VM {self._vmid} ended without beginning what was declared: {self._guest.tail()}"
                )
            if progress.running and progress.running != shown:
                shown = progress.running
                self._tell(shown)
            self._client.deadline.pause(_LOOK_EVERY, f"step {shown or 'one'} of customising VM {self._vmid}")

    def _await_cloud_init(self) -> None:
        while True:
            status, errors = self._guest.cloud_init()
            if status.startswith("error"):
                raise GuestFailed(
                    f"cloud-init of VM {self._vmid} ended with errors: {'; '.join(errors)}\n{self._guest.tail()}"
                )
            if status not in ("running", "degraded running"):
                return
            self._client.deadline.pause(_LOOK_EVERY, f"cloud-init of VM {self._vmid}")
