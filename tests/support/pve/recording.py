# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recordings, and the image server they downloaded from."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import typing as t

from . import images, schema

FILES = ("reads", "template-life", "refusals", "extra", "customise")
VENDOR = "http://127.0.0.1:9199/"


class Exchange(t.NamedTuple):
    """One recorded request with its reply; ``id`` is e.g. ``customise#12``."""

    id: str
    request: dict[str, t.Any]
    response: dict[str, t.Any]
    task: dict[str, t.Any] | None

    @property
    def token(self) -> str:
        return str(self.request.get("as") or "root@pam!lab").partition(" ")[0]


def load(name: str) -> list[Exchange]:
    """The exchanges of one recording."""
    with (schema.RECORDED / f"{name}.json").open() as stream:
        found = json.load(stream)["exchanges"]
    return [Exchange(f"{name}#{n}", one["request"], one["response"], one.get("task")) for n, one in enumerate(found)]


class _Images(http.server.BaseHTTPRequestHandler):
    """Serves empty2g.qcow2 as the recorded Python server did."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/empty2g.qcow2":
            self.send_error(404, "File not found")
            return
        body = images.qcow2()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""


@contextlib.contextmanager
def image_server() -> t.Iterator[str]:
    """The recorded image server on a free loopback port; yields its base URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Images) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
