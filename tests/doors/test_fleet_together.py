# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two processes keep the same fleet at once: they step out of each other's way, and neither harms the other."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterator

import pytest

from tests.support.guarded import NODES, Gate, GuardedCluster, assert_one_of_each, current, generations
from tests.support.pve.cluster import cluster_storages
from tests.support.runs import started
from tests.support.site import Result, Site, open_site, plain
from tests.support.vendor import Vendor

ALL = ["alpha@pve1", "alpha@pve2", "beta@pve1", "beta@pve2"]
FIXED = ["alpha@pve1", "beta@pve2"]
CLONE = 120
DURATIONS = {"*": 0.03, "download": 0.1, "qmcreate": 0.15}
"""Seconds: what makes two runs overlap."""

CLEAR = (
    "is being built by run",
    "another run has meanwhile made",
    "another client took it meanwhile",
    "another guest has it",
)
"""What a run may say that has to step back; it names the other one, or the VM."""

LATE = (".conf' does not exist", "it was left alone")
"""What it may say beside that when both move a line to its fixed VMID at once, after it has planned twice already."""

MOMENTS = {
    "reads its lines": ("GET", "/qemu/9000/config"),
    "reads the storages": ("GET", "/storage/local/content"),
    "has read all": ("GET", "/version"),
    "downloads": ("POST", "/download-url"),
    "creates": ("POST", "/qemu"),
    "looks for rivals": ("PUT", "/resize"),
    "converts": ("POST", "/template"),
    "publishes": ("PUT", "/qemu/9004/config"),
    "retires": ("PUT", "/qemu/9000/config"),
    "destroys": ("DELETE", "/qemu/"),
}
MOVES = {
    "has read all": ("GET", "/version"),
    "creates": ("POST", "/qemu"),
    "publishes": ("PUT", "/qemu/9000/config"),
    # Its last look at the VM that it is about to destroy; the first one was for the plan.
    "makes room": ("GET", "/qemu/150/config", 2),
    "clones": ("POST", "/clone"),
    "converts the clone": ("POST", "/qemu/150/template"),
    "publishes the clone": ("PUT", "/qemu/150/config"),
    "releases": ("DELETE", "/qemu/900"),
}


class Two:
    """A site with a fleet, and the options of it."""

    def __init__(self, site: Site, *, fixed: bool) -> None:
        self.site = site
        self.cluster: GuardedCluster = site.cluster  # type: ignore[assignment]
        self.keys = FIXED if fixed else ALL
        self.foreign: list[int] = []
        own = {n: v for n, v in site.line().items() if n not in ("node", "line", "allow_unverified", "cipassword")}
        lines = [{**own, "line": "alpha", "storage": "local"}, {**own, "line": "beta", "memory": 3072}]
        if fixed:
            lines[0] |= {"vmid": 150, "nodes": ["pve1"]}
            lines[1] |= {"vmid": 151, "nodes": ["pve2"]}
        whole = {"nodes": list(NODES), "allow_unverified": True, "keep": 1, "max_deletions": 99}
        self.params: dict[str, t.Any] = {"lines": lines, **whole}

    def built(self) -> None:
        """The fleet is there, a clone of a template made by hand too, and the vendor has a newer image."""
        self.works()
        template = current(self.cluster)["alpha@pve1"][0]
        values = {"node": "pve1", "vmid": template, "newid": CLONE, "full": 1, "name": "mine"}
        self.site.server.call(self.cluster._qm_clone, values, "root@pam")
        self.site.heal()
        self.foreign = [CLONE]
        self.kept = copy.deepcopy(self.cluster.vms[CLONE].config)
        self.cluster.guarded = tuple(self.keys)
        self.site.new_image()

    def works(self) -> Result:
        result = self.site.run("vm_template_fleet", self.params)
        assert not result.get("failed"), result["msg"]
        return result

    def together(self) -> tuple[Result, Result]:
        """Both from the same moment on."""
        server = self.site.server
        with (
            started(server, "first", "vm_template_fleet", self.params) as first,
            started(server, "second", "vm_template_fleet", self.params) as second,
        ):
            return first.result(), second.result()

    def meeting(self, method: str, path: str, nth: int = 1) -> tuple[Result, Result]:
        """The second is held at a request, the first runs from its beginning to its end, the second goes on."""
        gate = Gate("root@pam!second", method, path, nth)
        self.cluster.gates.append(gate)
        server = self.site.server
        with started(server, "second", "vm_template_fleet", self.params) as second:
            try:
                assert gate.reached.wait(30), f"the second run never came to {method} {path}"
                with started(server, "first", "vm_template_fleet", self.params) as first:
                    one = first.result()
            finally:
                gate.open.set()
            return one, second.result()

    def assert_unharmed(self, *results: Result, tie: bool = False) -> None:
        """All lines are there once, each was kept by one run at least, and the other says why it stepped back.

        C(tie): two that create at the same moment may see each other and both step back; then the next run builds.
        """
        self.site.heal()
        assert self.cluster.lost == []
        for key in self.keys:
            said = [trouble(result, key) for result in results]
            assert tie or "" in said, "\n\n".join(said)
            for text in filter(None, said):
                assert any(words in text for words in CLEAR + LATE * tie), text
        if tie and all(result.get("failed") for result in results):
            self.works()
        assert_one_of_each(self.cluster, self.keys, self.site.digest, self.foreign)
        if self.foreign:
            assert self.cluster.vms[CLONE].config == self.kept
        again = self.works()
        assert again["changed"] is False
        assert self.site.writes() == []


