# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small site for tests of doors: a vendor, a fake cluster, one line to keep, and a list of all that is there."""

from __future__ import annotations

import asyncio
import functools
import importlib
import re
import time
import typing as t
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from unittest import mock

from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.run_id import is_gone

from tests.support.door import call
from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.cluster import cluster_storages
from tests.support.pve.faults import Faults
from tests.support.pve.images import GIB, qcow2
from tests.support.pve.vm import Vm, normal_tags
from tests.support.vendor import Vendor

UTILS = "ansible_collections.homelab.proxmox.plugins.module_utils"
LINE = "debian-13"
NAME = "cloud/debian-13.qcow2"
TIMEOUT = 1800

Result = dict[str, t.Any]


class FastClock:
    """Lets the time that somebody would sleep pass at once. Unix time stays real: it is compared with the server's."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds
        # The server's own threads have to get a turn.
        time.sleep(min(seconds, 0.001))

    def time(self) -> float:
        return time.time()


def _date_class(clock: FastClock) -> type[datetime]:
    class Moved(datetime):
        """C(datetime) on the fast clock, for the times that a run writes down."""

        @classmethod
        def now(cls, tz: t.Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=clock.skipped)

    return Moved


class Site:
    """One cluster, one vendor with one image, and the options of the line that C(vm_template) keeps.

    C(elsewhere): runs are taken for those of another machine, whose end cannot be known from here.
    """

    def __init__(self, server: Server, vendor: Vendor, clock: FastClock) -> None:
        self.server = server
        self.cluster: FakeCluster = server.cluster
        self.faults: Faults = server.cluster.faults
        self.vendor = vendor
        self.clock = clock
        self.elsewhere = False
        self.runs = 0
        self.login: dict[str, t.Any] = {}
        self.digests = [vendor.publish(NAME, image())]

    @property
    def digest(self) -> str:
        """Of the newest build."""
        return self.digests[-1]

    @property
    def url(self) -> str:
        return f"{self.vendor.url}/{NAME}"

    def line(self, **changes: t.Any) -> dict[str, t.Any]:
        """The options of the line; None takes one out."""
        options = {
            "line": LINE,
            "node": "pve1",
            "storage": "local-lvm",
            "url": self.url,
            "checksum_url": f"{self.vendor.url}/cloud/SHA256SUMS",
            "allow_unverified": True,
            "refresh": "always",
            "disk": {"size": "4G"},
            "cipassword": "correct-horse-7",
            **changes,
        }
        return {name: value for name, value in options.items() if value is not None}

    def image(self, **changes: t.Any) -> dict[str, t.Any]:
        """The options of C(image) for the same image."""
        wanted = ("node", "url", "checksum_url", "allow_unverified")
        options = {"storage": "local", **{name: self.line()[name] for name in wanted}, **changes}
        return {name: value for name, value in options.items() if value is not None}

    def run(self, door: str, params: t.Mapping[str, t.Any], *, check: bool = False) -> Result:
        """One run of a door, some seconds after the last one; the journal of the server begins anew."""
        self.clock.skipped += 5
        self.runs += 1
        self.server.reset_log()
        return call(door, self.server, {"timeout": TIMEOUT, **self.login, **params}, check=check)

    def keep(self, **changes: t.Any) -> Result:
        """One run of C(vm_template)."""
        return self.run("vm_template", self.line(**changes))

    def new_image(self) -> None:
        """The vendor publishes a newer build."""
        self.digests.append(self.vendor.publish(NAME, image(f"build {len(self.digests)}".encode())))

    def heal(self) -> None:
        """Undo what faults did and let hanging tasks end."""
        self.server.call(self.faults.reset)
        end = time.monotonic() + 10
        while self.cluster.running_tasks() and time.monotonic() < end:
            time.sleep(0.002)

    def next_gate(self) -> Callable[[], None]:
        """Tasks that hang from now on hang by themselves; returns how to let those go that hang already."""
        gate = self.faults.let_go

        def renew() -> None:
            self.faults.let_go = asyncio.Event()

        self.server.call(renew)
        return lambda: self.server.call(gate.set)

    def run_id(self) -> str:
        """What a run of this site calls itself; a run of elsewhere is another one every time."""
        return f"elsewhere-{self.runs}-1" if self.elsewhere else "here-1-1"

    def is_gone(self, run: str) -> bool:
        return run.startswith("here-") or is_gone(run)

    # ------------------------------------------------------------- what is there

    def stock(self) -> list[str]:
        """Every VM, volume, lock and running task, sorted, one line each."""
        vms = self.cluster.vms.values()
        found = [f"VM {vm.vmid} {state_of(vm)}" for vm in vms]
        found += [f"lock {vm.vmid} {vm.lock}" for vm in vms if vm.lock]
        for node in self.cluster.nodes:
            found += [stored(volid, node) for volid in self.cluster.volumes(node)]
        tasks = self.cluster.tasks
        found += [f"task {tasks[upid]['type']} {tasks[upid]['id']}".strip() for upid in self.cluster.running_tasks()]
        return sorted(dict.fromkeys(found))

    def writes(self) -> list[str]:
        """The write requests of the last run."""
        return [f"{entry.method} {entry.path}" for entry in self.server.writes()]

    def assert_named(self, result: Result, before: list[str]) -> None:
        """Nothing that a failed run leaves behind goes unsaid, and it says C(changed) where something has."""
        new = [item for item in self.stock() if item not in before]
        made = [item for item in new if not item.startswith("lock")]
        assert result.get("changed") or not made, f"not changed, but there is {made}"
        told = " ".join([result["msg"], *result.get("done", []), *result.get("left_behind", [])])
        left = " ".join(result.get("left_behind", []))
        current = [item for item in self.stock() if " current" in item]
        for item in new:
            kind, _blank, name = item.partition(" ")
            name = name.partition(" ")[0]
            if kind == "VM" and (state_of(self.cluster.vms[int(name)]) == "building" or "?" in item):
                assert f"VM {name}" in left, f"{item} is not in left_behind: {left!r}"
            elif kind in ("lock", "VM") and self._ours(int(name)):
                assert f"VM {name}" in told, f"{item} is not said: {told!r}"
            elif kind == "task":
                (upid,) = self.cluster.running_tasks()
                assert upid in left, f"{upid} is not in left_behind: {left!r}"
            elif ":import/" in item:
                assert item.rpartition("/")[2] in told, f"{item} is not said: {told!r}"
        if len(current) > 1:
            old = min(int(item.split()[1]) for item in current)
            assert f"VM {old}" in left, f"VM {old} is still current, which is not said: {left!r}"

    def _ours(self, vmid: int) -> bool:
        return (
            "```homelab" in str(self.cluster.vms[vmid].config.get("description", "")) or not self.cluster.vms[vmid].name
        )

    def assert_whole(self) -> None:
        """One current generation, a template on base disks; every disk in some VM's config; no lock, no task."""
        current = [vm for vm in self.cluster.vms.values() if state_of(vm).startswith("current")]
        assert len(current) == 1, self.stock()
        assert state_of(current[0]) == "current template", self.stock()
        configs = " ".join(str(value) for vm in self.cluster.vms.values() for value in vm.config.values())
        disks = [v for node in self.cluster.nodes for v in self.cluster.volumes(node) if ":import/" not in v]
        orphans = [volid for volid in disks if volid not in configs]
        assert not orphans, f"no VM has these: {orphans}"
        strange = [item for item in self.stock() if item.startswith(("lock", "task")) or "building" in item]
        assert not strange, strange


