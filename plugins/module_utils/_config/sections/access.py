# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C(access): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = {
    "title": "Access",
    "description": "A user and an API token with the least privileges on a Proxmox VE cluster",
    "type": "object",
    "properties": {
        "api_host": {
            "type": "string",
            "description": "Where the API listens. Empty falls back to "
            "PROXMOX_HOST. It is written into the connection file.",
            "default": "",
        },
        "api_port": {"type": "integer", "description": "The port of the API.", "default": 8006},
        "api_user": {
            "type": "string",
            "description": "The administrator who logs in for this run. Empty falls back to PROXMOX_USER.",
            "default": "root@pam",
        },
        "api_password": {
            "type": "string",
            "description": "The administrator's password. Empty falls back to PROXMOX_PASSWORD.",
            "default": "",
            "x-secret": True,
        },
        "api_token_id": {
            "type": "string",
            "description": "An administrator's token, instead of user and "
            "password. Empty falls back to PROXMOX_TOKEN_ID.",
            "default": "",
        },
        "api_token_secret": {
            "type": "string",
            "description": "The secret of that token. Empty falls back to PROXMOX_TOKEN_SECRET.",
            "default": "",
            "x-secret": True,
        },
        "validate_certs": {
            "type": "boolean",
            "description": "Whether the certificate of the API is verified, "
            "by this role and by who uses the connection "
            "file.",
            "default": True,
        },
        "ca_path": {
            "type": "string",
            "description": "A file with the certificate of the authority that signed the API's.",
            "default": "",
        },
        "fingerprint": {
            "type": "string",
            "description": "The SHA-256 fingerprint of the one certificate to accept, instead of an authority.",
            "default": "",
        },
        "state": {
            "type": "string",
            "description": "absent removes what present made, and the connection file.",
            "enum": ["present", "absent"],
            "default": "present",
        },
        "user": {"type": "string", "description": "The user to keep.", "default": "homelab@pve"},
        "token": {
            "type": "string",
            "description": "The name of its token, two characters or more.",
            "default": "ansible",
        },
        "privsep": {"type": "boolean", "description": "Whether the token has privileges of its own.", "default": True},
        "pool": {
            "type": "string",
            "description": "The pool that templates and clones are put into.",
            "default": "templates",
        },
        "storages": {
            "type": "array",
            "description": "Storages for the disks of virtual machines.",
            "items": {"type": "string"},
            "default": [],
        },
        "image_storages": {
            "type": "array",
            "description": "Storages that images and ISO files are put on and deleted from.",
            "items": {"type": "string"},
            "default": [],
        },
        "backup_storages": {
            "type": "array",
            "description": "Storages for backups.",
            "items": {"type": "string"},
            "default": [],
        },
        "nodes": {
            "type": "array",
            "description": "Nodes that may download from a URL, and that nodes and updates are about.",
            "items": {"type": "string"},
            "default": [],
        },
        "bridges": {
            "type": "array",
            "description": "Bridges that network cards may use, each with /TAG for cards with a VLAN tag.",
            "items": {"type": "string"},
            "default": [],
        },
        "zones": {
            "type": "array",
            "description": "SDN zones, or single networks in one as ZONE/VNET.",
            "items": {"type": "string"},
            "default": [],
        },
        "capabilities": {
            "type": "array",
            "description": "What the token is for. nodes and updates show the "
            "services and the pending packages of "
            "access_nodes. updates takes Sys.Modify on them, "
            "which also lets the token change a node, its "
            "network and its services.",
            "items": {
                "type": "string",
                "enum": ["templates", "customise", "prove", "clones", "backup", "guests", "nodes", "updates"],
            },
            "default": ["templates", "customise", "prove", "clones", "backup", "guests"],
        },
        "roles": {
            "type": "object",
            "description": "Names and privileges of the roles, as in roles of homelab.proxmox.access.",
            "default": {},
        },
        "comment": {
            "type": "string",
            "description": "The comment of user and token. Empty leaves existing comments alone.",
            "default": "",
        },
        "regenerate_token": {
            "type": "boolean",
            "description": "Makes the token anew. Set it for the one run that replaces a lost secret.",
            "default": False,
            "x-once": True,
        },
        "exclusive": {
            "type": "boolean",
            "description": "Takes away what user and token were given besides.",
            "default": False,
        },
        "connection_file": {
            "type": "string",
            "description": "Where the new token is written down, mode "
            "0600. Its folder is made with mode 0700 if it "
            "is missing. It is written only when the token "
            "is new, since Proxmox VE tells a secret once.",
            "default": "~/.config/homelab/connections/proxmox.yml",
        },
        "verify": {
            "type": "boolean",
            "description": "Whether the connection file is tried with a read at the end.",
            "default": True,
        },
    },
    "additionalProperties": False,
}
