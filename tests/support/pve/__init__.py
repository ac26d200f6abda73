# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake Proxmox VE server for tests and the demo.

    with serve(FakeCluster(nodes=("pve1", "pve2"))) as server:
        server.cluster.put_file("local:import/empty.qcow2", images.qcow2())
        ...                                    # talk to server.host, server.port with server.token_id, .token_secret
        server.cluster.vms[100].config         # {vmid: Vm}; volumes(node), locks, running_tasks(), stored_secret(vmid)
        server.writes()                        # journalled requests other than GET and the login; reset_log()

Time: ``cluster.durations``, ``missing_polls``, ``running_polls``. Vendors' URLs: ``cluster.url_map``. Guests:
``cluster.guest_setup`` and ``vm.inside`` (guest.py). Callers and limits: access.py, limits.py; trouble: faults.py.
"""

from __future__ import annotations

from .cluster import FakeCluster
from .server import Server, serve
from .wire import Request

__all__ = ["FakeCluster", "Request", "Server", "serve"]
