# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seven reads that tell everything about the access of one user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._model.access import Access, AccessState, Acl, RoleInfo, TokenInfo, UserInfo
from .._pve.client import Client


def read_access(client: Client, desired: Access) -> AccessState:
    """The state of the server. Lists are filtered by what the caller may see; C(permissions) tells how much that is."""
    version = client.get("/version")
    pools = {row["poolid"] for row in client.get("/pools")}
    members = 0
    if not desired.present and desired.pool in pools:
        members = _members(client.get("/pools", poolid=desired.pool))
    resources = client.get("/cluster/resources")
    return AccessState(
        version=str(version["version"]),
        roles={row["roleid"]: _role(row) for row in client.get("/access/roles")},
        user=_user(client.get("/access/users", full=1), desired.user),
        acl=tuple(sorted(_acl(row) for row in client.get("/access/acl"))),
        pools=frozenset(pools),
        pool_members=members,
        storages=frozenset(row["storage"] for row in resources if row.get("type") == "storage"),
        nodes=frozenset(row["node"] for row in resources if row.get("type") == "node"),
        permissions=client.get("/access/permissions") or {},
    )


def _members(reply: Any) -> int:
    # GET /pools?poolid= answers a list with one pool (pve-manager PVE::API2::Pool, since 8.1).
    pool = reply[0] if isinstance(reply, list) else reply
    return len(pool.get("members", []))


def _role(row: Mapping[str, Any]) -> RoleInfo:
    privileges = frozenset(part for part in str(row.get("privs") or "").split(",") if part)
    return RoleInfo(name=row["roleid"], privileges=privileges, special=_flag(row.get("special")))


def _user(rows: Iterable[Mapping[str, Any]], name: str) -> UserInfo | None:
    row = next((row for row in rows if row["userid"] == name), None)
    if row is None:
        return None
    tokens = [_token(entry) for entry in row.get("tokens") or []]
    return UserInfo(
        user=name,
        enabled=_flag(row.get("enable", 1)),
        comment=row.get("comment") or "",
        tokens={token.name: token for token in tokens},
    )


def _token(row: Mapping[str, Any]) -> TokenInfo:
    return TokenInfo(
        name=row["tokenid"],
        privsep=_flag(row.get("privsep", 1)),
        comment=row.get("comment") or "",
        expire=int(row.get("expire") or 0),
    )


def _acl(row: Mapping[str, Any]) -> Acl:
    return Acl(
        path=row["path"],
        role=row["roleid"],
        subject=row["type"],
        id=row["ugid"],
        propagate=_flag(row.get("propagate", 1)),
    )


def _flag(value: Any) -> bool:
    """Booleans arrive as 0, 1, their text, or nothing."""
    return str(value or 0) == "1"
