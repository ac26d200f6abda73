# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport over HTTPS: proxmoxer behind the one-method protocol of wire.py."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import ssl
import threading
import weakref
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from .auth import Connection
from .clock import Clock, SystemClock
from .errors import ApiError, ConnectionFailed, Kind, ProxmoxError, TlsFailed
from .session import MISSING_LIBRARY, Seen, SessionMaker, TicketAuth, Watch, no_auth, token_auth
from .wire import Reply, Upload

try:
    import requests
    import urllib3
except ImportError:
    HAS_REQUESTS = False
else:
    HAS_REQUESTS = True

# Looked for, not loaded: proxmoxer loads it with the first large upload.
MISSING_TOOLBELT = importlib.util.find_spec("requests_toolbelt") is None

# Proxmox closes a connection after 5 s without a request, after 100 requests and after every answer of 400 or more
# (pve-http-server, PVE::APIServer::AnyEvent; confirmed by observation). A read may race with that, a write may not.
_WRITE_IDLE, _READ_IDLE = 3.0, 5.0
_WRITE_CARRIED, _READ_CARRIED = 95, 100

_CONNECT_TIMEOUT = 15.0
_STREAMING_FROM = 10 * 1024 * 1024
"""Bytes from which proxmoxer streams an upload; smaller ones it builds in memory."""

_LOGIN = "/access/ticket"


class _Line:
    """One thread's session and the state of its connection."""

    def __init__(self, session: Any, watch: Watch) -> None:
        self.session = session
        self.watch = watch
        self.last_used = 0.0
        self.spoiled = False

    def freshen(self, now: float, write: bool) -> None:
        """Drop a connection that the server has closed, or is about to close."""
        idle, carried = (_WRITE_IDLE, _WRITE_CARRIED) if write else (_READ_IDLE, _READ_CARRIED)
        if self.spoiled or now - self.last_used > idle or self.watch.carried >= carried:
            self.session.close()
            self.watch.carried = 0
            self.spoiled = False
        self.watch.stage = "idle"


