# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of a guest, from what its agent says of its interfaces."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from typing import Any


def addresses(interfaces: Iterable[Mapping[str, Any]], macs: Collection[str] = ()) -> tuple[str, ...]:
    """The addresses that others can reach, the best one first.

    Those of the VM's own devices (C(macs), net0 first) come before those that a guest made for its containers, IPv4
    before IPv6. Loopback and link-local addresses are left out.
    """
    order = {mac.lower(): number for number, mac in enumerate(macs)}
    found: list[tuple[int, int, str]] = []
    for interface in interfaces:
        place = order.get(str(interface.get("hardware-address", "")).lower(), len(order))
        for given in interface.get("ip-addresses") or ():
            text = str(given.get("ip-address", "")).partition("%")[0]
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                continue
            if not (address.is_loopback or address.is_link_local or address.is_unspecified):
                found.append((place, address.version, str(address)))
    return tuple(dict.fromkeys(text for _place, _version, text in sorted(found, key=lambda one: one[:2])))
