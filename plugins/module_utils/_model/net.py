# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network devices, C(netN)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from .property_string import BOOL, INT, LIST, NUMBER, TEXT, Fold, Key, Kind, PropertyString

# $nic_model_list in qemu-server's Network.pm: each is also a key whose value is the MAC address.
NIC_MODELS = frozenset(
    [
        "e1000",
        "e1000-82540em",
        "e1000-82544gc",
        "e1000-82545em",
        "e1000e",
        "i82551",
        "i82557b",
        "i82559er",
        "ne2k_isa",
        "ne2k_pci",
        "pcnet",
        "rtl8139",
        "virtio",
        "vmxnet3",
    ]
)

_MAC = re.compile(r"[0-9A-F][02468ACE](?::[0-9A-F]{2}){5}")


def _read_mac(text: str) -> str:
    mac = text.upper()
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{text!r} is no unicast MAC address, such as BC:24:11:00:94:00")
    return mac


MAC: Kind[str] = Kind((str,), _read_mac, str)


@dataclass(frozen=True, slots=True, repr=False)
class Net(PropertyString):
    """C(virtio=BC:24:11:00:94:00,bridge=vmbr0,firewall=1).

    Without a MAC address Proxmox generates a new one at every write, so carry the one that was read.
    """

    NOUN: ClassVar[str] = "net"
    FOLD: ClassVar[Fold | None] = Fold(NIC_MODELS, "model", "macaddr")

    model = Key(TEXT, default=True, required=True)
    macaddr = Key(MAC)
    """In upper case, whatever the case in the text."""
    bridge = Key(TEXT)
    firewall = Key(BOOL)
    link_down = Key(BOOL)
    mtu = Key(INT)
    """1 means the bridge's MTU."""
    queues = Key(INT)
    rate = Key(NUMBER)
    """Megabytes per second."""
    tag = Key(INT)
    """VLAN."""
    trunks = Key(LIST)
    """VLANs and ranges: C(2), C(10-20)."""

    def meaning(self) -> dict[str, object]:
        """As everywhere, but trunks are a set."""
        found = PropertyString.meaning(self)
        trunks = found.get("trunks")
        return {**found, "trunks": sorted(trunks)} if isinstance(trunks, tuple) else found
