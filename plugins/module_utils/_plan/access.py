# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change so that one user and its token may do exactly what was declared, or are gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._model.access import DEFAULT_COMMENT, Access, AccessState, Acl
from .access_checks import refusals_for
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
from .plan import Plan
from .privileges import role_privileges


def plan_access(desired: Access, state: AccessState) -> Plan:
    """Roles, pool, user, token and access control entries, in the order in which they depend on one another."""
    after = _wanted_view(desired, state) if desired.present else _remaining_view(desired, state)
    steps = _steps_present(desired, state) if desired.present else _steps_absent(desired, state)
    before = _view(desired, state)
    differing = [key for key in before if before[key] != after[key]]
    result: dict[str, Any] = {"pve_version": state.version, "user": desired.user, "pool": desired.pool}
    result["token"] = {"id": desired.token_id, "privsep": desired.privsep}
    if desired.present:
        result["roles"] = {name: sorted(privileges) for name, privileges in wanted_roles(desired, state).items()}
        result["acl"] = [_as_dict(acl) for acl in sorted(wanted_acl(desired, state))]
        removed = removable_acl(desired, state) if desired.exclusive else frozenset()
        result["extra_acl"] = [_as_dict(acl) for acl in extra_acl(desired, state) if acl not in removed]
    else:
        result["kept"] = list(_kept(desired, state))
    return Plan(
        before={key: before[key] for key in differing},
        after={key: after[key] for key in differing},
        steps=steps,
        refusals=refusals_for(desired, state, steps, wanted_roles(desired, state)),
        notes=tuple(f"{text} stays" for text in _kept(desired, state)) if steps and not desired.present else (),
        result=result,
    )


def wanted_roles(desired: Access, state: AccessState) -> dict[str, frozenset[str]]:
    """Role name to privileges, for the kinds of paths that are declared and need anything."""
    by_version = {
        kind.value: frozenset(names) for kind, names in role_privileges(state.major, desired.capabilities).items()
    }
    roles: dict[str, frozenset[str]] = {}
    for kind in dict.fromkeys(grant.kind for grant in desired.grants):
        wish = desired.roles[kind]
        privileges = frozenset(by_version.get(kind, ())) if wish.privileges is None else wish.privileges
        if privileges:
            roles[wish.name] = roles.get(wish.name, frozenset()) | privileges
    return roles


def wanted_acl(desired: Access, state: AccessState) -> frozenset[Acl]:
    """A token with privilege separation may do only what both it and its user may, so both are granted."""
    roles = wanted_roles(desired, state)
    subjects = [("user", desired.user)] + ([("token", desired.token_id)] if desired.privsep else [])
    return frozenset(
        Acl(grant.path, desired.roles[grant.kind].name, subject, name, grant.propagate)  # type: ignore[arg-type]
        for grant in desired.grants
        if desired.roles[grant.kind].name in roles
        for subject, name in subjects
    )


def extra_acl(desired: Access, state: AccessState) -> tuple[Acl, ...]:
    """Entries of the user and the token that were not declared."""
    wanted = {acl.key for acl in wanted_acl(desired, state)}
    return tuple(acl for acl in state.acl if acl.id in (desired.user, desired.token_id) and acl.key not in wanted)


def removable_acl(desired: Access, state: AccessState) -> frozenset[Acl]:
    """Extra entries that C(exclusive) takes away: on paths not declared, or of our own roles."""
    paths = {grant.path for grant in desired.grants}
    return frozenset(
        acl for acl in extra_acl(desired, state) if acl.path not in paths or acl.role in desired.role_names
    )


def _steps_present(desired: Access, state: AccessState) -> tuple[AccessStep, ...]:
    steps: list[AccessStep] = []
    for name, privileges in wanted_roles(desired, state).items():
        role = state.roles.get(name)
        if role is None or role.privileges != privileges:
            steps.append(SetRole(name=name, privileges=tuple(sorted(privileges)), exists=role is not None))
    if desired.pool and desired.pool not in state.pools:
        steps.append(CreatePool(pool=desired.pool, comment=desired.comment or DEFAULT_COMMENT))
    if state.user is None:
        steps.append(SetUser(user=desired.user, comment=desired.comment or DEFAULT_COMMENT, exists=False))
    elif desired.comment is not None and state.user.comment != desired.comment:
        steps.append(SetUser(user=desired.user, comment=desired.comment, exists=True))
    steps.extend(_token_steps(desired, state))
    steps.extend(_acl_steps(desired, state))
    return tuple(steps)


def _token_steps(desired: Access, state: AccessState) -> Iterable[AccessStep]:
    token = state.user.tokens.get(desired.token) if state.user else None
    old_comment = token.comment if token else DEFAULT_COMMENT
    comment = old_comment if desired.comment is None else desired.comment
    if token is None or desired.regenerate:
        yield CreateToken(
            user=desired.user,
            token=desired.token,
            privsep=desired.privsep,
            comment=comment,
            expire=token.expire if token else 0,
            replace=token is not None,
        )
    elif (token.privsep, token.comment) != (desired.privsep, comment):
        yield ChangeToken(user=desired.user, token=desired.token, privsep=desired.privsep, comment=comment)


def _acl_steps(desired: Access, state: AccessState) -> Iterable[AccessStep]:
    present = set(state.acl)
    doomed = removable_acl(desired, state) if desired.exclusive else frozenset()
    missing = {acl for acl in wanted_acl(desired, state) if acl not in present}
    if desired.regenerate:
        # Proxmox drops the entries of a token that is deleted (PVE::AccessControl parse_user_config).
        lost = {acl for acl in (*wanted_acl(desired, state), *state.acl) if acl.id == desired.token_id}
        missing |= {acl for acl in lost if acl not in doomed and not _superseded(acl, desired, state)}
        doomed = frozenset(acl for acl in doomed if acl.id != desired.token_id)
    yield from _grouped(missing, delete=False)
    yield from _grouped(doomed, delete=True)


