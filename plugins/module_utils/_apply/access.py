# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out an access plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .._model.access import Access
from .._plan.access import plan_access
from .._plan.access_steps import (
    AccessStep,
    ChangeAcl,
    ChangeToken,
    CreatePool,
    CreateToken,
    DeletePool,
    DeleteRole,
    DeleteToken,
    DeleteUser,
    SetRole,
    SetUser,
)
from .._plan.plan import Plan
from .._pve.client import Client, api_path
from .._pve.errors import ProxmoxError
from .._read.access import read_access
from .outcome import ApplyFailed, Outcome


def apply_access(client: Client, desired: Access, plan: Plan) -> Outcome:
    """Take the steps in order, then read back. C(result.token.secret) is there only when the token is new.

    Raises ApplyFailed, which says what was done, and that a new token's secret is lost where it is.
    """
    done: list[str] = []
    secret: str | None = None
    steps: tuple[Any, ...] = tuple(plan.steps)
    for step in steps:
        try:
            secret = _take(client, step) or secret
        except ProxmoxError as error:
            raise ApplyFailed(error, done=tuple(done), left=_left(desired, done, secret)) from error
        done.append(step.describe())
    after = plan_access(replace(desired, regenerate=False), read_access(client, desired))
    result: dict[str, Any] = dict(after.result)
    if secret is not None:
        result["token"] = {**result["token"], "secret": secret}
    unkept = tuple(f"the server did not keep this: {step.describe()}" for step in after.steps)
    return Outcome(result=result, warnings=unkept)


def _left(desired: Access, done: list[str], secret: str | None) -> tuple[str, ...]:
    left = list(done)
    if secret is not None:
        left.append(f"the secret of token {desired.token_id}, which is lost: run again with regenerate_token=true")
    return tuple(left)


def _take(client: Client, step: AccessStep) -> str | None:
    """One step; the token's secret if it made one."""
    match step:
        case CreateToken():
            return _create_token(client, step)
        case ChangeAcl():
            client.put("/access/acl", _acl_params(step))
        case SetRole(exists=False):
            client.post("/access/roles", {"roleid": step.name, "privs": ",".join(step.privileges)})
        case SetRole():
            client.put(api_path("access", "roles", step.name), {"privs": ",".join(step.privileges)})
        case CreatePool():
            client.post("/pools", {"poolid": step.pool, "comment": step.comment})
        case SetUser(exists=False):
            client.post("/access/users", {"userid": step.user, "comment": step.comment})
        case SetUser():
            client.put(api_path("access", "users", step.user), {"comment": step.comment})
        case ChangeToken():
            client.put(_token_path(step), {"privsep": step.privsep, "comment": step.comment})
        case DeleteToken():
            client.delete(_token_path(step))
        case DeleteUser():
            client.delete(api_path("access", "users", step.user))
        case DeleteRole():
            client.delete(api_path("access", "roles", step.name))
        case DeletePool():
            client.delete("/pools", {"poolid": step.pool})
    return None


def _token_path(step: CreateToken | ChangeToken | DeleteToken) -> str:
    return api_path("access", "users", step.user, "token", step.token)


def _create_token(client: Client, step: CreateToken) -> str:
    if step.replace:
        client.delete(_token_path(step))
    params: dict[str, Any] = {"privsep": step.privsep, "comment": step.comment}
    if step.expire:
        params["expire"] = step.expire
    return str(client.post(_token_path(step), params)["value"])


def _acl_params(step: ChangeAcl) -> dict[str, Any]:
    params: dict[str, Any] = {"path": step.path, "roles": step.role}
    if step.users:
        params["users"] = ",".join(step.users)
    if step.tokens:
        params["tokens"] = ",".join(step.tokens)
    if step.delete:
        params["delete"] = True
    else:
        params["propagate"] = step.propagate
    return params
