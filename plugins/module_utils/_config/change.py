# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of files, decided before anything is written: what differs, what would be wrong, how it is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .backups import Backup, Base, base_of, write_backup
from .disk import Disk
from .documents import parse, read_text
from .keys import Key, show_key
from .load import Effective, LayerFile, load
from .paths import Paths
from .problems import ConfigError, Problem
from .schema import SECTIONS, UNSET
from .secrets import CHANGED, HIDDEN, is_reference, masked


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Site:
    """Where the configuration is, and what it is written with."""

    paths: Paths
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    disk: Disk = field(default_factory=Disk)
    now: Callable[[], datetime] = _now

    def base(self, name: str) -> Base:
        return base_of(self.paths, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """New texts of files that differ from those on disk, None for a file to be removed.

    C(before) and C(after) hold only what differs, by file and key, secrets hidden.
    """

    base: str
    reason: str
    texts: Mapping[Path, str | None] = field(default_factory=dict)
    former: Mapping[Path, str | None] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    """What is wrong with the files as they would be, and was not before."""
    notes: tuple[str, ...] = ()
    effective: Effective
    """All layers as they would be."""

    def steps(self) -> list[str]:
        return [f"remove {path}" if text is None else f"write {path}" for path, text in self.ordered()]

    def ordered(self) -> list[tuple[Path, str | None]]:
        """The system's file, which may name a profile, after the profiles; removals at the end."""
        return sorted(self.texts.items(), key=lambda item: (item[1] is None, item[0].name == "system.yml", item[0]))


def layer_file(paths: Paths, layer: str) -> LayerFile:
    """The file that C(system), C(user), C(profile:NAME) or C(module:SECTION) means. Raises ConfigError."""
    kind, _colon, name = layer.partition(":")
    if layer == "system":
        return LayerFile("system", paths.system_file)
    if layer == "user":
        return LayerFile("user", paths.user_file)
    if kind == "profile" and is_profile_name(name):
        return LayerFile("profile", paths.profile_file(name), profile=name)
    if kind == "module" and name in SECTIONS:
        return LayerFile("module", paths.module_file(name), section=name)
    wanted = f"module:SECTION with one of {', '.join(SECTIONS)}" if kind == "module" else "system, user, profile:NAME"
    suggestion = f"Give {wanted}." if kind == "module" else f"Give one of {wanted}, module:SECTION."
    raise ConfigError(
        [Problem(message=f"{layer!r} is no layer that has a file", source="layer", suggestion=suggestion)]
    )


def is_profile_name(name: str) -> bool:
    return bool(name) and name[0].isalnum() and name.isascii() and all(c.isalnum() or c in "_.-" for c in name)


def base_name(layer: str) -> str:
    return "user" if layer == "user" else "system"


def compare(
    site: Site, base: str, texts: Mapping[Path, str | None], *, reason: str, notes: tuple[str, ...] = ()
) -> Change:
    """What it would mean for files to have these texts."""
    former = {path: read_text(path, "") for path in texts}
    differing = {path: text for path, text in texts.items() if text != former[path]}
    old, new = load(site.paths, site.environ), load(site.paths, site.environ, texts=differing)
    known = {replace(problem, line=None) for problem in old.problems}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for path, text in differing.items():
        _differences(_label(site, path), former[path], text, before, after)
    return Change(
        base=base,
        reason=reason,
        texts=differing,
        former={path: former[path] for path in differing},
        before=before,
        after=after,
        problems=tuple(one for one in _found(site, new, differing) if replace(one, line=None) not in known),
        notes=(*notes, *new.notes),
        effective=new,
    )


def _found(site: Site, new: Effective, texts: Mapping[Path, str | None]) -> Iterator[Problem]:
    """Problems of what applies now, and of profiles that do not."""
    yield from new.problems
    for path, text in texts.items():
        if text is not None and path.parent == site.paths.profiles and path.stem != new.profile:
            yield from (one for one in load(site.paths, site.environ, profile=path.stem, texts=texts).problems)


def _label(site: Site, path: Path) -> str:
    folder = site.paths.user if path.is_relative_to(site.paths.user) else site.paths.etc
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _differences(label: str, old: str | None, new: str | None, before: dict[str, Any], after: dict[str, Any]) -> None:
    """By key; texts that say the same with other comments, or that cannot be read, differ as a whole."""
    one, other = _flat_text(old), _flat_text(new)
    different = [key for key in {**one, **other} if one.get(key, UNSET) != other.get(key, UNSET)]
    for key in different:
        shown = [_shown(values, key) for values in (one, other)]
        if shown[0] == shown[1]:
            shown[1] = _renewed(shown[1])
        name = f"{label}: {show_key(key)}"
        before[name], after[name] = shown
    if not different or (old is None) != (new is None):
        before[label] = "absent" if old is None else "present"
        after[label] = "absent" if new is None else "present, written anew" if old is not None else "present"


def _shown(values: Mapping[Key, Any], key: Key) -> Any:
    """None for what is not said, words for what is taken back."""
    return "back to the default" if key in values and values[key] is None else masked(values.get(key), key)


def _flat_text(text: str | None) -> dict[Key, Any]:
    return dict(flat(parse(text or "", "").data))


def flat(data: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Places and values; lists, references and empty mappings are values."""
    if isinstance(data, Mapping) and data and not is_reference(data):
        for name, inner in data.items():
            yield from flat(inner, (*key, name))
    elif key:
        yield key, data


def _renewed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _renewed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renewed(inner) for inner in value]
    return CHANGED if value == HIDDEN else value


def carry_out(site: Site, base: str, decide: Callable[[], Change]) -> tuple[Change, Backup | None]:
    """Decide once more, now that nobody else writes, back up what is there, and write.

    Raises ConfigError and OSError. Killed at any point, each file is the old or the new one, and what was there is in a
    backup.
    """
    where = site.base(base)
    with site.disk.locked(where.folder):
        change = decide()
        if change.problems:
            raise ConfigError(change.problems)
        if not change.texts:
            return change, None
        backup = back_up(site, where, change.former, change.reason, change.effective)
        for path, text in change.ordered():
            if text is None:
                site.disk.remove(path)
            else:
                site.disk.replace(path, text.encode())
        return change, backup


def back_up(site: Site, base: Base, files: Mapping[Path, str | None], reason: str, effective: Effective) -> Backup:
    """Write a backup; the lock has to be held."""
    keep = effective.value("config.keep_backups")
    return write_backup(
        site.disk, base, files, reason=reason, now=site.now(), keep=keep if isinstance(keep, int) else 1
    )
