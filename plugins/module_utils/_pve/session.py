# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""proxmoxer's sessions and auth under our TLS rules, with an eye on what each connection has been through."""

from __future__ import annotations

import hashlib
import math
import os
import ssl
import threading
import traceback
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

from .auth import Connection
from .clock import Clock

try:
    # requests first: proxmoxer's backend ends the process when requests is missing.
    import requests  # noqa: F401  # pylint: disable=unused-import
    import urllib3
    from proxmoxer.backends.https import (
        Backend,
        ProxmoxHTTPApiTokenAuth,
        ProxmoxHTTPAuth,
        ProxmoxHTTPAuthBase,
    )
    from requests.adapters import HTTPAdapter
    from requests.utils import get_environ_proxies
    from urllib3.connection import HTTPSConnection
    from urllib3.util.ssl_ import create_urllib3_context
except ImportError:
    MISSING_LIBRARY: str | None = traceback.format_exc()
    # Stand-ins, so that the classes below can be defined; ProxmoxerTransport refuses to start without the libraries.
    Backend = ProxmoxHTTPAuth = HTTPAdapter = HTTPSConnection = object  # type: ignore[assignment,misc,unused-ignore]
else:
    MISSING_LIBRARY = None

_BLOCK = 128 * 1024
"""Bytes per write of an upload; urllib3's default of 16 KiB costs one TLS record each."""


class Seen(Exception):  # noqa: N818 - not an error
    """Carries the SHA-256 of a server's certificate out of a handshake that is made for nothing else."""

    def __init__(self, certificate: bytes) -> None:
        digits = hashlib.sha256(certificate).hexdigest().upper()
        self.fingerprint = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
        super().__init__(self.fingerprint)


class Watch:
    """What became of the newest connection of one session. C(stage) tells whether bytes of a request may be out."""

    def __init__(self, probe: bool = False) -> None:
        self.probe = probe
        self.stage = "idle"
        self.handshakes = 0
        self.carried = 0


class _WatchedConnection(HTTPSConnection):  # type: ignore[misc,valid-type,unused-ignore]
    watch: Watch

    def connect(self) -> None:
        self.watch.stage = "connecting"
        super().connect()
        if self.watch.probe:
            raise Seen(cast(ssl.SSLSocket, self.sock).getpeercert(binary_form=True) or b"")
        self.watch.stage = "connected"
        self.watch.handshakes += 1
        self.watch.carried = 0

    def request(self, *args: Any, **kwargs: Any) -> None:
        self.watch.stage = "sending"
        self.watch.carried += 1
        super().request(*args, **kwargs)


class TrustAdapter(HTTPAdapter):  # type: ignore[misc,unused-ignore]
    """Decides by itself what is trusted.

    requests lets REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE replace the caller's choice in some of its releases and call
    paths (Session.merge_environment_settings), so what options say is enforced here, below that.
    """

    def __init__(self, connection: Connection, watch: Watch) -> None:
        self._verify = _verify(connection) if not watch.probe else False
        self._tls: dict[str, Any] = {"blocksize": _BLOCK}
        if connection.fingerprint and not watch.probe:
            self._tls["assert_fingerprint"] = connection.fingerprint
        if self._verify is False:
            # Without a context of ours urllib3 loads the system's CAs for every connection, and 20 ms go into nothing.
            self._tls["ssl_context"] = create_urllib3_context(cert_reqs=ssl.CERT_NONE)
        watched = type("WatchedConnection", (_WatchedConnection,), {"watch": watch})
        self._pools = {
            "http": urllib3.HTTPConnectionPool,
            "https": type("WatchedPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": watched}),
        }
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        # A tunnel through a proxy has a pool manager of its own, which would not know the fingerprint.
        manager = super().proxy_manager_for(proxy, **self._tls, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if self._verify is not None:
            kwargs["verify"] = self._verify
        return super().send(request, *args, **kwargs)


def _verify(connection: Connection) -> bool | str | None:
    """For requests' C(verify). None: its default, the system's CAs. A bundle that the environment names comes last."""
    if connection.fingerprint or not connection.validate_certs:
        return False
    return connection.ca_path or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None


class TicketAuth(ProxmoxHTTPAuth):  # type: ignore[misc,unused-ignore]
    """proxmoxer's ticket auth, whose log-ins go through the caller's session and so obey the TLS rules.

    proxmoxer itself logs in by a bare requests.post, which knows neither fingerprint nor keep-alive.
    """

    def __init__(self, username: str, password: str, clock: Clock, **kwargs: Any) -> None:
        # Not ProxmoxHTTPAuth.__init__: it logs in at once.
        ProxmoxHTTPAuthBase.__init__(self, **kwargs)
        self.username = username
        self.pve_auth_ticket = ""
        self.csrf_prevention_token = ""
        self.birth_time = -math.inf
        self._password = password
        self._clock = clock
        self._lock = threading.Lock()

    def __call__(self, req: Any) -> Any:
        if req.method != "GET":
            req.headers["CSRFPreventionToken"] = self.csrf_prevention_token
        return req

    def ensure(self, login: Callable[[str, str], Any]) -> None:
        """Log in, or renew a ticket older than an hour by itself; C(login) gives the data of a log-in or None."""
        with self._lock:
            if not self.pve_auth_ticket:
                self._take(login(self.username, self._password))
            elif self._clock.monotonic() - self.birth_time >= self.renew_age:
                renewed = login(self.username, self.pve_auth_ticket)
                self._take(renewed or login(self.username, self._password))

    def replace(self, stale: str, login: Callable[[str, str], Any]) -> None:
        """Log in anew, unless another thread has replaced the C(stale) ticket already."""
        with self._lock:
            if self.pve_auth_ticket == stale:
                self.pve_auth_ticket = ""
                self._take(login(self.username, self._password))

    def _take(self, data: Any) -> None:
        self.pve_auth_ticket = data["ticket"]
        self.csrf_prevention_token = data["CSRFPreventionToken"]
        self.birth_time = self._clock.monotonic()


def token_auth(connection: Connection) -> Any:
    """proxmoxer's API token auth."""
    user, _mark, name = (connection.token_id or "").partition("!")
    return ProxmoxHTTPApiTokenAuth(user, name, connection.token_secret, verify_ssl=connection.validate_certs)


class SessionMaker(Backend):  # type: ignore[misc,unused-ignore]
    """proxmoxer's backend with an auth of our choice."""

    def __init__(self, connection: Connection, auth: Any) -> None:
        # Not Backend.__init__: it builds the auth itself, and so logs in by a bare requests.post.
        self.auth = auth
        self.base_url = connection.base_url
        self.mode = "json"
        self.cert = None
        self.proxies = None
        self._connection = connection

    def watched_session(self, probe: bool = False) -> tuple[Any, Watch]:
        """A session for one thread, and what its connection goes through."""
        watch = Watch(probe)
        session = self.get_session()
        # proxmoxer sends the ticket only while the session has no cookie of its own.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # requests looks through the whole environment for every request, a quarter of what a request costs us. Once is
        # enough: it is not going to change.
        session.proxies.update(get_environ_proxies(self.base_url))
        session.trust_env = False
        session.mount("https://", TrustAdapter(self._connection, watch))
        return session, watch


def no_auth(connection: Connection) -> Any:
    """For the log-in itself."""
    return ProxmoxHTTPAuthBase(verify_ssl=connection.validate_certs)


__all__ = [
    "MISSING_LIBRARY",
    "Seen",
    "SessionMaker",
    "TicketAuth",
    "TrustAdapter",
    "Watch",
    "no_auth",
    "token_auth",
]
