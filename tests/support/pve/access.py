# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AccessMixin: who calls, and what the caller may do and see.

One gate in front of every handler applies the permission rules of the API description and those of access_calls.py, so
handlers need no checks of their own; ``allowed`` and ``require`` answer from the same model.
"""

from __future__ import annotations

import asyncio
import time
import typing as t

from aiohttp import web
from fakepve.model import PveError
from fakepve.schema import Match
from fakepve.server import API, USER

from . import taskplan, visibility
from .access_api import AccessApi
from .access_calls import RULES
from .access_model import ROOT, AccessModel, Token, User, owner_of
from .access_rules import Scope, declared
from .wire import MULTIPART, PARAMS, parse_body, refusal

# The server's own limits (AccessControl.pm).
TICKET_SECONDS = 2 * 3600
BAD_TICKET = "permission denied - invalid PVE ticket"


class AccessMixin(AccessApi):
    """Mixin of FakeCluster. ``access`` is the model, ``clock_offset`` (seconds) moves the server's clock forward,
    ``auth_delay`` (real seconds) is the pause before a 401, 3 on a real server."""

    def _init_access(self) -> None:
        self.access = AccessModel(self.major, self._pool_members)
        self.access.secrets.update(self.apitokens)
        self.apitokens = self.access.secrets
        self.ticket_ttl = TICKET_SECONDS
        self.clock_offset = 0.0
        self.auth_delay = 0.0
        taskplan.install(self)

    def _middlewares_c_access(self) -> list[t.Callable]:
        return [self._gate]

    def _pool_members(self) -> dict[str, tuple[t.Collection[int], t.Collection[str]]]:
        return {name: (vmids, self._pool_meta(name)["storage"]) for name, vmids in self.pools.items()}

    def guest_config(self, vmid: int) -> t.Mapping[str, t.Any] | None:
        """The config of a VM as far as permission rules look at it."""
        guests = self.vms
        found = guests.get(vmid) if isinstance(guests, dict) else self.vm(vmid)
        return found.config if found is not None else None

    # -------------------------------------------------------- set-up for tests

    def add_user(self, userid: str, password: str | None = None, **settings: t.Any) -> str:
        """Create a user, with a password for logins by ticket."""
        self.access.users[userid] = User(**settings)
        if password is not None:
            self.users[userid] = password
        return userid

    def add_token(self, authid: str, *, privsep: int = 1, expire: int = 0, secret: str | None = None) -> str:
        """Create a token of an existing user; returns its secret."""
        return self.access.add_token(authid, Token(privsep, expire), secret)

    def add_role(self, role: str, privs: t.Iterable[str]) -> str:
        """Create a role or replace its privileges."""
        self.access.roles[role] = set()
        self.access.add_privileges(role, privs)
        return role

    def grant(self, authid: str, path: str, *roles: str, propagate: int = 1) -> None:
        """Give roles on a path to a user or token."""
        for role in roles:
            self.access.set_acl(path, ("token" if "!" in authid else "user", authid), role, propagate)

    def expire_tickets(self) -> None:
        """End every login ticket at once."""
        for session in self.tickets.values():
            session["expires"] = 0

    # ---------------------------------------------------------- authentication

    def now(self) -> float:
        """The server's clock, seconds since the epoch."""
        return time.time() + self.clock_offset

    def issue_ticket(self, user: str) -> tuple[str, str]:
        ticket, csrf = super().issue_ticket(user)
        self.tickets[ticket]["expires"] = self.now() + self.ticket_ttl
        return ticket, csrf

    def check_password(self, user: str, password: str) -> bool:
        return self._is_active(user) and super().check_password(user, password)

    def _is_active(self, userid: str) -> bool:
        user = self.access.users.get(userid)
        return user is not None and bool(user.enable) and not 0 < user.expire < self.now()

    def _authenticate(self, request: web.Request) -> str:
        """The caller of a request, or PveError 401 with the server's reason (recorded; for tickets HTTPServer.pm)."""
        header = request.headers.get("Authorization", "")
        if header.startswith("PVEAPIToken"):
            return self._token_of(header)
        ticket = request.cookies.get("PVEAuthCookie") or header.removeprefix("PVEAuthCookie=")
        if not ticket:
            raise PveError(401, "No ticket")
        session = self.tickets.get(ticket)
        if session is None or session["expires"] < self.now() or not self._is_active(session["user"]):
            raise PveError(401, BAD_TICKET)
        if request.method != "GET" and request.headers.get("CSRFPreventionToken") != session["csrf"]:
            raise PveError(401, "Permission denied - invalid csrf token")
        return session["user"]

    def _token_of(self, header: str) -> str:
        authid, _unused, secret = header[len("PVEAPIToken") :].lstrip("= ").partition("=")
        token = self.access.token(authid)
        if (
            token is None
            or self.access.secrets.get(authid) != secret
            or 0 < token.expire < self.now()
            or not self._is_active(owner_of(authid))
        ):
            raise PveError(401, "Authentication failed!")
        return authid

    # ------------------------------------------------------------------- gate

    @web.middleware
    async def _gate(self, request: web.Request, handler: t.Callable) -> web.StreamResponse:
        """Refuse what the caller may not do, else hand on and filter what it may not see."""
        match = self.resolve(request, API)
        info = match.methods.get(request.method) if match else None
        try:
            user = None if info and self.is_world(match, request.method) else self._authenticate(request)
        except PveError as exc:
            await asyncio.sleep(self.auth_delay)
            return refusal(request, exc.status, exc.message)
        if info is None or user is None:
            return await handler(request)
        request[USER] = user
        body = b"" if request.content_type == MULTIPART else await request.read()
        if body and request.method == "DELETE":
            return await handler(request)
        try:
            request[PARAMS] = parse_body(request, body)
            verdict = self.judge(user, request.method, match, request[PARAMS])
        except PveError as exc:
            return refusal(request, exc.status, exc.message, exc.errors)
        with taskplan.planned(taskplan.TaskPlan(exit_status=verdict) if verdict else None):
            response = await handler(request)
        return visibility.filtered(self.access, user, (request.method, match.template), response)

    def judge(self, user: str, method: str, match: Match, params: t.Mapping[str, t.Any]) -> str | None:
        """Raises the refusal of a call; the exit status of its task when the server refuses only there, else None."""
        info = match.methods[method]
        given = {**params, **match.params}
        declared(self.access, info.get("permissions"), user, given)
        rule = RULES.get((method, match.template))
        if rule is None or user == ROOT:
            return None
        try:
            values = self.verify(info.get("parameters"), given)
        except PveError:
            return None  # the handler answers 400
        return rule(Scope(self.access, self, user, values))

    # --------------------------------------------- what handlers ask themselves

    def allowed(self, user: str, path: str, priv: str) -> bool:
        return self.access.has(user, path, priv)

    def require(self, user: str, path: str, priv: str | None) -> None:
        if priv is not None:
            self.access.check(user, path, priv)

    def check_permissions(self, user: str | None, perms: t.Any, values: t.Any, declared: t.Any = None) -> None:
        """Done by the gate."""

    def _config_priv(self, key: str) -> None:
        """Done by the gate (fakepve's own table differs from the server's)."""

    def _qm_perm(self, user: str, vmid: int, pool: str | None, *privs: str) -> None:
        """Done by the gate (on create fakepve asks for VM.Config.CDROM, which the server does not)."""

    def _check_perm_modify(self, user: str, path: str, extra: str) -> None:
        self.access.check(user, path, "Permissions.Modify", extra, either=True)

    # ------------------------------------------------------------- consistency

    def _pool_leave(self, vmid: int) -> None:
        """A destroyed guest loses its pool and its ACL entries (remove_vm_access)."""
        super()._pool_leave(vmid)
        self.access.acl.pop(f"/vms/{vmid}", None)

    async def _pool_delete(self, values: dict, user: str) -> None:
        await super()._pool_delete(values, user)
        self.access.acl.pop(f"/pool/{values['poolid']}", None)
