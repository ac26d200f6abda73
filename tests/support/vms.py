# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake cluster with lines to clone from, and the doors about VMs called on it."""

from __future__ import annotations

import re
import time
import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import (
    Identity,
    Role,
    State,
    describe,
    identity_tags,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve import clock

from .door import call
from .pve import FakeCluster, Server, serve
from .pve.cluster import cluster_storages
from .pve.images import GIB

LINE = "debian-13"
GENERATION = "20261123120000"
NEWER = "20261125120000"
NODES = ("pve1", "pve2", "pve3")

Result = dict[str, t.Any]


def add_line(
    cluster: FakeCluster,
    vmid: int = 9000,
    *,
    line: str = LINE,
    node: str = "pve1",
    storage: str = "local-lvm",
    generation: str = GENERATION,
    state: State = State.CURRENT,
    **config: t.Any,
) -> t.Any:
    """A finished generation of a line, as vm_template leaves it. The test's C(config) wins."""
    identity = Identity(vmid=vmid, role=Role.TEMPLATE, line=line, generation=generation, image=line, recipe="sha256:ab")
    file = cluster.storages[storage]["type"] == "dir"
    names = ("base-{}-disk-0.qcow2", "vm-{}-cloudinit.qcow2") if file else ("base-{}-disk-0", "vm-{}-cloudinit")
    fmt = "qcow2" if file else None
    base, seed = (
        cluster.allocate(node, storage, vmid, size, fmt=fmt, name=name.format(vmid))
        for name, size in zip(names, (3 * GIB, 4 * 1024**2), strict=True)
    )
    options = {
        "name": line if state is State.CURRENT else f"{line}-{generation}",
        "description": describe("A template", identity),
        "tags": ";".join(sorted(identity_tags(identity, state) | {"linux"})),
        "scsi0": f"{base},size=3G",
        "scsi1": f"{seed},media=cdrom,size=4M",
        "scsihw": "virtio-scsi-single",
        "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
        "memory": "2048",
        "cores": 2,
        "agent": "enabled=1",
        "ciuser": "debian",
        "ipconfig0": "ip=dhcp",
        "boot": "order=scsi0",
        **config,
    }
    return cluster.add_vm(vmid, node=node, config=options, template=True)


class VmLab:
    """One site: a cluster with three nodes, and one line on the first of them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cluster: FakeCluster = server.cluster
        self.login: dict[str, t.Any] = {}

    def call(self, door: str, params: t.Mapping[str, t.Any], *, check: bool = False) -> Result:
        self.server.reset_log()
        return call(door, self.server, {"timeout": 3600, **self.login, **params}, check=check)

    def vm(self, *, check: bool = False, **options: t.Any) -> Result:
        """Call vm for web1 of the line, whatever comes of it; None takes an option out."""
        wanted = {"name": "web1", "line": LINE, **options}
        return self.call("vm", {key: value for key, value in wanted.items() if value is not None}, check=check)

    def make(self, **options: t.Any) -> t.Any:
        """Call vm, which must change something; returns the fake's VM."""
        result = self.vm(**options)
        assert not result.get("failed"), result["msg"]
        assert result["changed"], result
        return self.cluster.vms[result["vm"]["vmid"]]

    def fleet(self, *vms: t.Mapping[str, t.Any], check: bool = False, **options: t.Any) -> Result:
        """Call vm_fleet, whatever comes of it; VMs are of the line where they say nothing."""
        return self.call("vm_fleet", {"vms": [{"line": LINE, **vm} for vm in vms], **options}, check=check)

    def settled(self, **options: t.Any) -> Result:
        """The same call of vm again writes nothing."""
        again = self.vm(**options)
        assert not again.get("failed"), again["msg"]
        assert again["changed"] is False, again.get("diff")
        assert self.writes() == []
        return again

    def writes(self) -> list[str]:
        """The write requests of the last call."""
        return [f"{entry.method} {entry.path}" for entry in self.server.writes()]

    def sent(self) -> list[str]:
        """All requests of the last call but for polls."""
        shown = [entry for entry in self.server.requests if not entry.is_poll]
        return [f"{entry.method} {re.sub(r'UPID:[^/]+', 'UPID', entry.path)}" for entry in shown]

    def named(self, name: str) -> list[t.Any]:
        return [vm for vm in self.cluster.vms.values() if vm.config.get("name") == name and not vm.template]

    def guests(self) -> list[t.Any]:
        """Everything but templates."""
        return [vm for vm in self.cluster.vms.values() if not vm.template]

    def assert_whole(self, *names: str) -> None:
        """These VMs and no others: each once, unlocked, with its own identity, and no volume without a VM."""
        found = sorted(str(vm.config.get("name")) for vm in self.guests())
        assert found == sorted(names)
        for vm in self.guests():
            assert vm.lock is None, vm.vmid
            assert f"vmid: {vm.vmid}\nrole: clone" in vm.config["description"], vm.vmid
            assert "state-clone" in vm.config["tags"].split(";"), vm.vmid
        configs = " ".join(str(value) for vm in self.cluster.vms.values() for value in vm.config.values())
        orphans = [volid for node in self.cluster.nodes for volid in self.cluster.volumes(node) if volid not in configs]
        assert not orphans

    def heal(self) -> None:
        """Undo what faults did, and let hanging tasks end."""
        self.server.call(self.cluster.faults.reset)
        end = time.monotonic() + 10
        while self.cluster.running_tasks() and time.monotonic() < end:
            time.sleep(0.002)


def new_cluster(nodes: t.Sequence[str] = NODES) -> FakeCluster:
    return FakeCluster(nodes=nodes, storages=cluster_storages(), password="Correct-Horse-1")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[VmLab]:
    """A lab in which time is not waited for."""
    skipped = [0.0]
    real = time.monotonic

    def sleep(_self: t.Any, seconds: float) -> None:
        skipped[0] += seconds
        time.sleep(min(seconds, 0.001))

    monkeypatch.setattr(clock.SystemClock, "sleep", sleep)
    monkeypatch.setattr(clock.SystemClock, "monotonic", lambda _self: real() + skipped[0])
    cluster = new_cluster()
    add_line(cluster)
    with serve(cluster) as server:
        yield VmLab(server)
