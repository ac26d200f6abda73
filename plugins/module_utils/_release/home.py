# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases side by side, and which of them is the current one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from . import durable
from .errors import ReleaseError
from .source import RECORD

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What a finished release says of itself. It is written last: a release without it is half made."""

    schema: int
    name: str
    version: str
    commit: str
    digest: str
    python: str
    made: str

    @staticmethod
    def read(release: Path) -> Record | None:
        """Nothing where there is no record, or none that this version understands."""
        try:
            loaded = json.loads((release / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        names = {field.name for field in fields(Record)}
        if not isinstance(loaded, dict) or loaded.get("schema") != SCHEMA or not names <= loaded.keys():
            return None
        return Record(**{name: loaded[name] for name in names})

    def write(self, release: Path) -> None:
        durable.write_text(release / RECORD, json.dumps(asdict(self), indent=2) + "\n")


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds them, /opt/homelab."""

    root: Path

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def current(self) -> Path:
        return self.root / "current"

    def release(self, name: str) -> Path:
        return self.releases / name

    def current_name(self) -> str:
        """Empty where nothing is current."""
        try:
            return Path(os.readlink(self.current)).name
        except OSError:
            return ""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time; the second is told so. The kernel drops the lock of a process that is killed."""
        self.releases.mkdir(mode=0o755, parents=True, exist_ok=True)
        with (self.releases / ".lock").open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise ReleaseError(
                    f"another run works on {self.releases} right now; try again when it is done"
                ) from exc
            yield

    def switch(self, name: str) -> bool:
        """Make a finished release the current one. Returns whether it had to change. Raises ReleaseError."""
        if Record.read(self.release(name)) is None:
            raise ReleaseError(f"{self.release(name)} is no finished release; make it first")
        if self.current.exists() and not self.current.is_symlink():
            raise ReleaseError(f"{self.current} is no symbolic link; move it away, it is not of this project")
        return durable.point(self.current, f"releases/{name}")

    def surplus(self, keep: int) -> list[str]:
        """Releases that may go: half-made ones, and finished ones beyond the newest C(keep). Never the current one."""
        if not self.releases.is_dir():
            return []
        current = self.current_name()
        names = [entry.name for entry in self.releases.iterdir() if entry.is_dir() and entry.name != current]
        records = {name: Record.read(self.release(name)) for name in names}
        finished = sorted((record.made, name) for name, record in records.items() if record is not None)
        old = [name for _made, name in finished[: max(len(finished) - max(keep - 1, 0), 0)]]
        return sorted([*old, *(name for name, record in records.items() if record is None)])

    def remove(self, name: str) -> None:
        """Remove one release; what a kill leaves of it is a half-made one."""
        release = self.release(name)
        (release / RECORD).unlink(missing_ok=True)
        shutil.rmtree(release)
