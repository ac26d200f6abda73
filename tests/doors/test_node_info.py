# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_info tells how nodes are, and of what it may not see which privilege would show it."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

import pytest

from tests.support.pve import FakeCluster
from tests.support.pve.nodes import package
from tests.support.workbench import Bench, warnings_of

BOTH = ["services", "updates"]
TOKEN = "watch@pve!ci"


def three_nodes() -> FakeCluster:
    return FakeCluster(nodes=["pve3", "pve1", "pve2"])


def three_nodes_of_9() -> FakeCluster:
    return FakeCluster(nodes=["pve3", "pve1", "pve2"], version="9.1.2")


pytestmark = pytest.mark.parametrize("bench", [three_nodes, three_nodes_of_9], indirect=True)


def asked(bench: Bench, **options: t.Any) -> dict[str, dict[str, t.Any]]:
    """The nodes by name; nothing was refused on the way, and nothing written."""
    result = bench.call("node_info", options)
    assert not result.get("failed"), result
    assert result["changed"] is False
    assert {(entry.method, entry.status) for entry in bench.server.requests} == {("GET", 200)}
    return {row["node"]: row for row in result["nodes"]}


def limit(bench: Bench, grants: Mapping[str, tuple[str, ...]]) -> None:
    """Go on with a token that may do this and nothing else, by path."""
    bench.cluster.add_user("watch@pve")
    bench.cluster.add_token(TOKEN, privsep=0)
    for number, (path, privileges) in enumerate(grants.items()):
        bench.cluster.add_role(f"Watch{number}", list(privileges))
        bench.cluster.grant("watch@pve", path, f"Watch{number}", propagate=0)
    bench.credentials = {"api_token_id": TOKEN, "api_token_secret": bench.cluster.apitokens[TOKEN]}


def test_everything_of_a_node(bench: Bench) -> None:
    assert list(asked(bench)) == ["pve1", "pve2", "pve3"]
    assert asked(bench)["pve1"] == {
        "node": "pve1",
        "status": "online",
        "version": bench.cluster.version,
        "uptime": 3600,
        "cpu": 0.02,
        "cpus": 4,
        "memory": 0.25,
        "memory_total": 8 << 30,
        "services": None,
        "updates": None,
        "unknown": {},
    }


@pytest.mark.parametrize("gather", [[], ["services"], ["updates"], BOTH])
def test_one_request_for_each_node_and_thing(bench: Bench, gather: list[str]) -> None:
    asked(bench, gather=gather)
    paths = {"services": "services", "updates": "apt/update"}
    of_nodes = ["version", *(paths[part] for part in gather)]
    expected = ["cluster/resources", *(["access/permissions"] if gather else [])]
    expected += [f"nodes/{node}/{path}" for node in ("pve1", "pve2", "pve3") for path in of_nodes]
    assert sorted(bench.sent()) == sorted(f"GET /{path}" for path in expected)


def test_only_the_nodes_that_are_named_are_asked(bench: Bench) -> None:
    assert list(asked(bench, nodes=["pve3", "pve1", "pve3"], gather=BOTH)) == ["pve1", "pve3"]
    assert not [path for path in bench.sent() if "pve2" in path]


def test_a_node_that_is_not_there_is_told_and_no_failure(bench: Bench) -> None:
    result = bench.call("node_info", {"nodes": ["pve1", "pve9"], "gather": BOTH})
    assert [row["node"] for row in result["nodes"]] == ["pve1"]
    assert result["absent"] == ["pve9"]
    assert warnings_of(result) == ["the cluster has no node pve9; it has pve1, pve2, pve3"]


def test_services_of_a_healthy_cluster(bench: Bench) -> None:
    assert [row["services"] for row in asked(bench, gather=["services"]).values()] == [[], [], []]


@pytest.mark.parametrize(
    ("states", "down"),
    [
        (("failed", "failed", "enabled"), True),
        (("dead", "inactive", "enabled"), True),
        (("dead", "inactive", "enabled-runtime"), True),
        (("failed", "failed", "static"), True),
        (("auto-restart", "activating", "enabled"), True),
        (("running", "active", "enabled"), False),
        (("exited", "active", "enabled"), False),
        (("start-pre", "activating", "enabled"), False),
        (("running", "reloading", "enabled"), False),
        (("dead", "inactive", "disabled"), False),
        (("failed", "failed", "disabled"), False),
        (("dead", "inactive", "masked"), False),
        (("dead", "inactive", "not-found"), False),
        (("dead", "inactive", "static"), False),
        (("unknown", "unknown", "unknown"), False),
    ],
)
def test_what_counts_as_down(bench: Bench, states: tuple[str, str, str], down: bool) -> None:
    bench.cluster.services["pve2"] = {"pvestatd": states, "corosync": states}
    found = asked(bench, gather=["services"])
    assert [one["service"] for one in found["pve2"]["services"]] == (["corosync", "pvestatd"] if down else [])
    assert found["pve1"]["services"] == []


