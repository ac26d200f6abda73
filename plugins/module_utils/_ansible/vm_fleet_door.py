# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From many VMs to one plan and back: what the door C(vm_fleet) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.module_utils.basic import AnsibleModule

from .._apply.scheduler import Limits
from .._model.vm import Vm, VmSurvey
from .._plan.plan import OptionProblems, Plan
from .._plan.vm_views import summarise
from .run import Door, run
from .vm_door import Fleet, apply_fleet, plan_fleet, read_fleet, settle
from .vm_options import desired_vm
from .vm_spec import vm_options

LIMITS = ("workers", "per_storage", "per_node")


def vm_fleet_options() -> dict[str, dict[str, t.Any]]:
    """A list of VMs, and what holds for all of them."""
    own = {name: spec for name, spec in vm_options().items() if name != "vmid_range"}
    return {
        "vms": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {**own, "vmid_range": {"type": "str"}},
        },
        "vmid_range": {"type": "str", "default": "100-8999"},
        "max_deletions": {"type": "int", "default": 5},
        "workers": {"type": "int", "default": 24},
        "per_storage": {"type": "int", "default": 2},
        "per_node": {"type": "int", "default": 4},
    }


def run_vm_fleet(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_fleet) through."""
    door: Door[Fleet, VmSurvey] = Door(
        desired=desired_vms,
        read=read_fleet,
        plan=plan_fleet,
        apply=apply_fleet,
        settle=settle,
        result=_summary,
        partial=True,
    )
    run(module, door)


def desired_vms(params: Mapping[str, t.Any]) -> Fleet:
    """All VMs. Raises OptionProblems with what is wrong with any of them."""
    problems: list[str] = []
    vms: list[Vm] = []
    for number, given in enumerate(params["vms"]):
        block = params["vmid_range"] if given["vmid_range"] is None else given["vmid_range"]
        try:
            vms.append(desired_vm({**given, "vmid_range": block}))
        except OptionProblems as found:
            # What all VMs have from one option is that option's fault, and told once.
            of_all = given["vmid_range"] is None
            problems += [
                text if of_all and text.startswith("vmid_range=") else f"vms[{number}].{text}"
                for text in found.problems
            ]
    names = [vm.name for vm in vms]
    problems += [
        f"vms: {name} is declared twice. Keep one of them" for name in sorted(set(names)) if names.count(name) > 1
    ]
    problems += [f"{option}={params[option]}: it must be 1 at least" for option in LIMITS if params[option] < 1]
    if problems:
        raise OptionProblems(tuple(dict.fromkeys(problems)))
    limits = Limits(workers=params["workers"], per_storage=params["per_storage"], per_node=params["per_node"])
    return Fleet(vms=tuple(vms), limits=limits, max_deletions=params["max_deletions"])


def _summary(plan: Plan, result: Mapping[str, t.Any], failed: tuple[str, ...]) -> dict[str, t.Any]:
    return {"vms": list(result["vms"].values()), "summary": summarise(plan, result["vms"], failed)}
