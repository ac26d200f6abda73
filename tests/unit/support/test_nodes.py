# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fake's nodes tell of their services and packages, and to whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.pve import FakeCluster, serve
from tests.support.pve.nodes import SERVICES, package
from tests.support.pve_lab import Client

TOKEN = "watch@pve!ci"
SERVICES_OF, UPDATES_OF = "/nodes/{}/services", "/nodes/{}/apt/update"


@pytest.fixture(params=["8.4.21", "9.1.2"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    cluster = FakeCluster(nodes=("pve1", "pve2"), version=request.param)
    cluster.add_user("watch@pve")
    cluster.add_token(TOKEN, privsep=0)
    with serve(cluster) as server:
        yield Client(server)


@pytest.mark.parametrize(("path", "privilege"), [(SERVICES_OF, "Sys.Audit"), (UPDATES_OF, "Sys.Modify")])
def test_each_list_has_a_privilege_of_its_own(client: Client, path: str, privilege: str) -> None:
    refused = client("GET", path.format("pve1"), TOKEN)
    assert refused.status_code == 403
    assert f"(/nodes/pve1, {privilege})" in refused.reason
    client.server.cluster.add_role("Watch", [privilege])
    client.server.cluster.grant("watch@pve", "/nodes/pve1", "Watch")
    assert client("GET", path.format("pve1"), TOKEN).status_code == 200
    assert client("GET", path.format("pve2"), TOKEN).status_code == 403


@pytest.mark.parametrize("path", [SERVICES_OF, UPDATES_OF])
def test_a_node_that_is_offline_is_no_route(client: Client, path: str) -> None:
    client.server.cluster.nodes["pve2"]["online"] = False
    assert client.root("GET", path.format("pve2")).status_code == 595


def test_what_was_set_is_told(client: Client) -> None:
    cluster = client.server.cluster
    cluster.services["pve1"] = {"cron": ("failed", "failed", "enabled")}
    cluster.packages["pve2"] = [package("openssl", None, "3.0.2")]
    rows = {row["service"]: row for row in client.root("GET", SERVICES_OF.format("pve1")).json()["data"]}
    assert sorted(rows) == sorted(SERVICES)
    assert (rows["cron"]["state"], rows["cron"]["active-state"]) == ("failed", "failed")
    assert rows["corosync"]["active-state"] == "active", "there is a cluster"
    (row,) = client.root("GET", UPDATES_OF.format("pve2")).json()["data"]
    assert (row["Package"], row["Version"], "OldVersion" in row) == ("openssl", "3.0.2", False)
    assert client.root("GET", UPDATES_OF.format("pve1")).json()["data"] == []
