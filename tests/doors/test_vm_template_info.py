# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_template_info lists generations and VMs that only look like some."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import pve_lab
from tests.support.pve import FakeCluster
from tests.support.workbench import IMAGE, LINE, Bench, warnings_of


@pytest.fixture
def stocked(bench: Bench) -> Bench:
    """Two generations of one line, one of another, a clone, and a VM of somebody else."""
    bench.build()
    bench.later(hours=1)
    bench.build(disk={"size": "10G"}, tags=["web"])
    bench.build(line="web")
    bench.clone(9001, 120, full=1, name="web-1")
    bench.cluster.add_vm(100, "dns")
    bench.later(days=12)
    return bench


@pytest.mark.parametrize(
    ("asked", "vmids", "foreign"),
    [
        ({}, [9001, 9000, 9002], [120]),
        ({"line": LINE}, [9001, 9000], [120]),
        ({"line": "web"}, [9002], []),
        ({"node": "pve1"}, [9001, 9000, 9002], [120]),
        ({"node": "pve2"}, [], []),
        ({"line": "debian"}, [], []),
    ],
)
def test_what_is_listed_and_what_it_costs(
    stocked: Bench, asked: dict[str, Any], vmids: list[int], foreign: list[int]
) -> None:
    result = stocked.call("vm_template_info", asked)
    assert result["changed"] is False
    assert [row["vmid"] for row in result["templates"]] == vmids
    assert [row["vmid"] for row in result["foreign"]] == foreign
    configs = {f"GET /nodes/pve1/qemu/{vmid}/config" for vmid in (*vmids, *foreign)}
    assert set(stocked.sent(polls=True)) == {"GET /cluster/resources", *configs}
    assert result["requests"] == {"reads": 1 + len(configs), "writes": 0, "polls": 0}


def test_everything_of_a_generation(stocked: Bench) -> None:
    new, old, _web = stocked.call("vm_template_info", {})["templates"]
    assert new.pop("recipe") != old["recipe"]
    assert new.pop("source").startswith("sha256:")
    assert {"web", "state-current"} <= set(new.pop("tags"))
    assert new == {
        "line": LINE,
        "node": "pve1",
        "vmid": 9001,
        "name": LINE,
        "generation": "20261123130000",
        "state": "current",
        "image": IMAGE,
        "verification": "unverified: plain http",
        "built": "2026-11-23T13:00:00+00:00",
        "age_days": 12,
        "complete": True,
        "problems": [],
        "pool": None,
    }
    assert (old["state"], old["name"]) == ("retired", f"{LINE}-20261123120000")


def test_a_clone_is_told_from_its_template(stocked: Bench) -> None:
    assert stocked.call("vm_template_info", {})["foreign"] == [
        {"vmid": 120, "name": "web-1", "node": "pve1", "reason": "its identity block was inherited from VM 9001"}
    ]


def test_a_generation_that_is_not_whole_says_what_is_missing(bench: Bench) -> None:
    config = bench.build().config
    del config["template"]
    config["scsi0"] = config["scsi0"].replace("base-", "vm-")
    (row,) = bench.call("vm_template_info", {})["templates"]
    assert row["complete"] is False
    assert row["problems"] == ["template", "scsi0"]


def test_a_build_time_that_cannot_be_read_has_no_age(bench: Bench) -> None:
    config = bench.build().config
    config["description"] = config["description"].replace("built: 2026", "built: year 2026")
    (row,) = bench.call("vm_template_info", {})["templates"]
    assert row["age_days"] is None


def test_nothing_there(bench: Bench) -> None:
    result = bench.call("vm_template_info", {})
    assert (result["templates"], result["foreign"]) == ([], [])
    assert bench.sent() == ["GET /cluster/resources"]


def two_nodes() -> FakeCluster:
    return FakeCluster(nodes=["pve2", "pve1"])


@pytest.mark.parametrize("bench", [two_nodes], indirect=True)
def test_lines_are_listed_by_name_and_node(bench: Bench) -> None:
    for line, node in (("web", "pve2"), (LINE, "pve2"), (LINE, "pve1")):
        bench.build(line=line, node=node)
    rows = bench.call("vm_template_info", {})["templates"]
    assert [(row["line"], row["node"]) for row in rows] == [(LINE, "pve1"), (LINE, "pve2"), ("web", "pve2")]


@pytest.mark.parametrize("bench", [two_nodes], indirect=True)
def test_one_line_on_two_nodes_is_two_templates(bench: Bench) -> None:
    assert bench.build(node="pve1").vmid == 9000
    assert bench.build(node="pve2").vmid == 9001
    assert bench.template(node="pve1")["changed"] is False
    assert bench.template(node="pve2", state="absent")["changed"]
    assert set(bench.cluster.vms) == {9000}


@pytest.mark.parametrize("bench", [two_nodes], indirect=True)
def test_an_offline_node_does_not_hinder_the_others(bench: Bench) -> None:
    bench.build(node="pve1")
    bench.build(node="pve2")
    bench.cluster.nodes["pve2"]["online"] = False
    result = bench.call("vm_template_info", {"node": "pve1"})
    assert [row["vmid"] for row in result["templates"]] == [9000]


@pytest.mark.parametrize("bench", [two_nodes], indirect=True)
def test_a_node_whose_templates_cannot_be_known_is_named(bench: Bench) -> None:
    bench.build(node="pve1")
    bench.build(node="pve2")
    bench.cluster.nodes["pve2"]["online"] = False
    result = bench.call("vm_template_info", {})
    assert all(entry.status == 200 for entry in bench.server.requests)
    assert [(row["node"], row["reason"]) for row in result["unknown"]] == [("pve2", "its node is offline")]
    assert any("node pve2 is offline" in text for text in warnings_of(result))
    assert [row["node"] for row in result["templates"]] == ["pve1"]


@pytest.mark.parametrize("bench", [pve_lab.build], indirect=True)
def test_a_token_sees_what_its_pool_holds(bench: Bench) -> None:
    bench.build(pool="templates")
    bench.build(line="hidden")
    bench.credentials = {
        "api_token_id": pve_lab.TOKEN,
        "api_token_secret": bench.cluster.apitokens[pve_lab.TOKEN],
    }
    (row,) = bench.call("vm_template_info", {})["templates"]
    assert (row["line"], row["pool"]) == (LINE, "templates")
    assert all(entry.status == 200 for entry in bench.server.requests)
