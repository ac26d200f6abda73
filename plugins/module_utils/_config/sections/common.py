# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sections that belong to no role: the connection, what playbooks ask for, and this collection's own keeping."""

from __future__ import annotations

HOMELAB = {
    "title": "Runs",
    "description": "What a run is about.",
    "type": "object",
    "properties": {
        "target": {
            "title": "Target",
            "type": "string",
            "description": "Hosts or groups of the inventory that a playbook works on, instead of its usual ones.",
            "x-once": True,
        },
        "serial": {
            "title": "Hosts at once",
            "type": "string",
            "pattern": "^[1-9][0-9]*%?$",
            "description": "How many hosts a playbook that goes host by host works on at once, such as 1 or 25%.",
        },
    },
    "additionalProperties": False,
}

PROXMOX = {
    "title": "Connection",
    "description": "How the Proxmox VE API is reached. A file of its own (connection_file) keeps the secret apart.",
    "type": "object",
    "properties": {
        "api_host": {
            "title": "Host",
            "type": "string",
            "minLength": 1,
            "description": "Where the API listens; any node of a cluster will do.",
        },
        "api_port": {
            "title": "Port",
            "type": "integer",
            "minimum": 1,
            "maximum": 65535,
            "description": "The port of the API, 8006 where nothing names one.",
        },
        "api_user": {
            "title": "User",
            "type": "string",
            "description": "User and realm for a login with a password, such as root@pam.",
        },
        "api_password": {
            "title": "Password",
            "type": "string",
            "description": "The user's password. A token with few privileges is the better choice.",
            "x-secret": True,
        },
        "api_token_id": {
            "title": "Token",
            "type": "string",
            "description": "The full id of an API token, such as homelab@pve!ansible.",
        },
        "api_token_secret": {
            "title": "Token's secret",
            "type": "string",
            "description": "The secret of the token.",
            "x-secret": True,
        },
        "ca_path": {
            "title": "Authority",
            "type": "string",
            "format": "path",
            "description": "A file with the certificate of the authority that signed the API's.",
        },
        "fingerprint": {
            "title": "Fingerprint",
            "type": "string",
            "description": "The SHA-256 fingerprint of the one certificate to accept. Excludes ca_path.",
        },
        "validate_certs": {
            "title": "Verify the certificate",
            "type": "boolean",
            "description": "Whether the certificate of the API is verified.",
        },
        "connection_file": {
            "title": "Connection file",
            "type": "string",
            "format": "path",
            "description": "A file with host, token and secret, readable by its owner only; the role access writes it.",
        },
    },
    "additionalProperties": False,
}

_STRINGS = {"type": "array", "items": {"type": "string"}}

PREFLIGHT = {
    "title": "Preflight",
    "description": "What the preflight looks at, where it differs from what access and templates say.",
    "type": "object",
    "properties": {
        "capabilities": {
            "title": "Capabilities",
            "type": "array",
            "items": {
                "type": "string",
                "enum": ["templates", "customise", "prove", "clones", "backup", "guests", "nodes", "updates"],
            },
            "description": "What shall be possible.",
        },
        "nodes": {**_STRINGS, "title": "Nodes", "description": "The nodes to look at."},
        "storages": {**_STRINGS, "title": "Storages", "description": "Storages for disks."},
        "image_storages": {**_STRINGS, "title": "Image storages", "description": "Storages for images."},
        "backup_storages": {**_STRINGS, "title": "Backup storages", "description": "Storages for backups."},
        "bridges": {**_STRINGS, "title": "Bridges", "description": "Bridges, with their VLAN where cards have a tag."},
        "zones": {**_STRINGS, "title": "SDN zones", "description": "SDN zones, or single networks in one."},
        "pool": {"title": "Pool", "type": "string", "description": "The pool that templates and clones are put into."},
        "vmid_range": {
            "title": "VMIDs",
            "type": "string",
            "pattern": r"^\d+-\d+$",
            "description": "The block from which VMIDs are taken, such as 9000-9999.",
        },
        "min_free": {
            "title": "Free space",
            "type": "string",
            "description": "How much shall be free on each storage, such as 10G.",
        },
        "images": {**_STRINGS, "title": "Images", "description": "Catalogue ids whose vendors shall be reached."},
        "fail_on": {
            "title": "Fail on",
            "type": "string",
            "enum": ["error", "warning", "never"],
            "description": "From which level of finding on the preflight fails.",
        },
    },
    "additionalProperties": False,
}

