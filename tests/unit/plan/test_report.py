# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says of lines and nodes: what is there and what was declared in, one status for each place out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.cluster import Cluster
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import State
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import Digest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.report import Cell, Report, Status
from ansible_collections.homelab.proxmox.plugins.module_utils._model.stock import (
    Stock,
    VendorAnswer,
    current_of,
    previous_of,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.template import ForeignVm, Generation, Refresh
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.decide import SourceProblem
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.report import Wish, make_report
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.vendor import vendor_answer

from tests.support.lines import NEW, OLD, RESOURCES, cluster, generation, guest, line, source

DAY = date(2026, 11, 23)
KEY = "debian-13@pve1"
NEWER = {KEY: VendorAnswer(build="20261120", digest=str(NEW), newer=True)}
SAME = {KEY: VendorAnswer(build="20261101", digest=str(OLD), newer=False)}
SILENT = {KEY: VendorAnswer(problem="no answer")}
OLD_AGE = "2026-10-01T00:00:00+00:00"


def report(*found: Generation, lines: Any = None, **stock: Any) -> Report:
    """The report of the day on these generations."""
    whole = Stock(**{"cluster": cluster(), "generations": found, **stock})
    return make_report(Wish(title="Fleet", day=DAY, lines=lines), whole)


def cell(found: Report, number: int = 0, name: str = "debian-13") -> Cell:
    (row,) = (row for row in found.lines if row.line == name)
    return row.cells[number]


def test_a_current_generation_with_everything_of_it() -> None:
    current = generation(line(), 9001, source_build="20261119-1", proof="passed 2026-11-20")
    former = generation(line(), 9000, state=State.RETIRED)
    found = report(current, former, clones={9001: (120,), 9000: ()}, sizes={9001: 3 << 30})
    got = cell(found)
    assert (got.status, got.reason, got.previous) == (Status.CURRENT, "3 d", 9000)
    assert got.current is not None
    assert (got.current.built, got.current.age_days, got.current.build) == ("2026-11-20", 3, "20261119-1")
    assert (got.current.size, got.current.clones, got.current.proof) == (3 << 30, (120,), "passed 2026-11-20")
    assert [(one.vmid, one.size, one.clones) for one in got.former] == [(9000, None, ())]
    assert (found.nodes, found.attention, found.summary) == (("pve1",), (), {"current": 1})
    assert (found.gathered, found.lines[0].declared) == (("clones", "sizes"), None)


@pytest.mark.parametrize(
    ("built", "wanted", "vendors", "status", "reason"),
    [
        ("2026-11-20T00:00:00+00:00", {}, None, Status.CURRENT, "3 d"),
        (OLD_AGE, {}, None, Status.STALE, "53 d, 30 d allowed"),
        (OLD_AGE, {}, SILENT, Status.STALE, "53 d, 30 d allowed"),
        ("long ago", {}, None, Status.STALE, "age not known, 30 d allowed"),
        (OLD_AGE, {}, SAME, Status.CURRENT, "53 d"),
        ("2026-11-22T00:00:00+00:00", {}, NEWER, Status.STALE, "1 d, vendor newer"),
        (OLD_AGE, {"refresh": Refresh(max_age=60 * 86400)}, None, Status.CURRENT, "53 d"),
        (OLD_AGE, {"refresh": Refresh(policy="never")}, None, Status.CURRENT, "53 d"),
        (OLD_AGE, {"hold": True}, None, Status.HELD, "53 d, 30 d allowed"),
        (OLD_AGE, {"hold": True}, SAME, Status.HELD, "53 d"),
        (OLD_AGE, {"pin": "20261001-1"}, SAME, Status.PINNED, "to 20261001-1, 53 d"),
        (OLD_AGE, {"pin": "20261101-7"}, SAME, Status.PINNED, "not at 20261101-7 yet, 53 d"),
        # Ages are days of the calendar: at noon and in the evening it is the same one.
        ("2026-11-22T23:59:59+00:00", {}, None, Status.CURRENT, "1 d"),
        ("2026-11-23T01:30:00+02:00", {}, None, Status.CURRENT, "1 d"),
        ("2026-11-23T00:00:00", {}, None, Status.CURRENT, "0 d"),
    ],
)
def test_how_a_current_generation_stands(
    built: str, wanted: dict[str, Any], vendors: Any, status: Status, reason: str
) -> None:
    declared = line(**wanted)
    current = generation(declared, 9001, built=built, source_build="20261001-1")
    got = cell(report(current, lines=(declared,), vendors=vendors))
    assert (got.status, got.reason) == (status, reason)


def test_a_failed_proof_is_worse_than_all_else() -> None:
    current = generation(line(), 9001, proof="failed 2026-11-20: no agent", built=OLD_AGE)
    got = cell(report(current, lines=(line(hold=True),), vendors=NEWER))
    assert (got.status, got.reason) == (Status.FAILED, "2026-11-20: no agent")


def test_a_line_that_was_rolled_back_is_held() -> None:
    current = generation(line(), 9000)
    withdrawn = generation(line(), 9001, state=State.RETIRED, withdrawn="2026-11-22T00:00:00+00:00")
    got = cell(report(withdrawn, current, vendors=NEWER))
    assert (got.status, got.reason) == (Status.HELD, "rolled back from VM 9001, 3 d, vendor newer")


@pytest.mark.parametrize(
    ("there", "status", "reason"),
    [
        ([], Status.MISSING, "not built yet"),
        ([{"state": State.RETIRED}], Status.MISSING, "only former: VM 9001"),
        ([{"config": {"template": None}}], Status.MISSING, "VM 9001 is no whole template: template"),
        (
            [{"state": State.BUILDING, "config": {"template": None}, "deadline": "2026-11-23T12:31:00+00:00"}],
            Status.UNFINISHED,
            "VM 9001: begun 2026-11-20T00:00:00+00:00, may be taken over after 2026-11-23T12:31:00+00:00",
        ),
        ([{"state": State.CANDIDATE}], Status.UNFINISHED, "VM 9001: built 2026-11-20T00:00:00+00:00, not published"),
    ],
)
def test_a_declared_line_without_a_current_generation(there: list[Any], status: Status, reason: str) -> None:
    found = report(*(generation(line(), 9001, **one) for one in there), lines=(line(),))
    assert (cell(found).status, cell(found).reason) == (status, reason)
    assert [(one.status, one.line, one.nodes) for one in found.attention] == [(status, "debian-13", ())]


def test_an_unfinished_build_beside_the_current_one_is_told_as_well() -> None:
    building = generation(line(), 9002, state=State.BUILDING, config={"template": None})
    found = report(building, generation(line(), 9001))
    assert (cell(found).status, cell(found).unfinished) == (Status.CURRENT, (9002,))
    assert [(one.status, one.reason) for one in found.attention] == [(Status.UNFINISHED, "VM 9002")]
    assert [(one.vmid, one.line) for one in found.unfinished] == [(9002, "debian-13")]


def test_what_nobody_declares() -> None:
    stray, gone = line(line="stray"), line(line="gone", absent=True)
    found = report(generation(stray, 9001), generation(gone, 9002), lines=(line(), gone))
    assert (cell(found, name="stray").status, cell(found, name="stray").reason) == (Status.UNDECLARED, "3 d")
    assert cell(found, name="gone").reason == "declared absent, 3 d"
    assert [(row.line, row.declared) for row in found.lines] == [
        ("debian-13", True),
        ("gone", False),
        ("stray", False),
    ]


def test_a_line_that_is_to_be_absent_and_is_has_no_row() -> None:
    assert report(lines=(line(absent=True),)).lines == ()


def test_nothing_at_all() -> None:
    found = report()
    assert (found.lines, found.attention, found.summary) == ((), (), {})
    assert found.nodes == ("pve1", "pve2")


def test_an_offline_node_is_told_once() -> None:
    lines = tuple(line(line=name, node=node) for name in ("alpha", "beta") for node in ("pve1", "pve2"))
    row = cluster([guest(9100, node="pve2", tags="line-gamma;state-current", name="gamma")]).guests[9100]
    found = report(*(generation(one, 9001) for one in lines if one.key == "alpha@pve1"), lines=lines, unknown=(row,))
    offline, missing = found.attention
    assert (offline.status, offline.nodes, offline.reason) == (Status.UNKNOWN, ("pve2",), "offline, 3 lines")
    assert (missing.status, missing.line, missing.nodes) == (Status.MISSING, "beta", ("pve1",))
    assert [(one.vmid, one.reason) for one in found.unknown] == [(9100, "its node is offline")]


def test_a_node_that_the_cluster_does_not_have() -> None:
    got = cell(report(lines=(line(node="pve9"),)))
    assert (got.status, got.reason) == (Status.MISSING, "the cluster has no node pve9")


def shared() -> Cluster:
    """Two nodes with one shared storage."""
    rows = [{**row, "status": "online"} if row["type"] == "node" else row for row in RESOURCES]
    nfs = {**RESOURCES[-1], "storage": "nfs", "plugintype": "nfs", "shared": 1}
    return Cluster.from_resources([*rows, *({**nfs, "node": node} for node in ("pve1", "pve2"))])


@pytest.mark.parametrize("declared", [True, False])
def test_shared_storage_has_it_elsewhere(declared: bool) -> None:
    lines = tuple(line(node=node, storage="nfs") for node in ("pve1", "pve2"))
    other = line(line="local-only", node="pve2")
    current = generation(lines[0], 9001, config={"scsi0": "nfs:9001/base-9001-disk-0.qcow2,size=3G"})
    found = report(current, lines=(*lines, other) if declared else None, cluster=shared())
    assert [one.status for one in found.lines[-1].cells] == [Status.CURRENT, Status.ELSEWHERE][: len(found.nodes)]
    if declared:
        assert (cell(found, 1).home, cell(found, 1).reason) == ("pve1", "on pve1")
        assert found.attention[0].line == "local-only"


def test_only_a_foreign_vm_is_there() -> None:
    lines = (line(), line(node="pve2", absent=True))
    row = cluster([guest(120, node="pve2", tags="line-debian-13", name="web")]).guests[120]
    foreign = (ForeignVm(row=row, reason="inherited"),)
    found = report(generation(line(), 9001), lines=lines, foreign=foreign, cluster=shared())
    assert (cell(found, 1).status, cell(found, 1).foreign) == (Status.FOREIGN, (120,))
    assert found.attention == ()


def test_attention_is_worst_first_and_names_nodes_where_not_all_are_meant() -> None:
    lines = tuple(
        replace(line(line=name), place=replace(line().place, node=node))
        for name in ("alpha", "beta", "gamma")
        for node in ("pve1", "pve3")
    )
    rows = [*RESOURCES, {"type": "node", "node": "pve3", "status": "online"}]
    found = [generation(one, 9001 + number) for number, one in enumerate(lines) if one.key != "gamma@pve3"]
    found = [
        replace(
            one,
            row=replace(one.row, node=lines[one.vmid - 9001].place.node),
            identity=replace(one.identity, built="2026-10-01" if one.vmid in (9001, 9002, 9003) else "2026-11-01"),
        )
        for one in found
    ]
    told = report(*found, lines=lines, cluster=Cluster.from_resources(rows))
    assert [(one.status.value, one.line, one.nodes) for one in told.attention] == [
        ("missing", "gamma", ("pve3",)),
        ("stale", "alpha", ()),
        ("stale", "beta", ("pve1",)),
    ]
    assert [row.line for row in told.lines] == ["gamma", "alpha", "beta"]


def test_silent_vendors_are_told_with_their_lines() -> None:
    lines = (line(line="alpha"), line(line="beta"))
    vendors = {one.key: VendorAnswer(problem="no answer") for one in lines}
    found = report(
        *(generation(one, 9001 + n) for n, one in enumerate(lines)), vendors=vendors, problems=("a storage",)
    )
    assert (found.problems, found.silent) == (("a storage",), ("alpha, beta: no answer",))


@pytest.mark.parametrize(
    ("built", "answer", "newer", "problem"),
    [
        ({"source": str(OLD)}, source(OLD), False, ""),
        ({"source": str(OLD)}, source(NEW, build="20261120"), True, ""),
        ({"source": ""}, source(NEW), None, "the image that it was built from is not known"),
        (
            {"source": str(OLD)},
            source(Digest("sha512", "1" * 128)),
            None,
            "the vendor publishes sha512 now, and it was built from a sha256",
        ),
        ({"source": str(OLD), "source_build": "a"}, source(Digest("sha512", "1" * 128), build="a"), False, ""),
        ({"source": str(OLD), "source_build": "a"}, source(Digest("sha512", "1" * 128), build="b"), True, ""),
        ({}, SourceProblem("no answer", unreachable=True), None, "no answer"),
    ],
)
def test_whether_the_vendor_is_newer(built: dict[str, Any], answer: Any, newer: bool | None, problem: str) -> None:
    found = vendor_answer(generation(line(), 9001, **built), answer)
    assert (found.newer, found.problem) == (newer, problem)


def test_without_a_current_generation_nothing_is_newer() -> None:
    found = vendor_answer(None, source(NEW, build="20261120"))
    assert (found.build, found.digest, found.newer, found.problem) == ("20261120", str(NEW), None, "")


def test_current_and_previous_are_whole_ones() -> None:
    newest = generation(line(), 9003, config={"template": None})
    current = generation(line(), 9002)
    damaged = generation(line(), 9001, state=State.RETIRED, config={"template": None})
    former = generation(line(), 9000, state=State.RETIRED)
    found = [newest, current, damaged, former]
    assert current_of(found) is current
    assert previous_of(found) is former
    assert current_of([damaged]) is previous_of([damaged]) is None
