# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C(hardening): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = {
    "title": "Hardening",
    "description": "A reversible baseline for guests that knows what will run on them",
    "type": "object",
    "properties": {
        "state": {
            "type": "string",
            "description": "absent removes what the role put there and restores what it replaced.",
            "enum": ["present", "absent"],
            "default": "present",
        },
        "profiles": {
            "x-merge": "union",
            "type": "array",
            "description": "baseline is about security, guest about being a good guest of a virtualisation host.",
            "items": {"type": "string", "enum": ["baseline", "guest"]},
            "default": ["baseline"],
        },
        "workloads": {
            "x-merge": "union",
            "type": "array",
            "description": "What will run here. Each relaxes exactly what it needs; the role's README has the list.",
            "items": {"type": "string", "enum": ["docker", "kubernetes", "router"]},
            "default": [],
        },
        "skip": {
            "x-merge": "union",
            "type": "array",
            "description": "Measures to leave alone. What one of them had changed before is put back.",
            "items": {
                "type": "string",
                "enum": [
                    "ssh",
                    "sysctl",
                    "modules",
                    "updates",
                    "audit",
                    "root_password",
                    "empty_passwords",
                    "umask",
                    "file_modes",
                    "core_dumps",
                    "journal",
                    "journal_limits",
                    "trim",
                    "mount_options",
                    "serial_console",
                ],
            },
            "default": [],
        },
        "ssh_password_login": {
            "type": "string",
            "description": "With until_keys passwords are accepted "
            "until there is a key to log in with. Over "
            "SSH that is a key of the user who runs the "
            "play, otherwise one of any user who may log "
            "in. never switches passwords off in any "
            "case. It is for templates, whose keys come "
            "with the first boot. keep does not manage "
            "it.",
            "enum": ["until_keys", "never", "keep"],
            "default": "until_keys",
        },
        "ssh_root_login": {
            "type": "string",
            "description": "How root may log in. Running the role as root over SSH refuses no.",
            "enum": ["prohibit-password", "forced-commands-only", "no"],
            "default": "prohibit-password",
        },
        "ssh_settings": {
            "type": "object",
            "description": "Keywords and values of sshd_config, over those of "
            "the role. An empty value leaves a keyword out.",
            "default": {},
        },
        "sysctl_settings": {
            "type": "object",
            "description": "Kernel parameters, over those of the role. An empty value leaves a parameter out.",
            "default": {},
        },
        "updates_reboot": {
            "type": "boolean",
            "description": "Whether a guest restarts by itself after updates that ask for it.",
            "default": False,
        },
        "updates_reboot_time": {
            "type": "string",
            "description": "When it does, on Debian and Ubuntu. The RHEL family restarts right after the update.",
            "default": "04:00",
        },
        "umask": {"type": "string", "description": "The umask of users who log in.", "default": "027"},
        "audit_rules": {
            "x-merge": "append",
            "type": "array",
            "description": "Rules of auditctl to load besides those of the role.",
            "items": {"type": "string"},
            "default": [],
        },
        "journal_max_use": {
            "type": "string",
            "description": "How much the stored journal may take on disk.",
            "default": "200M",
        },
        "journal_max_age": {
            "type": "string",
            "description": "How old its entries may become, as a time span of systemd.",
            "default": "1month",
        },
        "serial_port": {"type": "string", "description": "The serial port that offers a login.", "default": "ttyS0"},
    },
    "additionalProperties": False,
}
