# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, tokens, roles, pools and access control entries of a Proxmox VE cluster, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DEFAULT_COMMENT = "Managed by homelab.proxmox"

Subject = Literal["user", "token", "group"]


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One entry: C(id) of kind C(subject) has C(role) on C(path)."""

    path: str
    role: str
    subject: Subject
    id: str
    propagate: bool

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What Proxmox keeps one entry for; C(propagate) is its value."""
        return (self.path, self.role, self.subject, self.id)

    def __str__(self) -> str:
        return f"{self.path}: {self.role} for {self.subject} {self.id}, propagate={int(self.propagate)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleWish:
    """A role to keep; C(privileges) None takes what the capabilities need on the version found."""

    name: str
    privileges: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A path to be allowed, by the role of its C(kind) (a value of privilege_table.Kind)."""

    kind: str
    path: str
    propagate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What an automation user is to have. C(comment) None leaves existing comments alone."""

    present: bool
    user: str
    token: str
    privsep: bool
    pool: str
    comment: str | None
    capabilities: tuple[str, ...]
    roles: Mapping[str, RoleWish]
    """Kind to role."""
    grants: tuple[Grant, ...]
    storages: tuple[str, ...]
    nodes: tuple[str, ...]
    regenerate: bool
    exclusive: bool

    @property
    def token_id(self) -> str:
        return f"{self.user}!{self.token}"

    @property
    def realm(self) -> str:
        return self.user.rpartition("@")[2]

    @property
    def role_names(self) -> frozenset[str]:
        return frozenset(wish.name for wish in self.roles.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """A token as the server lists it; C(expire) in epoch seconds, 0 is never."""

    name: str
    privsep: bool
    comment: str
    expire: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfo:
    user: str
    enabled: bool
    comment: str
    tokens: Mapping[str, TokenInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleInfo:
    """C(special): one of Proxmox's own, which cannot be changed."""

    name: str
    privileges: frozenset[str]
    special: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessState:
    """What the server has, as far as the caller may see it."""

    version: str
    roles: Mapping[str, RoleInfo]
    user: UserInfo | None
    acl: tuple[Acl, ...]
    pools: frozenset[str]
    pool_members: int
    """Members of the declared pool, read only when it may be removed."""
    storages: frozenset[str]
    nodes: frozenset[str]
    permissions: Mapping[str, Mapping[str, int]]
    """The caller's own, as GET /access/permissions says."""

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])
