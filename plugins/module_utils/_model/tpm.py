# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TPM's state, C(tpmstate0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .disk import Disk
from .property_string import TEXT, Key


@dataclass(frozen=True, slots=True, repr=False)
class TpmState(Disk):
    """C(fast:vm-9-disk-1,size=4M,version=v2.0). The version cannot be changed later."""

    NOUN: ClassVar[str] = "tpmstate"

    version = Key(TEXT)
