# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The QEMU guest agent's switch, C(agent)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .property_string import BOOL, TEXT, Key, PropertyString


@dataclass(frozen=True, slots=True, repr=False)
class Agent(PropertyString):
    """C(1) or C(enabled=1,fstrim_cloned_disks=1)."""

    NOUN: ClassVar[str] = "agent"

    enabled = Key(BOOL, default=True, required=True)
    fstrim_cloned_disks = Key(BOOL)
    # Newer servers call it freeze-fs and take the old name as an alias; 8.4 knows only the old one.
    freeze_fs_on_backup = Key(BOOL, "freeze-fs-on-backup", aliases=["freeze-fs", "guest-fsfreeze"])
    type = Key(TEXT)
