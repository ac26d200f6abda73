# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve a FakeCluster over TLS on a loopback address, from a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import tempfile
import threading
import typing as t
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from fakepve.certs import make_cert

from .cluster import FakeCluster
from .wire import Request

TOKEN = "root@pam!test"
SECRET = "11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True)
class Server:
    """A running server; ``cluster`` is the state behind it, read it freely between requests."""

    cluster: FakeCluster
    host: str
    port: int
    token_id: str
    token_secret: str
    user: str
    password: str
    ca_path: str
    fingerprint: str
    loop: asyncio.AbstractEventLoop

    @property
    def requests(self) -> list[Request]:
        return self.cluster.log

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}/api2/json"

    @property
    def token_header(self) -> dict[str, str]:
        return {"Authorization": f"PVEAPIToken={self.token_id}={self.token_secret}"}

    def reset_log(self) -> None:
        self.cluster.reset_log()

    def writes(self) -> list[Request]:
        return self.cluster.writes()

    def call(self, function: t.Callable[..., t.Any], *args: t.Any) -> t.Any:
        """Run a function, or await a coroutine function, in the server's thread and return its result."""

        async def run() -> t.Any:
            result = function(*args)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)


@contextlib.contextmanager
def serve(cluster: FakeCluster | None = None, *, host: str = "127.0.0.1", port: int = 0) -> t.Iterator[Server]:
    """Serve ``cluster`` (default: a fresh FakeCluster()) until the with-block ends; port 0 takes a free one."""
    cluster = cluster or FakeCluster()
    cluster.host, cluster.port = host, port
    secret = cluster.ensure_token(TOKEN, SECRET)
    with tempfile.TemporaryDirectory(prefix="fake-pve-tls-") as folder:
        cert, key, der = make_cert(folder, hosts=(host,))
        digest = hashlib.sha256(der).hexdigest().upper()
        fingerprint = ":".join(digest[i : i + 2] for i in range(0, 64, 2))
        thread = _Thread(cluster, cert, key)
        thread.begin()
        try:
            yield Server(
                cluster=cluster,
                host=host,
                port=cluster.port,
                token_id=TOKEN,
                token_secret=secret,
                user=cluster.user,
                password=cluster.password,
                ca_path=str(Path(cert)),
                fingerprint=fingerprint,
                loop=thread.loop,
            )
        finally:
            thread.finish()
            cluster.close()


class _Thread(threading.Thread):
    """The event loop of one server."""

    def __init__(self, cluster: FakeCluster, cert: str, key: str) -> None:
        super().__init__(name="fake-pve", daemon=True)
        self.cluster, self.cert, self.key = cluster, cert, key
        self.loop = asyncio.new_event_loop()
        self.up = threading.Event()
        self.failure: BaseException | None = None

    def begin(self) -> None:
        self.start()
        self.up.wait(30)
        if self.failure:
            raise self.failure

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._listen())
        except OSError as exc:
            self.failure = exc
            return
        finally:
            self.up.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self._drain())
        self.loop.close()

    async def _listen(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        # An idle connection is closed after 5 s (pve-http-server, AnyEvent.pm).
        runner = web.AppRunner(self.cluster._build_app(), keepalive_timeout=5, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, self.cluster.host, self.cluster.port, ssl_context=context).start()
        self.cluster.port = runner.addresses[0][1]
        self.cluster.runner = runner

    async def _drain(self) -> None:
        await self.cluster.runner.cleanup()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self.loop.shutdown_default_executor()

    def finish(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.join(30)
