# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the inventory plugin guests to hosts: read, name, group. It only ever sends reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .._model.guest import LXC, Guest, GuestFacts
from .._plan.guest_hosts import groups, has_agent
from .._plan.guests import Member, host_names
from .._plan.plan import OptionProblems
from .._pve.client import Client
from .._pve.errors import ApiError, Kind, ProxmoxError
from .._pve.session import MISSING_LIBRARY
from .._pve.transport import ProxmoxerTransport
from .._read.guests import FactsRead, Listing, read_facts, read_listing
from .._read.reader import read_permissions
from .deps import REQUIRED
from .guests_options import ClusterSource, Source

if TYPE_CHECKING:
    from .._plan.privileges import Permissions

Keep = Callable[[Source, Sequence[Member]], list[Member]]
"""Filters that the door evaluates itself, on what is known without facts."""

# The first one up to Proxmox VE 8, the others from 9 on (qemu-server 9.0.3).
AGENT_PRIVILEGES = ("VM.Monitor", "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read; C(notes) are for the user, C(failed) says of each cluster that is missing why."""

    members: list[Member]
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    def to_data(self) -> list[dict[str, Any]]:
        """For a cache; from_data takes it back."""
        return [
            {
                "cluster": member.cluster,
                "guest": member.guest.to_data(),
                "facts": None if member.facts is None else member.facts.to_data(),
            }
            for member in self.members
        ]

    @classmethod
    def from_data(cls, data: Sequence[Mapping[str, Any]]) -> Reading:
        """Raises KeyError, TypeError and ValueError for what to_data of this release did not write."""
        return cls(
            [
                Member(
                    cluster=row["cluster"],
                    guest=Guest.from_data(row["guest"]),
                    facts=None if row["facts"] is None else GuestFacts.from_data(row["facts"]),
                )
                for row in data
            ]
        )


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the inventory."""

    name: str
    variables: Mapping[str, Any]
    groups: Sequence[str]


def read_source(source: Source, keep: Keep) -> Reading:
    """Read all clusters, one after the other. What fails is in C(failed), so that all of it can be said at once."""
    if MISSING_LIBRARY:
        text = f"{sys.executable} lacks a library that connects to Proxmox VE. Run: {sys.executable} -m pip install"
        return Reading([], failed=(f"{text} '{REQUIRED['proxmoxer']}' '{REQUIRED['requests']}'",))
    members: list[Member] = []
    notes: list[str] = []
    failed: list[str] = []
    for cluster in source.clusters:
        place = f"{cluster.connection.host}:{cluster.connection.port}"
        where = f"cluster {cluster.name} ({place})" if cluster.name else place
        try:
            members += _read_cluster(source, cluster, keep, notes, where)
        except ProxmoxError as error:
            failed.append(f"{where}: {error}{_remedy(cluster, error)}")
    return Reading(members, tuple(notes), tuple(failed))


def _remedy(cluster: ClusterSource, error: ProxmoxError) -> str:
    """The server does not say which part of a token is wrong; what fails otherwise names its fix already."""
    if isinstance(error, ApiError) and error.kind is Kind.AUTH and cluster.connection.token_id:
        return f". Check `api_token_id` and `api_token_secret` of {cluster.connection.token_id}, and when it expires."
    return ""


def _read_cluster(source: Source, cluster: ClusterSource, keep: Keep, notes: list[str], where: str) -> list[Member]:
    connection = cluster.connection
    transport = ProxmoxerTransport(connection)
    client = Client(transport, timeout=connection.timeout, request_timeout=connection.request_timeout, read_only=True)
    try:
        listing = read_listing(client, live=source.live, workers=source.workers)
        found = [Member(cluster=cluster.name, guest=guest) for guest in listing.guests]
        kept = keep(source, [member for member in found if source.selection.takes(member)])
        if not source.facts:
            return kept
        return _with_facts(kept, _read_facts(client, source, listing, kept, notes, where))
    finally:
        transport.close()


def _read_facts(  # noqa: PLR0917
    client: Client, source: Source, listing: Listing, kept: Sequence[Member], notes: list[str], where: str
) -> FactsRead:
    guests = [member.guest for member in kept]
    if not source.agent or not any(guest.running for guest in guests):
        return read_facts(client, listing, guests, workers=source.workers)
    # The table of privileges is long, and few inventories ask agents.
    from .._plan.privileges import Permissions  # noqa: PLC0415

    permissions = Permissions(read_permissions(client))
    refused: set[int] = set()
    asking = partial(_ask_for_addresses, permissions, refused)
    found = read_facts(client, listing, guests, workers=source.workers, asking=asking)
    if refused:
        notes.append(
            f"{where}: the agents of {len(refused)} guests were not asked, such as {min(refused)}: that needs one of"
            f" {', '.join(AGENT_PRIVILEGES)} on /vms/{min(refused)} or its pool. Grant it, or set `agent: false`."
        )
    return found


def _ask_for_addresses(permissions: Permissions, refused: set[int], guest: Guest, config: Mapping[str, Any]) -> bool:
    """Whether the answer can be anything but a refusal. Threads call this at once; adding to a set is atomic."""
    if not guest.running:
        return False
    if guest.type == LXC:
        return True
    if not has_agent(config):
        return False
    if any(permissions.has(f"/vms/{guest.vmid}", privilege) for privilege in AGENT_PRIVILEGES):
        return True
    refused.add(guest.vmid)
    return False


def _with_facts(kept: Sequence[Member], read: FactsRead) -> list[Member]:
    return [
        replace(
            member,
            guest=read.guests.get(member.guest.vmid, member.guest),
            facts=read.facts.get(member.guest.vmid),
        )
        for member in kept
        if member.guest.vmid not in read.gone
    ]


def hosts_of(source: Source, members: list[Member]) -> Iterator[Host]:
    """The hosts that the members become, each of which is taken out of the list. Raises OptionProblems for clashes.

    Ansible copies what it is given, and nobody needs twice the memory.
    """
    problems: list[str] = []
    names = host_names(members, source.duplicates, source.affixes, problems)
    if problems:
        raise OptionProblems(tuple(problems))
    members.reverse()
    for name in names:
        member = members.pop()
        found = source.variables(member)
        yield Host(name, found, groups(member, found, source.hosts))
