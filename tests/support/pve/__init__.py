# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake Proxmox VE server for tests and the demo: ``with serve() as server: ...``."""

from __future__ import annotations

from .cluster import FakeCluster
from .server import Server, serve
from .wire import Request

__all__ = ["FakeCluster", "Request", "Server", "serve"]
