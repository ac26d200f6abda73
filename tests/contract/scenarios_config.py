# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors of the layered configuration are tried with: files below a root on the bench."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping

from tests.support.door import run_module
from tests.support.workbench import Bench

OPTIONS = {"templates": {"keep": 3, "lines": [{"line": "debian-13"}]}, "hardening": {"workloads": ["docker"]}}


def site(bench: Bench) -> str:
    return str(bench.folder / "site")


def call(bench: Bench, door: str, **options: t.Any) -> dict[str, t.Any]:
    result = run_module(door, {"root": site(bench), **options})
    assert not result.get("failed"), result
    return result


def below(**options: t.Any) -> Callable[[Bench], Mapping[str, t.Any]]:
    return lambda bench: {"root": site(bench), **options}


def configure(bench: Bench) -> None:
    """A site that says something, twice, so that there are backups."""
    call(bench, "config", values=OPTIONS)
    call(bench, "config", values={"templates": {"keep": 4}})


def backups(bench: Bench) -> list[str]:
    return [one["id"] for one in call(bench, "config_info")["backups"]]


def export(bench: Bench) -> None:
    configure(bench)
    call(bench, "config_export", name="lab", dest=str(bench.folder / "lab.yml"))


def write_conf(bench: Bench) -> None:
    configure(bench)
    (bench.folder / "templates.conf").write_text("# of old\nKEEP=5\nexport HARDENING_WORKLOADS='docker router'\n")


def write_flat(bench: Bench) -> None:
    configure(bench)
    call(bench, "config_migrate", version=1)


CONFIG: list[dict[str, t.Any]] = [
    {"door": "config", "about": "a first file", "params": below(values=OPTIONS)},
    {
        "door": "config",
        "about": "set, taken back and removed",
        "params": below(
            values={"templates": {"workers": "6"}}, reset=["hardening.workloads"], absent=["templates.lines"]
        ),
        "prepare": configure,
    },
    {"door": "config_info", "about": "everything", "params": below(), "prepare": configure, "changes": False},
    {
        "door": "config_export",
        "about": "a profile",
        "params": lambda bench: {"root": site(bench), "name": "lab", "dest": str(bench.folder / "lab.yml")},
        "prepare": configure,
    },
    {
        "door": "config_import",
        "about": "a profile that applies",
        "params": lambda bench: {"root": site(bench), "src": str(bench.folder / "lab.yml"), "activate": True},
        "prepare": export,
    },
    {
        "door": "config_import_conf",
        "about": "shell assignments",
        "params": lambda bench: {"root": site(bench), "src": [str(bench.folder / "templates.conf")]},
        "prepare": write_conf,
    },
    {"door": "config_backup", "about": "of the system's files", "params": below(), "prepare": configure},
    {
        "door": "config_restore",
        "about": "the state before the last change",
        "params": lambda bench: {"root": site(bench), "backup": backups(bench)[1]},
        "prepare": configure,
    },
    {"door": "config_migrate", "about": "from role variables", "params": below(), "prepare": write_flat},
]
for _scenario in CONFIG:
    # Their differences are by file and option, and what they change are files.
    if _scenario.get("changes", True):
        _scenario |= {"keyed": True, "here": True}
