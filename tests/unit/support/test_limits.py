# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake's capacity limits and the counters that measure a client."""

from __future__ import annotations

import concurrent.futures
import time
import typing as t

import pytest

from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.limits import Limits
from tests.support.pve_lab import Client


@pytest.fixture
def server() -> t.Iterator[Server]:
    with serve(FakeCluster(nodes=("pve1", "pve2"))) as running:
        yield running


def at_once(server: Server, count: int, path: str) -> float:
    """Seconds that ``count`` simultaneous requests take, each on its own connection."""
    clients = [Client(server) for _unused in range(count)]
    for client in clients:
        client.root("GET", "/version")
    server.cluster.meter.reset()
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        assert {reply.status_code for reply in pool.map(lambda client: client.root("GET", path), clients)} == {200}
    return time.monotonic() - begin


def test_counters_by_path_class_connection_and_outcome(server: Server) -> None:
    client, meter = Client(server), server.cluster.meter
    for path in ("/version", "/nodes/pve1/qemu", "/nodes/pve2/qemu", "/version"):
        client.root("GET", path)
    assert meter.by_class() == {("GET", "/version"): 2, ("GET", "/nodes/{node}/qemu"): 2}
    assert (meter.requests, meter.connections, meter.max_in_flight) == (4, 1, 1)
    client.root("GET", "/access/roles/nosuch")  # a refusal closes the connection
    client.root("GET", "/version")
    assert (meter.connections, [entry.status for entry in meter.seen][-2:]) == (2, [500, 200])
    meter.reset()
    assert (meter.requests, meter.connections) == (0, 0)


def test_status_polls_per_second(server: Server) -> None:
    client, cluster = Client(server), server.cluster

    async def body(log: list[str]) -> None:
        log.append("x")

    upid = server.call(cluster.run_task, "pve1", "test", "1", "root@pam!test", body)
    for _unused in range(3):
        assert client.root("GET", f"/nodes/pve1/tasks/{upid}/status").status_code == 200
    assert sum(cluster.meter.polls_per_second().values()) == 3


def test_a_connection_serves_a_limited_number_of_requests(server: Server) -> None:
    client, cluster = Client(server), server.cluster
    assert cluster.limits.requests_per_connection == 100
    cluster.limits.requests_per_connection = 3
    closing = [client.root("GET", "/version").headers.get("Connection") == "close" for _unused in range(7)]
    assert closing == [False, False, True] * 2 + [False]
    assert cluster.meter.connections == 3


def test_latency_does_not_need_a_worker(server: Server) -> None:
    limits = server.cluster.limits
    limits.proxy_workers = 1
    assert at_once(server, 1, "/version") < 0.15
    limits.latency = 0.15
    assert 0.15 <= at_once(server, 4, "/version") < 0.55
    assert server.cluster.meter.max_in_flight == 4


def test_requests_beyond_the_workers_of_a_node_wait(server: Server) -> None:
    limits = server.cluster.limits
    limits.proxy_workers, limits.daemon_workers = 2, 1
    limits.service_times = {"/version": 0.1, "/nodes/{node}/qemu": 0.1}
    assert at_once(server, 4, "/version") >= 0.2
    # This call is a privileged one: it waits for pvedaemon's workers, of which each node has its own.
    assert at_once(server, 3, "/nodes/pve1/qemu") >= 0.3


def test_the_limits_of_a_real_node() -> None:
    real = Limits.real()
    assert (real.proxy_workers, real.daemon_workers, real.resources_lag) == (3, 3, 10.0)


def rows(client: Client) -> dict[int, dict]:
    data = client.root("GET", "/cluster/resources", type="vm").json()["data"]
    return {row["vmid"]: row for row in data}


def test_resources_show_the_last_broadcast(server: Server) -> None:
    client, cluster = Client(server), server.cluster
    vm = cluster.add_vm(100, "old", config={"memory": 512})
    cluster.limits.resources_lag = 3600
    assert (rows(client)[100]["name"], rows(client)[100]["status"]) == ("old", "stopped")
    vm.config.update(name="new", tags="a;b", lock="backup", memory=1024)
    vm.status = "running"
    cluster.add_vm(101, "born")
    seen = rows(client)
    assert (seen[100]["name"], seen[100]["status"], seen[100]["maxmem"]) == ("old", "stopped", 512 * 1024**2)
    assert (seen[100]["tags"], seen[100]["lock"]) == ("a;b", "backup")
    assert seen[101]["status"] == "unknown" and "name" not in seen[101] and "template" not in seen[101]
    server.call(cluster.broadcast)
    seen = rows(client)
    assert (seen[100]["name"], seen[100]["status"], seen[101]["name"]) == ("new", "running", "born")


def test_broadcasts_come_by_themselves(server: Server) -> None:
    client, cluster = Client(server), server.cluster
    vm = cluster.add_vm(100, "old")
    cluster.limits.resources_lag = 0.05
    rows(client)
    vm.config["name"] = "new"
    end = time.monotonic() + 10
    while rows(client)[100]["name"] != "new":
        assert time.monotonic() < end
