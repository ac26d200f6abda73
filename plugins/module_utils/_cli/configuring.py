# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(homelab config …): the layered configuration from the command line."""

from __future__ import annotations

import argparse
import json
import sys
import typing as t
from collections.abc import Callable
from pathlib import Path

from .._config.backups import list_backups
from .._config.change import Change, Site, base_name, carry_out
from .._config.coerce import coerce_text
from .._config.keys import show_key
from .._config.legacy import import_conf
from .._config.load import known
from .._config.operations import back_up_all, restore, set_values
from .._config.problems import ConfigError, Problem
from .._config.profiles import export_profile, import_profile, read_profile
from .._config.schema import UNSET
from .._config.secrets import is_secret
from .._config.tree import Said
from .context import Context
from .exits import Exit, Trouble
from .files import write
from .speech import err, out

try:
    import yaml
except ImportError:
    HAS_YAML = False
else:
    HAS_YAML = True

Options = argparse.Namespace


def config(context: Context, options: Options) -> int:
    """One of its commands."""
    try:
        return _COMMANDS[options.what](context, options)
    except OSError as error:
        raise Trouble(Exit.CONFIGURATION, f"{error.filename}: {error.strerror}") from None


def site_of(context: Context) -> Site:
    """Where the configuration is."""
    return Site(context.paths, context.environ)


def _get(context: Context, options: Options) -> int:
    effective = context.effective
    for problem in effective.problems:
        err(f"homelab: {problem}")
    key = known(options.key) if options.key else ()
    if key and effective.value(key) is UNSET:
        err(f"{show_key(key)} is not set and has no default")
        return Exit.FAILED
    shown = effective.shown(key)
    if options.json:
        out(json.dumps(shown, ensure_ascii=False, indent=1))
    elif isinstance(shown, (dict, list)) and HAS_YAML:
        out(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100), end="")
    else:
        out(str(shown).lower() if isinstance(shown, bool) else shown)
    return Exit.CONFIGURATION if effective.problems else Exit.OK


def _explain(context: Context, options: Options) -> int:
    said = context.effective.explain(options.key)
    if options.json:
        out(json.dumps([_said(one) for one in said], ensure_ascii=False, indent=1))
        return Exit.OK
    for one in said:
        place = f"{one.source}:{one.line}" if one.line is not None else one.source
        value = "(taken away)" if one.removes else json.dumps(one.value, ensure_ascii=False)
        out(f"{one.layer:<12} {place}\n             {value}")
    if not said:
        out(f"nothing says anything of {options.key}")
    return Exit.OK


def _said(one: Said) -> dict[str, t.Any]:
    return {
        "layer": one.layer,
        "source": one.source,
        "line": one.line,
        "value": None if one.removes else one.value,
        "removes": one.removes,
    }


def _validate(context: Context, options: Options) -> int:
    effective = context.effective
    texts = [str(problem) for problem in effective.problems]
    if options.json:
        out(json.dumps({"ok": not texts, "problems": texts, "notes": list(effective.notes)}, indent=1))
    else:
        out("\n".join([*texts, *effective.notes]) or "The configuration is in order.")
    return Exit.CONFIGURATION if texts else Exit.OK


def _set(context: Context, options: Options) -> int:
    values: dict[str, t.Any] = {}
    problems: list[Problem] = []
    for said in options.values:
        name, equals, text = said.partition("=")
        try:
            key = known(name)
            if not equals:
                raise ConfigError([Problem(message=f"{name}: write KEY=VALUE")])
            _place(values, key, coerce_text(key, _text(key, text)))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return _apply(context, options, lambda: set_values(site_of(context), options.layer, values))


