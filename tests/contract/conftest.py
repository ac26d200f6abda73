# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the contract tests stand on."""

from __future__ import annotations

from tests.support.workbench import bench, bench_vendor

__all__ = ["bench", "bench_vendor"]
