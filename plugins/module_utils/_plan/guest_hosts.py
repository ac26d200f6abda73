# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest becomes in an inventory: its variables, its groups and the address to reach it by."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._model.agent import Agent
from .._model.guest import LXC, GuestFacts
from .._model.identity import RESERVED_PREFIXES, Identity, human_text, read_identity
from .._model.ipconfig import IpConfig
from .._model.net import Net
from .._model.property_string import PropertyString, PropertyStringError
from .guests import Member

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_UNSAFE = re.compile(r"[^A-Za-z0-9_]")
_NUMBERED = re.compile(r"net(0|[1-9]\d*)", re.ASCII)
# What a variable of its own tells. Each value costs Ansible half a kilobyte for each host.
_TOLD = frozenset({"name", "hostname", "tags", "description", "ostype", "agent", "template", "lock"})
GROUP_KINDS = ("cluster", "type", "status", "node", "pool", "tag", "line", "os")
ADDRESS_SOURCES = ("agent", "config")
FAMILIES = {"ipv4": 4, "ipv6": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRule:
    """C(sources) are asked in order; C(families) are versions, preferred first; C(networks) empty takes any address."""

    sources: tuple[str, ...] = ADDRESS_SOURCES
    families: tuple[int, ...] = (4, 6)
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRule:
    """How members become hosts. C(per_cluster): nodes and pools of several clusters may be called alike."""

    var_prefix: str = "proxmox_"
    group_prefix: str = "proxmox_"
    group_kinds: tuple[str, ...] = GROUP_KINDS
    address: AddressRule = AddressRule()
    per_cluster: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A network device of a guest's configuration."""

    key: str
    mac: str
    bridge: str
    vlan: int | None
    addresses: tuple[str, ...]


def variables(member: Member, rule: HostRule) -> dict[str, Any]:
    """The variables of a host, C(ansible_host) among them where an address is known."""
    guest, facts = member.guest, member.facts
    found: dict[str, Any] = {
        "vmid": guest.vmid,
        "name": guest.name,
        "type": guest.type,
        "node": guest.node,
        "status": guest.status,
        "template": guest.template,
        "tags": list(guest.tags),
        "pool": guest.pool,
        "line": guest.line,
    }
    # Few guests have them, and thousands of empty ones cost Ansible as much as full ones.
    rare = {"generation": guest.generation, "lock": guest.lock, "ha_state": guest.ha_state, "cluster": member.cluster}
    found.update((name, value) for name, value in rare.items() if value)
    sizes = {"cpus": guest.cpus, "memory": guest.memory, "disk": guest.disk, "uptime": guest.uptime}
    found.update((name, value) for name, value in sizes.items() if value is not None)
    address = None
    if facts is not None:
        nics = tuple(nics_of(guest.type, facts.config))
        found |= _facts(member, facts, nics)
        address = address_of(facts, nics, rule.address)
    # Thousands of hosts have variables of the same names.
    whole = {sys.intern(rule.var_prefix + name): value for name, value in found.items()}
    return {**whole, "ansible_host": address} if address else whole


def _facts(member: Member, facts: GuestFacts, nics: tuple[Nic, ...]) -> dict[str, Any]:
    description = str(facts.config.get("description") or "")
    found: dict[str, Any] = {
        "os": str(facts.config.get("ostype") or ""),
        "agent": has_agent(facts.config),
        "description": human_text(description) if "```homelab" in description else description,
        "nets": {
            nic.key: {"mac": nic.mac, "bridge": nic.bridge, "vlan": nic.vlan, "addresses": list(nic.addresses)}
            for nic in nics
        },
        "config": {key: value for key, value in facts.config.items() if key not in _TOLD},
    }
    if facts.interfaces is not None:
        found["interfaces"] = [
            {"name": one.name, "mac": one.mac, "addresses": list(one.addresses)} for one in facts.interfaces
        ]
    identity = read_identity(member.guest.vmid, description)
    if isinstance(identity, Identity):
        # Its own block tells more than tags, which clones by hand inherit.
        found |= {"line": identity.line, "generation": identity.generation}
    return found


def groups(member: Member, found: Mapping[str, Any], rule: HostRule) -> list[str]:
    """The groups of a host, from its variables."""

    def value(name: str) -> str:
        return str(found.get(rule.var_prefix + name) or "")

    place = f"{member.cluster}_" if rule.per_cluster else ""
    names = {
        "cluster": [member.cluster],
        "type": [member.guest.type],
        "status": [member.guest.status],
        "node": [place + member.guest.node],
        "pool": [place + member.guest.pool] if member.guest.pool else [],
        "tag": [tag for tag in member.guest.tags if not tag.startswith(RESERVED_PREFIXES)],
        "line": [value("line")],
        "os": [value("os")],
    }
    wanted = [f"{rule.group_prefix}{kind}_{name}" for kind in rule.group_kinds for name in names[kind] if name]
    # Names that differ in signs only become one group.
    return list(dict.fromkeys(_UNSAFE.sub("_", name) for name in wanted))


# --- addresses


def has_agent(config: Mapping[str, Any]) -> bool:
    """Whether the configuration switches the guest agent on; containers have none."""
    text = config.get("agent")
    if text is None:
        return False
    try:
        return bool(Agent.parse(str(text)).enabled)
    except PropertyStringError:
        return False


def nics_of(kind: str, config: Mapping[str, Any]) -> Iterator[Nic]:
    """The network devices by their number; one that cannot be understood is left out."""
    numbers = sorted(int(match[1]) for key in config if (match := _NUMBERED.fullmatch(key)))
    for number in numbers:
        try:
            text = str(config[f"net{number}"])
            yield _container_nic(number, text) if kind == LXC else _vm_nic(number, text, config)
        except PropertyStringError:
            continue


def _vm_nic(number: int, text: str, config: Mapping[str, Any]) -> Nic:
    net = Net.parse(text)
    settings = config.get(f"ipconfig{number}")
    static = IpConfig.parse(str(settings)) if settings else None
    addresses = _without_prefix([static.ip, static.ip6]) if static else ()
    return Nic(key=f"net{number}", mac=net.macaddr or "", bridge=net.bridge or "", vlan=net.tag, addresses=addresses)


def _container_nic(number: int, text: str) -> Nic:
    net = PropertyString.parse(text)
    vlan = net.get("tag") or ""
    return Nic(
        key=f"net{number}",
        mac=(net.get("hwaddr") or "").upper(),
        bridge=net.get("bridge") or "",
        vlan=int(vlan) if vlan.isdecimal() else None,
        addresses=_without_prefix([net.get("ip"), net.get("ip6")]),
    )


def _without_prefix(values: Iterable[str | None]) -> tuple[str, ...]:
    """What is an address, not C(dhcp) or C(auto)."""
    return tuple(value.partition("/")[0] for value in values if value and "/" in value)


def address_of(facts: GuestFacts, nics: tuple[Nic, ...], rule: AddressRule) -> str | None:
    """The first address that fits: by source, then family, then the order of the network devices."""
    for source in rule.sources:
        texts = _seen(facts, nics) if source == "agent" else [text for nic in nics for text in nic.addresses]
        usable = [address for text in texts if (address := _usable(text, rule)) is not None]
        for family in rule.families:
            for address in usable:
                if address.version == family:
                    return str(address)
    return None


def _seen(facts: GuestFacts, nics: tuple[Nic, ...]) -> list[str]:
    """What the guest says, of interfaces with the MAC address of one of its network devices only.

    Bridges of containers and tunnels inside of a guest have addresses too, which nobody outside can reach.
    """
    order = {nic.mac: number for number, nic in reversed(list(enumerate(nics))) if nic.mac}
    ours = [one for one in facts.interfaces or () if one.mac in order]
    return [text for one in sorted(ours, key=lambda one: order[one.mac]) for text in one.addresses]


def _usable(text: str, rule: AddressRule) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast:
        return None
    if getattr(address, "scope_id", None) or (rule.networks and not any(address in one for one in rule.networks)):
        return None
    return address
