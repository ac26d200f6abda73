# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bench with two nodes, and the fleet's doors called on it."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import read_identity

from .pve import FakeCluster
from .pve.cluster import cluster_storages
from .vendor import Vendor
from .workbench import IMAGE, Bench, open_bench

NODES = ("pve1", "pve2")
TWO = ({"line": "alpha"}, {"line": "beta", "memory": 4096})
ALL = ["alpha@pve1", "alpha@pve2", "beta@pve1", "beta@pve2"]

Line = t.Mapping[str, t.Any]
Result = dict[str, t.Any]


class Fleet:
    """A bench with two nodes, and C(vm_template_fleet) called on it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.cluster = bench.cluster

    def run(self, *lines: Line, check: bool = False, **options: t.Any) -> Result:
        """One call, whatever comes of it. Lines have the catalogue's image and local-lvm where they say nothing."""
        full = []
        for line in lines:
            own = {} if line.get("state") == "absent" else {"storage": "local-lvm"}
            own |= {} if "url" in line or line.get("state") == "absent" else {"image": IMAGE}
            full.append({key: value for key, value in {**own, **line}.items() if value is not None})
        whole = {"nodes": list(NODES), "catalog_files": [str(self.bench.catalog)], **options}
        return self.bench.call("vm_template_fleet", {"lines": full, **whole}, check=check)

    def build(self, *lines: Line, **options: t.Any) -> Result:
        """A call that must change something."""
        result = self.run(*lines, **options)
        assert not result.get("failed"), result["msg"]
        assert result["changed"], result
        return result

    def settled(self, *lines: Line, **options: t.Any) -> Result:
        """The same again writes nothing."""
        before = self.bench.snapshot()
        again = self.run(*lines, **options)
        assert not again.get("failed"), again["msg"]
        assert again["changed"] is False, again.get("diff")
        assert self.bench.writes() == []
        assert self.bench.snapshot() == before
        return again

    def current(self) -> dict[str, int]:
        """VMIDs of the stored templates that are current, by line@node; each must be whole and alone."""
        found: dict[str, int] = {}
        for vmid, vm in sorted(self.cluster.vms.items()):
            identity = read_identity(vmid, str(vm.config.get("description", "")))
            if not hasattr(identity, "line") or self.bench.state(vmid) != "current":
                continue
            key = f"{identity.line}@{vm.node}"
            assert key not in found, f"{key} is current twice"
            assert vm.config["name"] == identity.line
            assert vm.template
            disks = [volid for _key, volid, _props in vm.drives(cdrom=False)]
            assert disks
            assert all(f"base-{vmid}-" in volid for volid in disks)
            assert set(disks) <= set(self.cluster.volumes(vm.node))
            found[key] = vmid
        return found

    def sent(self, pattern: str) -> list[str]:
        """The requests of the last call that match."""
        return [line for line in self.bench.sent() if re.search(pattern, line)]

    def add(self, effect: str, request: str, **options: t.Any) -> None:
        method, _blank, path = request.partition(" ")
        self.cluster.faults.add(effect, method, path, **options)

    def heal(self) -> None:
        self.cluster.faults.assert_all_fired()
        self.bench.server.call(self.cluster.faults.reset)
        self.bench.settle()

    def volumes(self) -> set[tuple[str, str]]:
        """Every disk with the node it is on."""
        return {(node, volid) for node in NODES for volid in self.cluster.volumes(node) if ":import/" not in volid}


@pytest.fixture
def fleet(bench_vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    cluster = FakeCluster(nodes=NODES, storages=cluster_storages(), password="Correct-Horse-1")
    with open_bench(bench_vendor, tmp_path, monkeypatch, cluster) as bench:
        yield Fleet(bench)


def told(result: Result) -> dict[str, t.Any]:
    """The parts of the summary that are about something."""
    return {kind: found for kind, found in result["summary"].items() if found}
