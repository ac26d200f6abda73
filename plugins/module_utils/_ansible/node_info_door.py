# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(node_info) is made of: the nodes of a cluster, their services and their pending packages."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.module_utils.basic import AnsibleModule

from .._model.node import NodesFound, NodeWish
from .._plan.nodes import PARTS, chosen, closed_parts, describe_nodes
from .._pve.client import Client
from .._read.cluster import read_permissions
from .._read.nodes import VERSION, read_parts, read_states
from .run import Door, run


def info_options() -> dict[str, dict[str, t.Any]]:
    """Which nodes, and what to gather."""
    return {
        "nodes": {"type": "list", "elements": "str", "default": []},
        "gather": {"type": "list", "elements": "str", "choices": list(PARTS), "default": []},
    }


def run_node_info(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(node_info) through."""
    door: Door[NodeWish, NodesFound] = Door(desired=wish_from, read=_read, plan=describe_nodes)
    run(module, door)


def wish_from(params: Mapping[str, t.Any]) -> NodeWish:
    return NodeWish(nodes=tuple(dict.fromkeys(params["nodes"])), gather=tuple(dict.fromkeys(params["gather"])))


def _read(client: Client, wish: NodeWish) -> NodesFound:
    """Parts outside, nodes inside: those that are asked at the same time are different ones."""
    states = read_states(client)
    nodes = chosen(wish, states)
    closed = closed_parts(wish, nodes, read_permissions(client) if wish.gather else {})
    online = [state.node for state in nodes if state.online]
    asked = [(node, part) for part in (VERSION, *wish.gather) for node in online if (node, part) not in closed]
    return NodesFound(states=states, closed=closed, answers=read_parts(client, asked))
