# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a preflight: what may be asked, what the answers mean, and the table that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._model.cluster import Cluster
from .._model.preflight import Finding, Level, NodeQuestions, PreflightFacts, PreflightWish, Questions
from .plan import Plan
from .preflight_access import privilege_findings, tag_findings, vmid_findings
from .preflight_nodes import cluster_findings, node_findings, vendor_findings
from .preflight_storages import storage_findings
from .privileges import Permissions

_FAILING: Mapping[str, tuple[Level, ...]] = {
    "error": (Level.ERROR,),
    "warning": (Level.ERROR, Level.WARNING),
    "never": (),
}
_ORDER = (Level.ERROR, Level.WARNING, Level.UNKNOWN, Level.OK)


def what_to_ask(wish: PreflightWish, cluster: Cluster, granted: Mapping[str, Mapping[str, int]]) -> Questions:
    """The questions that these credentials may ask, of the nodes that are online; nothing else is sent."""
    permissions = Permissions(granted)
    root_may = permissions.has("/", "Sys.Audit") and permissions.has("/", "Sys.Modify")
    urls = tuple(
        dict.fromkeys(image.url for image in wish.images if image.url and node_fetches(image.url, image.packed))
    )
    nodes = {}
    for name in wish.nodes or sorted(cluster.nodes):
        row = cluster.nodes.get(name)
        if row is None or not row.online:
            continue
        may_fetch = root_may or permissions.has(f"/nodes/{name}", "Sys.AccessNetwork")
        nodes[name] = NodeQuestions(
            bridges=any(network.iface for network in wish.networks),
            audit=permissions.has(f"/nodes/{name}", "Sys.Audit"),
            urls=urls if may_fetch else (),
        )
    return Questions(status=permissions.has("/", "Sys.Audit"), nodes=nodes)


def node_fetches(url: str, packed: bool) -> bool:
    """Whether a node would download this itself: packed files and files of the controller are uploaded."""
    return not packed and url.startswith(("http://", "https://"))


def plan_preflight(wish: PreflightWish, facts: PreflightFacts) -> Plan:
    """The report as a plan without steps. C(failed) stands in the result where C(fail_on) asks for it."""
    return Plan(result=report(wish, find(wish, facts)))


def find(wish: PreflightWish, facts: PreflightFacts) -> list[Finding]:
    """Everything that was found, by subject."""
    found = [
        *cluster_findings(wish, facts),
        *node_findings(wish, facts),
        *storage_findings(wish, facts),
        *privilege_findings(wish, facts),
        *vmid_findings(wish, facts),
        *tag_findings(facts),
        *vendor_findings(wish, facts),
    ]
    return sorted(found, key=lambda one: (one.subject, one.check, _ORDER.index(one.level), one.message))


def report(wish: PreflightWish, found: Sequence[Finding]) -> dict[str, Any]:
    """What the door returns. The table stays out of the message of a failure, the sentences do not."""
    summary = {level.value: sum(one.level is level for one in found) for level in Level}
    failing = [one for one in found if one.level in _FAILING[wish.fail_on]]
    result: dict[str, Any] = {
        "findings": [_view(one) for one in found],
        "summary": summary,
        "ok": not summary["error"],
        "table": table(found),
    }
    if failing:
        lines = "\n".join(f"- {one}" for one in failing)
        result |= {"failed": True, "msg": f"{_counted(summary)}:\n{lines}"}
    return result


def table(found: Sequence[Finding]) -> list[str]:
    """What is not in order, with its remedy below it, and one line for all that is."""
    shown = [one for one in found if one.level is not Level.OK]
    subjects = max((len(one.subject) for one in shown), default=0)
    checks = max((len(one.check) for one in shown), default=0)
    lines = []
    for one in shown:
        lines.append(f"{one.level.value:<7}  {one.subject:<{subjects}}  {one.check:<{checks}}  {one.message}")
        if one.remedy:
            lines.append(f"         -> {one.remedy}")
    fine: dict[str, int] = {}
    for one in found:
        if one.level is Level.OK:
            fine[one.check] = fine.get(one.check, 0) + 1
    if fine:
        lines.append("ok       " + ", ".join(f"{check} ({count})" for check, count in sorted(fine.items())))
    summary = {level.value: sum(one.level is level for one in found) for level in Level}
    return [*lines, f"{_counted(summary)}, {summary['ok']} in order"]


def _counted(summary: Mapping[str, int]) -> str:
    def some(count: int, noun: str) -> str:
        return f"{count} {noun}{'' if count == 1 else 's'}"

    unknown = f"{summary['unknown']} unknown"
    return f"{some(summary['error'], 'error')}, {some(summary['warning'], 'warning')}, {unknown}"


def _view(one: Finding) -> dict[str, str | None]:
    return {
        "check": one.check,
        "level": one.level.value,
        "subject": one.subject,
        "message": one.message,
        "remedy": one.remedy or None,
    }
