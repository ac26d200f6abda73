# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May this user or token do what a plan is about to do, and which line would allow it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .privilege_table import CAPABILITIES, NEEDS, CallNeeds, Kind, Need, Right

# PVE::RPCEnvironment get_effective_permissions always evaluates these and leaves out those where nothing is allowed.
_ALWAYS_EVALUATED = frozenset({"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"})

DEFAULT_ROLES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.POOL: "HomelabPool",
        Kind.IMAGE_STORAGE: "HomelabImages",
        Kind.DISK_STORAGE: "HomelabDisks",
        Kind.BACKUP_STORAGE: "HomelabBackups",
        Kind.NODE: "HomelabNode",
        Kind.BRIDGE: "HomelabBridge",
    }
)

# Sys.Audit on a node shows its settings and everybody's tasks; Sys.Modify changes its network and stops its services.
ON_DEMAND = frozenset({"nodes", "updates"})
"""Capabilities that look at the nodes themselves, with privileges that nothing else here needs."""

DEFAULT_CAPABILITIES = tuple(name for name in CAPABILITIES if name not in ON_DEMAND)

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Permissions:
    """The reply of GET /access/permissions: path to privilege to whether it propagates (0 or 1)."""

    def __init__(self, reply: Mapping[str, Mapping[str, int]]) -> None:
        self._paths = {path: dict(privileges) for path, privileges in reply.items()}

    def has(self, path: str, privilege: str) -> bool:
        """Whether C(privilege) holds on C(path), by the rule of PVE::AccessControl::roles.

        A listed path says it itself. Otherwise the nearest ancestor that passes anything on decides: there its roles
        replace those from further up. A path that Proxmox evaluates always and yet does not list was closed with
        C(NoAccess), and passes nothing on.
        """
        if path in self._paths:
            return privilege in self._paths[path]
        for ancestor in _ancestors(path):
            if ancestor in _ALWAYS_EVALUATED and ancestor not in self._paths:
                return False
            passed_on = {name for name, propagates in self._paths.get(ancestor, {}).items() if int(propagates)}
            if passed_on:
                return privilege in passed_on
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One API call that a plan wants to make: a name of C(privilege_table.NEEDS) and what it is made on.

    C(vmid) None means a VMID that is not chosen yet; a storage, node or bridge left empty is not used. C(pool) is the
    pool the VM is in, or is to be put in. C(zone_bridge) is C(zone/bridge) or C(zone/bridge/vlan-tag), as the function
    of that name makes it.
    """

    name: str
    node: str = ""
    vmid: int | None = None
    newid: int | None = None
    pool: str = ""
    storage: str = ""
    zone_bridge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A privilege that is not there.

    C(pveum) is the line for the shell of a node that grants all that is missing on this path.
    """

    path: str
    privilege: str
    needed_for: str
    pveum: str

    def __str__(self) -> str:
        return f"{self.privilege} on {self.path} is missing (needed for {self.needed_for})"


def zone_bridge(bridge: str, tag: int | None = None, zone: str = "localnetwork") -> str:
    """The part of an access path that names a bridge. Proxmox checks the VLAN's own path when the NIC has a tag.

    Plain bridges are in the zone C(localnetwork) (pve-guest-common PVE::GuestHelpers::check_vnet_access).
    """
    path = f"{zone}/{bridge}"
    return path if tag is None else f"{path}/{tag}"


def missing(
    permissions: Permissions,
    calls: Iterable[Call],
    *,
    pve_major: int,
    auth_id: str = "USER@REALM!TOKEN",
    roles: Mapping[Kind, str] = DEFAULT_ROLES,
) -> tuple[Missing, ...]:
    """What the calls need and the caller does not have, each path and privilege once.

    C(auth_id) is the user or token the permissions are of; for a token the lines grant to it and to its user, because
    a privilege-separated token can do only what both may.
    """
    wanted: dict[str, dict[str, list[str]]] = {}
    kinds: dict[str, Kind] = {}
    for call in calls:
        entry = _entry(call.name, pve_major)
        unmet = tuple(
            need
            for need in entry.needs
            if not any(all(_holds(permissions, right, call) for right in alternative) for alternative in need)
        )
        for right in _chosen(tuple(_fillable(need, call) for need in unmet)):
            path = _grant_path(right, call)
            kinds.setdefault(path, _kind(right, entry))
            names = wanted.setdefault(path, {}).setdefault(right.privilege, [])
            if call.name not in names:
                names.append(call.name)
    lines = {
        path: grant_line(path, privileges, auth_id=auth_id, kind=kinds[path], roles=roles)
        for path, privileges in wanted.items()
    }
    return tuple(
        Missing(path=path, privilege=privilege, needed_for=", ".join(names), pveum=lines[path])
        for path, privileges in wanted.items()
        for privilege, names in privileges.items()
    )


