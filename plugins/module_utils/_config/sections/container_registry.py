# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C(container_registry): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = {
    "title": "Container registry",
    "description": "A private container registry with TLS, users, safe garbage collection and backups",
    "type": "object",
    "properties": {
        "state": {
            "type": "string",
            "description": "absent removes services, configuration and programs of "
            "the role. Images, backups, and the certificate authority "
            "stay.",
            "enum": ["present", "absent"],
            "default": "present",
        },
        "engine": {
            "type": "string",
            "description": "Which program holds the images.",
            "enum": ["distribution", "zot"],
            "default": "distribution",
        },
        "source": {
            "type": "string",
            "description": "Where the engine comes from. There is no package of zot, and none of distribution in RHEL.",
            "enum": ["package", "binary"],
            "default": "package",
        },
        "binary_url": {
            "type": "string",
            "description": "With container_registry_source=binary, the address "
            "of the program, or of an archive that has it.",
            "default": "",
        },
        "binary_checksum": {
            "type": "string",
            "description": "Its digest, such as sha256:3f5c…. Without one nothing is installed.",
            "default": "",
        },
        "port": {"type": "integer", "description": "The port of the registry.", "default": 5000},
        "names": {
            "type": "array",
            "description": "Host names for the certificate. The default is what the host calls itself.",
            "items": {"type": "string"},
            "default": [],
            "x-merge": "union",
        },
        "addresses": {
            "type": "array",
            "description": "IP addresses for the certificate. The default is the host's default IPv4 address.",
            "items": {"type": "string"},
            "default": [],
            "x-merge": "union",
        },
        "anonymous_read": {
            "type": "boolean",
            "description": "Whether everybody may pull, from a port of its "
            "own, where nothing can be pushed. Docker cannot "
            "pull anonymously from a port that asks for "
            "passwords.",
            "default": False,
        },
        "anonymous_port": {
            "type": "integer",
            "description": "The port for container_registry_anonymous_read.",
            "default": 5001,
        },
        "metrics_address": {
            "type": "string",
            "description": "Where the engine tells its metrics for Prometheus, in plain HTTP, at /metrics.",
            "default": "127.0.0.1",
        },
        "metrics_port": {"type": "integer", "description": "The port of the metrics; 0 for none.", "default": 5081},
        "users": {
            "type": "array",
            "description": "All who may push and pull. Others are removed.",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "The user's name."},
                    "password": {
                        "type": "string",
                        "description": "The password, at most 72 bytes. Only its bcrypt hash is stored.",
                        "x-secret": True,
                    },
                },
                "additionalProperties": False,
                "required": ["name", "password"],
            },
            "default": [],
            "x-merge": "by_key:name",
        },
        "ca_name": {
            "type": "string",
            "description": "The common name of the certificate authority.",
            "default": "Homelab registry CA",
        },
        "ca_passphrase": {
            "type": "string",
            "description": "Encrypts the key of the certificate authority.",
            "default": "",
            "x-secret": True,
        },
        "ca_days": {
            "type": "integer",
            "description": "How long its certificate is valid. It is renewed, with "
            "the same key, a year before its end.",
            "default": 3650,
        },
        "certificate_days": {
            "type": "integer",
            "description": "How long the registry's certificate is valid.",
            "default": 397,
        },
        "renew_before_days": {
            "type": "integer",
            "description": "It is renewed by a run of the role when it "
            "has fewer days left. A timer complains about "
            "it too.",
            "default": 30,
        },
        "certificate_file": {
            "type": "string",
            "description": "A certificate of your own on the host, with "
            "its chain, instead of one of the role's "
            "authority.",
            "format": "path",
            "default": "",
        },
        "key_file": {
            "type": "string",
            "description": "The key of container_registry_certificate_file.",
            "format": "path",
            "default": "",
        },
        "storage": {
            "type": "string",
            "description": "Where the images are. It may be a file system of its own.",
            "format": "path",
            "default": "/var/lib/container-registry",
        },
        "quota": {
            "type": "string",
            "description": "What the images may take, such as 200G. Beyond, the "
            "registry is read-only until there is room.",
            "default": "",
        },
        "min_free": {
            "type": "string",
            "description": "How much of the file system stays free. With less, "
            "the registry is read-only until there is room.",
            "default": "1G",
        },
        "mirrors": {
            "type": "array",
            "description": "Registries that are mirrored as they are pulled from, each at a port of its own.",
            "items": {
                "type": "object",
                "properties": {
                    "name": {
                        "type": "string",
                        "description": "The name of the mirror, of lower-case letters, digits and dashes.",
                    },
                    "upstream": {
                        "type": "string",
                        "description": "The address of what is mirrored, such as https://registry-1.docker.io.",
                    },
                    "port": {"type": "integer", "description": "Where the mirror answers."},
                    "username": {
                        "type": "string",
                        "description": "A user of the "
                        "upstream. "
                        "Version 2 of "
                        "distribution "
                        "logs in where "
                        "tokens are "
                        "given, as Docker "
                        "Hub does. It "
                        "cannot mirror a "
                        "registry that "
                        "asks for a "
                        "password "
                        "itself.",
                    },
                    "password": {"type": "string", "description": "Its password.", "x-secret": True},
                },
                "additionalProperties": False,
                "required": ["name", "upstream", "port"],
            },
            "default": [],
            "x-merge": "by_key:name",
        },
        "gc_schedule": {
            "type": "string",
            "description": "When unused layers are removed, as systemd writes times. Empty for never.",
            "default": "Sun *-*-* 03:30:00",
        },
        "gc_delete_untagged": {
            "type": "boolean",
            "description": "Whether the garbage collection of "
            "distribution also deletes manifests without "
            "a tag. Version 2 then deletes the platforms "
            "of images for several of them, so it is "
            "refused there.",
            "default": False,
        },
        "retention": {
            "type": "array",
            "description": "Which tags go before the garbage collection. The "
            "first rule that fits a repository counts; without "
            "one all its tags stay.",
            "items": {
                "type": "object",
                "properties": {
                    "repositories": {
                        "type": "string",
                        "description": "A regular expression for the whole name of a repository.",
                    },
                    "keep": {"type": "integer", "description": "So many of the tags that were pushed last stay."},
                    "keep_days": {
                        "type": "integer",
                        "description": "Tags that were pushed in the last so many days stay too.",
                        "default": 0,
                    },
                    "keep_tags": {
                        "type": "string",
                        "description": "A regular expression for tags that always stay.",
                        "default": "latest",
                    },
                },
                "additionalProperties": False,
                "required": ["repositories", "keep"],
            },
            "default": [],
        },
        "backup_path": {
            "type": "string",
            "description": "Where backups go, best on another disk. Without it there are none.",
            "format": "path",
            "default": "",
        },
        "backup_schedule": {
            "type": "string",
            "description": "When a backup is made, as systemd writes times. Empty for by hand only.",
            "default": "*-*-* 02:30:00",
        },
        "backup_keep": {
            "type": "integer",
            "description": "How many backups are kept. What did not change between two takes room once.",
            "default": 7,
        },
    },
    "additionalProperties": False,
}
