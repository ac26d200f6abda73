# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module of the same name, packed as the others are; it has no progress to be shown."""

from __future__ import annotations

from ..plugin_utils.live import LiveAction


class ActionModule(LiveAction):
    """What it does is documented with the module."""

    def _can_follow(self) -> bool:
        return False