def _superseded(acl: Acl, desired: Access, state: AccessState) -> bool:
    """An existing entry whose propagation is declared otherwise."""
    wanted = wanted_acl(desired, state)
    return acl not in wanted and acl.key in {other.key for other in wanted}


def _grouped(entries: Iterable[Acl], *, delete: bool) -> list[ChangeAcl]:
    """One step for all subjects that have the same role on the same path."""
    groups: dict[tuple[str, str, bool], list[Acl]] = {}
    for acl in sorted(entries):
        groups.setdefault((acl.path, acl.role, acl.propagate), []).append(acl)
    return [
        ChangeAcl(
            path=path,
            role=role,
            propagate=propagate,
            delete=delete,
            users=tuple(acl.id for acl in group if acl.subject == "user"),
            tokens=tuple(acl.id for acl in group if acl.subject == "token"),
        )
        for (path, role, propagate), group in groups.items()
    ]


def _ours(desired: Access, state: AccessState) -> tuple[Acl, ...]:
    return tuple(
        acl for acl in state.acl if acl.id in (desired.user, desired.token_id) and acl.role in desired.role_names
    )


def _doomed_roles(desired: Access, state: AccessState) -> list[str]:
    ours = set(_ours(desired, state))
    used = {acl.role for acl in state.acl if acl not in ours}
    return [
        name
        for name in sorted(desired.role_names)
        if name in state.roles and not state.roles[name].special and name not in used
    ]


def _pool_goes(desired: Access, state: AccessState) -> bool:
    ours = set(_ours(desired, state))
    others = [acl for acl in state.acl if acl.path == f"/pool/{desired.pool}" and acl not in ours]
    return desired.pool in state.pools and not state.pool_members and not others


def _kept(desired: Access, state: AccessState) -> Iterable[str]:
    if desired.present:
        return
    doomed = _doomed_roles(desired, state)
    for name in sorted(desired.role_names & state.roles.keys()):
        if name not in doomed:
            yield f"role {name}, which {'is built in' if state.roles[name].special else 'others have been given'},"
    if desired.pool in state.pools and not _pool_goes(desired, state):
        why = f"has {state.pool_members} members" if state.pool_members else "others have been given rights on"
        yield f"pool {desired.pool}, which {why},"


def _steps_absent(desired: Access, state: AccessState) -> tuple[AccessStep, ...]:
    steps: list[AccessStep] = [*_grouped(_ours(desired, state), delete=True)]
    if state.user and desired.token in state.user.tokens:
        steps.append(DeleteToken(user=desired.user, token=desired.token))
    if state.user:
        steps.append(DeleteUser(user=desired.user))
    steps.extend(DeleteRole(name=name) for name in _doomed_roles(desired, state))
    if _pool_goes(desired, state):
        steps.append(DeletePool(pool=desired.pool))
    return tuple(steps)


def _view(desired: Access, state: AccessState) -> dict[str, Any]:
    """What the server has of what this door looks after, in the vocabulary of the diff."""
    names = desired.role_names if not desired.present else wanted_roles(desired, state).keys()
    token = state.user.tokens.get(desired.token) if state.user else None
    return {
        "roles": {name: sorted(state.roles[name].privileges) for name in sorted(names) if name in state.roles},
        "pool": desired.pool if desired.pool in state.pools else None,
        "user": {"id": desired.user, "comment": state.user.comment} if state.user else None,
        "token": _token_view(desired, token.privsep, token.comment, "kept") if token else None,
        "acl": [str(acl) for acl in state.acl if acl.id in (desired.user, desired.token_id)],
    }


def _token_view(desired: Access, privsep: bool, comment: str, secret: str) -> dict[str, Any]:
    return {"id": desired.token_id, "privsep": privsep, "comment": comment, "secret": secret}


def _wanted_view(desired: Access, state: AccessState) -> dict[str, Any]:
    doomed = removable_acl(desired, state) if desired.exclusive else frozenset()
    extra = {acl for acl in extra_acl(desired, state) if acl not in doomed}
    token = state.user.tokens.get(desired.token) if state.user else None
    user_comment = state.user.comment if state.user else DEFAULT_COMMENT
    token_comment = token.comment if token else DEFAULT_COMMENT
    secret = "kept" if token and not desired.regenerate else "new"
    given = desired.comment
    return {
        "roles": {name: sorted(names) for name, names in sorted(wanted_roles(desired, state).items())},
        "pool": desired.pool or None,
        "user": {"id": desired.user, "comment": user_comment if given is None else given},
        "token": _token_view(desired, desired.privsep, token_comment if given is None else given, secret),
        "acl": [str(acl) for acl in sorted(wanted_acl(desired, state) | extra)],
    }


def _remaining_view(desired: Access, state: AccessState) -> dict[str, Any]:
    doomed = _doomed_roles(desired, state)
    view = _view(desired, state)
    return {
        "roles": {name: privileges for name, privileges in view["roles"].items() if name not in doomed},
        "pool": None if _pool_goes(desired, state) else view["pool"],
        "user": None,
        "token": None,
        "acl": [],
    }


def _as_dict(acl: Acl) -> Mapping[str, Any]:
    return {"path": acl.path, "role": acl.role, "type": acl.subject, "id": acl.id, "propagate": acl.propagate}
