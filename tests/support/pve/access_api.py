# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls under /access: users, groups, roles, tokens, ACL, effective permissions (pve-access-control, API2)."""

from __future__ import annotations

import contextlib
import typing as t

from fakepve.model import PveError
from fakepve.routing import param_error, split_list

from .access_model import VALID_PATH, AccessModel, Group, Token, User, bad_privilege, normalized, owner_of

DETAILS = ("comment", "email", "firstname", "lastname", "keys")


@contextlib.contextmanager
def locked(what: str) -> t.Iterator[None]:
    """lock_user_config: an error inside is reported with this prefix; one about a parameter is not."""
    try:
        yield
    except PveError as exc:
        if exc.status != 500:
            raise
        raise PveError(500, f"{what}: {exc.message}") from exc


class AccessApi:
    """Mixin: the routes; the permissions were checked before (see access.py)."""

    access: AccessModel

    def _routes_access(self) -> list[tuple[str, str, t.Callable]]:
        users, roles, groups, token = "/access/users", "/access/roles", "/access/groups", "/access/users/{userid}/token"
        return [
            ("GET", "/access/permissions", self._acc_permissions),
            ("GET", "/access/acl", self._acc_acl),
            ("PUT", "/access/acl", self._acc_acl_update),
            ("GET", users, self._acc_users),
            ("POST", users, self._acc_user_create),
            ("GET", f"{users}/{{userid}}", self._acc_user),
            ("PUT", f"{users}/{{userid}}", self._acc_user_update),
            ("DELETE", f"{users}/{{userid}}", self._acc_user_delete),
            ("GET", token, self._acc_tokens),
            ("GET", f"{token}/{{tokenid}}", self._acc_token),
            ("POST", f"{token}/{{tokenid}}", self._acc_token_create),
            ("PUT", f"{token}/{{tokenid}}", self._acc_token_update),
            ("DELETE", f"{token}/{{tokenid}}", self._acc_token_delete),
            ("GET", roles, self._acc_roles),
            ("POST", roles, self._acc_role_create),
            ("GET", f"{roles}/{{roleid}}", self._acc_role),
            ("PUT", f"{roles}/{{roleid}}", self._acc_role_update),
            ("DELETE", f"{roles}/{{roleid}}", self._acc_role_delete),
            ("GET", groups, self._acc_groups),
            ("POST", groups, self._acc_group_create),
            ("GET", f"{groups}/{{groupid}}", self._acc_group),
            ("PUT", f"{groups}/{{groupid}}", self._acc_group_update),
            ("DELETE", f"{groups}/{{groupid}}", self._acc_group_delete),
        ]

    # ---------------------------------------------------- permissions and ACL

    async def _acc_permissions(self, values: dict, user: str) -> dict[str, dict[str, int]]:
        who = values.get("userid") or user
        if who != user and owner_of(who) != user:
            self.access.check(user, "/access", "Sys.Audit")
        if values.get("path"):
            return {values["path"]: self.access.permissions(who, values["path"])}
        return self.access.effective(who)

    async def _acc_acl(self, values: dict, user: str) -> list[dict]:
        access = self.access
        audit = access.has(user, "/access", "Sys.Audit")
        return [
            {"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": propagate}
            for path, entries in access.acl.items()
            if audit or access.may_modify(user, path)
            for (kind, name), roles in entries.items()
            for role, propagate in roles.items()
        ]

    async def _acc_acl_update(self, values: dict, user: str) -> None:
        subjects = [(kind, name) for kind in ("group", "user", "token") for name in split_list(values.get(f"{kind}s"))]
        if not subjects:
            text = "either 'users', 'groups' or 'tokens' is required."
            raise param_error(users=text, groups=text, tokens=text)
        path, delete = normalized(values["path"]), bool(values.get("delete"))
        if path is None or (not delete and not VALID_PATH.fullmatch(path)):
            raise param_error(path=f"invalid ACL path '{values['path']}'")
        propagate = int(bool(values.get("propagate", 1)))
        with locked("ACL update failed"):
            for role in split_list(values["roles"]):
                self._acc_need_role(role)
                for subject in subjects:
                    self._acc_need_subject(*subject)
                    self.access.set_acl(path, subject, role, propagate, delete)

    def _acc_need_subject(self, kind: str, name: str) -> None:
        access = self.access
        if kind == "user" and name not in access.users:
            raise PveError(500, f"user '{name}' does not exist")
        if kind == "group" and name not in access.groups:
            raise PveError(500, f"group '{name}' does not exist")
        if kind == "token":
            self._acc_need_token(name)

    def _acc_need_token(self, authid: str) -> Token:
        owner, _unused, name = authid.partition("!")
        self.access.user(owner)
        token = self.access.token(authid)
        if token is None:
            raise PveError(500, f"no such token '{name}' for user '{owner}'")
        return token

    # ----------------------------------------------------------------- users

    def _acc_view(self, userid: str, full: bool) -> dict:
        user = self.access.user(userid)
        data: dict[str, t.Any] = {"enable": user.enable, "expire": user.expire, **user.details}
        if full:
            data["groups"] = [name for name, group in self.access.groups.items() if userid in group.users]
            data["tokens"] = {name: token.info() for name, token in user.tokens.items()}
        return data

    async def _acc_users(self, values: dict, user: str) -> list[dict]:
        access, found = self.access, []
        every = access.has(user, "/access/groups", "User.Modify", "Sys.Audit", either=True)
        for userid in sorted(access.users):
            if not every and userid != user:
                continue
            item = {"userid": userid, "realm-type": userid.rpartition("@")[2]}
            item.update(self._acc_view(userid, bool(values.get("full"))))
            if values.get("enabled") is not None and bool(item["enable"]) != bool(values["enabled"]):
                continue
            if "tokens" in item:
                item["groups"] = ",".join(item["groups"])
                item["tokens"] = [{"tokenid": name, **info} for name, info in sorted(item["tokens"].items())]
            found.append(item)
        return found

    async def _acc_user(self, values: dict, user: str) -> dict:
        return self._acc_view(values["userid"], full=True)

    async def _acc_user_create(self, values: dict, user: str) -> None:
        userid = values["userid"]
        with locked("create user failed"):
            if userid in self.access.users:
                raise PveError(500, f"user '{userid}' already exists")
            groups = self._acc_need_groups(values)
            self.access.users[userid] = User(enable=int(values.get("enable", 1)))
            self._acc_apply(userid, values, groups, append=True)
        if values.get("password") is not None:
            self.users[userid] = values["password"]

    async def _acc_user_update(self, values: dict, user: str) -> None:
        with locked("update user failed"):
            self.access.user(values["userid"])
            self._acc_apply(values["userid"], values, self._acc_need_groups(values), bool(values.get("append")))

    def _acc_need_groups(self, values: dict) -> list[str]:
        groups = split_list(values.get("groups"))
        for name in groups:
            if name not in self.access.groups:
                raise PveError(500, f"no such group '{name}'")
        return groups

    def _acc_apply(self, userid: str, values: dict, groups: list[str], append: bool) -> None:
        known = self.access.users[userid]
        known.enable = int(values.get("enable", known.enable))
        known.expire = int(values.get("expire", known.expire))
        known.details.update({key: values[key] for key in DETAILS if values.get(key) is not None})
        if values.get("groups") is not None and not append:
            for group in self.access.groups.values():
                group.users.discard(userid)
        for name in groups:
            self.access.groups[name].users.add(userid)

    async def _acc_user_delete(self, values: dict, user: str) -> None:
        userid = values["userid"]
        for name in list(self.access.users.get(userid, User()).tokens):
            self.access.drop_token(f"{userid}!{name}")
        self.access.users.pop(userid, None)
        self.users.pop(userid, None)
        for group in self.access.groups.values():
            group.users.discard(userid)
        self.access.forget(("user", userid))

    # ---------------------------------------------------------------- tokens

    async def _acc_tokens(self, values: dict, user: str) -> list[dict]:
        tokens = self.access.user(values["userid"]).tokens
        return [{"tokenid": name, **token.info()} for name, token in sorted(tokens.items())]

    async def _acc_token(self, values: dict, user: str) -> dict:
        return self._acc_need_token(f"{values['userid']}!{values['tokenid']}").info()

    async def _acc_token_create(self, values: dict, user: str) -> dict:
        authid = f"{values['userid']}!{values['tokenid']}"
        self.access.user(values["userid"])
        if self.access.token(authid) is not None:
            raise param_error(tokenid="Token already exists.")
        token = Token(int(values.get("privsep", 1)), int(values.get("expire") or 0), values.get("comment"))
        secret = self.access.add_token(authid, token)
        info = {key: value for key, value in token.info().items() if key != "expire" or "expire" in values}
        return {"info": info, "value": secret, "full-tokenid": authid}

    async def _acc_token_update(self, values: dict, user: str) -> dict:
        authid = f"{values['userid']}!{values['tokenid']}"
        token = self._acc_need_token(authid)
        token.privsep = int(values.get("privsep", token.privsep))
        token.expire = int(values.get("expire", token.expire))
        token.comment = values.get("comment", token.comment)
        if values.get("regenerate"):
            return {**token.info(), "value": self.access.add_token(authid, token)}
        return token.info()

    async def _acc_token_delete(self, values: dict, user: str) -> None:
        authid = f"{values['userid']}!{values['tokenid']}"
        self._acc_need_token(authid)
        self.access.drop_token(authid)

    # ----------------------------------------------------------------- roles

    def _acc_need_role(self, role: str) -> None:
        if role not in self.access.roles:
            raise PveError(500, f"role '{role}' does not exist")

    def _acc_need_own(self, role: str, verb: str) -> None:
        if role in self.access.special:
            raise PveError(500, f"auto-generated role '{role}' cannot be {verb}")

    def _acc_privs(self, values: dict) -> list[str]:
        privs = split_list(values.get("privs"))
        for priv in privs:
            if priv not in self.access.privileges:
                raise param_error(privs=bad_privilege(priv))
        return privs

    async def _acc_roles(self, values: dict, user: str) -> list[dict]:
        return [
            {"roleid": role, "privs": ",".join(sorted(privs)), "special": int(role in self.access.special)}
            for role, privs in self.access.roles.items()
        ]

    async def _acc_role(self, values: dict, user: str) -> dict[str, int]:
        self._acc_need_role(values["roleid"])
        return dict.fromkeys(sorted(self.access.roles[values["roleid"]]), 1)

    async def _acc_role_create(self, values: dict, user: str) -> None:
        role, privs = values["roleid"], self._acc_privs(values)
        if role.upper().startswith("PVE"):
            raise param_error(roleid="cannot use role ID starting with the (case-insensitive) 'PVE' namespace")
        with locked("create role failed"):
            if role in self.access.roles:
                raise PveError(500, f"role '{role}' already exists")
            self.access.roles[role] = set(privs)

    async def _acc_role_update(self, values: dict, user: str) -> None:
        role, privs = values["roleid"], self._acc_privs(values)
        self._acc_need_own(role, "modified")
        with locked("update role failed"):
            self._acc_need_role(role)
            self.access.roles[role] = {*(self.access.roles[role] if values.get("append") else ()), *privs}

    async def _acc_role_delete(self, values: dict, user: str) -> None:
        """A role in use can be deleted; its ACL entries go when user.cfg is parsed again."""
        role = values["roleid"]
        self._acc_need_own(role, "deleted")
        with locked("delete role failed"):
            self._acc_need_role(role)
            del self.access.roles[role]
        for path, entries in list(self.access.acl.items()):
            for subject in [name for name, roles in entries.items() if role in roles]:
                self.access.set_acl(path, subject, role, 0, delete=True)

    # ---------------------------------------------------------------- groups

    def _acc_need_group(self, name: str) -> Group:
        if name not in self.access.groups:
            raise PveError(500, f"group '{name}' does not exist")
        return self.access.groups[name]

    async def _acc_groups(self, values: dict, user: str) -> list[dict]:
        privs = ("User.Modify", "Sys.Audit", "Group.Allocate")
        return [
            {"groupid": name, "users": ",".join(sorted(group.users)), **group.note()}
            for name, group in self.access.groups.items()
            if self.access.has(user, f"/access/groups/{name}", *privs, either=True)
        ]

    async def _acc_group(self, values: dict, user: str) -> dict:
        group = self._acc_need_group(values["groupid"])
        return {"members": sorted(group.users), **group.note()}

    async def _acc_group_create(self, values: dict, user: str) -> None:
        with locked("create group failed"):
            if values["groupid"] in self.access.groups:
                raise PveError(500, f"group '{values['groupid']}' already exists")
            self.access.groups[values["groupid"]] = Group(values.get("comment"))

    async def _acc_group_update(self, values: dict, user: str) -> None:
        with locked("update group failed"):
            self._acc_need_group(values["groupid"]).comment = values.get("comment")

    async def _acc_group_delete(self, values: dict, user: str) -> None:
        with locked("delete group failed"):
            self._acc_need_group(values["groupid"])
            del self.access.groups[values["groupid"]]
        self.access.forget(("group", values["groupid"]))