def trouble(result: Result, key: str) -> str:
    """What a run says about a line that it could not keep; empty for one that it kept."""
    if not result.get("failed"):
        return ""
    line, _at, node = key.partition("@")
    said = [one["msg"] for one in result.get("failures", []) if one["track"] == key]
    said += [text for text in result.get("refusals", []) if text.startswith(f"line {line} on node {node}")]
    assert result.get("failures") or result.get("refusals"), result["msg"]
    return plain(" ".join(said))


def opened(vendor: Vendor, *, fixed: bool) -> Iterator[Two]:
    cluster = GuardedCluster(nodes=NODES, storages=cluster_storages())
    with open_site(vendor, cluster) as site:
        cluster.durations = DURATIONS
        yield Two(site, fixed=fixed)


@pytest.fixture
def two(bench_vendor: Vendor) -> Iterator[Two]:
    yield from opened(bench_vendor, fixed=False)


@pytest.fixture
def fixed(bench_vendor: Vendor) -> Iterator[Two]:
    yield from opened(bench_vendor, fixed=True)


@pytest.mark.slow
def test_both_build_a_fleet_from_nothing(two: Two) -> None:
    two.assert_unharmed(*two.together(), tie=True)


@pytest.mark.slow
def test_both_rebuild_it(two: Two) -> None:
    two.built()
    two.assert_unharmed(*two.together(), tie=True)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_one_does_everything_while_the_other(two: Two, moment: str) -> None:
    two.built()
    two.assert_unharmed(*two.meeting(*MOMENTS[moment]))


@pytest.mark.slow
def test_both_build_fixed_vmids_from_nothing(fixed: Two) -> None:
    fixed.assert_unharmed(*fixed.together(), tie=True)


@pytest.mark.slow
def test_both_move_to_fixed_vmids(fixed: Two) -> None:
    fixed.built()
    fixed.assert_unharmed(*fixed.together(), tie=True)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOVES)
def test_one_does_everything_to_fixed_vmids_while_the_other(fixed: Two, moment: str) -> None:
    fixed.built()
    fixed.assert_unharmed(*fixed.meeting(*MOVES[moment]))


@pytest.mark.slow
def test_a_generation_that_is_gone_when_it_is_read_does_not_hide_its_copy_from_whoever_builds(fixed: Two) -> None:
    """The second has the list and the old config of 150, the first makes the whole move, and then the second reads on.

    It sees no current generation and builds one. What has come to 150 meanwhile must stop it.
    """
    fixed.built()
    server, gates = fixed.site.server, fixed.cluster.gates
    room = Gate("root@pam!first", *MOVES["makes room"])
    gates.append(room)
    with started(server, "first", "vm_template_fleet", fixed.params) as first:
        assert room.reached.wait(30)
        (moving,) = (vmid for vmid in current(fixed.cluster)["alpha@pve1"] if vmid != 150)
        reads = Gate("root@pam!second", "GET", f"/qemu/{moving}/config")
        gates.append(reads)
        with started(server, "second", "vm_template_fleet", fixed.params) as second:
            assert reads.reached.wait(30)
            room.open.set()
            one = first.result()
            (kept,) = generations(fixed.cluster)["alpha@pve1"]
            reads.open.set()
            other = second.result()
    assert generations(fixed.cluster)["alpha@pve1"] == [kept]
    fixed.assert_unharmed(one, other)
