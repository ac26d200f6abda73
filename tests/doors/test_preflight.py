# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""preflight: what is wrong is said with its remedy, what may not be seen is unknown, and nothing is written."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.preflight_lab import GRANTS, PreflightCluster
from tests.support.pve.images import GIB
from tests.support.vendor import Vendor
from tests.support.workbench import FILE, IMAGE, Bench, open_bench

PLACES = {"storages": ["local-lvm"], "image_storages": ["local"], "pool": "templates"}
Finding = dict[str, t.Any]


@pytest.fixture
def lab(
    request: pytest.FixtureRequest, bench_vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A bench with two nodes and every kind of storage; by indirect parametrisation of another version."""
    cluster = PreflightCluster(version=getattr(request, "param", "9.1.2"))
    cluster.pools["templates"] = set()
    with open_bench(bench_vendor, tmp_path, monkeypatch, cluster) as laid:
        yield laid


def cluster_of(lab: Bench) -> PreflightCluster:
    return t.cast(PreflightCluster, lab.cluster)


def report(lab: Bench, **options: t.Any) -> t.Any:
    """One call that may fail for its findings only; it sent reads, all of which were answered."""
    result = lab.call("preflight", {**PLACES, **options})
    assert "findings" in result, result["msg"]
    assert result["changed"] is False
    assert lab.writes() == []
    assert result["requests"] == {"reads": len(lab.server.requests), "writes": 0, "polls": 0}
    assert result["findings"] == sorted(result["findings"], key=lambda one: (one["subject"], one["check"]))
    assert result["ok"] is not any(one["level"] == "error" for one in result["findings"])
    return result


def of(result: t.Any, check: str, level: str | None = None) -> list[Finding]:
    """The findings of one check; of one level, or those that are not in order."""
    found = [one for one in result["findings"] if one["check"] == check]
    return [one for one in found if (one["level"] == level if level else one["level"] != "ok")]


def problems(result: t.Any) -> set[tuple[str, str, str]]:
    return {(one["level"], one["check"], one["subject"]) for one in result["findings"] if one["level"] != "ok"}


@pytest.mark.parametrize("lab", ["8.4.21", "9.1.2"], indirect=True)
def test_an_administrator_of_a_good_site_gets_a_clean_report(lab: Bench) -> None:
    result = report(lab, images=[IMAGE], catalog_files=[str(lab.catalog)])
    assert problems(result) == set()
    assert not result.get("failed")
    assert result["summary"]["ok"] == len(result["findings"])
    assert result["table"][-1].startswith("0 errors, 0 warnings, 0 unknown, ")


def test_requests_are_few_and_none_is_refused(lab: Bench) -> None:
    """Four of the cluster; four of each node, and one more for each image."""
    report(lab, images=[IMAGE], catalog_files=[str(lab.catalog)])
    of_nodes = ("version", "network", "apt/versions", "time", "query-url-metadata")
    assert sorted(lab.sent()) == sorted(
        [f"GET /{path}" for path in ("cluster/resources", "access/permissions", "cluster/options", "cluster/status")]
        + [f"GET /nodes/{node}/{path}" for node in ("pve1", "pve2") for path in of_nodes]
    )
    assert {entry.status for entry in lab.server.requests} == {200}


def test_check_mode_reports_the_same(lab: Bench) -> None:
    assert lab.call("preflight", PLACES, check=True)["findings"] == report(lab)["findings"]


# --- versions and nodes


@pytest.mark.parametrize("lab", ["8.3.5"], indirect=True)
def test_a_version_without_import_is_an_error(lab: Bench) -> None:
    result = report(lab)
    assert result["failed"]
    for finding in of(result, "version", "error"):
        assert "Proxmox VE 8.3.5, which cannot import" in finding["message"]
        assert "8.4 or newer" in finding["remedy"]
    assert {one["subject"] for one in of(result, "version")} == {"pve1", "pve2"}


@pytest.mark.parametrize("lab", ["10.0.1"], indirect=True)
def test_a_version_that_nobody_knows_yet_is_a_warning(lab: Bench) -> None:
    assert {one["level"] for one in of(report(lab), "version")} == {"warning"}


def test_an_offline_node_is_asked_nothing(lab: Bench) -> None:
    lab.server.call(lab.cluster.set_node_offline, "pve2")
    result = report(lab)
    (finding,) = of(result, "node")
    assert (finding["level"], finding["subject"]) == ("warning", "pve2")
    assert not [line for line in lab.sent() if "/pve2/" in line]
    (finding,) = of(report(lab, nodes=["pve1", "pve2"]), "node")
    assert finding["level"] == "error"
    assert of(report(lab, nodes=["pve1"]), "node") == []


def test_an_unknown_node_is_an_error(lab: Bench) -> None:
    (finding,) = of(report(lab, nodes=["pve1", "pve7"]), "node")
    assert finding["remedy"] == "Name some of: pve1, pve2"


def test_a_lost_quorum_is_an_error(lab: Bench) -> None:
    lab.cluster.quorate = False
    (finding,) = of(report(lab), "quorum", "error")
    assert "2 of 2 nodes are online" in finding["message"]
    assert "pvecm status" in finding["remedy"]


def test_a_node_that_does_not_answer_does_not_end_the_report(lab: Bench) -> None:
    lab.cluster.faults.add("status", method="GET", path=r"^/nodes/pve2/", times=100, code=500, reason="no worker")
    result = report(lab)
    (finding,) = of(result, "node")
    assert (finding["level"], finding["subject"]) == ("error", "pve2")
    assert {one["subject"] for one in of(result, "version", "unknown")} == {"pve2"}
    assert {one["subject"] for one in of(result, "version", "ok")} == {"pve1"}


def test_a_clock_that_is_off_is_a_warning(lab: Bench) -> None:
    cluster_of(lab).ahead = {"pve1": 30, "pve2": -7200}
    (finding,) = of(report(lab), "clock")
    assert (finding["level"], finding["subject"]) == ("warning", "pve2")
    assert "behind the controller's" in finding["message"]


@pytest.mark.parametrize(("package", "level"), [("4.2025.05-1", "ok"), ("4.2023.08-4", "warning")])
def test_firmware_by_its_package(lab: Bench, package: str, level: str) -> None:
    cluster_of(lab).edk2 = package
    assert {package in one["message"] for one in of(report(lab), "firmware", level)} == {True}


def test_a_bridge_that_is_not_there(lab: Bench) -> None:
    found = of(report(lab, bridges=["vmbr0", "vmbr7"]), "bridge", "error")
    assert {one["subject"] for one in found} == {"pve1/vmbr7", "pve2/vmbr7"}
    assert found[0]["remedy"] == "It has: vmbr0"


# --- storages


def test_a_storage_without_import(lab: Bench) -> None:
    lab.cluster.storages["local"]["content"] = "iso,images"
    found = of(report(lab, nodes=["pve1"]), "content")
    assert [(one["level"], one["subject"]) for one in found] == [("error", "pve1/local")]
    assert found[0]["remedy"] == "Run: pvesm set local --content images,import,iso"


def test_a_storage_without_images(lab: Bench) -> None:
    lab.cluster.storages["local-lvm"]["content"] = "rootdir"
    (finding,) = of(report(lab, nodes=["pve1"]), "content")
    assert finding["remedy"] == "Run: pvesm set local-lvm --content images,rootdir"


def test_a_node_on_which_nothing_holds_images(lab: Bench) -> None:
    for storage in lab.cluster.storages.values():
        storage["content"] = "iso,images"
    (finding,) = of(report(lab, nodes=["pve1"], image_storages=[]), "content", "error")
    assert finding["subject"] == "pve1"
    assert "content 'import'" in finding["message"]


def test_thick_lvm_is_refused_where_it_is_named_and_stated_where_not(lab: Bench) -> None:
    (finding,) = of(report(lab, nodes=["pve1"], storages=["thick"]), "base")
    assert finding["level"] == "error"
    assert "templates on it are refused, clones onto it are full" in finding["message"]
    (finding,) = of(report(lab, nodes=["pve1"], storages=[]), "base")
    assert (finding["level"], finding["subject"]) == ("warning", "pve1/thick")
    (finding,) = of(report(lab, nodes=["pve1"], storages=["thick"], capabilities=["clones"]), "base")
    assert finding["level"] == "warning"


def test_a_full_storage(lab: Bench) -> None:
    lab.cluster.storages["local-lvm"].update(total=100 * GIB, occupied=96 * GIB)
    result = report(lab, nodes=["pve1"])
    (finding,) = of(result, "space")
    assert (finding["level"], finding["subject"]) == ("error", "pve1/local-lvm")
    assert finding["message"] == "4.0 of 100.0 GiB are free, min_free asks for 10"
    assert of(report(lab, min_free="3G"), "space") == []


def test_a_storage_that_is_not_active_or_not_there(lab: Bench) -> None:
    lab.cluster.storages["local-lvm"]["active"] = 0
    found = of(report(lab, nodes=["pve1"], image_storages=["nosuch"]), "content")
    assert [(one["subject"], one["message"]) for one in found] == [
        ("pve1/local-lvm", "the storage is not available on this node"),
        ("pve1/nosuch", "the node has no such storage"),
    ]


# --- credentials


def test_the_guide_s_token_may_build_and_sees_little(lab: Bench) -> None:
    """Nothing that it may not see is in order, and it is told what would show it."""
    result = report(lab, **cluster_of(lab).limited())
    assert result["ok"]
    unseen = {("unknown", "quorum", "cluster"), ("unknown", "tags", "cluster"), ("unknown", "vmids", "cluster")}
    of_nodes = {("unknown", check, node) for check in ("clock", "firmware") for node in ("pve1", "pve2")}
    assert problems(result) == unseen | of_nodes
    assert all(one["remedy"].endswith(" would show it") for one in result["findings"] if one["level"] == "unknown")
    assert {entry.status for entry in lab.server.requests} == {200}
    assert len(lab.server.requests) == 3 + 2 * 2


MISSING = [(path, privilege) for path, privileges in GRANTS.items() for privilege in privileges]


@pytest.mark.parametrize(("path", "privilege"), MISSING, ids=str)
def test_each_privilege_that_is_missing_is_named_with_its_line(lab: Bench, path: str, privilege: str) -> None:
    login = cluster_of(lab).limited(more={path: tuple(one for one in GRANTS[path] if one != privilege)})
    result = report(lab, **login)
    (finding,) = of(result, "privileges")
    assert finding["subject"] == path
    assert privilege in finding["message"]
    assert "for templates" in finding["message"]
    assert f"--privs {privilege} --append 1" in finding["remedy"]
    assert f"pveum acl modify {path} --users auto@pve --tokens 'auto@pve!ci'" in finding["remedy"]
    dispensable = {"Sys.AccessNetwork": "images are uploaded", "Datastore.Allocate": "cannot be removed"}
    assert finding["level"] == ("warning" if privilege in dispensable else "error")
    assert dispensable.get(privilege, "") in finding["message"]
    assert 403 not in {entry.status for entry in lab.server.requests}


def test_what_may_not_be_seen_of_a_storage_is_unknown(lab: Bench) -> None:
    login = cluster_of(lab).limited("Datastore.Audit")
    result = report(lab, **login)
    assert {(one["level"], one["subject"]) for one in of(result, "content")} == {
        ("unknown", f"{node}/{storage}") for node in ("pve1", "pve2") for storage in ("local", "local-lvm")
    }
    assert {one["subject"] for one in of(result, "privileges", "error")} == {"/storage/local", "/storage/local-lvm"}


def test_without_names_nothing_that_is_hidden_is_in_order(lab: Bench) -> None:
    login = cluster_of(lab).limited("Datastore.Audit")
    result = report(lab, **login, storages=[], image_storages=[])
    assert {one["level"] for one in of(result, "content")} == {"unknown"}
    (finding,) = of(result, "privileges")
    assert (finding["level"], finding["subject"]) == ("unknown", "capability templates")
    assert finding["remedy"] == "Set storages and image_storages"


def test_credentials_of_a_pool_are_told_to_name_it(lab: Bench) -> None:
    (finding,) = of(report(lab, **cluster_of(lab).limited(), pool=None), "privileges")
    assert finding["subject"] == "/vms"
    assert finding["remedy"].startswith("Set pool to templates, ")


def test_every_capability_is_checked(lab: Bench) -> None:
    names = ["templates", "customise", "prove", "clones", "backup"]
    result = report(lab, **cluster_of(lab).limited(), capabilities=names, backup_storages=["nfs"])
    found = {one["subject"]: one for one in of(result, "privileges")}
    assert set(found) == {"/pool/templates", "/storage/nfs"}
    pool = found["/pool/templates"]["message"]
    for privilege in ("VM.Backup", "VM.Clone", "VM.PowerMgmt", "VM.GuestAgent.Unrestricted"):
        assert privilege in pool
    assert {one["subject"] for one in of(result, "privileges", "ok")} == {"capability templates"}


def test_a_bridge_that_may_be_hidden_is_unknown(lab: Bench) -> None:
    result = report(lab, **cluster_of(lab).limited(), bridges=["vmbr7/20"], nodes=["pve1"])
    (finding,) = of(result, "bridge")
    assert (finding["level"], finding["subject"]) == ("unknown", "pve1/vmbr7")
    assert finding["remedy"] == "SDN.Use on /sdn/zones/localnetwork/vmbr7/20 would show it"
    (finding,) = of(result, "privileges", "error")
    assert finding["subject"] == "/sdn/zones/localnetwork/vmbr7/20"


# --- tags and VMIDs

AUDITOR = {"/": ("Sys.Audit",)}


@pytest.mark.parametrize(
    ("datacenter", "says"),
    [
        ({}, None),
        ({"user-tag-access": {"user-allow": "free"}, "registered-tags": ["prod"]}, None),
        ({"user-tag-access": {"user-allow": "existing"}}, "user-tag-access is 'existing'"),
        ({"user-tag-access": "user-allow=none"}, "user-tag-access is 'none'"),
        ({"registered-tags": ["prod", "state-current"]}, "state-current are registered tags"),
    ],
)
def test_the_datacenter_s_rules_for_tags(lab: Bench, datacenter: dict[str, t.Any], says: str | None) -> None:
    cluster = cluster_of(lab)
    cluster.datacenter = datacenter
    result = report(lab, **cluster.limited(more=AUDITOR))
    assert [one["message"].partition(":")[0].partition(", which")[0] for one in of(result, "tags")] == [says] * bool(
        says
    )
    assert of(report(lab), "tags") == [], "Sys.Modify on / may set any tag"


def test_the_style_of_tags_is_told_to_everybody(lab: Bench) -> None:
    cluster = cluster_of(lab)
    cluster.datacenter = {"tag-style": {"case-sensitive": 1, "ordering": "config"}}
    (finding,) = of(report(lab, **cluster.limited()), "tag_style", "ok")
    assert "stored as they are written, in the order given" in finding["message"]


def test_the_block_of_vmids(lab: Bench) -> None:
    for vmid in (9000, 9001):
        lab.cluster.add_vm(vmid, f"vm{vmid}")
    (finding,) = of(report(lab, vmid_range="9000-9009"), "vmids", "ok")
    assert finding["message"] == "8 of the VMIDs 9000-9009 are free"
    (finding,) = of(report(lab, vmid_range="9000-9001"), "vmids", "error")
    assert finding["remedy"] == "Widen vmid_range"
    (finding,) = of(report(lab, **cluster_of(lab).limited(), vmid_range="9000-9009"), "vmids")
    assert finding["level"] == "unknown"
    assert finding["message"].endswith("cannot be known")


# --- vendors


def test_a_vendor_that_has_nothing(lab: Bench) -> None:
    lab.unreachable()
    found = of(report(lab, nodes=["pve1"], images=[IMAGE], catalog_files=[str(lab.catalog)]), "vendor", "error")
    assert {one["subject"] for one in found} == {f"image {IMAGE}"}
    texts = " ".join(one["message"] for one in found)
    assert f"the controller gets HTTP 404 for {lab.url()}" in texts
    assert f"the controller gets HTTP 404 for {lab.sums()}" in texts
    assert f"pve1 cannot reach {lab.url()}" in texts


def test_a_vendor_that_is_not_there(lab: Bench) -> None:
    lab.describe(architectures={"x86_64": {"url": "http://127.0.0.1:1/x.qcow2", "sums": "http://127.0.0.1:1/S"}})
    found = of(report(lab, nodes=["pve1"], images=[IMAGE], catalog_files=[str(lab.catalog)]), "vendor", "error")
    assert sum("the controller cannot reach" in one["message"] for one in found) == 2


def test_the_way_of_a_node_is_unknown_without_the_privilege_to_ask(lab: Bench) -> None:
    login = cluster_of(lab).limited("Sys.AccessNetwork")
    (finding,) = of(
        report(lab, **login, nodes=["pve1"], images=[IMAGE], catalog_files=[str(lab.catalog)]), "vendor", "unknown"
    )
    assert finding["remedy"] == "Sys.AccessNetwork on /nodes/pve1 would show it"
    assert "GET /nodes/pve1/query-url-metadata" not in lab.sent()


def test_packed_images_are_no_business_of_the_nodes(lab: Bench) -> None:
    lab.publish(b"packed", FILE + ".xz")
    lab.describe(FILE + ".xz", compression="xz")
    assert of(report(lab, images=[IMAGE], catalog_files=[str(lab.catalog)]), "vendor") == []
    assert not [line for line in lab.sent() if "query-url-metadata" in line]


# --- the end


def thick(lab: Bench) -> None:
    lab.cluster.storages["thick"].update(total=100 * GIB, occupied=99 * GIB)


@pytest.mark.parametrize(
    ("world", "options", "fail_on", "fails"),
    [
        (thick, {"storages": ["thick"]}, "error", True),
        (thick, {"storages": ["thick"]}, "never", False),
        (thick, {"storages": []}, "error", False),
        (thick, {"storages": []}, "warning", True),
    ],
)
def test_the_module_fails_when_it_is_told_to(
    lab: Bench, world: Callable[[Bench], None], options: dict[str, t.Any], fail_on: str, fails: bool
) -> None:
    world(lab)
    result = report(lab, **options, fail_on=fail_on, nodes=["pve1"])
    assert result.get("failed", False) is fails
    assert ("msg" in result) is fails
    if fails:
        assert result["msg"].count("\n- ") == 2, "several problems at once"
        assert "pve1/thick: storage type lvm has no base images" in result["msg"]
    assert len(result["table"]) == 2 * 2 + 2


def test_options_that_cannot_be_meant_come_together(lab: Bench) -> None:
    result = lab.call(
        "preflight",
        {"vmid_range": "9", "min_free": "much", "images": ["debain-13"], "bridges": ["vm/br"], "zones": ["a/b/c"]},
    )
    assert result["failed"]
    assert [text.partition("=")[0] for text in result["problems"]] == [
        "bridges",
        "zones",
        "vmid_range",
        "min_free",
        "images",
    ]
    assert lab.sent() == []
