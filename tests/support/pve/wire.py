# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP manners of the real API server: one dispatcher for every path, its refusals, and the request journal.

Order of the checks as in PVE::HTTPServer::rest_handler: method table (501), permission (403), the node that has to
answer (500 hostname lookup, 595), then the parameters (400).
"""

from __future__ import annotations

import json
import re
import time
import typing as t
import urllib.parse

from aiohttp import web
from fakepve import formats
from fakepve import schema as pve_schema
from fakepve.model import PveError
from fakepve.server import API, USER, collect

from . import schema

SECRETS = frozenset({"password", "cipassword", "new-password", "confirmation-password", "ticket", "otp"})
# Answers that the API server itself gives, without a JSON body (measured: 401; read in AnyEvent.pm: 59x).
BODILESS = frozenset({401, 595, 596, 599})
UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
MULTIPART = "multipart/form-data"
# fakepve caps values before it matches them; the server takes long keys, scripts and URLs.
formats.MAX_FORMAT_VALUE = 1 << 20
pve_schema.MAX_PATTERN_VALUE = 1 << 16
MAX_POST = 512 * 1024  # bytes, AnyEvent.pm $limit_max_post; uploads are exempt
MATCH = web.RequestKey("match", object)
PARAMS = web.RequestKey("params", dict)


class Request(t.NamedTuple):
    """One journalled request; ``path`` is decoded and without /api2/json, secrets in ``params`` are ``***``."""

    method: str
    path: str
    params: dict[str, t.Any]
    user: str | None
    status: int

    @property
    def is_poll(self) -> bool:
        """Does it ask how tasks are that are waited for: a task's status, or the list of the ones since a time?"""
        listing = self.path.endswith("/tasks") and "since" in self.params
        return self.method == "GET" and (listing or re.search("/tasks/UPID:[^/]+/status$", self.path) is not None)


class Answer(t.NamedTuple):
    """A handler's data with further top-level members of the reply (``total``)."""

    data: t.Any
    extra: dict[str, t.Any]


class BrokenPipe(Exception):
    """pvedaemon died while it answered: 596 without a body."""


def parse_body(request: web.Request, body: bytes) -> dict[str, t.Any]:
    """Query, form and JSON parameters; repeated names become lists, empty values stay."""
    values = collect(urllib.parse.parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
    if not body or request.content_type == MULTIPART:
        return values
    if request.content_type == "application/json":
        data = json.loads(body)
        values.update(data if isinstance(data, dict) else {})
    else:
        values.update(collect(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)))
    return values


def redacted(values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: "***" if key in SECRETS else value for key, value in values.items()}


def refusal(request: web.Request, status: int, message: str, errors: t.Mapping[str, str] | None = None) -> web.Response:
    """The reply of a refused request."""
    reason = message.splitlines()[0] if message else ""
    upload = status == 403 and request.content_type == MULTIPART  # refused before the API code runs
    if upload or (status in BODILESS and not request.path.endswith("/access/ticket")):
        return web.Response(status=status, reason=reason)
    body: dict[str, t.Any] = {"data": None, "message": message if status == 501 else message + "\n"}
    if errors:
        body["errors"] = dict(errors)
    return web.json_response(body, status=status, reason=reason)


