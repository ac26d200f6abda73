# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of boot devices, C(boot)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .property_string import LIST, TEXT, Key, PropertyString


@dataclass(frozen=True, slots=True, repr=False)
class Boot(PropertyString):
    """C(order=scsi0;net0), or the old C(cdn), which names kinds of devices by letters."""

    NOUN: ClassVar[str] = "boot"

    legacy = Key(TEXT, default=True)
    order = Key(LIST)