class _NamedFile(io.FileIO):
    """A file that is uploaded under another name; proxmoxer and requests take the name from the file object."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload.path, "rb")
        self.name = upload.filename
        self._sent = upload.sent
        self._total = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        if self._sent is not None:
            self._sent(self.tell(), self._total)
        return data


class ProxmoxerTransport:
    """Requests to one Proxmox API. Threads share the auth; each has a session, so a connection, of its own."""

    def __init__(self, connection: Connection, *, clock: Clock | None = None) -> None:
        if MISSING_LIBRARY:
            raise ProxmoxError("the libraries proxmoxer (2.3 or newer) and requests are needed: " + MISSING_LIBRARY)
        self.server_offset: float | None = None
        """Seconds by which the server's clock is ahead of ours, from the Date header of the newest reply."""
        self._connection = connection
        self._clock: Clock = clock or SystemClock()
        self._ticket: TicketAuth | None = None
        if connection.token_id:
            auth = token_auth(connection)
        else:
            auth = self._ticket = TicketAuth(connection.user, connection.password or "", self._clock)
        self._maker = SessionMaker(connection, auth)
        self._local = threading.local()
        self._lines: weakref.WeakSet[_Line] = weakref.WeakSet()
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        """Our user as Proxmox writes it into UPIDs."""
        return self._connection.identity

    @property
    def handshakes(self) -> int:
        """Connections made so far by the threads that live."""
        with self._lock:
            return sum(line.watch.handshakes for line in self._lines)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.session.close()

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float,
        upload: Upload | None = None,
    ) -> Reply:
        """See wire.Transport. Raises ConnectionFailed, TlsFailed, and ApiError (AUTH) when a log-in is refused."""
        if self._ticket is None:
            return self._send(method, path, params, timeout, upload=upload)

        def login(username: str, password: str) -> Any:
            return self._login(username, password, timeout)

        self._ticket.ensure(login)
        used = self._ticket.pve_auth_ticket
        reply = self._send(method, path, params, timeout, upload=upload)
        if reply.status != 401:
            return reply
        # Refused before it was executed, so even a write may be repeated.
        self._ticket.replace(used, login)
        return self._send(method, path, params, timeout, upload=upload)

    def _login(self, username: str, password: str, timeout: float) -> Any:
        """Data with C(ticket) and C(CSRFPreventionToken); None when a ticket was given as password and is refused."""
        try:
            reply = self._send(
                "POST", _LOGIN, {"username": username, "password": password}, timeout, auth=no_auth(self._connection)
            )
        except ConnectionFailed as exc:
            # The caller's own request has not been sent.
            if isinstance(exc, TlsFailed):
                raise
            raise ConnectionFailed(exc.message, sent=False) from exc
        data = reply.data if isinstance(reply.data, Mapping) else {}
        if reply.status == 200 and data.get("NeedTFA"):
            text = f"{username} needs a second factor. Use an API token (`api_token_id`, `api_token_secret`) instead."
            raise ApiError(Kind.AUTH, text, 401, "POST", _LOGIN)
        if reply.status == 200 and data.get("ticket"):
            return data
        if reply.status == 401 and self._ticket is not None and password == self._ticket.pve_auth_ticket:
            return None
        kind = Kind.AUTH if reply.status in (200, 401) else Kind.OTHER
        text = f"log-in as {username} failed: {reply.message or 'no ticket in the answer'}"
        raise ApiError(kind, f"{text}. Check `api_user` (user@realm) and `api_password`.", reply.status, "POST", _LOGIN)

    def _line(self) -> _Line:
        line: _Line | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = _Line(*self._maker.watched_session())
            with self._lock:
                self._lines.add(line)
        return line

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        timeout: float,
        *,
        upload: Upload | None = None,
        auth: Any = None,
    ) -> Reply:
        line = self._line()
        line.freshen(self._clock.monotonic(), write=method != "GET")
        arguments: dict[str, Any] = {"timeout": (min(timeout, _CONNECT_TIMEOUT), timeout), "allow_redirects": False}
        if auth is not None:
            arguments["auth"] = auth
        if method in ("GET", "DELETE"):
            arguments["params"] = dict(params or {})
        else:
            arguments["data"] = dict(params or {})
        if upload is None:
            return self._exchange(line, method, path, arguments)
        with _opened(upload) as stream:
            arguments["data"] = {name: str(value) for name, value in arguments["data"].items()} | {"filename": stream}
            return self._exchange(line, method, path, arguments)

    def _exchange(self, line: _Line, method: str, path: str, arguments: dict[str, Any]) -> Reply:
        line.spoiled = True
        try:
            response = line.session.request(method, self._connection.base_url + path, **arguments)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as exc:
            raise self._failure(exc, line.watch.stage, f"{method} {path}") from exc
        line.spoiled = response.status_code >= 400
        line.last_used = self._clock.monotonic()
        self._note_time(response.headers.get("Date"))
        return _reply(response, method, path)

    def _note_time(self, date: str | None) -> None:
        if not date:
            return
        try:
            self.server_offset = parsedate_to_datetime(date).timestamp() - self._clock.time()
        except ValueError:
            return

    def _failure(self, exc: Exception, stage: str, request: str) -> ConnectionFailed:
        where = f"{self._connection.host}:{self._connection.port}"
        causes = list(_causes(exc))
        reason = str(causes[-1]) or type(causes[-1]).__name__
        if stage == "sending":
            return ConnectionFailed(f"the connection to {where} was cut during {request}: {reason}", sent=True)
        distrust = next((cause for cause in causes if _is_distrust(cause)), None)
        if distrust is not None:
            return self._tls_failed(where, str(distrust))
        # requests' words for a missing file, OpenSSL's for a file that holds no certificate.
        if "TLS CA certificate bundle" in reason or "NO_CERTIFICATE_OR_CRL_FOUND" in reason or "[X509]" in reason:
            path = self._connection.ca_path
            bundle = f"`ca_path`={path!r}" if path else "the bundle that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names"
            return TlsFailed(f"no connection to {where}: {bundle} holds no certificates ({reason}). Give a PEM file.")
        return ConnectionFailed(f"no connection to {where}: {reason}. Check `api_host` and `api_port`.", sent=False)

    def _tls_failed(self, where: str, reason: str) -> TlsFailed:
        seen = self._fingerprint()
        pin = f"`fingerprint: {seen}`" if seen else "`fingerprint`"
        compare = f"{pin}, after comparing it with what `pvenode cert info` prints on the node"
        if self._connection.fingerprint:
            return TlsFailed(
                f"{where} shows another certificate than `fingerprint`={self._connection.fingerprint!r}. Somebody may"
                f" be listening in. If the certificate was renewed, set {compare}.",
                seen,
            )
        trust = f"`ca_path`={self._connection.ca_path!r}" if self._connection.ca_path else "the system's CAs"
        return TlsFailed(
            f"the certificate of {where} is not trusted by {trust}: {reason}. Set `ca_path` to the CA that signed it"
            f" (a copy of /etc/pve/pve-root-ca.pem), or {compare}.",
            seen,
        )

    def _fingerprint(self) -> str | None:
        """Of the certificate that is shown, by a handshake that trusts everything and sends no request."""
        session, _watch = self._maker.watched_session(probe=True)
        try:
            session.request("GET", self._connection.base_url, auth=no_auth(self._connection), timeout=_CONNECT_TIMEOUT)
        except Seen as seen:
            return seen.fingerprint
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
            return None
        finally:
            session.close()
        return None


def _opened(upload: Upload) -> _NamedFile:
    stream = _NamedFile(upload)
    if MISSING_TOOLBELT and os.fstat(stream.fileno()).st_size > _STREAMING_FROM:
        stream.close()
        raise ProxmoxError(f"requests_toolbelt is needed to upload {upload.path}: it keeps files out of the memory")
    return stream


def _reply(response: Any, method: str, path: str) -> Reply:
    """Observed: a 401 has an empty body and only a reason phrase; other refusals repeat theirs in the body."""
    try:
        body = json.loads(response.content) if response.content else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if response.status_code < 300:
            text = "the answer is not JSON. Is this the API of Proxmox VE? Check `api_host` and `api_port`."
            raise ApiError(Kind.OTHER, text, response.status_code, method, path)
        body = {}
    errors = body.get("errors")
    total = body.get("total")
    return Reply(
        status=response.status_code,
        message=str(body.get("message") or response.reason or "").strip(),
        data=body.get("data"),
        total=int(total) if isinstance(total, (int, str)) and str(total).isdigit() else None,
        errors={str(name): str(text) for name, text in errors.items()} if isinstance(errors, dict) else {},
    )


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, outermost first; requests and urllib3 wrap in C(args) and C(reason)."""
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = [getattr(current, "reason", None), *current.args[::-1], current.__cause__, current.__context__]
        current = next((item for item in inner if isinstance(item, BaseException)), None)


def _is_distrust(exc: BaseException) -> bool:
    """Whether the certificate itself was the reason; urllib3 has no class of its own for a wrong fingerprint."""
    return isinstance(exc, ssl.SSLCertVerificationError) or (
        HAS_REQUESTS and isinstance(exc, urllib3.exceptions.SSLError) and "ingerprint" in str(exc)
    )
