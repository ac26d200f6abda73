# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of the configuration: one file each, whole or not there, readable by its owner only, the oldest ones go."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .disk import Disk
from .documents import read_text
from .paths import Paths
from .problems import ConfigError, Problem

FORMAT = "homelab.proxmox/backup"
VERSION = 1
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(r"(?P<stamp>\d{8}T\d{6}\.\d{6}Z)-(?P<digest>[0-9a-f]{8})\.json")


@dataclass(frozen=True, slots=True)
class Base:
    """Files that are written and backed up together, under one lock: the system's, or the user's."""

    name: str
    folder: Path
    backups: Path

    def files(self) -> list[Path]:
        """Every file of the configuration that is there. Connection files, which are secrets, are not among them."""
        if self.name == "user":
            found = [self.folder / "user.yml"]
        else:
            found = [self.folder / "system.yml"]
            found += [
                path for name in ("modules", "profiles", "actions.d") for path in (self.folder / name).glob("*.yml")
            ]
        return sorted(path for path in found if path.is_file())


def base_of(paths: Paths, name: str) -> Base:
    """C(system) or C(user)."""
    if name == "user":
        return Base("user", paths.user, paths.user_backups)
    return Base("system", paths.etc, paths.backups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What files were like; None for a file that was not there."""

    id: str
    made: str
    reason: str
    base: str
    files: Mapping[str, str | None]

    def summary(self) -> dict[str, Any]:
        """For people: without contents."""
        return {"id": self.id, "made": self.made, "reason": self.reason, "files": sorted(self.files)}


def contents_digest(base: str, files: Mapping[str, str | None]) -> str:
    raw = json.dumps({"base": base, "files": files}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(raw.encode()).hexdigest()


def write_backup(
    disk: Disk, base: Base, files: Mapping[Path, str | None], *, reason: str, now: datetime, keep: int
) -> Backup:
    """Write a backup, then remove the oldest ones but C(keep). The lock of the base has to be held."""
    contents = {str(path.relative_to(base.folder)): text for path, text in files.items()}
    digest = contents_digest(base.name, contents)
    stamp = _after_the_newest(base, now).strftime(_STAMP)
    backup = Backup(id=f"{stamp}-{digest[:8]}", made=now.isoformat(), reason=reason, base=base.name, files=contents)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "made": backup.made,
        "reason": reason,
        "base": base.name,
        "files": contents,
        "digest": f"sha256:{digest}",
    }
    disk.make_folder(base.backups, 0o700)
    disk.replace(base.backups / f"{backup.id}.json", json.dumps(document, indent=1).encode() + b"\n")
    for old in backup_files(base)[: -max(keep, 1)]:
        disk.remove(old)
    return backup


def _after_the_newest(base: Base, now: datetime) -> datetime:
    """The time, or just after the newest backup: a clock that was set back must not make this one the oldest."""
    newest = [path.name.partition("-")[0] for path in backup_files(base)[-1:]]
    last = [datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC) + timedelta(microseconds=1) for stamp in newest]
    return max([now.astimezone(UTC), *last])


def backup_files(base: Base) -> list[Path]:
    """The files of the backups, oldest first."""
    return sorted(path for path in base.backups.glob("*.json") if _NAME.fullmatch(path.name))


def list_backups(base: Base) -> list[Backup]:
    """Every backup that can be read, oldest first."""
    found = []
    for path in backup_files(base):
        try:
            found.append(read_backup(base, path.stem))
        except ConfigError:
            continue
    return found


def read_backup(base: Base, backup_id: str) -> Backup:
    """A backup by its id, or C(latest). Raises ConfigError when it is not there or not what was written."""
    path = _path_of(base, backup_id)
    text = read_text(path, "")
    if text is None:
        there = ", ".join(one.stem for one in backup_files(base)[-3:])
        hint = f"The newest are {there}." if there else "There is none yet."
        raise _refused(path, f"there is no backup {backup_id}", hint)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _refused(path, f"is no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("version") != VERSION:
        raise _refused(path, f"is no backup of version {VERSION}")
    files = found.get("files")
    if not isinstance(files, dict) or found.get("digest") != f"sha256:{contents_digest(str(found['base']), files)}":
        raise _refused(path, "was changed since it was written: its digest does not fit", "Take another one.")
    if found["base"] != base.name:
        raise _refused(path, f"is a backup of the {found['base']}'s files, not of the {base.name}'s")
    return Backup(id=path.stem, made=found["made"], reason=found["reason"], base=base.name, files=files)


def _path_of(base: Base, backup_id: str) -> Path:
    if backup_id == "latest":
        files = backup_files(base)
        if files:
            return files[-1]
    if backup_id != "latest" and not _NAME.fullmatch(f"{backup_id}.json"):
        raise _refused(base.backups, f"{backup_id!r} is no id of a backup")
    return base.backups / f"{backup_id}.json"


def _refused(path: Path, message: str, suggestion: str = "") -> ConfigError:
    return ConfigError([Problem(message=message, source=str(path), suggestion=suggestion)])
