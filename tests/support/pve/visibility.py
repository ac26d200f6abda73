# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a limited caller sees of the listings: the server filters them instead of refusing the call.

Sources: PVE/API2/Cluster.pm (resources), Pool.pm, Nodes.pm, Storage/Status.pm and Storage/Config.pm; the outcome as
recorded on 8.4.21.
"""

from __future__ import annotations

import json
import typing as t

from aiohttp import web

from .access_model import ROOT, AccessModel

Row = dict[str, t.Any]
Filter = t.Callable[[AccessModel, str, Row], "Row | None"]
# Shown of a node without Sys.Audit on it (recorded).
NODE_KEYS = frozenset({"node", "id", "status", "type", "level", "ssl_fingerprint", "cgroup-mode"})
STORE = ("Datastore.Audit", "Datastore.AllocateSpace")


def node_row(model: AccessModel, user: str, row: Row) -> Row | None:
    if model.has(user, f"/nodes/{row['node']}", "Sys.Audit"):
        return row
    return {key: value for key, value in row.items() if key in NODE_KEYS}


def vm_row(model: AccessModel, user: str, row: Row) -> Row | None:
    if not model.has(user, f"/vms/{row['vmid']}", "VM.Audit"):
        return None
    pool = row.get("pool")
    if pool and not model.has(user, f"/pool/{pool}", "Pool.Audit"):
        return {key: value for key, value in row.items() if key != "pool"}
    return row


def resource(model: AccessModel, user: str, row: Row) -> Row | None:
    match row.get("type"):
        case "qemu" | "lxc":
            return vm_row(model, user, row)
        case "node":
            return node_row(model, user, row)
        case "storage":
            return row if model.has(user, f"/storage/{row['storage']}", "Datastore.Audit") else None
        case "pool":
            return pool_row(model, user, {**row, "poolid": row["pool"]}) and row
        case "sdn":
            return row if model.has(user, f"/sdn/zones/{row['sdn']}", "SDN.Audit") else None
    return row


def pool_row(model: AccessModel, user: str, row: Row) -> Row | None:
    return row if model.has(user, f"/pool/{row['poolid']}", "Pool.Audit") else None


def storage_row(model: AccessModel, user: str, row: Row) -> Row | None:
    return row if model.has(user, f"/storage/{row['storage']}", *STORE, either=True) else None


FILTERS: dict[str, Filter] = {
    "/cluster/resources": resource,
    "/nodes": node_row,
    "/nodes/{node}/qemu": vm_row,
    "/nodes/{node}/storage": storage_row,
    "/storage": storage_row,
    "/pools": pool_row,
}


def filtered(model: AccessModel, user: str, call: tuple[str, str], response: web.StreamResponse) -> web.StreamResponse:
    """The response without the rows and columns that ``user`` may not see; ``call`` is (method, path template)."""
    keep = FILTERS.get(call[1]) if call[0] == "GET" else None
    if keep is None or user == ROOT or response.status != 200 or not isinstance(response, web.Response):
        return response
    body = json.loads(response.text or "{}")
    if not isinstance(body.get("data"), list):
        return response
    seen = [keep(model, user, row) for row in body["data"]]
    return web.json_response({**body, "data": [row for row in seen if row is not None]})