def test_a_service_that_is_down_is_told_in_full(bench: Bench) -> None:
    bench.cluster.services["pve1"] = {"cron": ("failed", "failed", "enabled")}
    assert asked(bench, gather=["services"])["pve1"]["services"] == [
        {
            "service": "cron",
            "description": "the service cron",
            "state": "failed",
            "active_state": "failed",
            "unit_state": "enabled",
        }
    ]


def test_packages_by_name_each_once(bench: Bench) -> None:
    new = package("zlib1g", None, "1.3")
    bench.cluster.packages["pve2"] = [new, package("pve-manager", "8.4.1", "8.4.2", "Proxmox"), new]
    found = asked(bench, gather=["updates"])
    assert (found["pve1"]["updates"], found["pve3"]["updates"]) == ([], [])
    kept, added = found["pve2"]["updates"]
    assert kept == {
        "package": "pve-manager",
        "title": "the package pve-manager",
        "installed": "8.4.1",
        "version": "8.4.2",
        "origin": "Proxmox",
        "section": "admin",
        "priority": "optional",
        "arch": "amd64",
    }
    assert (added["package"], added["installed"], added["origin"]) == ("zlib1g", None, "Debian")


def test_a_token_without_privileges_gets_what_everybody_may_see(bench: Bench) -> None:
    limit(bench, {})
    row = asked(bench, gather=BOTH)["pve2"]
    assert (row["status"], row["version"]) == ("online", bench.cluster.version)
    assert {row[key] for key in ("uptime", "cpu", "cpus", "memory", "memory_total", "services", "updates")} == {None}
    assert row["unknown"] == {
        "figures": "Sys.Audit on /nodes/pve2 would show it",
        "services": "Sys.Audit on /nodes/pve2 would show it",
        "updates": "Sys.Modify on /nodes/pve2 would show it",
    }
    assert not [path for path in bench.sent() if path.endswith(("/services", "/apt/update"))]


def test_each_privilege_opens_its_part_on_its_node_only(bench: Bench) -> None:
    limit(bench, {"/nodes/pve1": ("Sys.Audit",), "/nodes/pve2": ("Sys.Modify",)})
    found = asked(bench, gather=BOTH)
    assert found["pve1"]["services"] == found["pve2"]["updates"] == []
    assert list(found["pve1"]["unknown"]) == ["updates"]
    assert list(found["pve2"]["unknown"]) == ["figures", "services"]
    assert list(found["pve3"]["unknown"]) == ["figures", "services", "updates"]


@pytest.mark.parametrize(("capability", "part"), [("nodes", "services"), ("updates", "updates")])
def test_the_capability_of_the_token_is_enough(bench: Bench, capability: str, part: str) -> None:
    made = bench.call("access", {"nodes": ["pve1"], "capabilities": [capability], "privsep": False})
    bench.credentials = {"api_token_id": made["token"]["id"], "api_token_secret": made["token"]["secret"]}
    found = asked(bench, gather=[part])
    assert found["pve1"][part] == []
    assert part in found["pve2"]["unknown"]


def test_a_token_of_the_default_capabilities_changes_no_node(bench: Bench) -> None:
    made = bench.call("access", {"nodes": ["pve1"], "privsep": False})
    bench.credentials = {"api_token_id": made["token"]["id"], "api_token_secret": made["token"]["secret"]}
    assert list(asked(bench, gather=BOTH)["pve1"]["unknown"]) == ["figures", "services", "updates"]


def test_a_node_that_is_offline_is_told_and_not_asked(bench: Bench) -> None:
    bench.cluster.nodes["pve2"]["online"] = False
    row = asked(bench, gather=BOTH)["pve2"]
    assert (row["status"], row["version"], row["services"], row["updates"]) == ("offline", None, None, None)
    assert row["unknown"] == dict.fromkeys(("services", "updates", "version"), "the node is offline")
    assert not [path for path in bench.sent() if "pve2" in path]
    assert warnings_of(bench.call("node_info", {})) == ["node pve2 is offline"]


def test_a_node_that_does_not_answer_hinders_no_other(bench: Bench) -> None:
    bench.cluster.faults.add("status", method="GET", path="/nodes/pve2/.*", code=595, times=3)
    result = bench.call("node_info", {"gather": BOTH})
    found = {row["node"]: row for row in result["nodes"]}
    assert sorted(found["pve2"]["unknown"]) == ["services", "updates", "version"]
    assert found["pve1"]["services"] == found["pve3"]["updates"] == []
    assert any(text.startswith("services of node pve2 could not be read: ") for text in warnings_of(result))


def test_check_mode_tells_the_same(bench: Bench) -> None:
    bench.cluster.packages["pve1"] = [package("openssl", "3.0.1", "3.0.2")]
    options = {"gather": BOTH}
    assert bench.call("node_info", options, check=True)["nodes"] == bench.call("node_info", options)["nodes"]
