# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The display, C(vga)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .property_string import INT, TEXT, Key, PropertyString


@dataclass(frozen=True, slots=True, repr=False)
class Vga(PropertyString):
    """C(serial0), C(type=virtio,memory=64)."""

    NOUN: ClassVar[str] = "vga"

    type = Key(TEXT, default=True)
    memory = Key(INT)
    """MiB."""
    clipboard = Key(TEXT)
