# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors are made of that change the layered configuration: C(config) and its like."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import ApplyFailed, Outcome
from .._config.change import Change, Site, base_name, carry_out
from .._config.keys import Key, show_key
from .._config.legacy import import_conf
from .._config.operations import migrate, restore, set_values
from .._config.paths import find_paths
from .._config.problems import ConfigError, Problem
from .._config.profiles import import_profile, read_profile
from .._config.schema import SCHEMA_VERSION
from .._config.secrets import is_reference, is_secret
from .._plan.plan import OptionProblems, Plan
from .run import LocalDoor, run_here

Params = Mapping[str, t.Any]
Decide = Callable[[], tuple[Change, Mapping[str, t.Any]]]

BASES = ("system", "user")

X = t.TypeVar("X")
Y = t.TypeVar("Y")


@dataclass(frozen=True, slots=True)
class ConfigStep:
    """One file to write or to remove, in words: the change knows the contents."""

    text: str

    def describe(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Wish:
    """Where, and how to decide what changes: once to show it, and once more with the lock held."""

    site: Site
    base: str
    decide: Decide


def site_options() -> dict[str, dict[str, t.Any]]:
    """The option that every door of the configuration has."""
    return {"root": {"type": "path"}}


def site_of(params: Params) -> Site:
    """The site below O(root), or the one of the environment."""
    return Site(find_paths(os.environ, params["root"]), dict(os.environ))


def options_of(act: Callable[[X], Y]) -> Callable[[X], Y]:
    """The same function, with what the configuration refuses as problems of the options."""

    def call(given: X) -> Y:
        try:
            return act(given)
        except ConfigError as error:
            raise OptionProblems(tuple(str(problem) for problem in error.problems)) from error

    return call


def run_change(module: AnsibleModule, wish: Callable[[Params], Wish]) -> t.NoReturn:
    """Lead one call through that may change files of the configuration."""
    door: LocalDoor[Wish, tuple[Change, Mapping[str, t.Any]]] = LocalDoor(
        desired=options_of(wish),
        read=options_of(lambda wish: wish.decide()),
        plan=lambda _wish, found: _plan(*found),
        apply=lambda wish, _plan: _apply(wish),
    )
    run_here(module, door)


def _plan(change: Change, extra: Mapping[str, t.Any]) -> Plan:
    if change.problems:
        raise OptionProblems(tuple(str(problem) for problem in change.problems))
    return Plan(
        before=change.before,
        after=change.after,
        steps=tuple(ConfigStep(text) for text in change.steps()),
        notes=change.notes,
        result=_result(change, None, extra),
    )


def _apply(wish: Wish) -> Outcome:
    try:
        # Another writer may have come in between, so that the result is of the second decision.
        change, backup = carry_out(wish.site, wish.base, lambda: wish.decide()[0])
        extra = wish.decide()[1]
    except (ConfigError, OSError) as cause:
        raise ApplyFailed(cause, advice=advice(cause)) from cause
    return Outcome(result=_result(change, None if backup is None else backup.id, extra))


def advice(cause: Exception) -> str:
    """What helps somebody who may not write there."""
    own = "Run it as the account that owns the files, or use the user's layer or another root"
    return own if isinstance(cause, PermissionError) else ""


def _result(change: Change, backup: str | None, extra: Mapping[str, t.Any]) -> dict[str, t.Any]:
    files = [str(path) for path, _text in change.ordered()]
    return {"files": files, "backup": backup, **extra}


# --- config


def config_options() -> dict[str, dict[str, t.Any]]:
    return {
        "layer": {"type": "str", "default": "system"},
        "values": {"type": "dict", "default": {}},
        "secret_values": {"type": "dict", "default": {}, "no_log": True},
        "absent": {"type": "list", "elements": "str", "default": []},
        "reset": {"type": "list", "elements": "str", "default": []},
        **site_options(),
    }


def run_config(module: AnsibleModule) -> t.NoReturn:
    run_change(module, _config_wish)


def _config_wish(params: Params) -> Wish:
    layer = params["layer"]
    if open_secrets := [show_key(key) for key in _secrets_in(params["values"])]:
        text = f"values: {', '.join(open_secrets)}: is a secret"
        raise ConfigError([Problem(message=text, suggestion="Give it in secret_values, which is not logged.")])
    values = _joined(params["values"], params["secret_values"])

    def decide() -> tuple[Change, Mapping[str, t.Any]]:
        change = set_values(site, layer, values, absent=params["absent"], reset=params["reset"])
        return change, {"layer": layer}

    site = site_of(params)
    return Wish(site, base_name(layer), decide)


def _secrets_in(value: t.Any, key: Key = ()) -> t.Iterator[Key]:
    if isinstance(value, Mapping):
        if not is_reference(value):
            for name, inner in value.items():
                yield from _secrets_in(inner, (*key, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _secrets_in(inner, (*key, number))
    elif value is not None and is_secret(key):
        yield key


def _joined(one: Params, other: Params) -> dict[str, t.Any]:
    found = dict(one)
    for name, value in other.items():
        both = isinstance(value, Mapping) and isinstance(found.get(name), Mapping)
        found[name] = _joined(found[name], value) if both else value
    return found


# --- config_import, config_import_conf, config_restore, config_migrate


def import_options() -> dict[str, dict[str, t.Any]]:
    return {
        "src": {"type": "path", "required": True},
        "name": {"type": "str"},
        "activate": {"type": "bool", "default": False},
        **site_options(),
    }


def run_config_import(module: AnsibleModule) -> t.NoReturn:
    def wish(params: Params) -> Wish:
        site = site_of(params)
        profile = read_profile(Path(params["src"]))

        def decide() -> tuple[Change, Mapping[str, t.Any]]:
            change = import_profile(site, profile, name=params["name"], activate=params["activate"])
            return change, {"profile": params["name"] or profile.name, "needs": dict(profile.needs)}

        return Wish(site, "system", decide)

    run_change(module, wish)


def import_conf_options() -> dict[str, dict[str, t.Any]]:
    return {
        "src": {"type": "list", "elements": "path", "required": True},
        "layer": {"type": "str", "default": "system"},
        "skip_unknown": {"type": "bool", "default": False},
        **site_options(),
    }


def run_config_import_conf(module: AnsibleModule) -> t.NoReturn:
    def wish(params: Params) -> Wish:
        site, files = site_of(params), [Path(path) for path in params["src"]]

        def decide() -> tuple[Change, Mapping[str, t.Any]]:
            change, skipped = import_conf(site, files, params["layer"], skip_unknown=params["skip_unknown"])
            return change, {"layer": params["layer"], "skipped": list(skipped)}

        return Wish(site, base_name(params["layer"]), decide)

    run_change(module, wish)


def restore_options() -> dict[str, dict[str, t.Any]]:
    return {
        "backup": {"type": "str", "required": True},
        "base": {"type": "str", "choices": list(BASES), "default": "system"},
        **site_options(),
    }


def run_config_restore(module: AnsibleModule) -> t.NoReturn:
    def wish(params: Params) -> Wish:
        site, base = site_of(params), params["base"]
        if params["backup"] == "latest":
            text = "backup='latest': a restore makes a backup itself, so that the next run would restore another one"
            raise ConfigError([Problem(message=text, suggestion="Give an id; config_info lists them.")])
        return Wish(site, base, lambda: (restore(site, base, params["backup"]), {"restored": params["backup"]}))

    run_change(module, wish)


def migrate_options() -> dict[str, dict[str, t.Any]]:
    return {
        "version": {"type": "int", "default": SCHEMA_VERSION},
        "base": {"type": "str", "choices": list(BASES), "default": "system"},
        **site_options(),
    }


def run_config_migrate(module: AnsibleModule) -> t.NoReturn:
    def wish(params: Params) -> Wish:
        site, version = site_of(params), params["version"]
        return Wish(site, params["base"], lambda: (migrate(site, params["base"], version), {"version": version}))

    run_change(module, wish)
