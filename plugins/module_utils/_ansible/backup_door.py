# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_template_backup) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.module_utils.basic import AnsibleModule

from .._apply.backup import apply_backup
from .._model.backup import BackupSurvey
from .._plan.backup import BackupWish, plan_backup
from .._plan.plan import OptionProblems
from .._read.backups import survey_backup
from .run import Door, run

COMPRESSIONS = {"zstd": "zstd", "gzip": "gzip", "lzo": "lzo", "none": "0"}
"""Ours to vzdump's."""


def backup_options() -> dict[str, dict[str, t.Any]]:
    """Which generation, where to, and how many stay."""
    return {
        "line": {"type": "str", "required": True},
        "storage": {"type": "str", "required": True},
        "node": {"type": "str"},
        "generation": {"type": "str"},
        "compress": {"type": "str", "choices": list(COMPRESSIONS), "default": "zstd"},
        "protected": {"type": "bool"},
        "keep": {"type": "int"},
        "max_deletions": {"type": "int", "default": 5},
    }


def run_vm_template_backup(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_backup) through."""
    door: Door[BackupWish, BackupSurvey] = Door(
        desired=_wish,
        read=lambda client, wish: survey_backup(
            client,
            wish.line,
            storage=wish.storage,
            node=wish.node,
            generation=wish.generation,
            auth_id=client.identity,
        ),
        plan=plan_backup,
        apply=lambda client, _wish, plan: apply_backup(client, plan),
    )
    run(module, door)


def _wish(params: Mapping[str, t.Any]) -> BackupWish:
    problems = []
    if params["keep"] is not None and params["keep"] < 1:
        problems.append(f"keep={params['keep']}: the backup that is asked for always stays. Give 1 or more")
    if params["max_deletions"] < 0:
        problems.append(f"max_deletions={params['max_deletions']}: it must be 0 at least")
    if problems:
        raise OptionProblems(tuple(problems))
    return BackupWish(
        line=params["line"],
        storage=params["storage"],
        node=params["node"],
        generation=params["generation"],
        compress=COMPRESSIONS[params["compress"]],
        protected=params["protected"],
        keep=params["keep"],
        max_deletions=params["max_deletions"],
    )
