# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors are made of that look at the layered configuration, keep an export of it, or back it up."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import ApplyFailed, Outcome
from .._config.backups import Backup, base_of, list_backups
from .._config.change import Site
from .._config.disk import FILE_MODE
from .._config.documents import read_text
from .._config.keys import Key, show_key
from .._config.load import Effective, known, load
from .._config.operations import back_up_all, fresh_backup
from .._config.problems import ConfigError, Problem
from .._config.profiles import Export, export_profile
from .._config.schema import SCHEMA_VERSION
from .._config.secrets import masked
from .._config.tree import Said
from .._plan.plan import OptionProblems, Plan
from .config_door import BASES, ConfigStep, Params, options_of, site_of, site_options
from .run import LocalDoor, run_here

# --- config_info


def info_options() -> dict[str, dict[str, t.Any]]:
    return {
        "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "profile": {"type": "str"},
        "defaults": {"type": "bool", "default": True},
        **site_options(),
    }


def run_config_info(module: AnsibleModule) -> t.NoReturn:
    door: LocalDoor[tuple[Site, Params], Mapping[str, t.Any]] = LocalDoor(
        desired=lambda params: (site_of(params), params),
        read=options_of(lambda wish: _info(*wish)),
        plan=lambda _wish, found: Plan(notes=tuple(found["notes"]), result=found),
        apply=lambda _wish, plan: Outcome(result=plan.result),
    )
    run_here(module, door)


def _info(site: Site, params: Params) -> dict[str, t.Any]:
    keys = [known(key) for key in params["keys"]]
    found = load(site.paths, site.environ, profile=params["profile"])
    settings = [
        _setting(found, key, said)
        for key, said in found.leaves()
        if (params["defaults"] or said.layer != "default") and (not keys or any(key[: len(k)] == k for k in keys))
    ]
    return {
        "valid": not found.problems,
        "problems": [_problem(problem) for problem in found.problems],
        "notes": list(found.notes),
        "settings": settings,
        "values": found.shown(),
        "layers": [
            {"name": file.name, "path": str(file.path), "present": file.text is not None} for file in found.files
        ],
        "profile": found.profile,
        "schema_version": SCHEMA_VERSION,
        "backups": [_summary(one) for base in BASES for one in list_backups(base_of(site.paths, base))],
    }


def _setting(found: Effective, key: Key, said: Said) -> dict[str, t.Any]:
    chain = found.explain(key)
    return {"key": show_key(key), **_said(said, masked(said.value, key)), "said": [_said(one) for one in chain]}


def _said(said: Said, value: t.Any = None) -> dict[str, t.Any]:
    shown = said.value if value is None else value
    return {"value": shown, "layer": said.layer, "source": said.source, "line": said.line}


def _problem(problem: Problem) -> dict[str, t.Any]:
    return {
        "message": problem.message,
        "layer": problem.layer,
        "source": problem.source,
        "line": problem.line,
        "key": show_key(problem.key) if problem.key else "",
        "suggestion": problem.suggestion,
    }


def _summary(backup: Backup) -> dict[str, t.Any]:
    return {"base": backup.base, **backup.summary()}


# --- config_export


def export_options() -> dict[str, dict[str, t.Any]]:
    return {
        "dest": {"type": "path", "required": True},
        "name": {"type": "str", "required": True},
        "profile": {"type": "str"},
        **site_options(),
    }


def run_config_export(module: AnsibleModule) -> t.NoReturn:
    door: LocalDoor[tuple[Site, Params], Export] = LocalDoor(
        desired=lambda params: (site_of(params), params),
        read=options_of(lambda wish: export_profile(_exported(*wish), wish[1]["name"])),
        plan=lambda wish, export: _plan_export(Path(wish[1]["dest"]), export),
        apply=lambda wish, plan: _write_export(wish[0], Path(wish[1]["dest"]), wish[1], plan),
    )
    run_here(module, door)


def _exported(site: Site, params: Params) -> Effective:
    return load(site.paths, site.environ, profile=params["profile"])


def _plan_export(dest: Path, export: Export) -> Plan:
    result = {"file": str(dest), "digest": export.digest, "needs": dict(export.needs)}
    try:
        there = read_text(dest, "")
    except ConfigError as error:
        raise OptionProblems((f"dest={str(dest)!r}: {error}",)) from error
    if there == export.text:
        return Plan(result=result)
    former = None if there is None else "another one"
    return Plan(
        before={str(dest): former},
        after={str(dest): export.digest},
        steps=(ConfigStep(f"write {dest}"),),
        result=result,
    )


def _write_export(site: Site, dest: Path, params: Params, plan: Plan) -> Outcome:
    try:
        text = export_profile(_exported(site, params), params["name"]).text
        site.disk.replace(dest, text.encode(), mode=FILE_MODE)
    except (ConfigError, OSError) as cause:
        raise ApplyFailed(cause) from cause
    return Outcome(result=plan.result)


# --- config_backup


def backup_options() -> dict[str, dict[str, t.Any]]:
    return {
        "base": {"type": "str", "choices": list(BASES), "default": "system"},
        "reason": {"type": "str", "default": "asked for"},
        **site_options(),
    }


def run_config_backup(module: AnsibleModule) -> t.NoReturn:
    door: LocalDoor[tuple[Site, Params], Backup | None] = LocalDoor(
        desired=lambda params: (site_of(params), params),
        read=options_of(lambda wish: fresh_backup(wish[0], wish[1]["base"])),
        plan=_plan_backup,
        apply=_back_up,
    )
    run_here(module, door)


def _plan_backup(wish: tuple[Site, Params], found: Backup | None) -> Plan:
    if found is not None:
        return Plan(result={"backup": found.summary()})
    site, params = wish
    base = site.base(params["base"])
    files = [str(path.relative_to(base.folder)) for path in base.files()]
    if not files:
        raise OptionProblems((f"base={base.name}: there is nothing to back up: {base.folder} has no configuration",))
    return Plan(
        before={str(base.backups): "no backup of what is there"},
        after={str(base.backups): files},
        steps=(ConfigStep(f"write a backup below {base.backups}"),),
        result={"backup": None},
    )


def _back_up(wish: tuple[Site, Params], _plan: Plan) -> Outcome:
    try:
        backup, _new = back_up_all(wish[0], wish[1]["base"], wish[1]["reason"])
    except (ConfigError, OSError) as cause:
        raise ApplyFailed(cause) from cause
    return Outcome(result={"backup": backup.summary()})
