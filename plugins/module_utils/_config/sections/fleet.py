# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C(fleet): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = {
    "title": "Fleet",
    "description": "Keep the VMs of an inventory group, and make them reachable hosts",
    "type": "object",
    "properties": {
        "vm": {
            "type": "object",
            "description": "The VM of this host, with the options of "
            "homelab.proxmox.vm. Its name is that of the host where "
            "nothing is given. Hosts whose VM has state=absent, or does "
            "not run, are left out of the rest of the play. Those that "
            "are there join the group fleet_up.",
            "default": {},
        },
        "defaults": {
            "type": "object",
            "description": "Options for every VM; what the host says itself wins.",
            "default": {},
        },
        "started": {"type": "boolean", "description": "Whether VMs run that say nothing else.", "default": True},
        "wait_for": {
            "type": "string",
            "description": "What running VMs have to have come to.",
            "enum": ["none", "agent", "cloud_init", "ssh"],
            "default": "ssh",
        },
        "wait_timeout": {"type": "integer", "description": "Seconds to wait, for all VMs together.", "default": 600},
        "set_address": {
            "type": "boolean",
            "description": "Reach hosts that have no ansible_host under the address of their VM.",
            "default": True,
        },
        "vmid_range": {"type": "string", "description": "The block from which VMIDs are taken.", "default": "100-8999"},
        "max_deletions": {
            "type": "integer",
            "description": "A run that would destroy more VMs than this is refused.",
            "default": 5,
        },
        "workers": {"type": "integer", "description": "How many VMs are worked on at once.", "default": 24},
        "per_storage": {
            "type": "integer",
            "description": "How many full clones and moves of disks go on at once on a storage.",
            "default": 2,
        },
        "per_node": {
            "type": "integer",
            "description": "How many full clones and moves of disks go on at once on a node.",
            "default": 4,
        },
    },
    "additionalProperties": False,
}
