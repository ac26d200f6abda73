# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs in the one vocabulary of results and diffs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._model.cluster import Cluster
from .._model.identity import TAG_CLONE, TAG_GENERATION, TAG_LINE, Identity, State, tag_value, tagged_state
from .._model.property_string import PropertyStringError
from .._model.tags import parse_tags
from .._model.vm import FoundVm, Vm
from .._model.vm_config import VmConfig
from .plan import Plan
from .vm_checks import static_addresses
from .vm_steps import CloneVm, DestroyVm


def vm_view(found: FoundVm, newest: str) -> dict[str, Any]:
    """What a door returns of a VM."""
    identity = found.identity
    return {
        **identity_view(identity),
        "name": found.config.name,
        "vmid": found.vmid,
        "node": found.row.node,
        "status": found.row.status,
        "pool": found.row.pool or None,
        "newest": newest or None,
        **config_view(found.config),
        "pending": sorted(found.pending),
        "reboot_required": bool(found.pending),
        "created": False,
    }


def identity_view(identity: Identity | None) -> dict[str, Any]:
    """Whose it is and what it was made of."""
    origin = identity.origin if identity is not None else ""
    return {
        "ours": identity is not None,
        "line": (identity.line or None) if identity is not None else None,
        "generation": (identity.generation or None) if identity is not None else None,
        "template": int(origin) if origin.isdigit() else None,
    }


def config_view(config: VmConfig) -> dict[str, Any]:
    """What the configuration tells a play: MAC addresses, and fixed addresses of cloud-init."""
    try:
        fixed = [text for address in config.ipconfigs().values() for text in static_addresses(address)]
        macs = {key: net.macaddr for key, net in config.nets().items() if net.macaddr}
    except PropertyStringError:
        # One odd VM must not spoil a list.
        fixed, macs = [], {}
    return {
        "macs": macs,
        "tags": sorted(tag.lower() for tag in parse_tags(config.text("tags") or "")),
        "address": fixed[0] if fixed else None,
        "addresses": fixed,
    }


def absent_view(vm: Vm) -> dict[str, Any]:
    """Of a VM that is not there."""
    return {
        **identity_view(None),
        "name": vm.name,
        "vmid": None,
        "node": None,
        "status": "absent",
        "pool": None,
        "newest": None,
        "macs": {},
        "tags": [],
        "address": None,
        "addresses": [],
        "pending": [],
        "reboot_required": False,
        "created": False,
    }


def newest_generation(identity: Identity | None, cluster: Cluster) -> str:
    """The newest current generation of the VM's line, by tags; empty where it is the VM's own, or none is newer."""
    if identity is None or not identity.line:
        return ""
    tag = TAG_LINE + identity.line
    newest = max(
        (
            tag_value(row.tags, TAG_GENERATION)
            for row in cluster.guests.values()
            if row.template and tag in row.tags and TAG_CLONE not in row.tags
            if tagged_state(row.tags) is State.CURRENT
        ),
        default="",
    )
    return newest if newest > identity.generation else ""


def summarise(plan: Plan, vms: Mapping[str, Mapping[str, Any]], failed: Iterable[str] = ()) -> dict[str, Any]:
    """What becomes of the VMs, by name; those whose work failed are listed as failed only."""
    broken, refused = set(failed), set(plan.refused)
    kinds = {name: {type(step) for step in steps} for name, steps in plan.tracks if name not in broken | refused}
    created = [name for name, found in kinds.items() if CloneVm in found and DestroyVm not in found]
    replaced = [name for name, found in kinds.items() if CloneVm in found and DestroyVm in found]
    removed = [name for name, found in kinds.items() if DestroyVm in found and CloneVm not in found]
    done = {*created, *replaced, *removed}
    return {
        "created": created,
        "replaced": replaced,
        "removed": removed,
        "changed": [name for name in kinds if name not in done],
        "unchanged": [name for name in vms if name not in kinds and name not in broken | refused],
        "refused": sorted(refused),
        "failed": sorted(broken),
        "reboot_required": [name for name, view in vms.items() if view["reboot_required"]],
        "outdated": [name for name, view in vms.items() if view["newest"]],
    }
