# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of nodes, where no server is needed to say it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.node import (
    NodesFound,
    NodeState,
    NodeWish,
    PackageUpdate,
    Service,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.nodes import describe_nodes

WISH = NodeWish(gather=("services",))
VERSION = {("pve1", "version"): "9.1.2"}


def service(name: str, active: str) -> Service:
    return Service.from_row({"service": name, "state": "dead", "active-state": active, "unit-state": "enabled"})


def told(*states: NodeState, answers: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """The first node."""
    row: dict[str, Any] = describe_nodes(WISH, NodesFound(states=states, answers=answers)).result["nodes"][0]
    return row


@pytest.mark.parametrize(
    ("nodes", "active", "down"),
    [
        (("pve1",), "inactive", ["cron"]),
        (("pve1",), "failed", ["corosync", "cron"]),
        (("pve1", "pve2"), "inactive", ["corosync", "cron"]),
    ],
)
def test_corosync_has_nothing_to_do_without_a_cluster(nodes: tuple[str, ...], active: str, down: list[str]) -> None:
    states = [NodeState(node=name, status="online", uptime=1) for name in nodes]
    services = (service("corosync", active), service("cron", active))
    row = told(*states, answers={**VERSION, ("pve1", "services"): services})
    assert [one["service"] for one in row["services"]] == down


def test_a_node_that_nothing_was_heard_of_is_not_called_offline() -> None:
    row = told(NodeState.from_row({"node": "pve1"}), answers={})
    assert row["status"] == "unknown"
    assert set(row["unknown"].values()) == {"nothing has been heard of the node yet"}


def test_rows_without_what_older_versions_leave_out() -> None:
    found = Service.from_row({"name": "cron", "state": "running"})
    assert (found.name, found.unit_state, found.down) == ("cron", "unknown", False)
    update = PackageUpdate.from_row({"Package": "openssl", "Version": "3"})
    assert (update.origin, update.installed) == ("unknown", "")
    assert NodeState(node="pve1", status="online", memory_used=1, memory_total=0).memory is None
