# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing files so that a kill at any point leaves the old one or the new one: every step on the disk, one by one.

C(probe) is called before and after each step; the tests end the process there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from .problems import ConfigError, Problem

T = TypeVar("T")
Probe = Callable[[str], None]

FILE_MODE = 0o600
_TEMPORARY = ".homelab-tmp"
_LOCK_PATIENCE = 30.0
_LOCK_PAUSE = 0.05


def _nothing(_step: str) -> None:
    return None


class Disk:
    """The steps. All errors are OSError, except for a lock that is not to be had."""

    def __init__(self, probe: Probe = _nothing) -> None:
        self._probe = probe

    def _step(self, name: str, act: Callable[[], T]) -> T:
        self._probe(f"before {name}")
        result = act()
        self._probe(f"after {name}")
        return result

    def make_folder(self, folder: Path, mode: int = 0o750) -> None:
        """The folder and those above it; only new ones get the mode, and the owner of what they are in."""
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            self._step(f"mkdir {one.name}", lambda one=one: _make_folder(one, mode))  # type: ignore[misc]
            self._sync_folder(one.parent)

    @contextmanager
    def locked(self, folder: Path) -> Iterator[None]:
        """Nobody else writes below the folder meanwhile. The kernel takes the lock away from whoever dies."""
        self.make_folder(folder)
        path = folder / ".lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        try:
            _give(handle, folder)
            self._step("lock", lambda: _take(handle, path))
            yield
        finally:
            os.close(handle)

    def replace(self, path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
        """Put a file in place of what is there; mode and owner of what is there are kept, and so is a link to it.

        A new file belongs to the owner of its folder: what root writes for a service account, that account can read.
        """
        target = _target(path)
        self.make_folder(target.parent)
        self.sweep(target.parent)
        former = _status(target)
        temporary = target.parent / f".{target.name}.{os.getpid()}{_TEMPORARY}"
        handle = self._step(f"create {target.name}", lambda: _create(temporary))
        try:
            self._fill(handle, data, target.name)
            self._step(f"mode {target.name}", lambda: _dress(handle, former, mode, target.parent))
            self._step(f"fsync {target.name}", lambda: os.fsync(handle))
            self._step(f"rename {target.name}", lambda: os.replace(temporary, target))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        self._sync_folder(target.parent)

    def _fill(self, handle: int, data: bytes, name: str) -> None:
        """In two writes, so that a kill in the middle of a file can be tried."""
        middle = len(data) // 2
        for part in (data[:middle], data[middle:]):
            self._step(f"write {name}", lambda part=part: _write_all(handle, part))  # type: ignore[misc]

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        if path.exists() or path.is_symlink():
            self._step(f"unlink {path.name}", path.unlink)
            self._sync_folder(path.parent)

    def sweep(self, folder: Path) -> None:
        """Remove what killed writers left in a folder: files that nobody holds any more."""
        for left in folder.glob(f".*{_TEMPORARY}"):
            self._step(f"sweep {folder.name}", lambda left=left: _remove_if_left(left))  # type: ignore[misc]

    def _sync_folder(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._step(f"fsync folder {folder.name}", lambda: os.fsync(handle))
        finally:
            os.close(handle)


def _take(handle: int, path: Path) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                text = f"another process has been writing for more than {_LOCK_PATIENCE:.0f} s"
                hint = f"See who holds it: fuser {path}"
                raise ConfigError([Problem(message=text, source=str(path), suggestion=hint)]) from None
            time.sleep(_LOCK_PAUSE)


def _create(path: Path) -> int:
    """A new file, held by a lock as long as it is open, which tells it from one that was left."""
    while True:
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle
        # Somebody swept it before the lock was there.
        os.close(handle)


def _remove_if_left(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been renamed, and the name taken anew, since it was opened.
        if os.fstat(handle).st_ino == path.stat().st_ino:
            path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return
    finally:
        os.close(handle)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _target(path: Path) -> Path:
    """What a link leads to. A link of somebody else must not lead root's writes to another file."""
    if path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, "is a link that belongs to another user", str(path))
    return Path(os.path.realpath(path))


def _make_folder(folder: Path, mode: int) -> None:
    folder.mkdir(mode=mode, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _give(handle, folder.parent)
    finally:
        os.close(handle)


def _give(handle: int, folder: Path) -> None:
    """To the owner of the folder it is in, where root has made it."""
    status = folder.stat()
    if os.geteuid() == 0 and os.fstat(handle).st_uid != status.st_uid:
        os.fchown(handle, status.st_uid, status.st_gid)


def _dress(handle: int, former: os.stat_result | None, mode: int, folder: Path) -> None:
    """Mode and owner of the former file. Owners differ only where root writes the file of somebody else."""
    if former is None:
        _give(handle, folder)
        return os.fchmod(handle, mode)
    now = os.fstat(handle)
    if (former.st_uid, former.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(handle, former.st_uid, former.st_gid)
    return os.fchmod(handle, stat.S_IMODE(former.st_mode))


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
