# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the access executor sends, request by request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import access_door
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.access_door import (
    access_options,
    desired_from_params,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._apply.access import apply_access
from ansible_collections.homelab.proxmox.plugins.module_utils._apply.outcome import ApplyFailed
from ansible_collections.homelab.proxmox.plugins.module_utils._model.access import Access
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.access import plan_access
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.client import Client
from ansible_collections.homelab.proxmox.plugins.module_utils._read.access import read_access

from tests.support.scripted import Call, ScriptedTransport, refusal

USER, TOKEN = "homelab@pve", "homelab@pve!ansible"
TOKEN_PATH = "/access/users/homelab%40pve/token/ansible"
ADMIN = (
    "Sys.Audit",
    "Sys.Modify",
    "User.Modify",
    "Realm.AllocateUser",
    "Permissions.Modify",
    "Pool.Audit",
    "Pool.Allocate",
)


def declared(**options: Any) -> Access:
    defaults = {name: spec.get("default") for name, spec in access_options().items()}
    return desired_from_params({**defaults, **options})


def reads(
    roles: Mapping[str, str] | None = None, user: Any = None, acl: list[Any] | None = None, pools: Any = ("templates",)
) -> list[Call]:
    """The seven reads, and what a server answers to them."""
    everything = {
        path: dict.fromkeys(ADMIN, 1) for path in ("/", "/access", "/access/groups", "/pool", "/storage", "/vms")
    }
    return [
        Call("GET", "/version", {"version": "8.4.21", "release": "8.4"}),
        Call("GET", "/pools", [{"poolid": name} for name in pools]),
        Call("GET", "/cluster/resources", [{"type": "node", "node": "pve1"}, {"type": "storage", "storage": "local"}]),
        Call("GET", "/access/roles", [{"roleid": name, "privs": privs} for name, privs in (roles or {}).items()]),
        Call("GET", "/access/users", [user] if user else [], {"full": 1}),
        Call("GET", "/access/acl", acl or []),
        Call("GET", "/access/permissions", everything),
    ]


SETTLED = {
    "roles": {"HomelabPool": "VM.Audit"},
    "user": {"userid": USER, "enable": 1, "tokens": [{"tokenid": "ansible", "privsep": 1, "expire": 0}]},
    "acl": [
        {"path": "/pool/templates", "roleid": "HomelabPool", "type": kind, "ugid": name, "propagate": "1"}
        for kind, name in (("user", USER), ("token", TOKEN))
    ],
}
POOL_ROLE = {"pool": {"name": "HomelabPool", "privileges": ["VM.Audit"]}}


def play(desired: Access, calls: list[Call]) -> Any:
    with ScriptedTransport(calls) as wire:
        client = Client(wire, clock=wire.clock)
        return apply_access(client, desired, plan_access(desired, read_access(client, desired)))


def test_the_writes_of_a_first_run() -> None:
    comment = "Managed by homelab.proxmox"
    grant = {"path": "/pool/templates", "roles": "HomelabPool", "users": USER, "tokens": TOKEN, "propagate": 1}
    outcome = play(
        declared(roles=POOL_ROLE),
        [
            *reads(pools=()),
            Call("POST", "/access/roles", None, {"roleid": "HomelabPool", "privs": "VM.Audit"}),
            Call("POST", "/pools", None, {"poolid": "templates", "comment": comment}),
            Call("POST", "/access/users", None, {"userid": USER, "comment": comment}),
            Call("POST", TOKEN_PATH, {"value": "s3cret", "full-tokenid": TOKEN}, {"privsep": 1, "comment": comment}),
            Call("PUT", "/access/acl", None, grant),
            *reads(**SETTLED),
        ],
    )
    assert outcome.result["token"] == {"id": TOKEN, "privsep": True, "secret": "s3cret"}
    assert outcome.warnings == ()


def test_what_the_server_did_not_keep_is_a_warning() -> None:
    outcome = play(
        declared(roles=POOL_ROLE),
        [
            *reads(SETTLED["roles"], SETTLED["user"]),
            Call("PUT", "/access/acl", None),
            *reads(SETTLED["roles"], SETTLED["user"], SETTLED["acl"][:1]),
        ],
    )
    assert outcome.warnings == (f"the server did not keep this: grant HomelabPool on /pool/templates to {TOKEN}",)


def test_parameters_of_a_removal_are_in_the_query() -> None:
    revoke = {"path": "/pool/templates", "roles": "HomelabPool", "users": USER, "tokens": TOKEN, "delete": 1}
    absent = declared(roles=POOL_ROLE, state="absent")
    members = Call("GET", "/pools", [{"poolid": "templates", "members": []}], {"poolid": "templates"})
    first = reads(**SETTLED)
    play(
        absent,
        [
            *first[:2],
            members,
            *first[2:],
            Call("PUT", "/access/acl", None, revoke),
            Call("DELETE", TOKEN_PATH, None),
            Call("DELETE", "/access/users/homelab%40pve", None),
            Call("DELETE", "/access/roles/HomelabPool", None),
            Call("DELETE", "/pools", None, {"poolid": "templates"}),
            *reads(pools=()),
        ],
    )


def test_a_failure_says_that_the_new_secret_is_lost() -> None:
    with pytest.raises(ApplyFailed) as failed:
        play(
            declared(roles=POOL_ROLE),
            [
                *reads(SETTLED["roles"], {"userid": USER, "enable": 1}),
                Call("POST", TOKEN_PATH, {"value": "s3cret"}),
                Call("PUT", "/access/acl", refusal(500, "ACL update failed: got timeout")),
            ],
        )
    assert "regenerate_token=true" in failed.value.left[-1]
    assert "s3cret" not in str(failed.value) + repr(failed.value.left) + repr(failed.value.done)
    assert failed.value.done == (f"create token {TOKEN} (privilege separation: yes)",)


def test_a_new_secret_is_registered_where_ansible_can_mask_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """ansible-core 2.22 masks registered values at output; before, a value that is registered cannot be returned."""
    registered: list[str] = []
    monkeypatch.setattr(access_door, "register_secret", registered.append)
    desired = declared(roles=POOL_ROLE)
    door = access_door.access_door()
    assert door.apply is not None
    calls = [
        *reads(SETTLED["roles"], {"userid": USER, "enable": 1}, SETTLED["acl"]),
        Call("POST", TOKEN_PATH, {"value": "s3cret"}),
        *reads(**SETTLED),
    ]
    with ScriptedTransport(calls) as wire:
        client = Client(wire, clock=wire.clock)
        door.apply(client, desired, door.plan(desired, door.read(client, desired)))
    assert registered == ["s3cret"]