def _text(key: tuple[str | int, ...], text: str) -> str:
    """What was typed; C(-) stands for standard input, which is the only way for a secret."""
    if text == "-":
        return sys.stdin.readline().rstrip("\n")
    if is_secret(key) and not text.lstrip().startswith("{"):
        suggestion = (
            f"Give it on standard input: {show_key(key)}=-, or name it: "
            f"{show_key(key)}='{{ref: env, name: VARIABLE}}' or '{{ref: file, path: PATH}}'."
        )
        message = "is a secret, and arguments can be seen by everybody on this machine"
        raise ConfigError([Problem(message=message, key=key, suggestion=suggestion)])
    return text


def _place(values: dict[str, t.Any], key: tuple[str | int, ...], value: t.Any) -> None:
    """Into the mapping of sections and options."""
    if any(isinstance(part, int) for part in key):
        whole = show_key(key[: next(n for n, part in enumerate(key) if isinstance(part, int))])
        raise ConfigError([Problem(message="is one item of a list", key=key, suggestion=f"Set the list {whole}.")])
    inner = values
    for part in key[:-1]:
        inner = inner.setdefault(str(part), {})
    inner[str(key[-1])] = value


def _unset(context: Context, options: Options) -> int:
    return _apply(context, options, lambda: set_values(site_of(context), options.layer, absent=options.keys))


def _apply(context: Context, options: Options, decide: Callable[[], Change]) -> int:
    """Show what differs, and write it unless it is only a look."""
    change = decide()
    if change.problems:
        raise ConfigError(change.problems)
    out("\n".join(difference(change)) or "Nothing to do.")
    if not options.check and change.texts:
        base = base_name(getattr(options, "layer", "system"))
        _done, backup = carry_out(site_of(context), base, decide)
        if backup is not None:
            out(f"Written. What was there is in the backup {backup.id}.")
    return Exit.OK


def difference(change: Change) -> list[str]:
    """What a change comes to, for people."""
    lines = []
    for name, after in change.after.items():
        lines += [f"- {name}: {change.before[name]}", f"+ {name}: {after}"]
    return [*lines, *change.notes]


def _export(context: Context, options: Options) -> int:
    export = export_profile(context.effective, options.name)
    if options.output:
        write(Path(options.output), export.text)
        out(f"{options.output}: {export.digest}")
    else:
        out(export.text, end="")
    for key, variable in export.needs.items():
        err(f"{key} is a secret: the other site has to set {variable}")
    return Exit.OK


def _import(context: Context, options: Options) -> int:
    files = [Path(file) for file in options.files]
    site = site_of(context)
    if all(file.suffix == ".conf" for file in files):
        skipped: list[t.Any] = []

        def decide_conf() -> Change:
            change, others = import_conf(site, files, options.layer, skip_unknown=options.skip_unknown)
            skipped[:] = others
            return change

        status = _apply(context, options, decide_conf)
        for one in skipped:
            err(f"left out: {one}")
        return status
    if len(files) != 1:
        raise Trouble(Exit.USAGE, "import takes one exported profile, or files that end in .conf")
    profile = read_profile(files[0])
    for key, variable in profile.needs.items():
        err(f"{key} is a secret: set {variable} here")
    options.layer = "system"
    return _apply(context, options, lambda: import_profile(site, profile, name=options.name, activate=options.activate))


def _backup(context: Context, options: Options) -> int:
    site, base = site_of(context), base_name(options.layer)
    if options.list:
        for one in list_backups(site.base(base)):
            out(f"{one.id}  {one.reason}  ({', '.join(sorted(one.files))})")
        return Exit.OK
    backup, made = back_up_all(site, base, "asked for")
    out(f"{backup.id}: {'made' if made else 'holds just what is there'}")
    return Exit.OK


def _restore(context: Context, options: Options) -> int:
    base = base_name(options.layer)
    return _apply(context, options, lambda: restore(site_of(context), base, options.backup))


_COMMANDS: dict[str, Callable[[Context, Options], int]] = {
    "get": _get,
    "explain": _explain,
    "validate": _validate,
    "set": _set,
    "unset": _unset,
    "export": _export,
    "import": _import,
    "backup": _backup,
    "restore": _restore,
}
