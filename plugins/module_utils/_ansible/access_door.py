# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door M(homelab.proxmox.access): its options, and what they mean."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Mapping

from .._apply.access import apply_access
from .._apply.outcome import Outcome
from .._model.access import Access, AccessState, Grant, RoleWish
from .._plan.access import plan_access
from .._plan.plan import OptionProblems, Plan
from .._plan.privilege_table import CAPABILITIES, Kind
from .._plan.privileges import DEFAULT_CAPABILITIES, DEFAULT_ROLES
from .._pve.client import Client
from .._read.access import read_access
from .run import Door
from .spec import with_connection

try:
    from ansible.module_utils.secrets import register_secret
except ImportError:  # ansible-core < 2.22 has no way to mask a value that must be returned
    register_secret = None

# Patterns of PVE::AccessControl (pve-poolid, pve-roleid, token-subid) and PVE::JSONSchema (pve-storage-id, pve-node).
_USER = re.compile(r"[^\s:/!]+@[A-Za-z][A-Za-z0-9.\-_]+")
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9.\-_]+")
_NAME = re.compile(r"[A-Za-z0-9.\-_]+")
_POOL = re.compile(r"[A-Za-z0-9.\-_]+(/[A-Za-z0-9.\-_]+){0,2}")
_BRIDGE = re.compile(r"[A-Za-z0-9.\-_]+(/[1-9][0-9]{0,3})?")
_ZONE = re.compile(r"[A-Za-z0-9.\-_]+(/[A-Za-z0-9.\-_]+)?")


def access_options() -> dict[str, dict[str, t.Any]]:
    """The argument spec, with the connection options."""
    names = {"type": "list", "elements": "str", "default": []}
    role = {
        kind.value: {
            "type": "dict",
            "default": {},
            "options": {
                "name": {"type": "str", "default": DEFAULT_ROLES[kind]},
                "privileges": {"type": "list", "elements": "str"},
            },
        }
        for kind in Kind
    }
    return with_connection(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "user": {"type": "str", "default": "homelab@pve"},
            "token": {"type": "str", "default": "ansible", "no_log": False},
            "privsep": {"type": "bool", "default": True},
            "pool": {"type": "str", "default": "templates"},
            "storages": names,
            "image_storages": names,
            "backup_storages": names,
            "nodes": names,
            "bridges": names,
            "zones": names,
            "capabilities": {
                "type": "list",
                "elements": "str",
                "choices": list(CAPABILITIES),
                "default": list(DEFAULT_CAPABILITIES),
            },
            "roles": {"type": "dict", "default": {}, "apply_defaults": True, "options": role},
            "comment": {"type": "str"},
            "regenerate_token": {"type": "bool", "default": False, "no_log": False},
            "exclusive": {"type": "bool", "default": False},
        }
    )


def access_door() -> Door[Access, AccessState]:
    return Door(desired=desired_from_params, read=read_access, plan=plan_access, apply=_apply)


def _apply(client: Client, desired: Access, plan: Plan) -> Outcome:
    outcome = apply_access(client, desired, plan)
    secret = outcome.result["token"].get("secret")
    if secret and register_secret is not None:
        register_secret(secret)
    return outcome


def desired_from_params(params: Mapping[str, t.Any]) -> Access:
    """What the options declare. Raises OptionProblems with all that Proxmox would not take or nobody can mean."""
    problems = tuple(_problems(params))
    if problems:
        raise OptionProblems(problems)
    places = {name: tuple(dict.fromkeys(params[name])) for name in ("storages", "image_storages", "backup_storages")}
    return Access(
        present=params["state"] == "present",
        user=params["user"],
        token=params["token"],
        privsep=params["privsep"],
        pool=params["pool"],
        comment=params["comment"],
        capabilities=tuple(params["capabilities"]),
        roles={kind.value: _role(kind, params["roles"]) for kind in Kind},
        grants=tuple(_grants(params)),
        storages=tuple(dict.fromkeys(name for names in places.values() for name in names)),
        nodes=tuple(dict.fromkeys(params["nodes"])),
        regenerate=params["regenerate_token"],
        exclusive=params["exclusive"],
    )


def _role(kind: Kind, roles: Mapping[str, t.Any]) -> RoleWish:
    given = roles.get(kind.value) or {}
    privileges = given.get("privileges")
    return RoleWish(
        name=given.get("name") or DEFAULT_ROLES[kind],
        privileges=None if privileges is None else frozenset(privileges),
    )


def _grants(params: Mapping[str, t.Any]) -> Iterable[Grant]:
    """Nothing propagates but the pool, whose members are no children of it, and a zone named as a whole."""
    if params["pool"]:
        yield Grant(kind=Kind.POOL, path=f"/pool/{params['pool']}", propagate=True)
    for option, kind, prefix in (
        ("image_storages", Kind.IMAGE_STORAGE, "/storage/"),
        ("storages", Kind.DISK_STORAGE, "/storage/"),
        ("backup_storages", Kind.BACKUP_STORAGE, "/storage/"),
        ("nodes", Kind.NODE, "/nodes/"),
        ("bridges", Kind.BRIDGE, "/sdn/zones/localnetwork/"),
    ):
        for name in dict.fromkeys(params[option]):
            yield Grant(kind=kind, path=prefix + name)
    for zone in dict.fromkeys(params["zones"]):
        yield Grant(kind=Kind.BRIDGE, path=f"/sdn/zones/{zone}", propagate="/" not in zone)


def _problems(params: Mapping[str, t.Any]) -> Iterable[str]:
    user, token = params["user"], params["token"]
    if not _USER.fullmatch(user):
        yield f"user={user!r} is not a user of Proxmox VE. Write it as name@realm, such as homelab@pve."
    elif user == "root@pam":
        yield "user='root@pam' may do everything and cannot be limited. Name another user, such as homelab@pve."
    if not _TOKEN.fullmatch(token):
        yield f"token={token!r} is no token name. Take two characters or more, a letter first, of A-Z a-z 0-9 . - _"
    for option, pattern in (
        ("storages", _NAME),
        ("image_storages", _NAME),
        ("backup_storages", _NAME),
        ("nodes", _NAME),
        ("bridges", _BRIDGE),
        ("zones", _ZONE),
    ):
        for name in params[option]:
            if not pattern.fullmatch(name):
                yield f"{option}={name!r} cannot be part of an access path. Take A-Z a-z 0-9 . - _ only."
    if params["pool"] and not _POOL.fullmatch(params["pool"]):
        yield f"pool={params['pool']!r} is no pool name. Take A-Z a-z 0-9 . - _ only."
    yield from _role_problems(params["roles"])
    if params["state"] == "absent" and params["regenerate_token"]:
        yield "regenerate_token=true and state='absent' contradict one another. Remove one of them."


def _role_problems(roles: Mapping[str, t.Any]) -> Iterable[str]:
    for kind in Kind:
        given = roles.get(kind.value) or {}
        name = given.get("name") or DEFAULT_ROLES[kind]
        if not _NAME.fullmatch(name):
            yield f"roles.{kind.value}.name={name!r} is no role name. Take A-Z a-z 0-9 . - _ only."
        if given.get("privileges") is not None and not given["privileges"]:
            yield f"roles.{kind.value}.privileges=[] gives nothing. Leave it out to take what is needed."
