# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an access plan is refused, all reasons at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._model.access import Access, AccessState
from .access_steps import (
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
from .plan import Refusal
from .privilege_table import ADMIN_NEEDS, NEEDS, Right
from .privileges import Permissions

# Besides Permissions.Modify, these change the entries of their kind of path (PVE::RPCEnvironment check_perm_modify).
_ALSO_MODIFY = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}


def refusals_for(
    desired: Access, state: AccessState, steps: Iterable[AccessStep], roles: Mapping[str, frozenset[str]]
) -> tuple[Refusal, ...]:
    """Everything that keeps this plan from being carried out."""
    found = [*_version(desired, state), *_rights(desired, state, steps)]
    if desired.present:
        found += [*_roles(desired, state, roles), *_places(desired, state), *_disabled(desired, state)]
    else:
        found += _not_alone(desired, state)
    return tuple(found)


def _version(desired: Access, state: AccessState) -> Iterable[Refusal]:
    if state.major < min(NEEDS):
        yield Refusal(
            subject=f"user {desired.user}",
            option="api_host",
            value=f"Proxmox VE {state.version}",
            reason="privileges of this version are not known",
            remedy="Upgrade to Proxmox VE 8.4 or later.",
        )


def _rights(desired: Access, state: AccessState, steps: Iterable[AccessStep]) -> Iterable[Refusal]:
    """The caller must see users, entries and the pool, and be allowed every step."""
    permissions = Permissions(state.permissions)
    needed: dict[tuple[str, str], bool] = {
        ("/access/groups", "User.Modify"): _any_right(permissions, "user_list"),
    }
    for grant in desired.grants:
        sees = permissions.has("/access", "Sys.Audit") or _may_modify(permissions, grant.path)
        needed[grant.path, "Permissions.Modify"] = sees
    if desired.pool and desired.pool not in state.pools:
        path = f"/pool/{desired.pool}"
        needed[path, "Pool.Audit"] = permissions.has(path, "Pool.Audit")
    for step in steps:
        for path, privilege in _step_rights(desired, step):
            if privilege == "Permissions.Modify":
                needed[path, privilege] = _may_modify(permissions, path)
            else:
                needed[path, privilege] = permissions.has(path, privilege)
    lacking = [f"{privilege} on {path}" for (path, privilege), held in needed.items() if not held]
    if lacking:
        yield Refusal(
            subject="the credentials used",
            option="api_user",
            value="as given",
            reason=f"they lack {', '.join(lacking)}",
            remedy="Log in as root@pam, or as a user with the role Administrator on /.",
        )


def _any_right(permissions: Permissions, name: str) -> bool:
    need = ADMIN_NEEDS[name].needs[0]
    return any(permissions.has(right.path, right.privilege) for alternative in need for right in alternative)


def _may_modify(permissions: Permissions, path: str) -> bool:
    also = _ALSO_MODIFY.get(path.split("/")[1])
    return permissions.has(path, "Permissions.Modify") or (also is not None and permissions.has(path, also))


def _call_of(step: AccessStep) -> str:
    match step:
        case SetRole():
            return "role_update" if step.exists else "role_create"
        case SetUser():
            return "user_update" if step.exists else "user_create"
        case ChangeAcl():
            return "acl"
    return {
        CreatePool: "pool_create",
        CreateToken: "token_create",
        ChangeToken: "token_update",
        DeleteToken: "token_delete",
        DeleteUser: "user_delete",
        DeleteRole: "role_delete",
        DeletePool: "pool_delete",
    }[type(step)]


def _step_rights(desired: Access, step: AccessStep) -> Iterable[tuple[str, str]]:
    path = step.path if isinstance(step, ChangeAcl) else ""
    rights: list[Right] = [right for need in ADMIN_NEEDS[_call_of(step)].needs for right in need[0]]
    for right in rights:
        yield right.path.format(path=path, realm=desired.realm, pool=desired.pool), right.privilege


def _roles(desired: Access, state: AccessState, roles: Mapping[str, frozenset[str]]) -> Iterable[Refusal]:
    known = state.roles["Administrator"].privileges if "Administrator" in state.roles else None
    for kind, wish in desired.roles.items():
        if wish.name not in roles:
            continue
        role = state.roles.get(wish.name)
        if role and role.special and role.privileges != roles[wish.name]:
            yield Refusal(
                subject=f"role {wish.name}",
                option=f"roles.{kind}.name",
                value=wish.name,
                reason="this role is built into Proxmox VE and has other privileges",
                remedy=f"Choose another name, or set roles.{kind}.privileges to those of the built-in role.",
            )
        unknown = roles[wish.name] - known if known is not None else frozenset()
        if unknown:
            yield Refusal(
                subject=f"role {wish.name}",
                option=f"roles.{kind}.privileges",
                value=sorted(unknown),
                reason=f"Proxmox VE {state.version} does not know these privileges",
                remedy="Leave them out; VM.Monitor became VM.GuestAgent.* in 9.0.",
            )


def _places(desired: Access, state: AccessState) -> Iterable[Refusal]:
    """Proxmox takes entries for storages and nodes that do not exist, so a slip of the pen would show only later."""
    permissions = Permissions(state.permissions)
    for option, names, known, path, privilege in (
        ("storages", desired.storages, state.storages, "/storage", "Datastore.Audit"),
        ("nodes", desired.nodes, state.nodes, "/nodes", "Sys.Audit"),
    ):
        unknown = sorted(set(names) - known)
        if unknown and permissions.has(f"{path}/{unknown[0]}", privilege):
            yield Refusal(
                subject=f"user {desired.user}",
                option=option,
                value=unknown,
                reason="the cluster has none of that name",
                remedy=f"It has {', '.join(sorted(known)) or 'none at all'}.",
            )


def _disabled(desired: Access, state: AccessState) -> Iterable[Refusal]:
    if state.user and not state.user.enabled:
        yield Refusal(
            subject=f"user {desired.user}",
            option="user",
            value=desired.user,
            reason="somebody has disabled this user",
            remedy=f"Enable it (pveum user modify {desired.user} --enable 1), or name another user.",
        )


def _not_alone(desired: Access, state: AccessState) -> Iterable[Refusal]:
    if state.user is None:
        return
    tokens = sorted(name for name in state.user.tokens if name != desired.token)
    if tokens:
        yield Refusal(
            subject=f"user {desired.user}",
            option="state",
            value="absent",
            reason=f"the user has other tokens ({', '.join(tokens)}), which would go with it",
            remedy="Remove them first if nobody needs them.",
        )
    ids = {desired.user, *(f"{desired.user}!{name}" for name in state.user.tokens)}
    foreign = [acl for acl in state.acl if acl.id in ids and acl.role not in desired.role_names]
    if foreign:
        yield Refusal(
            subject=f"user {desired.user}",
            option="state",
            value="absent",
            reason=f"the user was given more than this door gives: {'; '.join(str(acl) for acl in foreign)}",
            remedy="Take that away first if nobody needs it.",
        )
