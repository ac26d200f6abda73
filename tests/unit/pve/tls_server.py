# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small TLS server on loopback with the connection manners of pveproxy, and a proxy in front of it."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ansible_collections.homelab.proxmox.plugins.module_utils._pve.auth import Connection
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.transport import ProxmoxerTransport
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply
from ansible_collections.homelab.proxmox.tests.support.scripted import FakeClock
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate, which is its own CA."""

    pem: Path
    fingerprint: str


def make_certificate(folder: Path, name: str, address: str) -> Certificate:
    """For C(address) and nothing else, so that a pin can be shown not to depend on the name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return Certificate(pem, certificate.fingerprint(hashes.SHA256()).hex(":").upper())


@dataclass(frozen=True)
class Seen:
    """One request. The body of an upload is not kept, only its size and hash."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    size: int
    sha256: str
    connection: int


@dataclass
class Answer:
    """C(status) None cuts the connection instead of answering; C(body) may be any JSON, or bytes as they are."""

    status: int | None = 200
    body: Any = field(default_factory=lambda: {"data": None})
    reason: str = "OK"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: PveServer

    def setup(self) -> None:
        self.connection_number = self.server.next_connection()
        super().setup()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        digest, kept, left = hashlib.sha256(), b"", length
        while left:
            block = self.rfile.read(min(left, 65536))
            if not block:
                break
            digest.update(block)
            left -= len(block)
            kept = kept + block if len(kept) < 4096 else kept
        seen = Seen(
            self.command, self.path, dict(self.headers), kept, length, digest.hexdigest(), self.connection_number
        )
        self.server.seen.append(seen)
        answer = self.server.app(seen)
        if answer.status is None:
            self.close_connection = True
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status, answer.reason)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if answer.status >= 400:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


class PveServer(ThreadingHTTPServer):
    """Counts TLS connections that got through the handshake, and keeps every request."""

    daemon_threads = True

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.app: Callable[[Seen], Answer] = lambda seen: Answer()
        self.seen: list[Seen] = []
        self.connections = 0
        self._lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.pem)
        self._context = context

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> tuple[Any, Any]:
        raw, address = super().get_request()
        raw.settimeout(5)
        try:
            return self._context.wrap_socket(raw, server_side=True), address
        except OSError:
            raw.close()
            raise

    def next_connection(self) -> int:
        with self._lock:
            self.connections += 1
            return self.connections


@contextmanager
def running(server: Any) -> Iterator[Any]:
    """The server in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Tunnel(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:  # noqa: N802
        self.server.tunnels.append(self.path)
        host, _colon, port = self.path.partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as upstream:
            self.send_response(200, "Connection established")
            self.end_headers()
            ends = {self.connection: upstream, upstream: self.connection}
            while True:
                readable, _w, _x = select.select(list(ends), [], [], 5)
                for end in readable:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)
                if not readable:
                    return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


class Proxy(ThreadingHTTPServer):
    """An HTTP proxy that only tunnels; C(tunnels) are the addresses it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.tunnels: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


TOKEN: dict[str, Any] = {"user": "root@pam", "token_id": "root@pam!lab", "token_secret": "s3cret"}
TICKET: dict[str, Any] = {"user": "root@pam", "password": "pa55"}


def connection(server: PveServer, certificate: Certificate | None = None, **more: Any) -> Connection:
    trust: dict[str, Any] = {"fingerprint": certificate.fingerprint} if certificate else {}
    credentials: dict[str, Any] = {} if "password" in more else TOKEN
    return Connection("127.0.0.1", server.port, **{**credentials, **trust, **more})


class Wire(ProxmoxerTransport):
    """The transport with a fake clock and less to type."""

    def __init__(self, server: PveServer, certificate: Certificate | None = None, **more: Any) -> None:
        self.fake = FakeClock()
        super().__init__(connection(server, certificate, **more), clock=self.fake)

    def get(self, path: str = "/version", **params: Any) -> Reply:
        return self.request("GET", path, params or None, timeout=5)

    def post(self, path: str = "/x", **params: Any) -> Reply:
        return self.request("POST", path, params or None, timeout=5)
