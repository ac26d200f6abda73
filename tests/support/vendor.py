# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vendor on loopback: small real images beside their sums file, as image servers publish them."""

from __future__ import annotations

import hashlib
import http.server
import threading
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Vendor:
    """What the vendor serves, by path without the leading slash; change it to publish a new build."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, name: str, content: bytes, *, sums: str = "SHA256SUMS") -> str:
        """Put an image beside its sums file; returns the sha256 of the image."""
        folder, _unused, filename = name.rpartition("/")
        self.files[name] = content
        digest = hashlib.sha256(content).hexdigest()
        path = f"{folder}/{sums}".lstrip("/")
        lines = [line for line in self.files.get(path, b"").decode().splitlines() if not line.endswith(f"  {filename}")]
        self.files[path] = "\n".join([*lines, f"{digest}  {filename}", ""]).encode()
        return digest

    def entry(self, image_id: str, name: str, **more: t.Any) -> dict[str, t.Any]:
        """A catalogue entry for an image of this vendor, in the form of a catalogue file of one's own."""
        return {
            "id": image_id,
            "url": f"{self.url}/{name}",
            "sums": f"{self.url}/{name.rpartition('/')[0]}/SHA256SUMS",
            **more,
        }


@contextmanager
def serve_vendor(host: str = "127.0.0.1") -> t.Iterator[Vendor]:
    """Serve a vendor until the with-block ends."""
    vendor = Vendor("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            path = self.path.lstrip("/")
            vendor.asked.append(path)
            content = vendor.files.get(path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if body and content is not None:
                self.wfile.write(content)

        def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002
            """Keep test output clean."""

    server = http.server.ThreadingHTTPServer((host, 0), Handler)
    vendor.url = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