TEMPLATES_PRUNE = {
    "title": "Pruning templates",
    "description": "Removing what no line names any more.",
    "type": "object",
    "properties": {
        "images": {
            "title": "Images too",
            "type": "boolean",
            "default": False,
            "description": "Whether stored images go as well.",
        },
        "allow_no_lines": {
            "title": "Without lines",
            "type": "boolean",
            "default": False,
            "description": "Whether it may run although no line is declared, which removes every template of ours.",
            "x-once": True,
        },
        "max_deletions": {
            "title": "Most templates",
            "type": "integer",
            "minimum": 0,
            "default": 5,
            "description": "A run that would destroy more templates than this is refused.",
        },
        "max_image_deletions": {
            "title": "Most images",
            "type": "integer",
            "minimum": 0,
            "default": 10,
            "description": "A run that would delete more images than this is refused.",
        },
        "confirm": {
            "title": "Really remove",
            "type": "boolean",
            "default": False,
            "description": "Without it nothing is removed.",
            "x-once": True,
        },
    },
    "additionalProperties": False,
}

TEMPLATES_REPORT = {
    "title": "Report on templates",
    "description": "The page on how templates stand.",
    "type": "object",
    "properties": {
        "path": {
            "title": "Page",
            "type": "string",
            "format": "path",
            "description": "The absolute path of the page; with several clusters each needs its own.",
        },
        "json_path": {
            "title": "JSON",
            "type": "string",
            "format": "path",
            "description": "The absolute path of the same report as JSON.",
        },
        "mode": {
            "title": "Mode",
            "type": "string",
            "pattern": "^0?[0-7]{3}$",
            "description": "The mode of the files, four octal digits in quotes.",
        },
        "title": {"title": "Heading", "type": "string", "description": "The heading of the page."},
        "max_age": {
            "title": "Days",
            "type": "integer",
            "minimum": 0,
            "description": "How many days old a template may be where the vendor cannot be asked.",
        },
        "gather": {
            "title": "Find out",
            "type": "array",
            "items": {"type": "string", "enum": ["vendor", "clones", "sizes"]},
            "description": "What to find out besides the VMs' configurations.",
        },
    },
    "additionalProperties": False,
}

CONFIG = {
    "title": "Configuration",
    "description": "How this configuration is kept.",
    "type": "object",
    "properties": {
        "keep_backups": {
            "title": "Backups kept",
            "type": "integer",
            "minimum": 1,
            "maximum": 1000,
            "default": 30,
            "description": "How many backups of the configuration stay; each write makes one.",
        },
    },
    "additionalProperties": False,
    "x-variables": False,
}

RUNS = {
    "title": "Runs kept",
    "description": "What the command homelab keeps of its runs.",
    "type": "object",
    "properties": {
        "keep": {
            "title": "Runs kept",
            "type": "integer",
            "minimum": 1,
            "default": 100,
            "description": "How many folders of finished runs stay.",
        },
        "inventory": {
            "title": "Inventory",
            "type": "string",
            "format": "path",
            "description": "The inventory of runs that name none.",
        },
    },
    "additionalProperties": False,
    "x-variables": False,
}

LOGGING = {
    "title": "Logs",
    "description": "What is written down about runs.",
    "type": "object",
    "properties": {
        "level": {
            "title": "Level",
            "type": "string",
            "enum": ["debug", "info", "warning", "error"],
            "default": "info",
            "description": "From which level on events go into the log.",
        },
        "journal": {
            "title": "Journal",
            "type": "boolean",
            "default": True,
            "description": "Whether events go to journald too, where it runs.",
        },
        "keep_days": {
            "title": "Days kept",
            "type": "integer",
            "minimum": 1,
            "default": 90,
            "description": "How many days logs stay.",
        },
    },
    "additionalProperties": False,
    "x-variables": False,
}
