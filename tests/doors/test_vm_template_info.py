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
        "build": None,
        "url": stocked.url(),
        "complete": True,
        "usable": True,
        "problems": [],
        "proof": None,
        "bake": None,
        "waiting": None,
        "pool": None,
        "vendor": None,
        "clones": None,
        "size": None,
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
    assert row["usable"] is False


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


def asked(bench: Bench, *gather: str, **options: Any) -> dict[int, dict[str, Any]]:
    """The generations by VMID, with what was gathered."""
    whole = {"gather": list(gather), "catalog_files": [str(bench.catalog)], **options}
    return {row["vmid"]: row for row in bench.call("vm_template_info", whole)["templates"]}


def test_which_one_is_current_and_what_a_rollback_goes_back_to(stocked: Bench) -> None:
    assert stocked.call("vm_template_info", {})["lines"] == [
        {"line": LINE, "node": "pve1", "current": 9001, "previous": 9000, "newest": 9001, "generations": 2},
        {"line": "web", "node": "pve1", "current": 9002, "previous": None, "newest": 9002, "generations": 1},
    ]


def test_the_last_proof_is_told(bench: Bench) -> None:
    config = bench.build().config
    config["description"] = config["description"].removesuffix("```") + "proof: passed 2026-11-23\n```"
    assert asked(bench)[9000]["proof"] == "passed 2026-11-23"


def test_a_vendor_is_asked_once_for_each_image(stocked: Bench) -> None:
    stocked.vendor.asked.clear()
    found = asked(stocked, "vendor")
    assert stocked.vendor.asked == ["debian/SHA256SUMS"]
    assert found[9000]["vendor"] is None
    assert found[9001]["vendor"] == {
        "build": None,
        "digest": found[9001]["source"],
        "url": stocked.url(),
        "newer": False,
        "problem": None,
    }
    newer = stocked.publish_newer()
    assert {row["vendor"]["newer"] for row in asked(stocked, "vendor").values() if row["vendor"]} == {True}
    assert asked(stocked, "vendor")[9001]["vendor"]["digest"] == f"sha256:{newer}"


def test_a_vendor_that_cannot_be_asked_is_no_failure(stocked: Bench) -> None:
    stocked.unreachable()
    vendor = asked(stocked, "vendor")[9001]["vendor"]
    assert (vendor["newer"], vendor["digest"]) == (None, None)
    assert "404" in vendor["problem"]


def test_an_image_that_the_catalogue_does_not_know(stocked: Bench) -> None:
    vendor = asked(stocked, "vendor", catalog_files=[])[9001]["vendor"]
    assert "'lab-13' is not in the catalogue" in vendor["problem"]


def test_an_image_of_one_s_own_cannot_be_asked_for(bench: Bench) -> None:
    bench.build(url=bench.url(), checksum_url=bench.sums())
    vendor = asked(bench, "vendor")[9000]["vendor"]
    assert vendor["problem"] == "it was built from an image of one's own, whose sums file is not kept"


def test_a_dated_build_that_was_replaced_is_not_called_newer(bench: Bench) -> None:
    bench.describe(url_kind="dated")
    bench.build()
    bench.publish_newer()
    vendor = asked(bench, "vendor")[9000]["vendor"]
    assert vendor["newer"] is None
    assert "is a dated build, which must not change" in vendor["problem"]


def test_a_catalogue_that_cannot_be_read_is_told_before_anything_is_asked(bench: Bench) -> None:
    result = bench.call("vm_template_info", {"gather": ["vendor"], "catalog_files": ["/no/such.yml"]})
    assert "/no/such.yml" in result["msg"]
    assert bench.sent() == []


@pytest.mark.parametrize("storage", ["local-lvm", "fast"])
def test_clones_and_sizes(bench: Bench, storage: str) -> None:
    bench.build(storage=storage)
    bench.clone(9000, 120)
    bench.clone(9000, 121)
    found = asked(bench, "clones", "sizes")[9000]
    assert (found["clones"], found["size"]) == ([120, 121], 3 << 30)
    listings = [path for path in bench.sent() if path.endswith("/content")]
    assert listings == [f"GET /nodes/pve1/storage/{storage}/content"]
    assert asked(bench, "sizes")[9000]["clones"] is None
    assert asked(bench, "clones")[9000]["size"] is None


def test_clones_on_lvm_thin_are_told_by_tags_without_a_listing(stocked: Bench) -> None:
    found = asked(stocked, "clones")
    assert {vmid: row["clones"] for vmid, row in found.items()} == {9001: [120], 9000: [], 9002: []}
    assert not [path for path in stocked.sent() if path.endswith("/content")]


@pytest.mark.parametrize("bench", [two_nodes], indirect=True)
def test_one_listing_for_each_node_and_storage(bench: Bench) -> None:
    for line, node in ((LINE, "pve1"), ("web", "pve1"), (LINE, "pve2")):
        bench.build(line=line, node=node, storage="fast")
    asked(bench, "clones", "sizes")
    listings = sorted(path for path in bench.sent() if path.endswith("/content"))
    assert listings == [f"GET /nodes/{node}/storage/fast/content" for node in ("pve1", "pve2")]


def test_a_storage_that_does_not_answer_is_said_and_the_rest_is_told(bench: Bench) -> None:
    bench.build(storage="fast")
    bench.build(line="web")
    bench.cluster.faults.add("status", method="GET", path=r".*/storage/fast/content", code=500)
    result = bench.call("vm_template_info", {"gather": ["clones", "sizes"]})
    rows = {row["vmid"]: row for row in result["templates"]}
    assert (rows[9000]["clones"], rows[9001]["clones"]) == (None, [])
    # What the configuration remembers of the size is better than nothing.
    assert rows[9000]["size"] == 3 << 30
    (warning,) = warnings_of(result)
    assert warning.startswith("storage fast of node pve1 could not be listed: ")


@pytest.mark.parametrize("bench", [pve_lab.build], indirect=True)
def test_what_a_token_may_not_list_is_not_known(bench: Bench) -> None:
    bench.build(pool="templates", storage="fast")
    bench.clone(9000, 120)
    bench.credentials = {
        "api_token_id": pve_lab.TOKEN,
        "api_token_secret": bench.cluster.apitokens[pve_lab.TOKEN],
    }
    result = bench.call("vm_template_info", {"gather": ["clones"]})
    assert [row["clones"] for row in result["templates"]] == [None]
    assert "it is not there, or hidden from these credentials" in warnings_of(result)[0]
    assert all(entry.status == 200 for entry in bench.server.requests)


def test_a_vm_with_an_odd_configuration_is_foreign(bench: Bench) -> None:
    bench.build()
    bench.build(line="web").config["tags"] += ";\u00fcmlaut"
    result = bench.call("vm_template_info", {})
    assert [row["vmid"] for row in result["templates"]] == [9000]
    assert "its configuration cannot be understood: tags" in result["foreign"][0]["reason"]
