# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of the fake: what the client sees, and what the server has done."""

from __future__ import annotations

import time
import typing as t

import pytest
import requests

from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.faults import CONTROL, KEY_HEADER, Faults
from tests.support.pve_lab import Client

NODE = "/nodes/pve1/qemu"
DISK = {"scsi0": "local-lvm:1"}


@pytest.fixture
def server() -> t.Iterator[Server]:
    with serve(FakeCluster(nodes=("pve1", "pve2"))) as running:
        yield running


@pytest.fixture
def faults(server: Server) -> Faults:
    return server.cluster.faults


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server)


def task(client: Client, response: requests.Response) -> dict:
    """The state of the task whose UPID was answered, with its log."""
    path = f"/nodes/pve1/tasks/{response.json()['data']}"
    state = client.root("GET", f"{path}/status").json()["data"]
    return {**state, "log": [line["t"] for line in client.root("GET", f"{path}/log").json()["data"]]}


# -------------------------------------------------------------- the connection


def test_cut_before_leaves_no_trace_and_cut_after_has_been_done(client: Client, faults: Faults) -> None:
    faults.add("cut_before", "POST", "^/pools$")
    faults.add("cut_after", "POST", "^/pools$", nth=2)
    for _unused in range(2):
        with pytest.raises(requests.ConnectionError):
            client.root("POST", "/pools", poolid="p")
        found = [row["poolid"] for row in client.root("GET", "/pools").json()["data"]]
    assert found == ["p"]
    faults.assert_all_fired()


def test_status_answers_instead_of_the_server(client: Client, faults: Faults) -> None:
    faults.add("status", "GET", "^/version$", code=596, reason="Broken pipe")
    faults.add(
        "status", "GET", "^/version$", nth=2, code=400, message="Parameter verification failed.", errors={"a": "b"}
    )
    reply = client.root("GET", "/version")
    assert (reply.status_code, reply.reason, reply.text) == (596, "Broken pipe", "")
    assert client.root("GET", "/version").json()["errors"] == {"a": "b"}
    assert client.root("GET", "/version").status_code == 200


def test_delay_and_hang(client: Client, faults: Faults, server: Server) -> None:
    faults.add("delay", path="^/version$", seconds=0.1)
    begin = time.monotonic()
    assert client.root("GET", "/version").status_code == 200
    assert time.monotonic() - begin >= 0.1
    faults.add("hang", "POST", "^/pools$", seconds=0.05, after=True)
    with pytest.raises(requests.ConnectionError):
        client.root("POST", "/pools", poolid="made")
    assert "made" in server.cluster.pools
    faults.add("hang", path="^/version$")
    with pytest.raises(requests.Timeout):
        client.session.get(server.url + "/version", headers=server.token_header, timeout=0.1)


# -------------------------------------------------------------------- the task


def test_a_failing_create_leaves_nothing(client: Client, faults: Faults, server: Server) -> None:
    faults.add("fail_task", "POST", "/qemu$", exitstatus="out of luck", log=["line"])
    state = task(client, client.root("POST", NODE, vmid=200))
    assert (state["exitstatus"], state["log"]) == ("out of luck", ["line", "TASK ERROR: out of luck"])
    assert 200 not in server.cluster.vms
    assert task(client, client.root("POST", NODE, vmid=200))["exitstatus"] == "OK"


def test_a_killed_worker_leaves_the_lock_and_a_late_failure_the_work(
    client: Client, faults: Faults, server: Server
) -> None:
    faults.add("fail_task", "POST", "/qemu$", exitstatus="unexpected status", crash=True)
    client.root("POST", NODE, vmid=200)
    assert server.cluster.vms[200].lock == "create"
    faults.add("fail_task", "POST", "/qemu$", exitstatus="late", done=True)
    assert task(client, client.root("POST", NODE, vmid=201))["exitstatus"] == "late"
    assert server.cluster.vms[201].lock is None


def test_a_hanging_task_runs_until_it_is_released(client: Client, faults: Faults, server: Server) -> None:
    faults.add("hang_task", "POST", "/qemu$")
    reply = client.root("POST", NODE, vmid=200)
    assert task(client, reply)["status"] == "running"
    server.call(faults.release)
    end = time.monotonic() + 10
    while task(client, reply)["status"] != "stopped":
        assert time.monotonic() < end
    assert "smbios1" in server.cluster.vms[200].config


# ------------------------------------------------------------------ the guests


def test_stolen_vmid_early_and_late(client: Client, faults: Faults, server: Server) -> None:
    faults.add("steal_vmid", "POST", "/qemu$")
    reply = client.root("POST", NODE, vmid=200)
    text = "unable to create VM 200 - VM 200 already exists on node 'pve1'"
    assert (reply.status_code, reply.reason) == (500, text)
    faults.add("steal_vmid", "POST", "/clone$", late=True)
    state = task(client, client.root("POST", f"{NODE}/200/clone", newid=201))
    assert state["exitstatus"] == "unable to create VM 201: config file already exists"
    assert server.cluster.vms[201].name == "racing-client"


