# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins, users, tokens and filtered listings of the fake over HTTP, as a real 8.4.21 answered."""

from __future__ import annotations

import time
import typing as t

import pytest
import requests

from tests.support.pve import Server, serve
from tests.support.pve_lab import TOKEN, USER, Client, build

VM = "/nodes/pve1/qemu/9450"


@pytest.fixture(scope="module")
def served() -> t.Iterator[Server]:
    with serve(build()) as server:
        yield server


@pytest.fixture
def client(served: Server) -> Client:
    return Client(served)


def reason(response: requests.Response) -> tuple[int, str, str]:
    return response.status_code, response.reason, response.text


def test_refused_logins_have_an_empty_body(client: Client, served: Server) -> None:
    assert reason(client("GET", "/version")) == (401, "No ticket", "")
    assert reason(client("GET", "/version", "root@pam!nosuch")) == (401, "Authentication failed!", "")
    served.cluster.add_token("auto@pve!old", expire=1)
    assert reason(client("GET", "/version", "auto@pve!old")) == (401, "Authentication failed!", "")
    failed = client("POST", "/access/ticket", username="root@pam", password="wrong")
    assert (failed.status_code, failed.json()["message"]) == (401, "authentication failure\n")


def test_tickets_want_csrf_and_end_after_two_hours(client: Client, served: Server) -> None:
    login = client("POST", "/access/ticket", username="root@pam", password=served.password).json()["data"]
    client.session.cookies.set("PVEAuthCookie", login["ticket"])
    assert client("GET", "/version").status_code == 200
    assert reason(client("POST", "/pools", poolid="p1")) == (401, "Permission denied - invalid csrf token", "")
    client.session.headers["CSRFPreventionToken"] = login["CSRFPreventionToken"]
    assert client("POST", "/pools", poolid="p1").status_code == 200
    served.cluster.clock_offset = 7199 - 5
    assert client("GET", "/version").status_code == 200
    served.cluster.clock_offset = 7205
    assert reason(client("GET", "/version")) == (401, "permission denied - invalid PVE ticket", "")
    served.cluster.clock_offset = 0
    served.cluster.expire_tickets()
    assert client("GET", "/version").status_code == 401


def test_users_roles_tokens_and_acl(client: Client) -> None:
    assert client.root("POST", "/access/roles", roleid="R", privs="VM.Audit,VM.Clone").status_code == 200
    assert client.root("POST", "/access/roles", roleid="R").reason == "create role failed: role 'R' already exists"
    bad = client.root("POST", "/access/roles", roleid="R2", privs="VM.GuestAgent.Audit")
    assert bad.json()["errors"] == {"privs": "invalid format - invalid privilege 'VM.GuestAgent.Audit'\n"}
    assert client.root("POST", "/access/users", userid="low@pve").status_code == 200
    again = client.root("POST", "/access/users", userid="low@pve")
    assert (again.status_code, again.reason) == (500, "create user failed: user 'low@pve' already exists")
    made = client.root("POST", "/access/users/low@pve/token/lim").json()["data"]
    assert made["full-tokenid"] == "low@pve!lim" and made["info"] == {"privsep": 1} and len(made["value"]) == 36
    twice = client.root("POST", "/access/users/low@pve/token/lim")
    assert (twice.status_code, twice.json()["errors"]) == (400, {"tokenid": "Token already exists."})
    assert "value" not in client.root("GET", "/access/users/low@pve/token/lim").json()["data"]
    assert client("GET", "/access/permissions", "low@pve!lim").json() == {"data": {}}
    grant = {"path": "/vms", "roles": "R", "propagate": 1}
    assert client.root("PUT", "/access/acl", **grant, users="low@pve", tokens="low@pve!lim").status_code == 200
    held = {"VM.Audit": 1, "VM.Clone": 1}
    assert client("GET", "/access/permissions", "low@pve!lim").json()["data"] == {"/vms": held, "/vms/9450": held}
    one = client.root("GET", "/access/permissions", userid="low@pve!lim", path="/vms/100").json()["data"]
    assert one == {"/vms/100": held}
    entries = [row for row in client.root("GET", "/access/acl").json()["data"] if row["path"] == "/vms"]
    assert {(row["type"], row["ugid"], row["roleid"], row["propagate"]) for row in entries} == {
        ("user", "low@pve", "R", 1), ("token", "low@pve!lim", "R", 1)
    }  # fmt: skip
    assert client.root("PUT", "/access/acl", **grant, tokens="low@pve!lim", delete=1).status_code == 200
    assert client("GET", "/access/permissions", "low@pve!lim").json() == {"data": {}}
    assert client.root("DELETE", "/access/users/low@pve").status_code == 200
    assert client("GET", "/version", "low@pve!lim").reason == "Authentication failed!"
    assert client.root("DELETE", "/access/roles/R").status_code == 200


