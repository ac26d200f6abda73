# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files onto a storage: download-url, upload, query-url-metadata. Follows API2/Storage/Status.pm and Tools.pm.

Only loopback addresses are really asked; ``cluster.url_map`` {prefix: prefix} leads vendors' URLs to one.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import re
import secrets
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from aiohttp import BodyPartReader, web
from fakepve.model import TaskError
from fakepve.routing import die, param_error, split_list
from fakepve.server import USER
from fakepve.storage import _is_file

from . import images
from .wire import MATCH, PARAMS

ISO = re.compile(r"[^/]+\.(?:iso|img)", re.IGNORECASE)
TEMPLATE = re.compile(r"[^/]+\.tar\.(?:gz|xz|zst|bz2)")
IMPORT = re.compile(r"[a-zA-Z0-9\-.+=_]+\.(?:ova|qcow2|raw|vmdk)")
# qcow2, raw and vmdk came with pve-storage 8.3.6 (PVE 8.4); before, import took OVA files only.
IMPORT_8_3 = re.compile(r"[a-zA-Z0-9\-.+=_]+\.ova")
CHUNK = 1024 * 1024


class WgetError(Exception):
    """wget's exit code and the lines it printed."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(code)
        self.code = code
        self.lines = lines


class TransferMixin:
    """Mixin of FakeCluster: downloads and uploads."""

    def _init_transfer(self) -> None:
        self.url_map: dict[str, str] = {}

    def _routes_zz_transfer(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("POST", "/nodes/{node}/storage/{storage}/download-url", self._fetch_url),
            ("GET", "/nodes/{node}/query-url-metadata", self._url_metadata),
        ]

    # ------------------------------------------------------------------ URLs

    def real_url(self, url: str) -> str:
        """Where a URL leads; a host that is not on loopback cannot be resolved here."""
        for prefix, instead in self.url_map.items():
            if url.startswith(prefix):
                url = instead + url[len(prefix) :]
                break
        host = urllib.parse.urlsplit(url).hostname or ""
        if not (host == "localhost" or host.startswith("127.") or host == "::1"):
            raise WgetError(4, f"Resolving {host} ({host})... failed: Name or service not known.")
        return url

    def open_url(self, url: str) -> t.Any:
        """Raises WgetError as wget ends: 4 for the network, 8 for a refusal of the server."""
        target = urllib.parse.urlsplit(url)
        spot = f"Connecting to {target.hostname}:{target.port or (443 if target.scheme == 'https' else 80)}..."
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            return opener.open(self.real_url(url), timeout=30)
        except urllib.error.HTTPError as exc:
            sent = f"HTTP request sent, awaiting response... {exc.code} {exc.reason}"
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            raise WgetError(8, f"{spot} connected.", sent, f"{stamp} ERROR {exc.code}: {exc.reason}.") from exc
        except (urllib.error.URLError, OSError, http.client.HTTPException) as exc:
            raise WgetError(4, f"{spot} failed: {getattr(exc, 'reason', exc)}.") from exc

    async def _url_metadata(self, v: dict, user: str) -> dict[str, t.Any]:
        def ask() -> dict[str, t.Any]:
            with self.open_url(v["url"]) as reply:
                size, kind = reply.headers.get("Content-Length"), reply.headers.get("Content-Type")
                name = Path(urllib.parse.urlsplit(v["url"]).path).name
                found = re.search(r'filename="?([^";]+)', reply.headers.get("Content-Disposition", ""))
                return {
                    **({"size": int(size)} if size else {}),
                    **({"mimetype": kind.split(";")[0]} if kind else {}),
                    "filename": found.group(1) if found else name,
                }

        try:
            return await asyncio.to_thread(ask)
        except WgetError as exc:
            raise die(f"invalid server response: '{exc.lines[-1]}'") from exc

    # -------------------------------------------------------------- download

    async def _fetch_url(self, v: dict, user: str) -> str:
        storage, node = v["storage"], v["node"]
        store = self._active_store(storage, node)
        if not _is_file(store):
            raise die(f"can't upload to storage type '{store['type']}', not a file based storage!")
        if v["content"] not in split_list(store.get("content")):
            raise die(f"storage '{storage}' is not configured for content-type '{v['content']}'")
        name = self.checked_name(v["content"], v["filename"])
        volname = f"{v['content']}/{name}"

        async def body(log: list[str]) -> None:
            if v.get("compression") and v["content"] != "iso":
                raise TaskError(f"decompression not supported for {v['content']}")
            await asyncio.to_thread(self.download, v, volname, log)

        return await self.run_task(node, "download", name, user, body)

    def checked_name(self, content: str, filename: str) -> str:
        """The stored file name; raises 400 for a wrong extension."""
        name = re.sub(
            r"[^a-zA-Z0-9_.+=-]" if content == "import" else r"[^a-zA-Z0-9_.-]", "_", filename.rsplit("/", 1)[-1]
        )
        if content == "import":
            allowed = IMPORT_8_3 if self.release_version in ("8.2", "8.3") else IMPORT
            if not allowed.fullmatch(filename):
                raise param_error(filename="invalid filename or wrong extension")
        elif not {"iso": ISO, "vztmpl": TEMPLATE}[content].fullmatch(name):
            raise param_error(filename="wrong file extension")
        return name

    def download(self, v: dict, volname: str, log: list[str]) -> None:
        """download_file_from_url; in a thread."""
        storage, node, url = v["storage"], v["node"], v["url"]
        shown = self._volume_path(storage, volname, v["content"])
        log.append(f"downloading {url} to {shown}")
        expected, algorithm = v.get("checksum"), v.get("checksum-algorithm")
        existing = self.shelf(storage, node).get(volname)
        if existing is not None:
            if not algorithm:
                raise TaskError(f"refusing to override existing file '{shown}'")
            got = file_digest(existing.path, algorithm)
            if got != expected.lower():
                log.append("calculating checksum of existing file...")
                raise TaskError(f"checksum mismatch: got '{got}' != expect '{expected}', aborting")
            log.append("calculating checksum of existing file...OK, got correct file already, no need to download")
            return
        path = self.place(storage, node, volname)
        # A file for each task, as there (recorded): the same image may be on its way twice.
        part = path.with_name(f"{path.name}.tmp_dwnl.{secrets.token_hex(8)}")
        try:
            self.fetch(v, part, shown, log)
            if algorithm:
                got = file_digest(part, algorithm)
                if got != expected.lower():
                    log.append("calculating checksum...")
                    raise TaskError(f"checksum mismatch: got '{got}' != expect '{expected}'")
                log.append("calculating checksum...OK, checksum verified")
            check_image(part, volname, shown)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        self.enter(storage, node, volname, path)
        log.append(f"download of '{url}' to '{shown}' finished")

    def fetch(self, v: dict, part: Path, shown: str, log: list[str]) -> None:
        """wget, with its log."""
        url, storage, node = v["url"], v["storage"], v["node"]
        log.append(f"--{time.strftime('%Y-%m-%d %H:%M:%S')}--  {url}")
        temporary = f"{shown}.tmp_dwnl.{secrets.randbelow(30000)}"
        try:
            with self.open_url(url) as reply, part.open("wb") as out:
                length, kind = reply.headers.get("Content-Length"), reply.headers.get("Content-Type", "")
                target = urllib.parse.urlsplit(url)
                log.append(f"Connecting to {target.hostname}:{target.port or 80}... connected.")
                log.append(f"HTTP request sent, awaiting response... {reply.status} {reply.reason}")
                size = f"{length} ({int(length) // 1024}K)" if length else "unspecified"
                log.append(f"Length: {size} [{kind}]")
                log.append(f"Saving to: '{temporary}'")
                done = self.pump(reply, out, storage, node)
        except WgetError as exc:
            log.extend(exc.lines)
            raise TaskError(f"download failed: exit code {exc.code}") from exc
        log.append("     0K                                    100%  200M=0.001s")
        log.append(f"{time.strftime('%Y-%m-%d %H:%M:%S')} (200 MB/s) - '{temporary}' saved [{done}/{length or done}]")

    def pump(self, reply: t.Any, out: t.BinaryIO, storage: str, node: str) -> int:
        done = 0
        while chunk := reply.read(CHUNK):
            out.write(chunk)
            done += len(chunk)
            if done > self.space(storage, node)[2]:
                raise WgetError(3, "Cannot write to file: No space left on device.")
        expected = reply.headers.get("Content-Length")
        if expected and done != int(expected):
            raise WgetError(4, f"Connection closed at byte {done}. Giving up.")
        return done

    # ---------------------------------------------------------------- upload

    async def _upload(self, request: web.Request) -> web.Response:
        """POST multipart: content, filename (the file), checksum, checksum-algorithm."""
        names = request[MATCH].params
        fields: dict[str, t.Any] = {}
        request[PARAMS] = fields
        holder = self.workdir / f"pveupload-{secrets.token_hex(16)}"
        try:
            async for part in await request.multipart():
                if isinstance(part, BodyPartReader) and part.filename is not None:
                    fields["filename"] = part.filename
                    await save_part(part, holder)
                elif isinstance(part, BodyPartReader):
                    fields[str(part.name)] = await part.text()
            info = request[MATCH].methods["POST"]
            values = self.verify(info.get("parameters"), {**fields, **names})
            upid = await self.store_upload(values, request[USER], holder)
        finally:
            holder.unlink(missing_ok=True)
        return web.json_response({"data": upid})

    async def store_upload(self, v: dict, user: str, holder: Path) -> str:
        storage, node, content = v["storage"], v["node"], v["content"]
        store = self._active_store(storage, node)
        if not _is_file(store):
            raise die(f"can't upload to storage type '{store['type']}'")
        if content not in split_list(store.get("content")):
            raise die(f"storage '{storage}' does not support '{content}' content")
        if not holder.exists():
            raise die("missing temporary file name")
        name = self.checked_name(content, v["filename"])
        volname, size = f"{content}/{name}", holder.stat().st_size
        shown, temporary = self._volume_path(storage, volname, content), f"/var/tmp/{holder.name}"
        kept = holder.rename(holder.with_suffix(".kept"))

        async def body(log: list[str]) -> None:
            log += [f"starting file import from: {temporary}", f"target node: {node}", f"target file: {shown}"]
            log.append(f"file size is: {size}")
            if v.get("checksum-algorithm"):
                got = file_digest(kept, v["checksum-algorithm"])
                if got != v["checksum"].lower():
                    raise TaskError(f"checksum mismatch: got '{got}' != expect '{v['checksum']}'")
                log.append("calculating checksum...OK, checksum verified")
            if content == "import":
                check_image(kept, volname, shown)
            self.need_space(storage, node, size)
            log.append(f"command: cp -- {temporary} {shown}")
            path = self.place(storage, node, volname)
            kept.replace(path)
            self.enter(storage, node, volname, path)
            log.append("finished file import successfully")

        return await self.run_task(node, "imgcopy", "", user, body)


async def save_part(part: BodyPartReader, path: Path) -> None:
    with path.open("wb") as out:
        while chunk := await part.read_chunk(CHUNK):
            out.write(chunk)


def file_digest(path: Path | None, algorithm: str) -> str:
    if path is None:
        raise TaskError("unable to compute checksum of a file without content")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def check_image(path: Path, volname: str, shown: str) -> None:
    """An image for import is opened as its extension says; raw takes anything (recorded)."""
    if not volname.startswith("import/") or volname.rsplit(".", 1)[-1] != "qcow2":
        return
    seen = images.probe(path)
    if seen.format != "qcow2":
        raise TaskError(
            f"failed to query file information with qemu-img: Could not open '{shown}': not in qcow2 format"
        )
    if seen.backing:
        raise TaskError(f"backing file not allowed for untrusted image '{shown}'!")