def state_of(vm: Vm) -> str:
    """What a VM is: the state in its tags with what is wrong, or its name for a VM of somebody else."""
    tags = normal_tags(str(vm.config.get("tags", ""))).split(";")
    states = [tag.removeprefix("state-") for tag in tags if tag.startswith("state-")]
    if not states:
        return str(vm.config.get("name", "?"))
    volids = [volid for _key, volid, _props in vm.drives(cdrom=False)]
    whole = vm.template and volids and all(f"base-{vm.vmid}-" in volid for volid in volids)
    return f"{states[0]} template" if whole else states[0]


def stored(volid: str, node: str) -> str:
    """A volume as it is listed: on the first node its id, on others with their name."""
    return volid if node == "pve1" else f"{node} {volid}"


@functools.cache
def image(salt: bytes = b"") -> bytes:
    """A real qcow2 image with a disk of 3 GiB; another salt makes another digest."""
    return qcow2(3 * GIB) + salt.ljust(512, b"\0") * bool(salt)


def template(vmid: int, state: str = "current", storage: str = "local-lvm") -> list[str]:
    """What stock() lists for a finished generation."""
    return [f"VM {vmid} {state} template", f"{storage}:base-{vmid}-disk-0", f"{storage}:vm-{vmid}-cloudinit"]


def half(vmid: int, state: str = "building") -> list[str]:
    """What stock() lists for a build that was not converted."""
    return [f"VM {vmid} {state}", f"local-lvm:vm-{vmid}-disk-0", f"local-lvm:vm-{vmid}-cloudinit"]


def file(digest: str) -> str:
    """What stock() lists for the stored image."""
    return f"local:import/debian-13-{digest[:12]}.qcow2"


def plain(text: str) -> str:
    """A message with its white space made even."""
    return re.sub(r"\s+", " ", text)


@contextmanager
def open_site(vendor: Vendor, cluster: FakeCluster | None = None) -> Iterator[Site]:
    """A site on which time passes at once, until the with-block ends. The vendor serves its image only."""
    vendor.files = {}
    with serve(cluster or FakeCluster(nodes=("pve1", "pve2"), storages=cluster_storages())) as server:
        site = Site(server, vendor, FastClock())
        with _patched(site):
            yield site


@contextmanager
def _patched(site: Site) -> Iterator[None]:
    patches = {
        "_pve.client.SystemClock": lambda: site.clock,
        "_pve.transport.SystemClock": lambda: site.clock,
        "_images.http.SystemClock": lambda: site.clock,
        "_ansible.resolving.datetime": _date_class(site.clock),
        "_ansible.template_door.run_id": site.run_id,
        "_ansible.resolving.is_gone": site.is_gone,
    }
    active = []
    for name, value in patches.items():
        module, _unused, attribute = name.rpartition(".")
        active.append(mock.patch.object(importlib.import_module(f"{UTILS}.{module}"), attribute, value))
    for patch in active:
        patch.start()
    try:
        yield
    finally:
        for patch in active:
            patch.stop()