@pytest.mark.parametrize(
    ("call", "status", "text"),
    [
        (("GET", "/access/users/no@pve", {}), 500, "no such user ('no@pve')"),
        (("GET", "/access/roles/no", {}), 500, "role 'no' does not exist"),
        (("DELETE", "/access/roles/PVEAdmin", {}), 500, "auto-generated role 'PVEAdmin' cannot be deleted"),
        (("PUT", "/access/roles/no", {"privs": "VM.Audit"}), 500, "update role failed: role 'no' does not exist"),
        (("GET", "/access/users/auto@pve/token/zz", {}), 500, "no such token 'zz' for user 'auto@pve'"),
        (
            ("PUT", "/access/acl", {"path": "/", "roles": "no", "users": USER}),
            500,
            "ACL update failed: role 'no' does not exist",
        ),
        (
            ("PUT", "/access/acl", {"path": "/", "roles": "Guest", "users": "no@pve"}),
            500,
            "ACL update failed: user 'no@pve' does not exist",
        ),
        (
            ("PUT", "/access/acl", {"path": "/nosuch", "roles": "Guest", "users": USER}),
            400,
            "invalid ACL path '/nosuch'",
        ),
    ],
)
def test_access_errors(client: Client, call: tuple[str, str, dict], status: int, text: str) -> None:
    response = client.root(call[0], call[1], **call[2])
    assert response.status_code == status
    assert text in (response.reason, *response.json().get("errors", {}).values())


def test_a_token_cannot_manage_users_or_grant_rights(client: Client) -> None:
    assert client("POST", "/access/users", TOKEN, userid="x@pve").reason == (
        "Permission check failed (/access/realm/pve, Realm.AllocateUser)"
    )
    refused_grant = client("PUT", "/access/acl", TOKEN, path="/vms/9450", roles="Guest", users=USER)
    assert refused_grant.status_code == 200  # VM.Allocate on the VM is enough
    refused_grant = client("PUT", "/access/acl", TOKEN, path="/", roles="Guest", users=USER)
    assert refused_grant.reason == "Permission check failed (/, Permissions.Modify)"


def test_listings_show_what_the_caller_may_see(served: Server, client: Client) -> None:
    served.cluster.add_vm(9000, "foreign")
    rows = client("GET", "/cluster/resources", TOKEN).json()["data"]
    assert [row["vmid"] for row in rows if row["type"] == "qemu"] == [9450]
    assert next(row for row in rows if row["type"] == "qemu")["pool"] == "templates"
    assert {row["storage"] for row in rows if row["type"] == "storage"} == {"local", "local-lvm"}
    assert {row["storage"] for row in client("GET", "/storage", TOKEN).json()["data"]} == {"local", "local-lvm"}
    assert [row["vmid"] for row in client("GET", "/nodes/pve1/qemu", TOKEN).json()["data"]] == [9450]
    assert [row["poolid"] for row in client("GET", "/pools", TOKEN).json()["data"]] == ["templates"]
    node = client("GET", "/nodes", TOKEN).json()["data"][0]
    assert set(node) <= {"node", "id", "status", "type", "level", "ssl_fingerprint"}
    guest = served.cluster.access.roles["Guest"]
    guest -= {"Pool.Audit"}
    try:
        rows = client("GET", "/cluster/resources", TOKEN).json()["data"]
        assert client("GET", "/pools", TOKEN).json()["data"] == []
        assert "pool" not in next(row for row in rows if row["type"] == "qemu")
    finally:
        guest |= {"Pool.Audit"}


def test_a_refusal_over_http_has_reason_and_message(client: Client) -> None:
    response = client("GET", "/nodes/pve1/qemu/7777/config", TOKEN)
    text = "Permission check failed (/vms/7777, VM.Audit)"
    assert (response.status_code, response.reason) == (403, text)
    assert response.json() == {"data": None, "message": text + "\n"}


def test_some_privileges_are_missed_only_by_the_worker(client: Client, served: Server) -> None:
    for method, path, params, privilege, role in (
        (
            "PUT",
            f"{VM}/resize",
            {"disk": "scsi0", "size": "3G"},
            "/storage/local-lvm, Datastore.AllocateSpace",
            "Store",
        ),
        ("POST", "/nodes/pve1/vzdump", {"vmid": 9450, "storage": "local"}, "/vms/9450, VM.Backup", "Guest"),
    ):
        held = served.cluster.access.roles[role]
        held.discard(privilege.rpartition(" ")[2])
        try:
            reply = client(method, path, TOKEN, **params)
            assert reply.status_code == 200
            state = client("GET", f"/nodes/pve1/tasks/{reply.json()['data']}/status", TOKEN).json()["data"]
            assert state["exitstatus"] == f"403 Permission check failed ({privilege})"
        finally:
            held.add(privilege.rpartition(" ")[2])


def test_the_journal_names_the_refused_caller(client: Client, served: Server) -> None:
    client("PUT", "/nodes/pve1/qemu/7777/config", TOKEN, name="x")
    entry = served.cluster.log[-1]
    assert (entry.user, entry.params, entry.status) == (TOKEN, {"name": "x"}, 403)


def test_an_expired_user_cannot_log_in(served: Server, client: Client) -> None:
    served.cluster.add_user("late@pve", "pw-late", expire=int(time.time()) - 1)
    served.cluster.add_user("off@pve", "pw-off", enable=0)
    for name, password in (("late@pve", "pw-late"), ("off@pve", "pw-off")):
        assert client("POST", "/access/ticket", username=name, password=password).status_code == 401
