# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, roles, tokens and ACLs as Proxmox VE evaluates them; no HTTP.

Behaviour from pve-access-control (AccessControl.pm `roles`, RPCEnvironment.pm `compile_acl_path`) and the recordings of
8.4.21. "authid" is a user (``u@pve``) or a full token id (``u@pve!ci``).
"""

from __future__ import annotations

import re
import typing as t
import uuid
from dataclasses import dataclass, field

from fakepve.model import PveError

ROOT = "root@pam"
# Always listed by GET /access/permissions (get_effective_permissions).
TOP_PATHS = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")
NAME = r"[A-Za-z0-9._-]+"
VALID_PATH = re.compile(
    rf"/|/access|/access/(groups|realm)(/{NAME})?|/nodes(/{NAME})?|/pool(/{NAME}){{0,3}}|/sdn|/sdn/zones|"
    rf"/sdn/zones/{NAME}(/{NAME}(/[1-9][0-9]{{0,3}})?)?|/storage(/{NAME})?|/vms(/[1-9][0-9]{{2,}})?|"
    rf"/mapping(/{NAME}){{0,2}}"
)
# Privileges per category and class; PVE makes its built-in roles from this table (AccessControl.pm `$privgroups`).
CLASSES = ("root", "admin", "user", "audit")
COMMON: dict[str, tuple[str, str, str, str]] = {
    "VM": (
        "",
        "Config.Disk Config.CPU Config.Memory Config.Network Config.HWType Config.Options Allocate Clone Migrate "
        "Snapshot Snapshot.Rollback",
        "Config.CDROM Config.Cloudinit Console Backup PowerMgmt",
        "Audit",
    ),
    "Sys": ("PowerMgmt Modify Incoming AccessNetwork", "Console Syslog", "", "Audit"),
    "Datastore": ("", "Allocate AllocateTemplate", "AllocateSpace", "Audit"),
    "SDN": ("", "Allocate", "Use", "Audit"),
    "Mapping": ("", "Modify", "Use", "Audit"),
    "Pool": ("", "Allocate", "", "Audit"),
}
USER_CATEGORY = (("Realm.Allocate",), ("User.Modify", "Group.Allocate", "Realm.AllocateUser"), (), ())
# 9.0 replaced VM.Monitor. Unverified: whether PVEAuditor holds VM.GuestAgent.Audit (here: not).
EXTRA: dict[int, tuple[str, str]] = {
    8: ("Monitor", ""),
    9: (
        "Replicate GuestAgent.Unrestricted",
        "GuestAgent.Audit GuestAgent.FileRead GuestAgent.FileSystemMgmt GuestAgent.FileWrite",
    ),
}


def builtin_roles(major: int) -> dict[str, frozenset[str]]:
    """Role id -> privileges of the roles that cannot be changed; "Administrator" holds every valid privilege."""
    groups: dict[str, list[tuple[str, ...]]] = {
        name: [tuple(f"{name}.{priv}" for priv in text.split()) for text in texts] for name, texts in COMMON.items()
    }
    groups["User"] = [tuple(privs) for privs in USER_CATEGORY]
    admin, user = EXTRA[9 if major >= 9 else 8]
    groups["VM"][1] += tuple(f"VM.{priv}" for priv in admin.split())
    groups["VM"][2] += tuple(f"VM.{priv}" for priv in user.split())
    roles: dict[str, set[str]] = {"NoAccess": set(), "PVETemplateUser": {"VM.Clone", "VM.Audit"}}
    for name, (root, admins, users, audits) in groups.items():
        for role, privs in (
            ("Administrator", (*root, *admins, *users, *audits, "Permissions.Modify")),
            (f"PVE{name}Admin", (*admins, *users, *audits)),
            ("PVEAdmin", (*admins, *users, *audits)),
            ("PVEAuditor", audits),
        ):
            roles.setdefault(role, set()).update(privs)
        if users or name == "Pool":
            roles[f"PVE{name}User"] = {*users, *audits}
    roles["PVEAdmin"] -= {"Mapping.Modify"}
    return {role: frozenset(privs) for role, privs in roles.items()}


def denied(why: str = "") -> PveError:
    """The 403 of raise_perm_exc; without a reason the message is bare."""
    return PveError(403, f"Permission check failed ({why})" if why else "Permission check failed")


def normalized(path: str | None) -> str | None:
    """normalize_path: one leading slash, none trailing; None for a path with other characters."""
    if not path:
        return None
    path = "/" + re.sub(r"/+", "/", path).strip("/")
    return path if re.fullmatch(r"[A-Za-z0-9._/-]+", path) else None


def owner_of(authid: str) -> str:
    """The user a token belongs to (a user is its own owner)."""
    return authid.split("!", 1)[0]


@dataclass
class Token:
    """What user.cfg holds about a token; the secret lies elsewhere. ``expire`` in epoch seconds, 0 is never."""

    privsep: int = 1
    expire: int = 0
    comment: str | None = None

    def info(self) -> dict[str, t.Any]:
        return {"privsep": self.privsep, "expire": self.expire, **({"comment": self.comment} if self.comment else {})}


@dataclass
class User:
    """A user; ``details`` holds comment, email, firstname, lastname and keys as far as they are set."""

    enable: int = 1
    expire: int = 0
    details: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)


@dataclass
class Group:
    comment: str | None = None
    users: set[str] = field(default_factory=set)

    def note(self) -> dict[str, str]:
        """The comment as answers carry it: absent when unset."""
        return {"comment": self.comment} if self.comment else {}


Members = t.Callable[[], t.Mapping[str, tuple[t.Collection[int], t.Collection[str]]]]


class AccessModel:
    """The content of user.cfg. ``pools()`` answers {pool: (vmids, storage ids)}."""

    def __init__(self, major: int, pools: Members) -> None:
        self.special = builtin_roles(major)
        self.privileges = self.special["Administrator"]
        self.roles: dict[str, set[str]] = {role: set(privs) for role, privs in self.special.items()}
        self.users: dict[str, User] = {ROOT: User()}
        self.groups: dict[str, Group] = {}
        # path -> ("user" | "group" | "token", id) -> role -> propagate
        self.acl: dict[str, dict[tuple[str, str], dict[str, int]]] = {}
        # full token id -> secret; an id without a Token here is one without privilege separation.
        self.secrets: dict[str, str] = {}
        self.pools = pools

    # ------------------------------------------------------------- questions

    def user(self, userid: str) -> User:
        """Raises 500 ``no such user``."""
        if userid not in self.users:
            raise PveError(500, f"no such user ('{userid}')")
        return self.users[userid]

    def token(self, authid: str) -> Token | None:
        """The token's settings, or None for an unknown token."""
        owner, _unused, name = authid.partition("!")
        known = self.users[owner].tokens.get(name) if owner in self.users else None
        return known or (Token(privsep=0) if authid in self.secrets and owner in self.users else None)

    def permissions(self, authid: str, path: str | None) -> dict[str, int]:
        """Privilege -> propagate flag held on a path."""
        if authid == ROOT:
            return dict.fromkeys(self.privileges, 1)
        if path is None:
            return {}
        if "!" not in authid:
            return self._privs_of_roles(authid, path)
        token = self.token(authid)
        if token is None:
            return {}
        owners = self.permissions(owner_of(authid), path)
        if not token.privsep:
            return owners
        own = self._privs_of_roles(authid, path)
        return {priv: int(bool(flag and owners[priv])) for priv, flag in own.items() if priv in owners}

    def _privs_of_roles(self, authid: str, path: str) -> dict[str, int]:
        roles = self._with_pools(authid, path, self.roles_on(authid, path))
        privs: dict[str, int] = {}
        for role, flag in roles.items():
            for priv in self.roles.get(role, ()):
                privs[priv] = privs.get(priv) or flag
        return privs

    def _with_pools(self, authid: str, path: str, roles: dict[str, int]) -> dict[str, int]:
        """Add what a pool gives its members; NoAccess on either side wins."""
        kind, _unused, name = path.lstrip("/").partition("/")
        if kind not in ("vms", "storage") or not name or "NoAccess" in roles:
            return roles
        inherited: dict[str, int] = {}
        for pool, (vmids, storages) in self.pools().items():
            if name in ({str(vmid) for vmid in vmids} if kind == "vms" else storages):
                inherited.update(self.roles_on(authid, f"/pool/{pool}"))
        if "NoAccess" in inherited:
            return {"NoAccess": 0}
        return {**dict.fromkeys(inherited, 0), **roles}

    def roles_on(self, authid: str, path: str) -> dict[str, int]:
        """Role -> propagate flag on a path, pools not considered: deeper entries replace those above."""
        names = [name for name in path.split("/") if name]
        roles: dict[str, int] = {}
        for step in ["/" + "/".join(names[:depth]) for depth in range(len(names) + 1)]:
            entries = self.acl.get(step, {})
            for subjects in self._subjects(authid):
                found = {
                    role: flag
                    for subject in subjects
                    for role, flag in entries.get(subject, {}).items()
                    if flag or step == path
                }
                if found:
                    roles = found
                    break
        return {"NoAccess": roles["NoAccess"]} if "NoAccess" in roles else roles

    def _subjects(self, authid: str) -> list[list[tuple[str, str]]]:
        """ACL subjects of a caller by rank: a user's own entry on a path hides those of the groups."""
        if "!" in authid:
            return [[("token", authid)]]
        return [[("user", authid)], [("group", name) for name, group in self.groups.items() if authid in group.users]]

    def effective(self, authid: str) -> dict[str, dict[str, int]]:
        """Every path with privileges: the top ones, those in ACLs and the members of pools."""
        paths = [*TOP_PATHS, *self.acl]
        for vmids, storages in self.pools().values():
            paths += [f"/vms/{vmid}" for vmid in vmids] + [f"/storage/{name}" for name in storages]
        found = {path: self.permissions(authid, path) for path in dict.fromkeys(paths)}
        return {path: privs for path, privs in found.items() if privs}

    # ---------------------------------------------------------------- checks

    def has(self, authid: str, path: str | None, *privs: str, either: bool = False) -> bool:
        """Whether all of ``privs`` (one of them with ``either``) are held on the path."""
        held = self.permissions(authid, path)
        return (any if either else all)(priv in held for priv in privs)

    def check(self, authid: str, path: str | None, *privs: str, either: bool = False) -> None:
        """Raises 403 naming the path and the first missing privilege, or all joined by ``|`` with ``either``."""
        held = self.permissions(authid, path)
        missing = [priv for priv in privs if priv not in held]
        if either and len(missing) == len(privs):
            raise denied(f"{path or ''}, {'|'.join(privs)}")
        if missing and not either:
            raise denied(f"{path or ''}, {missing[0]}")

    def may_modify(self, authid: str, path: str) -> bool:
        """check_perm_modify: may the caller change the ACL of this path?"""
        return self.has(authid, path, *modifiers(path), either=True)

    # --------------------------------------------------------------- changes

    def add_privileges(self, role: str, privs: t.Iterable[str]) -> None:
        for priv in privs:
            if priv not in self.privileges:
                raise PveError(400, "Parameter verification failed.", {"privs": bad_privilege(priv)})
            self.roles[role].add(priv)

    def add_token(self, authid: str, token: Token, secret: str | None = None) -> str:
        """Store a token and return its secret (a random UUID, as the server makes)."""
        owner, _unused, name = authid.partition("!")
        self.user(owner).tokens[name] = token
        self.secrets[authid] = secret or str(uuid.uuid4())
        return self.secrets[authid]

    def drop_token(self, authid: str) -> None:
        """Forget a token; the server leaves its ACL entries to the next rewrite of user.cfg, which drops them."""
        owner, _unused, name = authid.partition("!")
        self.users[owner].tokens.pop(name, None)
        self.secrets.pop(authid, None)
        self.forget(("token", authid))

    def set_acl(self, path: str, subject: tuple[str, str], role: str, propagate: int, delete: bool = False) -> None:
        entry = self.acl.setdefault(path, {}).setdefault(subject, {})
        if delete:
            entry.pop(role, None)
        else:
            entry[role] = propagate
        if not entry:
            del self.acl[path][subject]
        if not self.acl[path]:
            del self.acl[path]

    def forget(self, subject: tuple[str, str]) -> None:
        """Remove every ACL entry of a user, group or token."""
        for path in list(self.acl):
            self.acl[path].pop(subject, None)
            if not self.acl[path]:
                del self.acl[path]


def modifiers(path: str) -> tuple[str, ...]:
    """Privileges of which one allows to change the ACL of a path."""
    kinds = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}
    kind, _unused, name = path.lstrip("/").partition("/")
    return ("Permissions.Modify", kinds[kind]) if name and kind in kinds else ("Permissions.Modify",)


def bad_privilege(priv: str) -> str:
    """The 400 text of the format pve-priv (verify_privname)."""
    return f"invalid format - invalid privilege '{priv}'\n"
