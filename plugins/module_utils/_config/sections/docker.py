# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C(docker): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = {
    "title": "Docker",
    "description": "Docker with settings that are checked, projects that are rolled back, upgrades that can go back",
    "type": "object",
    "properties": {
        "source": {
            "type": "string",
            "description": "Packages of the distribution, or of Docker's own "
            "repository. The RHEL family has the latter only.",
            "enum": ["distro", "vendor"],
            "default": "distro",
        },
        "version": {
            "type": "string",
            "description": "The version of the engine's package to have, such as "
            "26.1.5*. Empty takes what the repository offers when "
            "it is installed. A host with another version is "
            "refused; the playbook homelab.proxmox.docker_upgrade "
            "changes it.",
            "default": "",
        },
        "hold": {
            "type": "boolean",
            "description": "Whether the packages are held, so that no other upgrade "
            "restarts the daemon or changes its version. Updates for "
            "security are then yours to start, with the playbook "
            "docker_upgrade. false releases them.",
            "default": True,
        },
        "replace_conflicting": {
            "type": "boolean",
            "description": "Whether packages of the other source may "
            "be removed. Containers and images stay on "
            "the disk.",
            "default": False,
        },
        "vendor_url": {
            "type": "string",
            "description": "Where the vendor's repository is, or a mirror of it. The name of the system is added.",
            "default": "https://download.docker.com/linux",
        },
        "vendor_channel": {"type": "string", "description": "The channel of the repository.", "default": "stable"},
        "vendor_key_url": {
            "type": "string",
            "description": "Where its key is. Empty means gpg in the folder of the system.",
            "default": "",
        },
        "vendor_key_fingerprints": {
            "type": "array",
            "description": "The fingerprints that the key may "
            "have; those of Docker for Debian and "
            "Ubuntu, and for RHEL.",
            "items": {"type": "string"},
            "default": ["9DC858229FC7DD38854AE2D88D81803C0EBFCD88", "060A61C51B558A7F742B77AAC52FEB6B621E9F35"],
            "x-merge": "union",
        },
        "compose_source": {
            "type": "string",
            "description": "Where Compose 2 comes from. auto takes a "
            "package where the system has one, and the file "
            "of docker_compose_url otherwise; Debian 12 has "
            "none.",
            "enum": ["auto", "package", "binary", "none"],
            "default": "auto",
        },
        "compose_url": {
            "type": "string",
            "description": "Where the file is. {arch} stands for the architecture.",
            "default": "https://github.com/docker/compose/releases/download/v2.40.3/docker-compose-linux-{arch}",
        },
        "compose_checksums": {
            "type": "object",
            "description": "Architecture and SHA-256 of that file.",
            "default": {
                "x86_64": "dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372",
                "aarch64": "d26373b19e89160546d15407516cc59f453030d9bc5b43ba7faf16f7b4980137",
            },
        },
        "log_driver": {"type": "string", "description": "How the output of containers is kept.", "default": "local"},
        "log_max_size": {
            "type": "string",
            "description": "How large a file of it may become, with the drivers local and json-file.",
            "default": "10m",
        },
        "log_max_files": {"type": "integer", "description": "How many such files a container may have.", "default": 3},
        "live_restore": {
            "type": "boolean",
            "description": "Whether containers run on while the daemon restarts. In a swarm it has to be false.",
            "default": True,
        },
        "address_pools": {
            "type": "array",
            "description": "Where networks of containers get their "
            "addresses. They are refused where a route of the "
            "host leads already. Networks that exist keep "
            "their addresses.",
            "items": {
                "type": "object",
                "properties": {
                    "base": {"type": "string", "description": "The addresses to take networks from."},
                    "size": {"type": "integer", "description": "The length of the prefix of each network."},
                },
                "additionalProperties": False,
                "required": ["base", "size"],
            },
            "default": [{"base": "10.201.0.0/16", "size": 24}],
        },
        "reserved_networks": {
            "type": "array",
            "description": "Networks that must not be in a pool although "
            "no route leads there yet; the default is "
            "those of k3s.",
            "items": {"type": "string"},
            "default": ["10.42.0.0/16", "10.43.0.0/16"],
            "x-merge": "union",
        },
        "default_ulimits": {
            "type": "object",
            "description": "Limits of containers by their names, each with soft and hard.",
            "default": {"nofile": {"soft": 1024, "hard": 524288}},
        },
        "registry_mirrors": {
            "type": "array",
            "description": "Addresses of mirrors of Docker Hub.",
            "items": {"type": "string"},
            "default": [],
            "x-merge": "union",
        },
        "daemon_settings": {
            "type": "object",
            "description": "Keys of daemon.json, over those of the options above. A key without a value is left out.",
            "default": {},
        },
        "start_timeout": {
            "type": "integer",
            "description": "How many seconds the daemon may take to come up before the former settings are put back.",
            "default": 120,
        },
        "users": {
            "type": "array",
            "description": "Users to put into the group docker. Each of them is root on this host by one command.",
            "items": {"type": "string"},
            "default": [],
            "x-merge": "union",
        },
        "registries": {
            "type": "array",
            "description": "Registries with certificates of their own.",
            "items": {
                "type": "object",
                "properties": {
                    "host": {"type": "string", "description": "The name in images, with the port where it is not 443."},
                    "ca": {
                        "type": "string",
                        "description": "The certificate of the authority to trust for it, as text in PEM.",
                    },
                    "client_cert": {"type": "string", "description": "A certificate to show to it, as text in PEM."},
                    "client_key": {"type": "string", "description": "Its key, as text in PEM.", "x-secret": True},
                },
                "additionalProperties": False,
                "required": ["host"],
            },
            "default": [],
            "x-merge": "by_key:host",
        },
        "projects_folder": {
            "type": "string",
            "description": "Where each project has its folder.",
            "format": "path",
            "default": "/opt/compose",
        },
        "projects": {
            "type": "array",
            "description": "Compose projects. One that does not become healthy is put back to what it was before.",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "The name of the project and of its folder."},
                    "state": {
                        "type": "string",
                        "description": "absent takes it down and removes its files. Its volumes stay.",
                        "enum": ["present", "absent"],
                        "default": "present",
                    },
                    "compose": {"description": "The compose file, as a mapping or as text."},
                    "env": {
                        "type": "object",
                        "description": "Variables for its .env file, which root alone may read.",
                        "x-secret": True,
                    },
                    "files": {
                        "type": "array",
                        "description": "Further files in its folder.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "path": {"type": "string", "description": "The path below the folder of the project."},
                                "content": {"type": "string", "description": "What is in it."},
                                "mode": {
                                    "type": "string",
                                    "description": "Its "
                                    "mode. "
                                    "With "
                                    "one "
                                    "that "
                                    "not "
                                    "everybody "
                                    "may "
                                    "read, "
                                    "the "
                                    "content "
                                    "is "
                                    "in "
                                    "no "
                                    "difference "
                                    "either.",
                                    "default": "0644",
                                },
                            },
                            "additionalProperties": False,
                            "required": ["path", "content"],
                        },
                    },
                    "wait_timeout": {
                        "type": "integer",
                        "description": "How many seconds its services may take until they are healthy.",
                        "default": 120,
                    },
                    "allow_unpinned": {
                        "type": "boolean",
                        "description": "Whether images may be named by tags, or built.",
                        "default": False,
                    },
                },
                "additionalProperties": False,
                "required": ["name"],
            },
            "default": [],
            "x-merge": "by_key:name",
        },
        "prune": {
            "type": "boolean",
            "description": "Whether a timer removes containers that ended, unused "
            "images and networks. Volumes always stay.",
            "default": False,
        },
        "prune_schedule": {
            "type": "string",
            "description": "When, as systemd.time(7) describes it.",
            "default": "Sun *-*-* 03:30:00",
        },
        "prune_age": {
            "type": "string",
            "description": "How old a thing has to be, as a number with m, h or d.",
            "default": "168h",
        },
        "prune_images": {
            "type": "string",
            "description": "Whether all images that no container uses go, or those without a name only.",
            "enum": ["unused", "dangling"],
            "default": "unused",
        },
        "prune_keep_labels": {
            "type": "array",
            "description": "What bears one of these labels stays. A label is NAME or NAME=VALUE.",
            "items": {"type": "string"},
            "default": ["homelab.keep"],
            "x-merge": "union",
        },
        "upgrade_without_fallback": {
            "type": "boolean",
            "description": "For the entry point upgrade, whether to go on where the old packages cannot be kept.",
            "default": False,
        },
    },
    "additionalProperties": False,
}
