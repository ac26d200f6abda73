# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud-init addresses, C(ipconfigN)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import ClassVar

from .property_string import Key, Kind, PropertyString

_PREFIXED = re.compile(r"[^/]+/(\d+)", re.ASCII)


def _read_ipv4_config(text: str) -> str:
    if text in ("dhcp", "manual"):
        return text
    try:
        return _interface(text, ipaddress.IPv4Interface)
    except ValueError as exc:
        raise ValueError(f"{text!r} is neither dhcp nor manual nor an IPv4 address such as 10.0.0.5/24") from exc


def _read_ipv6_config(text: str) -> str:
    if text in ("auto", "dhcp", "manual"):
        return text
    try:
        return _interface(text, ipaddress.IPv6Interface)
    except ValueError as exc:
        raise ValueError(f"{text!r} is none of auto, dhcp, manual, an IPv6 address such as fd00::5/64") from exc


def _interface(text: str, kind: type[ipaddress.IPv4Interface] | type[ipaddress.IPv6Interface]) -> str:
    prefix = _PREFIXED.fullmatch(text)
    # pve_verify_cidrv4 and pve_verify_cidrv6 in JSONSchema.pm refuse prefixes below 8.
    if prefix is None or int(prefix[1]) < 8:
        raise ValueError(text)
    return str(kind(text))


def _read_ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as exc:
        raise ValueError(f"{text!r} is no IPv4 address") from exc


def _read_ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError as exc:
        raise ValueError(f"{text!r} is no IPv6 address") from exc


IPV4_CONFIG: Kind[str] = Kind((str,), _read_ipv4_config, str)
IPV6_CONFIG: Kind[str] = Kind((str,), _read_ipv6_config, str)
IPV4: Kind[str] = Kind((str,), _read_ipv4, str)
IPV6: Kind[str] = Kind((str,), _read_ipv6, str)


@dataclass(frozen=True, slots=True, repr=False)
class IpConfig(PropertyString):
    """C(ip=10.0.0.5/24,gw=10.0.0.1,ip6=auto); the typed addresses are in their shortest form."""

    NOUN: ClassVar[str] = "ipconfig"

    ip = Key(IPV4_CONFIG)
    gw = Key(IPV4)
    ip6 = Key(IPV6_CONFIG)
    gw6 = Key(IPV6)

    def problems(self) -> tuple[str, ...]:
        """Why cloud-init would get something else: C(parse_ipconfig) in qemu-server drops the whole value then.

        The API stores some of these without a word, so they are no parse errors.
        """
        found = []
        for address, gateway in (("ip", "gw"), ("ip6", "gw6")):
            value = self.get(address)
            if self.get(gateway) is None:
                continue
            if value is None:
                found.append(f"{gateway} needs {address}")
            elif "/" not in value and (address, value) != ("ip", "manual"):
                found.append(f"{gateway} does not go with {address}={value}")
        return tuple(found)
