# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C(templates_bake): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = {
    "title": "Templates bake",
    "description": "Bake Ansible roles into cloud-init templates",
    "type": "object",
    "properties": {
        "stage": {
            "type": "string",
            "description": "With begin new generations are stopped before their "
            "seal, and become hosts. With roles this host gets what "
            "is baked. With finish builders are sealed, proved and "
            "published, and those whose roles failed are given up.",
            "enum": ["begin", "roles", "finish"],
        },
        "only": {
            "type": "array",
            "description": "The names of the lines to bake, all with a bake_version where nothing is given.",
            "items": {"type": "string"},
            "default": [],
        },
        "roles": {
            "type": "array",
            "description": "The roles to bake, in this order. Their variables are looked for as for any host.",
            "items": {"type": "string"},
            "default": [],
        },
        "tasks": {
            "type": "string",
            "description": "A file with tasks that run after the roles, as a full path.",
            "default": "",
        },
        "keep_failed": {
            "type": "boolean",
            "description": "Leave builders whose roles failed as they are, to "
            "be looked at. They are removed by the first run "
            "after their deadline, or with abandon.",
            "default": False,
        },
    },
    "additionalProperties": False,
}
