# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_info) is made of: VMs with what they were cloned from, and with their addresses if asked."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

from .._model.cluster import Cluster, GuestRow
from .._model.identity import TAG_CLONE, TAG_LINE
from .._model.vm import FoundVm
from .._plan.plan import Plan
from .._plan.vm_views import newest_generation, vm_view
from .._pve.client import Client
from .._read.vms import read_addresses, read_listed, read_vms
from .run import Door, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which VMs. C(ours): only those that this collection keeps; C(addresses): ask their agents too."""

    names: tuple[str, ...]
    vmids: tuple[int, ...]
    line: str
    tags: frozenset[str]
    ours: bool
    addresses: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found, with the addresses of those whose agent answers, by VMID."""

    cluster: Cluster
    vms: tuple[FoundVm, ...]
    offline: tuple[GuestRow, ...]
    addresses: Mapping[int, tuple[str, ...]]


def info_options() -> dict[str, dict[str, t.Any]]:
    """Which VMs, and what to find out."""
    return {
        "name": {"type": "list", "elements": "str", "default": []},
        "vmid": {"type": "list", "elements": "int", "default": []},
        "line": {"type": "str"},
        "tags": {"type": "list", "elements": "str", "default": []},
        "ours": {"type": "bool", "default": True},
        "addresses": {"type": "bool", "default": False},
    }


def run_vm_info(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_info) through."""
    door: Door[Question, Answer] = Door(desired=question_from, read=_read, plan=_describe)
    run(module, door)


def question_from(params: Mapping[str, t.Any]) -> Question:
    return Question(
        names=tuple(params["name"]),
        vmids=tuple(params["vmid"]),
        line=params["line"] or "",
        tags=frozenset(tag.lower() for tag in params["tags"]),
        ours=params["ours"],
        addresses=params["addresses"],
    )


def _read(client: Client, question: Question) -> Answer:
    cluster, rows = read_listed(client, named=bool(question.names))
    wanted = [row for row in rows if _is_wanted(row, question)]
    online = [row for row in wanted if (node := cluster.nodes.get(row.node)) is not None and node.online]
    found = tuple(one for one in read_vms(client, online).values() if one.identity is not None or not question.ours)
    asked = [one for one in found if one.running and (agent := one.config.agent) is not None and agent.enabled]
    return Answer(
        cluster=cluster,
        vms=found,
        offline=tuple(row for row in wanted if row not in online),
        addresses=read_addresses(client, asked) if question.addresses else {},
    )


def _is_wanted(row: GuestRow, question: Question) -> bool:
    if row.type != "qemu" or row.template:
        return False
    if question.names and row.name not in question.names:
        return False
    if question.vmids and row.vmid not in question.vmids:
        return False
    if question.line and TAG_LINE + question.line not in row.tags:
        return False
    # Whoever took our tags away made the VM foreign to this list only; its block still says whose it is.
    narrowed = bool(question.names or question.vmids)
    return question.tags <= row.tags and (narrowed or not question.ours or TAG_CLONE in row.tags)


def _describe(_question: Question, answer: Answer) -> Plan:
    views = []
    for found in answer.vms:
        view = vm_view(found, newest_generation(found.identity, answer.cluster))
        told = answer.addresses.get(found.vmid, ())
        addresses = list(dict.fromkeys((*told, *view["addresses"])))
        del view["created"]
        views.append(
            {**view, "addresses": addresses, "address": next(iter(addresses), None), "reason": found.reason or None}
        )
    unknown = [{"vmid": row.vmid, "name": row.name, "node": row.node} for row in answer.offline]
    notes = tuple(f"node {node} is offline" for node in sorted({row.node for row in answer.offline}))
    return Plan(result={"vms": sorted(views, key=lambda view: view["vmid"]), "unknown": unknown}, notes=notes)
