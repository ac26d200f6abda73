# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access planner as tables: desired and actual in, steps out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.access import (
    Access,
    AccessState,
    Acl,
    Grant,
    RoleInfo,
    RoleWish,
    TokenInfo,
    UserInfo,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.access import (
    plan_access,
    wanted_acl,
    wanted_roles,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.access_steps import CreateToken
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privilege_table import CAPABILITIES
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privileges import DEFAULT_ROLES

ALL = (
    "Sys.Audit",
    "Sys.Modify",
    "User.Modify",
    "Realm.AllocateUser",
    "Permissions.Modify",
    "Pool.Allocate",
    "Pool.Audit",
)
DESIRED = Access(
    present=True,
    user="homelab@pve",
    token="ansible",
    privsep=True,
    pool="templates",
    comment=None,
    capabilities=tuple(CAPABILITIES),
    roles={kind.value: RoleWish(name=name) for kind, name in DEFAULT_ROLES.items()},
    grants=(
        Grant(kind="pool", path="/pool/templates", propagate=True),
        Grant(kind="disk_storage", path="/storage/local-lvm"),
    ),
    storages=("local-lvm",),
    nodes=(),
    regenerate=False,
    exclusive=False,
)
EMPTY = AccessState(
    version="9.1.2",
    roles={},
    user=None,
    acl=(),
    pools=frozenset(),
    pool_members=0,
    storages=frozenset({"local-lvm"}),
    nodes=frozenset({"pve1"}),
    permissions={path: dict.fromkeys(ALL, 1) for path in ("/", "/access", "/access/groups", "/pool", "/storage")},
)


def settled(desired: Access = DESIRED, **changes: Any) -> AccessState:
    """A server on which everything is as declared, but for C(changes)."""
    token = TokenInfo(name="ansible", privsep=desired.privsep, comment="by hand", expire=0)
    roles = {
        name: RoleInfo(name=name, privileges=privileges, special=False)
        for name, privileges in wanted_roles(desired, EMPTY).items()
    }
    state = replace(
        EMPTY,
        roles=roles,
        user=UserInfo(user=desired.user, enabled=True, comment="by hand", tokens={"ansible": token}),
        acl=tuple(sorted(wanted_acl(desired, EMPTY))),
        pools=frozenset({"templates"}),
    )
    return replace(state, **changes)


def steps(desired: Access, state: AccessState) -> list[str]:
    plan = plan_access(desired, state)
    assert plan.refusals == ()
    return [step.describe().partition(":")[0] for step in plan.steps]


def test_from_nothing() -> None:
    assert steps(DESIRED, EMPTY) == [
        "create role HomelabPool",
        "create role HomelabDisks",
        "create pool templates",
        "create user homelab@pve",
        "create token homelab@pve!ansible (privilege separation",
        "grant HomelabPool on /pool/templates to homelab@pve, homelab@pve!ansible",
        "grant HomelabDisks on /storage/local-lvm to homelab@pve, homelab@pve!ansible",
    ]


@pytest.mark.parametrize("privsep", [True, False])
def test_nothing_to_do(privsep: bool) -> None:
    desired = replace(DESIRED, privsep=privsep)
    plan = plan_access(desired, settled(desired))
    assert (plan.steps, plan.before, plan.after, plan.refusals) == ((), {}, {}, ())


def test_before_and_after_hold_only_what_differs() -> None:
    plan = plan_access(replace(DESIRED, comment="new"), settled())
    assert plan.before.keys() == plan.after.keys() == {"user", "token"}
    assert plan.after["user"] == {"id": "homelab@pve", "comment": "new"}


def test_a_grant_that_does_not_propagate_as_declared_is_set_again() -> None:
    acl = tuple(replace(entry, propagate=False) for entry in settled().acl)
    assert steps(DESIRED, settled(acl=acl)) == [
        "grant HomelabPool on /pool/templates to homelab@pve, homelab@pve!ansible"
    ]


def test_a_new_secret_gives_the_token_back_what_it_loses() -> None:
    foreign = Acl("/storage/backup", "PVEDatastoreUser", "token", "homelab@pve!ansible", True)
    state = settled(acl=(*settled().acl, foreign))
    assert steps(replace(DESIRED, regenerate=True), state) == [
        "replace token homelab@pve!ansible (privilege separation",
        "grant HomelabPool on /pool/templates to homelab@pve!ansible",
        "grant PVEDatastoreUser on /storage/backup to homelab@pve!ansible",
        "grant HomelabDisks on /storage/local-lvm to homelab@pve!ansible",
    ]
    assert "grant PVEDatastoreUser on /storage/backup to homelab@pve!ansible" not in steps(
        replace(DESIRED, regenerate=True, exclusive=True), state
    )


def test_a_new_secret_keeps_the_token_s_end() -> None:
    state = settled()
    assert state.user is not None
    token = replace(state.user.tokens["ansible"], expire=1_900_000_000)
    state = replace(state, user=replace(state.user, tokens={"ansible": token}))
    step = plan_access(replace(DESIRED, regenerate=True), state).steps[0]
    assert isinstance(step, CreateToken)
    assert (step.expire, step.comment) == (1_900_000_000, "by hand")


def test_exclusive_leaves_roles_of_others_on_declared_paths() -> None:
    theirs = Acl("/storage/local-lvm", "PVEDatastoreAdmin", "user", "homelab@pve", True)
    elsewhere = Acl("/vms", "PVEVMUser", "user", "homelab@pve", True)
    bob = Acl("/vms", "PVEVMUser", "user", "bob@pve", True)
    state = settled(acl=tuple(sorted((*settled().acl, theirs, elsewhere, bob))))
    assert steps(DESIRED, state) == []
    assert steps(replace(DESIRED, exclusive=True), state) == ["revoke PVEVMUser on /vms from homelab@pve"]


def test_two_kinds_may_share_a_role() -> None:
    roles = {**DESIRED.roles, "disk_storage": RoleWish(name="HomelabPool")}
    assert wanted_roles(replace(DESIRED, roles=roles), EMPTY)["HomelabPool"] >= {"VM.Audit", "Datastore.AllocateSpace"}


def test_kinds_that_need_nothing_get_no_role() -> None:
    grants = (*DESIRED.grants, Grant(kind="node", path="/nodes/pve1"))
    desired = replace(DESIRED, grants=grants, capabilities=("clones",))
    assert "HomelabNode" not in wanted_roles(desired, EMPTY)
    assert not [entry for entry in wanted_acl(desired, EMPTY) if entry.path == "/nodes/pve1"]


def test_absent_in_the_order_of_dependence() -> None:
    assert steps(replace(DESIRED, present=False), settled()) == [
        "revoke HomelabPool on /pool/templates from homelab@pve, homelab@pve!ansible",
        "revoke HomelabDisks on /storage/local-lvm from homelab@pve, homelab@pve!ansible",
        "delete token homelab@pve!ansible",
        "delete user homelab@pve",
        "delete role HomelabDisks",
        "delete role HomelabPool",
        "delete pool templates",
    ]
    assert steps(replace(DESIRED, present=False), EMPTY) == []


@pytest.mark.parametrize(
    ("permissions", "lacking"),
    [
        ({}, "Realm.AllocateUser on /access/realm/pve"),
        ({"/access": {"Sys.Audit": 1}}, "User.Modify on /access/groups"),
    ],
)
def test_what_the_login_may_not_do_is_said_at_once(permissions: dict[str, dict[str, int]], lacking: str) -> None:
    (refusal,) = plan_access(DESIRED, replace(EMPTY, permissions=permissions)).refusals
    assert lacking in refusal.reason
    assert "Pool.Allocate on /pool/templates" in refusal.reason


def test_a_version_that_is_too_old_is_refused() -> None:
    refusals = plan_access(DESIRED, replace(EMPTY, version="7.4.17")).refusals
    assert [refusal.value for refusal in refusals] == ["Proxmox VE 7.4.17"]