def test_lock_digest_and_quorum(client: Client, faults: Faults, server: Server) -> None:
    server.cluster.add_vm(200, "a")
    config = f"{NODE}/200/config"
    faults.add("lock", "PUT", "/config$", lock="backup", lasts=1)
    assert client.root("PUT", config, name="b").reason == "VM is locked (backup)"
    digest = client.root("GET", config).json()["data"]["digest"]
    faults.add("digest_bump", "PUT", "/config$")
    assert (
        client.root("PUT", config, name="b", digest=digest).reason == "checksum mismatch (file change by other user?)"
    )
    faults.add("lost_quorum", "PUT", "/config$", lasts=2)
    assert client.root("PUT", config, name="b").reason == "cluster not ready - no quorum?"
    assert client.root("GET", config).status_code == 200
    assert client.root("PUT", config, name="b").status_code == 200
    faults.assert_all_fired()


# ----------------------------------------------------------------- the cluster


@pytest.mark.parametrize(
    ("how", "status", "text"),
    [
        ("route", 595, "No route to host"),
        ("timeout", 596, "Connection timed out"),
        (
            "hostname",
            500,
            "hostname lookup 'pve2' failed - failed to get address info for: pve2: Name or service not known",
        ),
    ],
)
def test_node_offline(client: Client, faults: Faults, how: str, status: int, text: str) -> None:
    faults.add("node_offline", node="pve2", how=how, at=0, lasts=2)
    reply = client.root("GET", "/nodes/pve2/qemu")
    assert (reply.status_code, reply.reason) == (status, text)
    states = {row["node"]: row["status"] for row in client.root("GET", "/nodes").json()["data"]}
    assert states == {"pve1": "online", "pve2": "offline"}
    assert client.root("GET", "/nodes/pve2/qemu").status_code == 200


def test_disk_full(client: Client, faults: Faults) -> None:
    faults.add("disk_full", "POST", "/qemu$", storage="local-lvm", lasts=3)
    reply = client.root("POST", NODE, vmid=200, **DISK)
    assert task(client, reply)["exitstatus"].endswith("No space left on device")
    assert task(client, client.root("POST", NODE, vmid=200, **DISK))["exitstatus"] == "OK"


def test_expired_ticket(client: Client, faults: Faults, server: Server) -> None:
    login = client("POST", "/access/ticket", username="root@pam", password=server.password).json()["data"]
    client.session.cookies.set("PVEAuthCookie", login["ticket"])
    faults.add("expire_ticket", "GET", "^/nodes$")
    assert client("GET", "/version").status_code == 200
    assert client("GET", "/nodes").reason == "permission denied - invalid PVE ticket"


def test_dropped_privilege(client: Client, faults: Faults, server: Server) -> None:
    cluster = server.cluster
    cluster.add_user("u@pve")
    cluster.add_token("u@pve!tt", privsep=0)
    cluster.grant("u@pve", "/", "PVEAdmin")
    cluster.add_vm(200, "a")
    faults.add("drop_privilege", "GET", "/config$", privilege="VM.Audit", lasts=1)
    assert client("GET", f"{NODE}/200/config", "u@pve!tt").reason == "Permission check failed (/vms/200, VM.Audit)"
    assert client("GET", f"{NODE}/200/config", "u@pve!tt").status_code == 200


# ------------------------------------------------------------- choosing requests


def test_a_sweep_over_every_request_number(client: Client, faults: Faults) -> None:
    for number in range(3):
        faults.reset()
        faults.add("status", at=number, code=500, message="swept")
        assert [client.root("GET", "/version").status_code for _unused in range(3)].index(500) == number
        assert faults.index == 3
        faults.assert_all_fired()


def test_times_and_unfired_faults(client: Client, faults: Faults) -> None:
    always = faults.add("status", "GET", "^/version$", times=None, code=500, message="x")
    assert {client.root("GET", "/version").status_code for _unused in range(4)} == {500}
    assert (always.fired, always.matched) == (4, 4)
    faults.add("cut_before", "GET", "^/nosuch$")
    with pytest.raises(AssertionError, match="nosuch"):
        faults.assert_all_fired()
    with pytest.raises(ValueError, match="unknown effect"):
        faults.add("explode")


def test_reset_undoes_what_has_no_end(client: Client, faults: Faults, server: Server) -> None:
    faults.add("lost_quorum", at=0)
    client.root("GET", "/version")
    assert not server.cluster.quorate
    server.call(faults.reset)
    assert server.cluster.quorate and not faults.planned


def test_another_process_plans_faults_over_http(client: Client, faults: Faults, server: Server) -> None:
    address = server.url.replace("/api2/json", CONTROL)
    key = {KEY_HEADER: faults.key}
    assert client.session.get(address).status_code == 404
    assert client.session.get(address, headers={KEY_HEADER: "guess"}).status_code == 404
    wanted = {"effect": "status", "method": "GET", "path": "^/version$", "args": {"code": 500, "message": "planned"}}
    assert client.session.post(address, headers=key, json=wanted).status_code == 200
    assert client.root("GET", "/version").reason == "planned"
    state = client.session.get(address, headers=key).json()
    assert (state["index"], [fault["fired"] for fault in state["faults"]]) == (1, [1])
    assert client.session.post(address, headers=key, json={"effect": "no"}).status_code == 400
    assert client.session.delete(address, headers=key).json() == {"index": 0, "faults": []}
