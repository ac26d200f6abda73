# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a release; the text is for a person."""

from __future__ import annotations


class ReleaseError(Exception):
    """A release cannot be made, read or switched to."""
