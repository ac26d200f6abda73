# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Empty stand-in of FaultsMixin until its owner writes it (FakeCluster composes it)."""

from __future__ import annotations


class FaultsMixin:
    """Hooks a mixin may define: see the docstring of cluster.py."""
