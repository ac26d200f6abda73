# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C(controller): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = {
    "title": "Controller",
    "description": "A control node with the command homelab, pinned to a release",
    "type": "object",
    "properties": {
        "state": {
            "type": "string",
            "description": "absent removes the command, all releases and what belongs to them.",
            "enum": ["present", "absent"],
            "default": "present",
        },
        "keep_data": {
            "type": "boolean",
            "description": "With controller_state=absent, whether configuration, "
            "backups, runs, logs and the account that owns them "
            "stay. With false they are gone for good.",
            "default": True,
        },
        "bundle": {
            "type": "string",
            "description": "The folder of an unpacked and verified bundle on the "
            "host, for hosts without a network. Packages come out of "
            "it then, and nothing is installed with apt. Empty lets "
            "pip ask the index that it is configured for.",
            "default": "",
        },
        "python": {
            "type": "string",
            "description": "The Python of the host, 3.11 to 3.13, on which the "
            "virtual environment stands. It is not changed.",
            "default": "/usr/bin/python3",
        },
        "packages": {
            "x-merge": "union",
            "type": "array",
            "description": "Debian packages to have. Those that cannot be had "
            "without a network are named in a message.",
            "items": {"type": "string"},
            "default": ["gpgv", "logrotate", "openssh-client", "whiptail"],
        },
        "keep_releases": {
            "type": "integer",
            "description": "How many finished releases stay, the current one included.",
            "default": 3,
        },
        "user": {
            "type": "string",
            "description": "The service account that owns configuration and data, and under which every run works.",
            "default": "homelab",
        },
        "admins": {
            "x-merge": "union",
            "type": "array",
            "description": "Users who may start homelab without a password, with sudo. root always may.",
            "items": {"type": "string"},
            "default": [],
        },
        "log_weeks": {
            "type": "integer",
            "description": "How many weeks of logs stay. Logs of single runs go with their runs.",
            "default": 8,
        },
    },
    "additionalProperties": False,
}
