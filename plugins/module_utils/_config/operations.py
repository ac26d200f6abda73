# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done to the configuration: each decides a Change, which change.carry_out() writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .backups import Backup, list_backups, read_backup
from .change import Change, Site, back_up, base_name, compare, flat, layer_file
from .coerce import coerce
from .documents import parse, read_text
from .edit import edited
from .keys import Key, show_key
from .load import known, load
from .migrations import MIGRATIONS, Migration, migrated_text
from .problems import ConfigError, Problem
from .schema import SCHEMA_VERSION, UNSET, subschema

_REWRITTEN = "{path}: was written anew and lost its comments; the backup has them"


def set_values(
    site: Site,
    layer: str,
    values: Mapping[str, Any] | None = None,
    *,
    absent: Iterable[str] = (),
    reset: Iterable[str] = (),
) -> Change:
    """Have a layer say C(values) (sections with options), nothing of C(absent), and take back C(reset) to the default.

    Raises ConfigError for keys that are not known and texts that cannot be what the schema wants.
    """
    file = layer_file(site.paths, layer)
    text = read_text(file.path, file.layer)
    document = parse(text or "", str(file.path), file.layer)
    if document.problems:
        raise ConfigError(document.problems)
    changes = _changes(values or {}, absent, reset)
    if text is None and any(value is not UNSET for _key, value in changes):
        text = f"schema_version: {SCHEMA_VERSION}\n"
    edit = edited(text or "", changes)
    notes = () if edit.faithful else (_REWRITTEN.format(path=file.path),)
    new = None if text is None else edit.text
    what = f"set {', '.join(show_key(key) for key, _value in changes)}"
    change = compare(site, base_name(layer), {file.path: new}, reason=what, notes=notes)
    return _with_overrules(change, file.layer, [key for key, value in changes if value is not UNSET])


def _changes(values: Mapping[str, Any], absent: Iterable[str], reset: Iterable[str]) -> list[tuple[Key, Any]]:
    """All of them, or all that is wrong with them."""
    found: list[tuple[Key, Any]] = []
    problems: list[Problem] = []
    given: list[tuple[Key | str, Any]] = list(flat(values))
    given += [*((key, UNSET) for key in absent), *((key, None) for key in reset)]
    for given_key, value in given:
        try:
            key = known(given_key)
            found.append((key, value if value is UNSET else coerce(value, subschema(key), key)))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    twice = {key for number, (key, _value) in enumerate(found) if key in [one for one, _v in found[:number]]}
    if twice:
        raise ConfigError([Problem(message="is given twice", key=key) for key in sorted(twice, key=str)])
    return found


def _with_overrules(change: Change, layer: str, keys: list[Key]) -> Change:
    """Warn where a higher layer has its own say, so that what was just set does not hold."""
    notes = list(change.notes)
    for key in keys:
        try:
            said = change.effective.explain(key)
        except ConfigError:
            continue
        if said and said[-1].layer not in (layer, "default"):
            where = said[-1].source if said[-1].line is None else f"{said[-1].source}:{said[-1].line}"
            notes.append(f"{show_key(key)}: {where} has the last word")
    return replace(change, notes=tuple(dict.fromkeys(notes)))


def back_up_all(site: Site, base: str, reason: str) -> tuple[Backup, bool]:
    """A backup of every file of the system or the user; none is made where the newest one holds just that."""
    where = site.base(base)
    with site.disk.locked(where.folder):
        found = fresh_backup(site, base)
        if found is not None:
            return found, False
        files = {path: read_text(path, "") for path in where.files()}
        return back_up(site, where, files, reason, load(site.paths, site.environ)), True


def fresh_backup(site: Site, base: str) -> Backup | None:
    """The backup that holds exactly what is there now, if there is one."""
    where = site.base(base)
    now = {str(path.relative_to(where.folder)): read_text(path, "") for path in where.files()}
    return next((one for one in reversed(list_backups(where)) if dict(one.files) == now), None)


def restore(site: Site, base: str, backup_id: str) -> Change:
    """The files that a backup holds, as they were. Other files stay. Raises ConfigError."""
    where = site.base(base)
    backup = read_backup(where, backup_id)
    texts = {where.folder / name: text for name, text in backup.files.items() if _is_ours(name)}
    return compare(site, base, texts, reason=f"restore {backup.id}")


def _is_ours(name: str) -> bool:
    parts = name.split("/")
    return ".." not in parts and name.endswith(".yml") and len(parts) <= 2 and parts[0] != ""


def migrate(
    site: Site, base: str, version: int = SCHEMA_VERSION, migrations: tuple[Migration, ...] = MIGRATIONS
) -> Change:
    """Every file of the configuration in the words of a schema version, up or down. Raises ConfigError."""
    where = site.base(base)
    texts: dict[Any, str | None] = {}
    for path in where.files():
        if path.parent.name == "actions.d":
            continue
        text = read_text(path, "") or ""
        texts[path] = migrated_text(text, str(path), version, migrations)
    return compare(site, base, texts, reason=f"migrate to schema version {version}")
