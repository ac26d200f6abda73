# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers, read again only when a file or the environment has changed: Ansible asks for each task and host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from .load import PREFIX, PROFILE_VARIABLE, Effective, load
from .paths import Paths

Mark = tuple[object, ...]

_KEPT: dict[Paths, tuple[Mark, Effective]] = {}


def load_again(paths: Paths, environ: Mapping[str, str]) -> Effective:
    """What load() returns, from memory where nothing has changed."""
    mark = tuple(_marks(paths, environ))
    kept = _KEPT.get(paths)
    if kept is None or kept[0] != mark:
        kept = (mark, load(paths, environ))
        _KEPT[paths] = kept
    return kept[1]


def _marks(paths: Paths, environ: Mapping[str, str]) -> Iterator[Mark]:
    for name in sorted(environ):
        if name.startswith(PREFIX) or name == PROFILE_VARIABLE:
            yield (name, environ[name])
    # A folder's own time says that a file came, went or was replaced; the file's, that it was written in place.
    for folder in (paths.modules, paths.profiles):
        yield from _files(folder)
    for path in (paths.system_file, paths.user_file):
        yield _mark(path)


def _files(folder: Path) -> Iterator[Mark]:
    mark = _mark(folder)
    yield mark
    if len(mark) > 1:
        yield from (_mark(path) for path in sorted(folder.glob("*.yml")))


def _mark(path: Path) -> Mark:
    try:
        found = path.stat()
    except OSError:
        return (path,)
    return (path, found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
