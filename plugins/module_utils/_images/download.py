# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One verified file on disk: resumed where it was cut, hashed while it is written, never taken for whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from .._model.image import Digest, ResolvedImage
from .errors import DigestMismatch, FetchFailed, LockTimeout, NoSpace, TooBig, Truncated, WorkDirectory
from .http import CHUNK, Clock, Http
from .qcow2 import describe_other
from .urls import display_url

Progress = Callable[[str, int, "int | None"], None]
"""Called with a stage (C(download), C(unpack), C(verify)), the bytes done and the bytes in all, where known."""

RESERVE = 64 * 2**20
"""Bytes that stay free on the work directory's file system."""
_SPACE_EVERY = 64 * 2**20
_BLOCK = 2**16
_ZEROS = bytes(_BLOCK)
_MAX_CUTS = 3
"""Cuts in a row without a single new byte before giving up."""


def free_bytes(directory: Path) -> int:
    """What an ordinary user may still write there, in bytes."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def need_space(directory: Path, size: int, *, what: str) -> None:
    """Raises NoSpace unless C(size) bytes and the reserve fit."""
    free = free_bytes(directory)
    if free < size + RESERVE:
        raise NoSpace(
            f"{directory} has {free // 2**20} MiB free, but {what} needs {(size + RESERVE) // 2**20} MiB; make room "
            f"or choose another work directory"
        )


class SparseFile:
    """A file being written: holes for blocks of zeros, a hash of everything from its first byte on.

    Opened with C(keep), it continues behind what is there. Whatever happens, it ends where the writing ended. Raises
    NoSpace and WorkDirectory.
    """

    def __init__(self, path: Path, algorithms: Iterable[str] = (), *, keep: bool = False) -> None:
        self.path = path
        self.position = 0
        self._algorithms = frozenset({*algorithms, "sha256"})
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in self._algorithms}
        self._keep = keep
        self._checked = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> SparseFile:
        with _disk_errors(self.path):
            self._file = self.path.open("r+b" if self._keep and self.path.exists() else "w+b")
            while piece := self._file.read(CHUNK):
                self._hash(piece)
                self.position += len(piece)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _disk_errors(self.path), self._open() as file:
            file.truncate(self.position)
            if kind is None:
                file.flush()
                os.fsync(file.fileno())

    def digest(self, algorithm: str) -> Digest:
        return Digest(algorithm, self._hashes[algorithm].hexdigest())

    def restart(self) -> None:
        """Forget what was written."""
        with _disk_errors(self.path):
            self._open().seek(0)
            self._open().truncate(0)
        self.position = self._checked = 0
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in self._algorithms}

    def write(self, data: bytes) -> None:
        self._hash(data)
        file = self._open()
        with _disk_errors(self.path):
            for start in range(0, len(data), _BLOCK):
                block = data[start : start + _BLOCK]
                if block == _ZEROS[: len(block)]:
                    file.seek(len(block), os.SEEK_CUR)
                else:
                    file.write(block)
                self.position += len(block)
        if self.position - self._checked >= _SPACE_EVERY:
            self._checked = self.position
            need_space(self.path.parent, 0, what=self.path.name)

    def _hash(self, data: bytes) -> None:
        for hasher in self._hashes.values():
            hasher.update(data)

    def _open(self) -> BinaryIO:
        if self._file is None:
            raise WorkDirectory(f"{self.path} is not open")
        return self._file


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloader:
    """Brings one file to a C(.part) path, whose neighbour C(.part.json) remembers what a later run needs to resume."""

    http: Http
    clock: Clock
    progress: Progress
    limit: int
    """The most that a file may have, in bytes."""

    def run(self, resolved: ResolvedImage, part: Path) -> Digest:
        """Download or complete the file and verify it; returns its sha256. Raises DownloadError, SourceError."""
        resumed = part.exists()
        try:
            return self._once(resolved, part)
        except DigestMismatch:
            forget(part)
            if not resumed:
                raise
        except BaseException:
            if part.exists() and not part.stat().st_size:
                forget(part)
            raise
        return self.run(resolved, part)  # what an earlier run had left was of something else

    def _once(self, resolved: ResolvedImage, part: Path) -> Digest:
        algorithm = resolved.digest.algorithm
        with SparseFile(part, (algorithm,), keep=True) as file:
            if not file.position or file.digest(algorithm) != resolved.digest:
                self._complete(resolved, file)
        if file.digest(algorithm) != resolved.digest:
            raise DigestMismatch(_mismatch(resolved, part, file.digest(algorithm), file.position))
        return file.digest("sha256")

    def _complete(self, resolved: ResolvedImage, file: SparseFile) -> None:
        cuts = 0
        while True:
            before = file.position
            try:
                self._transfer(resolved, file)
                return
            except FetchFailed as exc:
                cuts = 0 if file.position > before else cuts + 1
                if not exc.transient or (cuts >= _MAX_CUTS and not file.position):
                    raise
                if cuts >= _MAX_CUTS:
                    raise Truncated(
                        f"{exc.message}. The first {file.position} bytes are kept in {file.path}; "
                        f"the next run goes on there"
                    ) from exc
            self.clock.sleep(min(0.5 * 2.0**cuts, 10.0))

    def _transfer(self, resolved: ResolvedImage, file: SparseFile) -> None:
        url = resolved.url
        with self.http.stream(url, file.position, validator=_validator(file.path, url)) as stream:
            if stream.offset != file.position:
                file.restart()
            if stream.total is not None:
                self._check_size(resolved, stream.total, file)
            _remember(file.path, url, stream.validator)
            for chunk in stream.chunks:
                file.write(chunk)
                self._check_limit(url, file.position)
                self.progress("download", file.position, stream.total)
            if stream.total is not None and file.position < stream.total:
                raise FetchFailed(
                    f"{display_url(url)}: the transfer was cut after {file.position} of {stream.total} bytes"
                )

    def _check_size(self, resolved: ResolvedImage, total: int, file: SparseFile) -> None:
        self._check_limit(resolved.url, total)
        if resolved.size is not None and total != resolved.size:
            raise DigestMismatch(
                f"{display_url(resolved.url)} has {total} bytes, but the vendor's list says {resolved.size}: list and "
                f"file are of different builds; resolve again, or choose another mirror"
            )
        need_space(file.path.parent, total - file.position, what=display_url(resolved.url))

    def _check_limit(self, url: str, size: int) -> None:
        if size > self.limit:
            raise TooBig(f"{display_url(url)} has more than {self.limit} bytes, more than any image may have")


def forget(part: Path) -> None:
    """Remove a partial file and its notes."""
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """The whole text or nothing, also after a power cut."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        with _disk_errors(path):
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, clock: Clock, timeout: float) -> Iterator[None]:
    """Hold a lock file against other threads and processes, waiting up to C(timeout) seconds. Raises LockTimeout."""
    deadline = clock.monotonic() + timeout
    while (handle := _try_lock(path)) is None:
        if clock.monotonic() >= deadline:
            raise LockTimeout(
                f"another process ({_holder(path)}) has been working on the same image for {timeout:g} s; wait for it, "
                f"or end it. Its lock is {path}"
            )
        clock.sleep(0.5)
    try:
        os.truncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _try_lock(path: Path) -> int | None:
    with _disk_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The former holder removes the file, so what is locked now may be a file that nobody else finds.
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:100] or "unknown"
    except OSError:
        return "unknown"


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remember(part: Path, url: str, validator: str | None) -> None:
    """Only a hash of the URL goes to disk, because URLs can carry credentials."""
    notes = {"url": hashlib.sha256(url.encode()).hexdigest(), "validator": validator}
    write_atomically(_notes(part), json.dumps(notes))


def _validator(part: Path, url: str) -> str | None:
    """What C(If-Range) needs to resume this URL; the digest decides in any case."""
    try:
        notes = json.loads(_notes(part).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(notes, dict) or notes.get("url") != hashlib.sha256(url.encode()).hexdigest():
        return None
    validator = notes.get("validator")
    return validator if isinstance(validator, str) else None


def _mismatch(resolved: ResolvedImage, part: Path, found: Digest, size: int) -> str:
    with part.open("rb") as file:
        other = describe_other(file.read(4096))
    what = f" (what came is {other})" if other and "archive" not in other else ""
    return (
        f"{display_url(resolved.url)}: the {size} bytes received{what} have {found}, but the vendor's checksum is "
        f"{resolved.digest}. A mirror or cache may lag behind: resolve again, then try another mirror"
    )


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoSpace(
                f"{path} cannot be written: {exc.strerror}; make room or choose another work directory"
            ) from exc
        raise WorkDirectory(f"{path} cannot be written: {exc.strerror or exc}") from exc
