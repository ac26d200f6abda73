# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be asked of nodes, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._model.node import NodesFound, NodeState, NodeWish, PackageUpdate, Service
from .._model.preflight import Unanswered
from .plan import Plan
from .preflight_nodes import shown_by
from .privilege_table import NEEDS
from .privileges import Call, Permissions, missing

PARTS: Mapping[str, str] = {"services": "node_services", "updates": "node_updates"}
"""What can be gathered, to the call that tells it; both need the same in every version."""

_SILENT = {"offline": "the node is offline"}
_NEW = "nothing has been heard of the node yet"
_CLUSTER_SERVICE = "corosync"


def chosen(wish: NodeWish, states: Iterable[NodeState]) -> tuple[NodeState, ...]:
    """The nodes that are asked for, without those that are not there."""
    return tuple(state for state in states if not wish.nodes or state.node in wish.nodes)


def closed_parts(
    wish: NodeWish, nodes: Iterable[NodeState], granted: Mapping[str, Mapping[str, int]]
) -> dict[tuple[str, str], str]:
    """What these credentials may not ask of nodes that are online, with the privileges that would allow it."""
    permissions = Permissions(granted)
    closed = {}
    for state in nodes:
        for part in wish.gather if state.online else ():
            gaps = missing(permissions, [Call(name=PARTS[part], node=state.node)], pve_major=max(NEEDS))
            if gaps:
                closed[state.node, part] = "; ".join(shown_by(gap.privilege, gap.path) for gap in gaps)
    return closed


def describe_nodes(wish: NodeWish, found: NodesFound) -> Plan:
    """Nothing to do, and how the nodes are as the result."""
    states = chosen(wish, found.states)
    known = {state.node for state in found.states}
    absent = [name for name in wish.nodes if name not in known]
    notes = [f"the cluster has no node {name}; it has {', '.join(sorted(known))}" for name in absent]
    notes += [f"node {state.node} is {state.status}" for state in states if not state.online]
    for (node, part), answer in found.answers.items():
        if isinstance(answer, Unanswered):
            notes.append(f"{part} of node {node} could not be read: {answer.reason.rstrip('.')}")
    return Plan(result={"nodes": [_view(state, wish, found) for state in states], "absent": absent}, notes=tuple(notes))


def _view(state: NodeState, wish: NodeWish, found: NodesFound) -> dict[str, Any]:
    unknown: dict[str, str] = {}
    if state.online and state.uptime is None:
        unknown["figures"] = shown_by("Sys.Audit", f"/nodes/{state.node}")

    def told(part: str) -> Any:
        answer = found.answers.get((state.node, part))
        if isinstance(answer, Unanswered):
            unknown[part] = answer.reason
            return None
        if answer is None:
            unknown[part] = found.closed.get((state.node, part), _SILENT.get(state.status, _NEW))
        return answer

    services = told("services") if "services" in wish.gather else None
    updates = told("updates") if "updates" in wish.gather else None
    return {
        "node": state.node,
        "status": state.status,
        "version": told("version"),
        "uptime": state.uptime,
        "cpu": state.cpu,
        "cpus": state.cpus,
        "memory": state.memory,
        "memory_total": state.memory_total,
        "services": None if services is None else _down(services, alone=len(found.states) == 1),
        "updates": None if updates is None else [_update(update) for update in updates],
        "unknown": unknown,
    }


def _down(services: Iterable[Service], *, alone: bool) -> list[dict[str, str]]:
    """Corosync is enabled on every node, and has nothing to do (a condition of its unit) where there is no cluster."""
    return [
        {
            "service": service.name,
            "description": service.description,
            "state": service.state,
            "active_state": service.active_state,
            "unit_state": service.unit_state,
        }
        for service in services
        if service.down and not (alone and service.name == _CLUSTER_SERVICE and service.active_state == "inactive")
    ]


def _update(update: PackageUpdate) -> dict[str, str | None]:
    return {
        "package": update.package,
        "title": update.title,
        "installed": update.installed or None,
        "version": update.version,
        "origin": update.origin,
        "section": update.section or None,
        "priority": update.priority or None,
        "arch": update.arch or None,
    }
