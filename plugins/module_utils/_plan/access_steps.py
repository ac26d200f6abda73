# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of an access plan, as values. Each is one write, but for a token's new secret, which takes two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRole:
    """Create the role, or give it exactly these privileges."""

    name: str
    privileges: tuple[str, ...]
    exists: bool

    def describe(self) -> str:
        return f"{'change' if self.exists else 'create'} role {self.name}: {' '.join(self.privileges)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePool:
    pool: str
    comment: str

    def describe(self) -> str:
        return f"create pool {self.pool}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUser:
    user: str
    comment: str
    exists: bool

    def describe(self) -> str:
        return f"{'change the comment of' if self.exists else 'create'} user {self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateToken:
    """C(replace): the token exists and is made anew, which is the only way to a new secret on every version."""

    user: str
    token: str
    privsep: bool
    comment: str
    expire: int = 0
    replace: bool = False

    def describe(self) -> str:
        verb = "replace token" if self.replace else "create token"
        return f"{verb} {self.user}!{self.token} (privilege separation: {'yes' if self.privsep else 'no'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeToken:
    user: str
    token: str
    privsep: bool
    comment: str

    def describe(self) -> str:
        return f"change token {self.user}!{self.token} (privilege separation: {'yes' if self.privsep else 'no'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAcl:
    """Give a role on a path to users and tokens, or take it away."""

    path: str
    role: str
    users: tuple[str, ...]
    tokens: tuple[str, ...]
    propagate: bool = False
    delete: bool = False

    def describe(self) -> str:
        verb, to = ("revoke", "from") if self.delete else ("grant", "to")
        return f"{verb} {self.role} on {self.path} {to} {', '.join((*self.users, *self.tokens))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteToken:
    user: str
    token: str

    def describe(self) -> str:
        return f"delete token {self.user}!{self.token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUser:
    user: str

    def describe(self) -> str:
        return f"delete user {self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRole:
    name: str

    def describe(self) -> str:
        return f"delete role {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePool:
    pool: str

    def describe(self) -> str:
        return f"delete pool {self.pool}"


AccessStep: TypeAlias = (
    "SetRole | CreatePool | SetUser | CreateToken | ChangeToken | ChangeAcl | DeleteToken | DeleteUser | DeleteRole | "
    "DeletePool"
)
