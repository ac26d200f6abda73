# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the guests that somebody names, before it is looked at what is to be done with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .._model.cluster import Cluster
from .._model.guest_state import Choice, subject
from .plan import Refusal
from .privileges import Call, Permissions, missing


def choice_refusals(
    cluster: Cluster, choices: Sequence[Choice], *, option: str, containers: bool = False, what: str = "this"
) -> list[Refusal]:
    """Names that stand for nobody or for several, containers where VMs are meant, and nodes that are offline."""
    found: list[Refusal] = []
    for choice in choices:
        told = _wrong(cluster, choice, containers=containers, what=what)
        if told is not None:
            reason, remedy = told
            found.append(
                Refusal(subject="the guests", option=option, value=choice.wanted, reason=reason, remedy=remedy)
            )
    return found


def _wrong(cluster: Cluster, choice: Choice, *, containers: bool, what: str) -> tuple[str, str] | None:
    if not choice.rows:
        kind = "VMID" if choice.wanted.isdecimal() else "name"
        return (
            f"there is no guest of this {kind} that these credentials may see",
            "Correct it, or grant VM.Audit on that guest",
        )
    if len(choice.rows) > 1:
        told = ", ".join(f"{subject(row)} on {row.node}" for row in choice.rows)
        return f"this name stands for several guests: {told}", "Give the VMID of the one that is meant"
    row = choice.rows[0]
    if row.type == "lxc" and not containers:
        return f"{subject(row)} is a container, and {what} is for VMs", "Name VMs only"
    node = cluster.nodes.get(row.node)
    if node is not None and not node.online:
        return f"{subject(row)} is on node {row.node}, which is offline", "Start that node, or leave this guest out"
    return None


def renamed(choices: Sequence[Choice], names: Mapping[int, str], *, option: str) -> list[Refusal]:
    """Guests that are called otherwise by now: the listing that names are looked up in is up to ten seconds old.

    C(names) are those that the nodes tell, by VMID.
    """
    return [
        Refusal(
            subject=subject(choice.rows[0]),
            option=option,
            value=choice.wanted,
            reason=f"its node says that it is called {names[choice.rows[0].vmid]} by now",
            remedy="Run again in ten seconds, or give the VMID",
        )
        for choice in choices
        if len(choice.rows) == 1
        and not choice.wanted.isdecimal()
        and names.get(choice.rows[0].vmid, choice.wanted) != choice.wanted
    ]


def privilege_refusals(
    permissions: Mapping[str, Mapping[str, int]], calls: Iterable[Call], *, auth_id: str, pve_major: int = 8
) -> list[Refusal]:
    """What the caller may not do of what is planned, with the line that would allow it."""
    return [
        Refusal(
            subject="the credentials",
            option="api_token_id" if "!" in auth_id else "api_user",
            value=auth_id,
            reason=f"it lacks {gap.privilege} on {gap.path}, needed for {gap.needed_for}",
            remedy=f"Run on a node: {gap.pveum}",
        )
        for gap in missing(Permissions(permissions), calls, pve_major=pve_major, auth_id=auth_id)
    ]


def lock_refusal(subject: str, lock: str, *, option: str, value: object, vmid: int) -> Refusal:
    """A guest that another operation holds."""
    return Refusal(
        subject=subject,
        option=option,
        value=value,
        reason=f"it is locked ({lock}): another operation holds it",
        remedy=f"Run again when that has ended; a lock that nobody holds any more goes by: qm unlock {vmid}",
    )