def grant_line(
    path: str, privileges: Iterable[str], *, auth_id: str, kind: Kind, roles: Mapping[Kind, str] = DEFAULT_ROLES
) -> str:
    """The shell line that puts the privileges into the role of this kind of path and grants the role.

    C(--append) leaves what the role already has. Only a pool's grant propagates: its VMs are members, not children.
    """
    role = shlex.quote(roles[kind])
    privs = shlex.quote(" ".join(sorted(privileges)))
    user, _unused, token = auth_id.partition("!")
    grantees = [] if user == "root@pam" else [f"--users {shlex.quote(user)}"]
    if token:
        grantees.append(f"--tokens {shlex.quote(auth_id)}")
    to = " ".join(grantees)
    return (
        f"pveum role add {role} 2>/dev/null; pveum role modify {role} --privs {privs} --append 1 && "
        f"pveum acl modify {shlex.quote(path)} {to} --roles {role} --propagate {int(kind is Kind.POOL)}"
    )


def role_privileges(pve_major: int, capabilities: Iterable[str] = DEFAULT_CAPABILITIES) -> dict[Kind, tuple[str, ...]]:
    """The union of what the capabilities' calls need, sorted, for each kind of path that needs anything.

    Of alternatives the narrowest is taken. Storages are always granted C(Datastore.Audit) where they are granted
    anything, since one that cannot be seen reads as missing. Raises KeyError for an unknown capability or version.
    """
    union: dict[Kind, set[str]] = {}
    for name in dict.fromkeys(call for capability in capabilities for call in CAPABILITIES[capability]):
        entry = _entry(name, pve_major)
        for right in _chosen(entry.needs):
            if name != "see_storage":
                union.setdefault(_kind(right, entry), set()).add(right.privilege)
    for kind in (Kind.IMAGE_STORAGE, Kind.DISK_STORAGE, Kind.BACKUP_STORAGE):
        if kind in union:
            union[kind].add("Datastore.Audit")
    return {kind: tuple(sorted(union[kind])) for kind in Kind if kind in union}


def _entry(name: str, pve_major: int) -> CallNeeds:
    return NEEDS[pve_major if pve_major in NEEDS else max(NEEDS)][name]


def _ancestors(path: str) -> Iterable[str]:
    while path not in ("/", ""):
        path = path.rpartition("/")[0] or "/"
        yield path


def _fill(template: str, call: Call) -> str | None:
    """The path, or None when the call does not name what the template asks for."""
    values = {name: getattr(call, name) for name in _PLACEHOLDER.findall(template)}
    if any(value in (None, "") for value in values.values()):
        return None
    return template.format(**values)


def _holds(permissions: Permissions, right: Right, call: Call) -> bool:
    path = _fill(right.path, call)
    if path is not None and permissions.has(path, right.privilege):
        return True
    if not right.path.startswith("/vms/"):
        return path is None and not right.path.startswith("/pool/")
    # A VM that does not exist yet has no path of its own; Proxmox then asks for its pool (check_vm_perm).
    if call.pool and permissions.has(f"/pool/{call.pool}", right.privilege):
        return True
    return path is None and permissions.has("/vms/0", right.privilege)


def _fillable(need: Need, call: Call) -> Need:
    """The alternatives whose paths the call can name; all of them when it can name none."""
    possible = tuple(
        alternative for alternative in need if all("{" not in _grant_path(right, call) for right in alternative)
    )
    return possible or need


def _chosen(needs: tuple[Need, ...]) -> tuple[Right, ...]:
    """The fewest and narrowest rights that satisfy the needs: what has no alternative, then first alternatives."""
    chosen = {right: None for need in needs if len(need) == 1 for right in need[0]}
    for need in needs:
        if not any(all(right in chosen for right in alternative) for alternative in need):
            chosen |= dict.fromkeys(need[0])
    return tuple(chosen)


def _grant_path(right: Right, call: Call) -> str:
    if right.path.startswith("/vms/"):
        return f"/pool/{call.pool}" if call.pool else (_fill(right.path, call) or "/vms")
    return _fill(right.path, call) or right.path


def _kind(right: Right, entry: CallNeeds) -> Kind:
    if right.path.startswith("/storage/"):
        return entry.storage or Kind.DISK_STORAGE
    if right.path.startswith("/nodes/") or right.path == "/":
        return Kind.NODE
    if right.path.startswith("/sdn/"):
        return Kind.BRIDGE
    return Kind.POOL