class WireMixin:
    """Mixin of FakeCluster: the aiohttp application."""

    def _build_app(self) -> web.Application:
        self._table = self._handlers()
        hooks = [
            hook for name in sorted(dir(self)) if name.startswith("_middlewares_") for hook in getattr(self, name)()
        ]
        app = web.Application(middlewares=[self._journal, *hooks], client_max_size=self.client_max_size)
        app.router.add_route("*", "/{tail:.*}", self._dispatch)
        return app

    def _handlers(self) -> dict[tuple[str, str], t.Callable]:
        """(method, path template) -> ``async handler(values, user)``, gathered from every ``_routes_*`` table."""
        table: dict[tuple[str, str], t.Callable] = {}
        catcher = _RouteCatcher(table)
        self._lxc_routes(catcher, "/nodes/{node}")
        for name in sorted(dir(self)):
            if name.startswith("_routes_"):
                table.update({(method, template): handler for method, template, handler in getattr(self, name)()})
        return table

    def _lxc_handler(self, function: t.Callable) -> t.Callable:
        async def handler(values: dict, user: str) -> t.Any:
            return await function(user, values)

        return handler

    def _raw_handlers(self) -> dict[tuple[str, str], t.Callable]:
        """Handlers that read the request themselves, ``async handler(request)``; request[MATCH] and [USER] are set."""
        return {
            ("POST", "/access/ticket"): self._ticket,
            ("PUT", "/access/password"): self._password,
            ("POST", "/nodes/{node}/storage/{storage}/upload"): self._upload,
        }

    # ------------------------------------------------------------ middleware

    @web.middleware
    async def _journal(self, request: web.Request, handler: t.Callable) -> web.StreamResponse:
        """Record every request with its outcome; a dropped connection has status 0."""
        status = 0
        try:
            response = await handler(request)
            status = response.status
            if status >= 400:
                response.force_close()  # AnyEvent.pm closes the connection after every refusal
            return response
        finally:
            path = urllib.parse.unquote(request.rel_url.raw_path.removeprefix(API))
            self.log.append(Request(request.method, path, redacted(request.get(PARAMS, {})), request.get(USER), status))

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        request[MATCH] = match = self.resolve(request, API)
        try:
            world = match is not None and self.is_world(match, request.method)
            request[USER] = user = None if world else self._authenticate(request)
            if request.content_type != MULTIPART:
                body = await request.read()
                if len(body) > MAX_POST:
                    raise BadBody("for data too large")
                if request.method == "DELETE" and body:
                    raise BadBody("Unexpected content for method 'DELETE'")
                request[PARAMS] = parse_body(request, body)
            return await self._reply(request, match, user)
        except BadBody as exc:
            return web.Response(status=501, reason=str(exc))
        except BrokenPipe:
            return web.Response(status=596, reason="Broken pipe")
        except PveError as exc:
            return refusal(request, exc.status, exc.message, exc.errors)

    async def _reply(
        self, request: web.Request, match: pve_schema.Match | None, user: str | None
    ) -> web.StreamResponse:
        rel = request.rel_url.raw_path.removeprefix(API)
        info = match.methods.get(request.method) if match else None
        if info is None:
            raise PveError(501, f"Method '{request.method} {urllib.parse.unquote(rel)}' not implemented")
        raw = self._raw_handlers().get((request.method, match.template))
        if raw is not None:
            self.check_node(match.params.get("node"))
            request.match_info.update(match.params)
            return await raw(request)
        data = await self.answer(
            request, match, request[PARAMS], user, self._table.get((request.method, match.template))
        )
        if isinstance(data, Answer):
            return web.json_response({"data": data.data, **data.extra})
        return web.json_response({"data": data})

    # ---------------------------------------------------------------- checks

    def resolve(self, request: web.Request, prefix: str) -> pve_schema.Match | None:
        return schema.match(self.major, request.rel_url.raw_path.removeprefix(prefix))

    async def answer(self, request, match, params, user, call=None):
        """Check permission, node and parameters in the server's order, then run the handler."""
        info = match.methods[request.method]
        declared = (info.get("parameters") or {}).get("properties", {})
        for name in params:
            if name in match.params:
                raise PveError(
                    400, "Parameter verification failed.", {name: "duplicate parameter (already defined in URI)"}
                )
        given = {**params, **match.params}
        self.check_permissions(user, info.get("permissions"), given, declared)
        self.check_node(match.params.get("node"))
        values = self.verify(info.get("parameters"), given)
        if call is not None:
            return await call(values, user)
        return await self.synthesise(match, request.method, info, user, values)

    def verify(self, spec: dict | None, given: dict[str, t.Any]) -> dict[str, t.Any]:
        """The parameters, typed; raises the server's 400 with one text per parameter."""
        props = (spec or {}).get("properties", {})
        strict: dict[str, str] = {}
        prepared = {}
        for name, value in given.items():
            prop = pve_schema._prop(props, name) or {}
            listed = isinstance(value, list) and str(prop.get("format", "")).endswith("-list")
            # A JSON array is taken for a list format (measured with tags).
            prepared[name] = ";".join(map(str, value)) if listed else value
            if prop.get("type") == "boolean" and not isinstance(value, bool) and str(value) not in ("0", "1"):
                strict[name] = f"type check ('boolean') failed - got '{value}'"
        values, errors = pve_schema.validate(spec, prepared | dict.fromkeys(strict, "0"))
        errors = {name: reword(name, text) for name, text in errors.items()} | strict
        if errors:
            raise PveError(400, "Parameter verification failed.", errors)
        return values

    def check_node(self, node: str | None) -> None:
        """Raises what a request for an unknown or unreachable node gets."""
        if node is None:
            return
        if node not in self.nodes:
            text = (
                f"hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
            )
            raise PveError(500, text)
        if not self.nodes[node].get("online", True):
            raise PveError(595, "No route to host")


class BadBody(Exception):
    """A body that AnyEvent.pm refuses with 501 before the API sees it."""


class _RouteCatcher:
    """Stands in for aiohttp's router so that fakepve's container routes land in the handler table."""

    def __init__(self, table: dict) -> None:
        self.table = table

    def add_route(self, method: str, path: str, handler: t.Callable) -> None:
        self.table[(method, path)] = handler


def reword(name: str, text: str) -> str:
    """fakepve's refusal of an unknown key in a property string, in the words of 8.4.21 (recorded)."""
    found = re.fullmatch(r"invalid format - invalid key in comma-separated list property: (\S+)\n?", text)
    return f"invalid format - format error\n{name}.{found.group(1)}: {UNKNOWN}\n" if found else text


def now() -> int:
    """Seconds since the epoch, as the server writes them."""
    return int(time.time())
