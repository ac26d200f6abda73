# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_template_restore) is made of."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ansible.module_utils.basic import AnsibleModule

from .._apply.restore import apply_restore
from .._model.backup import RestoreSurvey, Wanted
from .._plan.fixed_vmid import Owner
from .._plan.plan import OptionProblems
from .._plan.restore import RestoreWish, plan_restore
from .._read.backups import survey_restore
from .run import Door, run
from .run_id import is_gone, run_id
from .template_door import MARGIN

_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_VMID_MIN, _VMID_MAX = 100, 999_999_999


def restore_options() -> dict[str, dict[str, t.Any]]:
    """Which backup, where to, and whether it becomes current."""
    return {
        "line": {"type": "str", "required": True},
        "node": {"type": "str", "required": True},
        "backup": {"type": "str"},
        "backup_storage": {"type": "str"},
        "generation": {"type": "str"},
        "recipe": {"type": "str"},
        "source": {"type": "str"},
        "storage": {"type": "str"},
        "pool": {"type": "str"},
        "vmid": {"type": "int"},
        "vmid_range": {"type": "str", "default": "9000-9999"},
        "publish": {"type": "bool", "default": False},
    }


def restore_rules() -> dict[str, t.Any]:
    """Which options go together."""
    return {"required_one_of": [["backup", "backup_storage"]]}


def run_vm_template_restore(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_restore) through."""
    door: Door[RestoreWish, RestoreSurvey] = Door(
        desired=_wish,
        read=lambda client, wish: survey_restore(
            client,
            wish.wanted,
            node=wish.node,
            storage=wish.backup_storage,
            auth_id=client.identity,
            is_gone=is_gone,
        ),
        plan=plan_restore,
        apply=lambda client, _wish, plan: apply_restore(client, plan),
    )
    run(module, door)


def _wish(params: Mapping[str, t.Any]) -> RestoreWish:
    problems: list[str] = []
    volid = params["backup"]
    storage, colon, _rest = (volid or "").partition(":")
    if volid is not None and (not storage or not colon):
        problems.append(f"backup={volid!r}: write it as its storage calls it, such as backup:backup/vzdump-qemu-…")
    if volid is not None and params["backup_storage"] not in (None, storage):
        problems.append(f"backup_storage={params['backup_storage']!r}: the backup {volid} is on {storage}")
    if params["vmid"] is not None and not _VMID_MIN <= params["vmid"] <= _VMID_MAX:
        problems.append(f"vmid={params['vmid']}: Proxmox VE takes {_VMID_MIN} to {_VMID_MAX}")
    match = _RANGE.fullmatch(params["vmid_range"])
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not _VMID_MIN <= first <= last <= _VMID_MAX:
        problems.append(f"vmid_range={params['vmid_range']!r}: write first-last, such as 9000-9099")
    if problems:
        raise OptionProblems(tuple(problems))
    now = datetime.now(UTC)
    deadline = now + timedelta(seconds=int(params["timeout"] or 1800) + MARGIN)
    return RestoreWish(
        node=params["node"],
        wanted=Wanted(line=params["line"], volid=volid, generation=params["generation"]),
        backup_storage=params["backup_storage"] or storage,
        owner=Owner(run_id(), deadline.isoformat(timespec="seconds")),
        now=now,
        storage=params["storage"] or "",
        pool=params["pool"] or "",
        vmid=params["vmid"],
        vmid_range=(first, last),
        publish=params["publish"],
        recipe=params["recipe"],
        source=params["source"],
    )
