# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door C(access), as a whole module against the fake server, whose access model judges what the token may do."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.auth import Connection
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.client import Client, api_path
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import ApiError, Kind
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.transport import ProxmoxerTransport
from ansible_collections.homelab.proxmox.plugins.modules import access

from tests.support.pve import FakeCluster, Server, serve

PLACES = {"storages": ["local-lvm"], "image_storages": ["local"], "nodes": ["pve1"], "bridges": ["vmbr0"]}
TOKEN = "homelab@pve!ansible"


@pytest.fixture(params=["8.4.21", "9.1.2"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(FakeCluster(version=request.param)) as running:
        running.cluster.auth_delay = 0
        yield running


def run(server: Server, *, check: bool = False, ticket: bool = False, **options: Any) -> dict[str, Any]:
    """One call of the module; what it printed, as a person would get it."""
    login: Mapping[str, Any] = {"api_token_id": server.token_id, "api_token_secret": server.token_secret}
    if ticket:
        login = {"api_user": server.user, "api_password": server.password}
    where = {"api_host": server.host, "api_port": server.port, "ca_path": server.ca_path}
    args = {**where, **login, **options, "_ansible_check_mode": check, "_ansible_diff": True}
    server.reset_log()
    output = io.StringIO()
    with patch_module_args(args), redirect_stdout(output), pytest.raises(SystemExit):
        access.main()
    return json.loads(output.getvalue())


def client_of(server: Server, result: Mapping[str, Any]) -> Client:
    connection = Connection(
        host=server.host,
        port=server.port,
        ca_path=server.ca_path,
        token_id=result["token"]["id"],
        token_secret=result["token"]["secret"],
    )
    return Client(ProxmoxerTransport(connection))


def test_the_first_run_makes_everything_and_the_second_sends_reads_only(server: Server) -> None:
    first = run(server, **PLACES)
    assert first["changed"], first
    assert first["token"]["id"] == TOKEN
    assert first["token"]["secret"] not in json.dumps({**first, "token": {}, "invocation": {}})
    second = run(server, **PLACES)
    assert not second["changed"]
    assert server.writes() == []
    assert second["token"] == {"id": TOKEN, "privsep": True}
    assert second["requests"]["reads"] == 7
    assert second["extra_acl"] == []


def test_a_root_ticket_works_as_well(server: Server) -> None:
    assert run(server, ticket=True, **PLACES)["changed"]
    assert not run(server, ticket=True, **PLACES)["changed"]


def test_check_mode_shows_the_plan_and_only_reads(server: Server) -> None:
    planned = run(server, check=True, **PLACES)
    assert planned["changed"]
    assert server.writes() == []
    assert planned["diff"]["before"] == {"roles": {}, "pool": None, "user": None, "token": None, "acl": []}
    assert planned["diff"]["after"]["token"]["secret"] == "new"
    assert "secret" not in planned["token"]
    done = run(server, **PLACES)
    assert done["steps"] == planned["steps"]
    assert done["diff"] == planned["diff"]


def test_roles_follow_the_version(server: Server) -> None:
    privileges = run(server, **PLACES)["roles"]["HomelabPool"]
    assert ("VM.Monitor" in privileges) == (server.cluster.major == 8)
    assert ("VM.GuestAgent.Unrestricted" in privileges) == (server.cluster.major == 9)
    assert server.cluster.access.roles["HomelabPool"] == set(privileges)


def test_only_the_pool_propagates(server: Server) -> None:
    result = run(server, zones=["lab", "lab/vnet1"], **PLACES)
    propagating = {entry["path"] for entry in result["acl"] if entry["propagate"]}
    assert propagating == {"/pool/templates", "/sdn/zones/lab"}
    assert {entry["id"] for entry in result["acl"]} == {"homelab@pve", TOKEN}


def test_the_token_may_do_its_work_and_nothing_else(server: Server) -> None:
    client = client_of(server, run(server, **PLACES))
    node = api_path("nodes", "pve1")
    config = {"vmid": 9400, "pool": "templates", "name": "t", "memory": 512, "cores": 1, "net0": "virtio,bridge=vmbr0"}
    client.run("POST", f"{node}/qemu", {**config, "scsi0": "local-lvm:1"}, node="pve1", type="qmcreate", id=9400)
    client.put(f"{node}/qemu/9400/config", {"scsi1": "local-lvm:cloudinit", "ciuser": "ops"})
    assert client.get(f"{node}/qemu/9400/config")["name"] == "t"
    client.run("POST", f"{node}/qemu/9400/template", node="pve1", type="qmtemplate", id=9400)
    clone = {"newid": 9411, "pool": "templates"}
    client.run("POST", f"{node}/qemu/9400/clone", clone, node="pve1", type="qmclone", id=9400)
    for method, path, params in (
        ("post", f"{node}/qemu", {**config, "vmid": 9401, "pool": None}),
        ("post", f"{node}/qemu", {**config, "vmid": 9401, "net0": "virtio,bridge=vmbr1"}),
        ("post", f"{node}/qemu", {**config, "vmid": 9401, "net0": "virtio,bridge=vmbr0,tag=20"}),
        ("post", f"{node}/qemu", {**config, "vmid": 9401, "scsi0": "local:1"}),
        ("get", f"{node}/status", {}),
        ("post", "/access/users", {"userid": "more@pve"}),
        ("put", "/access/acl", {"path": "/", "roles": "Administrator", "users": "homelab@pve"}),
    ):
        with pytest.raises(ApiError) as refused:
            client.get(path) if method == "get" else getattr(client, method)(path, params)
        assert refused.value.kind is Kind.PERMISSION, (method, path, params)


def test_without_privilege_separation_only_the_user_is_granted(server: Server) -> None:
    result = run(server, privsep=False, **PLACES)
    assert {entry["id"] for entry in result["acl"]} == {"homelab@pve"}
    assert client_of(server, result).get("/access/permissions")["/storage/local"]
    back = run(server, **PLACES)
    assert "change token homelab@pve!ansible (privilege separation: yes)" in back["steps"]
    assert "secret" not in back["token"]
    assert not run(server, **PLACES)["changed"]


def test_a_lost_secret_is_made_anew_only_when_asked(server: Server) -> None:
    first = run(server, **PLACES)
    run_again = run(server, regenerate_token=True, **PLACES)
    assert run_again["changed"]
    assert run_again["token"]["secret"] != first["token"]["secret"]
    assert client_of(server, run_again).get("/access/permissions").keys() >= {"/pool/templates", "/storage/local"}
    assert run_again["diff"]["before"]["token"]["secret"] == "kept"
    assert not run(server, **PLACES)["changed"]


def test_a_new_secret_keeps_what_others_gave_the_token(server: Server) -> None:
    run(server, **PLACES)
    server.call(server.cluster.grant, TOKEN, "/storage/backup", "PVEDatastoreUser")
    result = run(server, regenerate_token=True, **PLACES)
    assert [entry["path"] for entry in result["extra_acl"]] == ["/storage/backup"]


def test_what_others_were_granted_stays(server: Server) -> None:
    server.call(server.cluster.add_user, "bob@pve")
    server.call(server.cluster.grant, "bob@pve", "/storage/local", "PVEDatastoreAdmin")
    run(server, exclusive=True, **PLACES)
    assert server.cluster.access.acl["/storage/local"]["user", "bob@pve"] == {"PVEDatastoreAdmin": 1}


def test_extra_entries_are_reported_and_go_only_with_exclusive(server: Server) -> None:
    run(server, **PLACES)
    fewer = {**PLACES, "bridges": []}
    kept = run(server, **fewer)
    assert not kept["changed"]
    assert {entry["path"] for entry in kept["extra_acl"]} == {"/sdn/zones/localnetwork/vmbr0"}
    gone = run(server, exclusive=True, **fewer)
    assert gone["steps"] == [f"revoke HomelabBridge on /sdn/zones/localnetwork/vmbr0 from homelab@pve, {TOKEN}"]
    assert gone["extra_acl"] == []
    assert not run(server, exclusive=True, **fewer)["changed"]


def test_drift_is_mended(server: Server) -> None:
    run(server, **PLACES)
    server.call(server.cluster.add_role, "HomelabNode", ["Sys.AccessNetwork", "Sys.PowerMgmt"])
    server.call(server.cluster.grant, "homelab@pve", "/storage/local", "HomelabImages")
    result = run(server, **PLACES)
    assert result["steps"] == [
        "change role HomelabNode: Sys.AccessNetwork",
        "grant HomelabImages on /storage/local to homelab@pve",
    ]
    assert result["diff"]["before"].keys() == {"roles", "acl"}


def test_absent_removes_what_present_made(server: Server) -> None:
    before = {name: set(privileges) for name, privileges in server.cluster.access.roles.items()}
    run(server, **PLACES)
    planned = run(server, check=True, state="absent")
    assert server.writes() == []
    gone = run(server, state="absent")
    assert gone["changed"]
    assert gone["steps"] == planned["steps"]
    assert "homelab@pve" not in server.cluster.access.users
    assert server.cluster.access.roles == before
    assert server.cluster.access.acl == {}
    assert "templates" not in server.cluster.pools
    assert not run(server, state="absent")["changed"]
    assert server.writes() == []


def test_absent_keeps_a_pool_with_members_and_roles_of_others(server: Server) -> None:
    client = client_of(server, run(server, **PLACES))
    config = {"vmid": 9400, "pool": "templates", "name": "t"}
    client.run("POST", "/nodes/pve1/qemu", config, node="pve1", type="qmcreate", id=9400)
    server.call(server.cluster.add_user, "bob@pve")
    server.call(server.cluster.grant, "bob@pve", "/storage/local", "HomelabImages")
    gone = run(server, state="absent")
    assert gone["kept"] == [
        "role HomelabImages, which others have been given,",
        "pool templates, which has 1 members,",
    ]
    assert "templates" in server.cluster.pools
    assert "HomelabImages" in server.cluster.access.roles


def test_absent_refuses_a_user_that_has_more(server: Server) -> None:
    run(server, **PLACES)
    server.call(server.cluster.add_token, "homelab@pve!other")
    server.call(server.cluster.grant, "homelab@pve", "/vms", "PVEVMUser")
    refused = run(server, state="absent")
    assert refused["failed"]
    assert "other tokens (other)" in refused["msg"]
    assert "/vms: PVEVMUser" in refused["msg"]
    assert server.writes() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"token": "x"}, "token='x' is no token name"),
        ({"user": "root@pam"}, "cannot be limited"),
        ({"user": "homelab"}, "name@realm"),
        ({"bridges": ["vm br0"]}, "bridges='vm br0'"),
        ({"storages": ["nosuch"]}, "It has fast, local, local-lvm."),
        ({"nodes": ["pve7"]}, "It has pve1."),
        ({"roles": {"pool": {"name": "PVEAdmin"}}}, "built into Proxmox VE"),
        ({"roles": {"pool": {"privileges": ["VM.Fly"]}}}, "does not know these privileges"),
        ({"state": "absent", "regenerate_token": True}, "contradict"),
    ],
)
def test_nonsense_is_refused_with_the_remedy(server: Server, options: dict[str, Any], said: str) -> None:
    refused = run(server, **{**PLACES, **options})
    assert refused["failed"]
    assert said in refused["msg"]
    assert server.writes() == []


def test_a_login_without_the_rights_is_refused_before_anything_is_written(server: Server) -> None:
    server.call(server.cluster.add_user, "bob@pve", "password")
    options = {"api_user": "bob@pve", "api_password": "password", "api_token_id": None, "api_token_secret": None}
    refused = run(server, **options, **PLACES)
    assert refused["failed"]
    assert "Realm.AllocateUser on /access/realm/pve" in refused["msg"]
    assert "root@pam" in refused["msg"]
    assert server.writes() == []


def test_a_disabled_user_is_not_enabled_behind_somebodys_back(server: Server) -> None:
    server.call(lambda: server.cluster.add_user("homelab@pve", enable=0))
    refused = run(server, **PLACES)
    assert "--enable 1" in refused["msg"]
