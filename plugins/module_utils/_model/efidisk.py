# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of the EFI variables, C(efidisk0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .disk import Disk
from .property_string import BOOL, TEXT, Key


@dataclass(frozen=True, slots=True, repr=False)
class EfiDisk(Disk):
    """C(fast:vm-9-disk-0,efitype=4m,pre-enrolled-keys=1,ms-cert=2023k,size=4M). It cannot be resized."""

    NOUN: ClassVar[str] = "efidisk"

    efitype = Key(TEXT)
    pre_enrolled_keys = Key(BOOL, "pre-enrolled-keys")
    ms_cert = Key(TEXT, "ms-cert")
    """Which Microsoft certificates are enrolled; the server's own marker, C(2023k) since firmware 4.2025.05-1."""
