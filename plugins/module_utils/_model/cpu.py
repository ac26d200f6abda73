# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulated processor, C(cpu)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from .property_string import BOOL, INT, TEXT, Key, Kind, PropertyString

_FLAG = re.compile(r"[+-][A-Za-z0-9\-_.]+", re.ASCII)


def _read_flags(text: str) -> frozenset[str]:
    flags = text.split(";")
    for flag in flags:
        if not _FLAG.fullmatch(flag):
            raise ValueError(f"{flag!r} is no CPU flag, such as +aes or -pcid")
    return frozenset(flags)


FLAGS: Kind[frozenset[str]] = Kind((frozenset, set, tuple, list), _read_flags, lambda flags: ";".join(sorted(flags)))


@dataclass(frozen=True, slots=True, repr=False)
class Cpu(PropertyString):
    """C(x86-64-v2-AES), C(host,flags=+aes;-pcid), C(cputype=custom-mine)."""

    NOUN: ClassVar[str] = "cpu"

    cputype = Key(TEXT, default=True, required=True)
    flags = Key(FLAGS)
    hidden = Key(BOOL)
    hv_vendor_id = Key(TEXT, "hv-vendor-id")
    phys_bits = Key(TEXT, "phys-bits")
    """8 to 64, or C(host)."""
    guest_phys_bits = Key(INT, "guest-phys-bits")
    reported_model = Key(TEXT, "reported-model")
