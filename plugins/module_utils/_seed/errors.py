# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the building of a seed ends with when it cannot go on."""

from __future__ import annotations


class SeedError(Exception):
    """A seed cannot be made, or what a guest reported cannot be read."""

    kind = "seed"
