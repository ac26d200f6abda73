# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vendor on loopback whose faults can be scripted, small disk images, and a clock that does not wait."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR


class FakeClock:
    """Sleeping moves the time; nothing waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Vendor:
    """What the server does. Faults are used up one per request; C(cuts) are bytes sent before hanging up."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    statuses: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    ranges: bool = True
    etags: bool = True
    lengths: bool = True
    log: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def paths(self, method: str = "GET") -> list[str]:
        return [path for verb, path, _headers in self.log if verb == method]

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("Range") for verb, _path, headers in self.log if verb == "GET"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    vendor: Vendor

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return

    def _answer(self, *, with_body: bool) -> None:
        vendor, path = self.vendor, self.path
        vendor.log.append((self.command, path, dict(self.headers.items())))
        if vendor.statuses.get(path):
            status, headers = vendor.statuses[path].pop(0)
            self._send(status, b"", headers, with_body)
        elif path in vendor.redirects:
            self._send(302, b"", {"Location": vendor.redirects[path]}, with_body)
        elif path not in vendor.files:
            self._send(404, b"<html><title>404 Not Found</title></html>", {}, with_body)
        else:
            self._file(path, vendor.files[path], with_body)

    def _file(self, path: str, body: bytes, with_body: bool) -> None:
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        headers = {"ETag": etag} if self.vendor.etags else {}
        status, asked = 200, self.headers.get("Range", "")
        if asked and self.vendor.ranges and self.headers.get("If-Range", etag) == etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"}, with_body)
                return
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            status, body = 206, body[start:]
        self._send(status, body, headers, with_body, self.vendor.cuts.get(path))

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], with_body: bool, cuts: list[int] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.vendor.lengths:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if not with_body:
            return
        if cuts:
            self.wfile.write(body[: cuts.pop(0)])
            self.wfile.flush()
            self.connection.shutdown(SHUT_RDWR)
            self.close_connection = True
            return
        self.wfile.write(body)
        if not self.vendor.lengths:
            self.close_connection = True


@contextmanager
def serve(vendor: Vendor) -> Iterator[Vendor]:
    handler = type("Handler", (_Handler,), {"vendor": vendor})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        vendor.port = server.server_address[1]
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield vendor
        finally:
            server.shutdown()
            thread.join()


def qcow2(
    *,
    version: int = 3,
    size: int = 2**30,
    backing: bytes = b"",
    features: int = 0,
    crypt: int = 0,
    bits: int = 16,
    extra: bytes = b"",
    body: bytes = b"",
) -> bytes:
    """A qcow2 header and some bytes; enough for whoever reads only the header."""
    place = 104 + len(extra) + 8 if backing else 0
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, place, len(backing), bits, size, crypt, 1, 0, 0, 0, 0, 0)
    if version == 3:
        head += struct.pack(">QQQII", features, 0, 0, 4, 104)
    return (head + extra + bytes(8) + backing).ljust(4096, b"\0") + body


def raw_disk(size: int = 4096) -> bytes:
    """Zeros with a boot record's mark."""
    return bytes(510) + b"\x55\xaa" + bytes(size - 512)
