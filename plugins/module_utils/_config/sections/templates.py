# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section C(templates): variables of the role, kept equal by scripts/build_config_sections.py.

By hand: titles, bounds, formats, x-merge and x-secret, which the script leaves alone.
"""

from __future__ import annotations

SECTION = {
    "title": "Templates",
    "description": "Keep cloud-init templates on the nodes of a Proxmox VE cluster",
    "type": "object",
    "properties": {
        "lines": {
            "type": "array",
            "description": "The lines to keep, each with the options of homelab.proxmox.vm_template_fleet's lines.",
            "items": {
                "type": "object",
                "properties": {
                    "nodes": {
                        "type": "array",
                        "description": "The nodes that get this line, templates_nodes where nothing is given.",
                        "items": {"type": "string"},
                    },
                    "storages": {
                        "type": "object",
                        "description": "The storage for the line's disks by node, where it is not the same everywhere.",
                    },
                    "line": {
                        "type": "string",
                        "description": "The name of the line, which is what consumers ask for, such as debian-13.",
                    },
                    "state": {
                        "type": "string",
                        "description": "present builds the "
                        "template, keeps it as "
                        "declared, and builds "
                        "a new generation "
                        "where that is needed.",
                        "enum": ["present", "absent"],
                    },
                    "image": {
                        "type": "string",
                        "description": "The id of a catalogue entry, such as debian-13 or ubuntu-24.04.",
                    },
                    "arch": {
                        "type": "string",
                        "description": "The architecture of the guest.",
                        "enum": ["x86_64", "aarch64"],
                    },
                    "url": {
                        "type": "string",
                        "description": "An image of your own "
                        "instead of a catalogue "
                        "entry, as https://…, "
                        "http://… or file:///….",
                    },
                    "checksum": {
                        "type": "string",
                        "description": "The digest of the "
                        "file at url as it "
                        "is downloaded, "
                        "written "
                        "sha256:<hex> or "
                        "sha512:<hex>.",
                    },
                    "checksum_url": {
                        "type": "string",
                        "description": "The sums file that names the file at url, in any of the usual forms.",
                    },
                    "image_format": {
                        "type": "string",
                        "description": "The real format of the image at url, where its name does not tell it.",
                        "enum": ["qcow2", "raw", "vmdk"],
                    },
                    "compression": {
                        "type": "string",
                        "description": "How the file at url is packed, where its name does not tell it.",
                        "enum": ["none", "xz", "gz", "bz2", "zst", "tar", "tar.xz", "tar.gz", "tar.bz2", "tar.zst"],
                    },
                    "transfer": {
                        "type": "string",
                        "description": "With download the node fetches the image itself.",
                        "enum": ["auto", "download", "upload"],
                    },
                    "storage": {
                        "type": "string",
                        "description": "The storage for the template's disks. Needed with state=present.",
                    },
                    "image_storage": {
                        "type": "string",
                        "description": "The storage for image files. It needs content import.",
                    },
                    "iso_storage": {
                        "type": "string",
                        "description": "Where the seed of a builder lies while it boots. The default is image_storage.",
                    },
                    "cloudinit_storage": {
                        "type": "string",
                        "description": "The "
                        "storage "
                        "for the "
                        "cloud-init "
                        "drive, "
                        "the same "
                        "as "
                        "storage "
                        "where "
                        "nothing "
                        "is "
                        "given.",
                    },
                    "pool": {"type": "string", "description": "The resource pool that every template joins."},
                    "vmid": {
                        "type": "integer",
                        "description": "A fixed VMID. A new "
                        "generation is made "
                        "beside the old one, so "
                        "a line with a fixed "
                        "VMID cannot be rebuilt "
                        "in place.",
                    },
                    "vmid_range": {
                        "type": "string",
                        "description": "The block from which VMIDs are taken, lowest free one first.",
                    },
                    "name": {
                        "type": "string",
                        "description": "The VM name of the "
                        "current generation, "
                        "the same as line where "
                        "nothing is given.",
                    },
                    "description": {
                        "type": "string",
                        "description": "Text for people, in Markdown. The identity block is put below it.",
                    },
                    "tags": {
                        "type": "array",
                        "description": "Tags besides those that carry the identity (line-…, gen-…, recipe-…, state-…).",
                        "items": {"type": "string"},
                    },
                    "protection": {
                        "type": "boolean",
                        "description": "Whether the current generation is protected against removal.",
                    },
                    "disk": {
                        "type": "object",
                        "description": "The system disk. A change needs a new generation.",
                        "properties": {
                            "size": {
                                "type": "string",
                                "description": "The "
                                "size "
                                "to "
                                "grow "
                                "to, "
                                "such "
                                "as "
                                "10G. "
                                "New "
                                "builds "
                                "have "
                                "what "
                                "the "
                                "image's "
                                "catalogue "
                                "entry "
                                "asks "
                                "for.",
                            },
                            "format": {
                                "type": "string",
                                "description": "The file format on file storages.",
                                "enum": ["qcow2", "raw"],
                            },
                            "discard": {"type": "boolean", "description": "Pass trimming on. New builds do."},
                            "ssd": {"type": "boolean", "description": "Present the disk as an SSD. New builds do."},
                            "iothread": {
                                "type": "boolean",
                                "description": "Give the disk an I/O thread of its own. New builds do.",
                            },
                            "cache": {
                                "type": "string",
                                "description": "The cache mode.",
                                "enum": ["none", "writethrough", "writeback", "unsafe", "directsync"],
                            },
                            "aio": {
                                "type": "string",
                                "description": "The kind of asynchronous I/O.",
                                "enum": ["native", "threads", "io_uring"],
                            },
                        },
                        "additionalProperties": False,
                    },
                    "cores": {"type": "integer", "description": "Cores per socket. New builds have 2."},
                    "sockets": {"type": "integer", "description": "Sockets."},
                    "cpu": {
                        "type": "string",
                        "description": "The CPU type. New "
                        "builds take "
                        "x86-64-v2-AES, or the "
                        "level that the image "
                        "needs.",
                    },
                    "memory": {
                        "type": "integer",
                        "description": "Memory in MiB. New builds have 2048, or what the image needs.",
                    },
                    "balloon": {
                        "type": "integer",
                        "description": "The least memory in MiB when ballooning; 0 switches ballooning off.",
                    },
                    "machine": {"type": "string", "description": "The machine type. New builds with UEFI have q35."},
                    "bios": {
                        "type": "string",
                        "description": "The firmware. New "
                        "builds have what the "
                        "image can boot, "
                        "SeaBIOS first. A "
                        "change needs a new "
                        "generation.",
                        "enum": ["seabios", "ovmf"],
                    },
                    "efi": {
                        "type": "object",
                        "description": "Asks for UEFI. A change needs a new generation.",
                        "properties": {
                            "secure_boot": {
                                "type": "boolean",
                                "description": "Enrol "
                                "the "
                                "vendors' "
                                "keys. "
                                "Proxmox "
                                "VE "
                                "9.1 "
                                "and "
                                "newer "
                                "is "
                                "asked "
                                "for "
                                "the "
                                "2023 "
                                "certificates, "
                                "older "
                                "servers "
                                "decide "
                                "themselves.",
                            },
                            "type": {
                                "type": "string",
                                "description": "The size of the EFI variables.",
                                "enum": ["2m", "4m"],
                            },
                        },
                        "additionalProperties": False,
                    },
                    "tpm": {
                        "type": "object",
                        "description": "Asks for a TPM, and with it for UEFI. A change needs a new generation.",
                        "properties": {
                            "version": {"type": "string", "description": "The TPM's version.", "enum": ["v1.2", "v2.0"]}
                        },
                        "additionalProperties": False,
                    },
                    "scsihw": {
                        "type": "string",
                        "description": "The SCSI controller. New builds have virtio-scsi-single.",
                        "enum": ["virtio-scsi-single", "virtio-scsi-pci", "lsi", "lsi53c810", "megasas", "pvscsi"],
                    },
                    "ostype": {
                        "type": "string",
                        "description": "The guest's type. New builds have what the catalogue says.",
                    },
                    "vga": {"type": "string", "description": "The display, such as serial0 or std."},
                    "serial0": {"type": "string", "description": "The first serial port. New builds have socket."},
                    "agent": {
                        "type": "object",
                        "description": "The guest agent. New builds enable it where the image brings one.",
                        "properties": {
                            "enabled": {"type": "boolean", "description": "Whether Proxmox VE talks to the agent."},
                            "fstrim_cloned_disks": {"type": "boolean", "description": "Trim after a clone."},
                            "type": {
                                "type": "string",
                                "description": "How the agent is reached.",
                                "enum": ["virtio", "isa"],
                            },
                        },
                        "additionalProperties": False,
                    },
                    "net": {
                        "type": "array",
                        "description": "The network devices, net0 first. New builds have one on vmbr0.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "model": {"type": "string", "description": "The device model."},
                                "bridge": {"type": "string", "description": "The bridge."},
                                "tag": {"type": "integer", "description": "The VLAN."},
                                "firewall": {"type": "boolean", "description": "Whether the firewall applies."},
                                "mtu": {"type": "integer", "description": "The MTU, 1 for that of the bridge."},
                                "queues": {"type": "integer", "description": "The number of queues."},
                                "rate": {"type": "number", "description": "The limit in MB/s."},
                                "link_down": {"type": "boolean", "description": "Whether the link is down."},
                                "trunks": {
                                    "type": "array",
                                    "description": "VLANs to pass.",
                                    "items": {"type": "string"},
                                },
                            },
                            "additionalProperties": False,
                        },
                    },
                    "ciuser": {
                        "type": "string",
                        "description": "The user that "
                        "cloud-init makes. "
                        "New builds take the "
                        "image's default "
                        "user. An empty text "
                        "clears it.",
                    },
                    "cipassword": {
                        "type": "string",
                        "description": "The user's "
                        "password. It is "
                        "never sent in "
                        "the create call, "
                        "which would "
                        "store it in "
                        "plain text.",
                        "x-secret": True,
                    },
                    "cipassword_update": {
                        "type": "string",
                        "description": "Proxmox "
                        "VE never "
                        "tells a "
                        "password "
                        "back. "
                        "With "
                        "on_create "
                        "it is set "
                        "on new "
                        "generations "
                        "and where "
                        "there is "
                        "none.",
                        "enum": ["on_create", "always"],
                    },
                    "sshkeys": {
                        "type": "array",
                        "description": "Public keys for the user. An empty list clears them.",
                        "items": {"type": "string"},
                    },
                    "ipconfig": {
                        "type": "array",
                        "description": "Addresses by "
                        "network device, "
                        "ipconfig0 first. "
                        "New builds have "
                        "DHCP on the first.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "ip": {"type": "string", "description": "dhcp or an address with its prefix length."},
                                "gw": {"type": "string", "description": "The gateway."},
                                "ip6": {
                                    "type": "string",
                                    "description": "auto, dhcp or an address with its prefix length.",
                                },
                                "gw6": {"type": "string", "description": "The gateway for IPv6."},
                            },
                            "additionalProperties": False,
                        },
                    },
                    "nameserver": {
                        "type": "array",
                        "description": "Name servers. Without any, guests get the node's. An empty list clears them.",
                        "items": {"type": "string"},
                    },
                    "searchdomain": {"type": "string", "description": "The search domain. An empty text clears it."},
                    "ciupgrade": {
                        "type": "boolean",
                        "description": "Whether cloud-init upgrades all packages at first boot. New builds do not.",
                    },
                    "citype": {
                        "type": "string",
                        "description": "The format of the cloud-init drive.",
                        "enum": ["nocloud", "configdrive2", "opennebula"],
                    },
                    "customize": {
                        "type": "object",
                        "description": "What the template "
                        "gets beyond its "
                        "image. The new VM "
                        "is booted once "
                        "with a seed made "
                        "here, watched "
                        "through its guest "
                        "agent, sealed, "
                        "shut down and "
                        "only then "
                        "converted. "
                        "Everything but "
                        "time-outs belongs "
                        "to the recipe.",
                        "properties": {
                            "packages": {
                                "type": "array",
                                "description": "Packages "
                                "to "
                                "install, "
                                "by "
                                "the "
                                "names "
                                "that "
                                "the "
                                "guest's "
                                "package "
                                "manager "
                                "knows.",
                                "items": {"type": "string"},
                            },
                            "package_upgrade": {"type": "boolean", "description": "Upgrade all packages first."},
                            "users": {
                                "type": "array",
                                "description": "Accounts to make.",
                                "items": {
                                    "type": "object",
                                    "properties": {
                                        "name": {"type": "string", "description": "The name."},
                                        "gecos": {"type": "string", "description": "The full name."},
                                        "uid": {"type": "integer", "description": "The number."},
                                        "primary_group": {"type": "string", "description": "The primary group."},
                                        "groups": {
                                            "type": "array",
                                            "description": "Further groups.",
                                            "items": {"type": "string"},
                                        },
                                        "home": {"type": "string", "description": "The home directory."},
                                        "shell": {"type": "string", "description": "The login shell."},
                                        "system": {"type": "boolean", "description": "Whether it is a system account."},
                                        "sudo": {
                                            "type": "array",
                                            "description": "Rules "
                                            "for "
                                            "sudo, "
                                            "without "
                                            "the "
                                            "user's "
                                            "name, "
                                            "such "
                                            "as "
                                            "ALL=(ALL) "
                                            "NOPASSWD:ALL.",
                                            "items": {"type": "string"},
                                        },
                                        "lock_passwd": {
                                            "type": "boolean",
                                            "description": "Whether logging in with a password is impossible.",
                                        },
                                        "passwd": {
                                            "x-secret": True,
                                            "type": "string",
                                            "description": "A hash as crypt(3) makes it. Plain passwords are refused.",
                                        },
                                        "ssh_authorized_keys": {
                                            "type": "array",
                                            "description": "Public keys.",
                                            "items": {"type": "string"},
                                        },
                                    },
                                    "additionalProperties": False,
                                    "required": ["name"],
                                },
                            },
                            "ssh_authorized_keys": {
                                "type": "array",
                                "description": "Public keys of the image's own user.",
                                "items": {"type": "string"},
                            },
                            "files": {
                                "type": "array",
                                "description": "Files to write.",
                                "items": {
                                    "type": "object",
                                    "properties": {
                                        "path": {"type": "string", "description": "Where, in the guest."},
                                        "content": {"type": "string", "description": "The text. Give this or src."},
                                        "src": {
                                            "type": "string",
                                            "description": "A file where the module runs.",
                                            "format": "path",
                                        },
                                        "encoding": {
                                            "type": "string",
                                            "description": "How the content is wrapped, if it is.",
                                            "enum": ["b64", "gz", "gz+b64"],
                                        },
                                        "owner": {"type": "string", "description": "user or user:group."},
                                        "permissions": {
                                            "type": "string",
                                            "description": "Octal digits as text, such as '0644'.",
                                        },
                                    },
                                    "additionalProperties": False,
                                    "required": ["path"],
                                },
                            },
                            "scripts": {
                                "type": "array",
                                "description": "Scripts that run as root in this order, after the packages.",
                                "items": {
                                    "type": "object",
                                    "properties": {
                                        "name": {"type": "string", "description": "By which name it is reported."},
                                        "content": {"type": "string", "description": "The text. Give this or src."},
                                        "src": {
                                            "type": "string",
                                            "description": "A file where the module runs.",
                                            "format": "path",
                                        },
                                        "interpreter": {
                                            "type": "string",
                                            "description": "What runs it, where its first line does not say so.",
                                        },
                                        "timeout": {"type": "integer", "description": "Seconds it may take."},
                                    },
                                    "additionalProperties": False,
                                    "required": ["name"],
                                },
                            },
                            "timezone": {"type": "string", "description": "The time zone, such as Europe/Berlin."},
                            "locale": {"type": "string", "description": "The locale, such as C.UTF-8."},
                            "agent": {
                                "type": "string",
                                "description": "auto "
                                "installs "
                                "the "
                                "guest "
                                "agent "
                                "where "
                                "there "
                                "is "
                                "none, "
                                "install "
                                "always, "
                                "none "
                                "never.",
                                "enum": ["auto", "install", "none"],
                            },
                            "agent_packages": {
                                "type": "array",
                                "description": "Package "
                                "files "
                                "of "
                                "the "
                                "agent, "
                                "where "
                                "the "
                                "module "
                                "runs, "
                                "which "
                                "ride "
                                "on "
                                "the "
                                "seed.",
                                "items": {"type": "string"},
                            },
                            "user_data": {
                                "type": "object",
                                "description": "A "
                                "cloud-config "
                                "of "
                                "one's "
                                "own, "
                                "merged "
                                "by "
                                "cloud-init's "
                                "rules "
                                "and "
                                "checked "
                                "with "
                                "cloud-init's "
                                "schema.",
                            },
                        },
                        "additionalProperties": False,
                    },
                    "bake_version": {
                        "type": "string",
                        "description": "What Ansible "
                        "roles add to "
                        "this line, by "
                        "a name of your "
                        "own such as "
                        "2026.11-1. It "
                        "belongs to the "
                        "recipe, and is "
                        "all that the "
                        "recipe knows "
                        "of the roles; "
                        "change it when "
                        "they change.",
                    },
                    "bake_keys": {
                        "type": "array",
                        "description": "Public keys of "
                        "those who may log "
                        "in to the builder "
                        "over SSH while it "
                        "waits for its "
                        "roles, as "
                        "homelab-bake, who "
                        "may use sudo. The "
                        "account goes when "
                        "the builder is "
                        "sealed. The keys "
                        "are no part of "
                        "the recipe.",
                        "items": {"type": "string"},
                    },
                    "bake_timeout": {
                        "type": "integer",
                        "description": "Seconds that a "
                        "builder may "
                        "wait for its "
                        "roles, beyond "
                        "the timeout of "
                        "the call that "
                        "stopped it. "
                        "Until then "
                        "other runs "
                        "leave it alone "
                        "and are "
                        "refused, "
                        "afterwards the "
                        "next run "
                        "removes it.",
                    },
                    "stop_before": {
                        "type": "string",
                        "description": "With seal a new "
                        "generation is "
                        "created, booted "
                        "and customised, "
                        "and left "
                        "running before "
                        "it is sealed. "
                        "How to reach it "
                        "is returned as "
                        "builder.",
                        "enum": ["seal"],
                    },
                    "resume": {
                        "type": "string",
                        "description": "The run of a builder "
                        "that stop_before has "
                        "returned. It is "
                        "sealed, checked, "
                        "shut down, "
                        "converted, proved "
                        "and published. A "
                        "builder of another "
                        "recipe is refused.",
                    },
                    "abandon": {
                        "type": "string",
                        "description": "The run of a "
                        "builder that "
                        "stop_before has "
                        "returned. It is "
                        "removed, and "
                        "nothing else is "
                        "done.",
                    },
                    "prove": {
                        "type": "object",
                        "description": "What a new generation "
                        "has to prove before "
                        "it is published. "
                        "Clones of it are "
                        "booted; their agents "
                        "have to answer, "
                        "cloud-init has to end "
                        "without errors, and "
                        "what is said here has "
                        "to hold. They are "
                        "destroyed afterwards.",
                        "properties": {
                            "clones": {"type": "integer", "description": "How many clones; 1 to 4."},
                            "timeout": {
                                "type": "integer",
                                "description": "Seconds until the agent answers, and again until cloud-init has ended.",
                            },
                            "commands": {
                                "type": "array",
                                "description": "Shell commands that are run in each clone as root.",
                                "items": {
                                    "type": "object",
                                    "properties": {
                                        "command": {"type": "string", "description": "The command."},
                                        "status": {
                                            "type": "integer",
                                            "description": "The exit status that it has to have.",
                                        },
                                        "stdout": {
                                            "type": "string",
                                            "description": "A "
                                            "regular "
                                            "expression "
                                            "that "
                                            "its "
                                            "output "
                                            "has "
                                            "to "
                                            "match "
                                            "somewhere.",
                                        },
                                    },
                                    "additionalProperties": False,
                                    "required": ["command"],
                                },
                            },
                            "packages": {
                                "type": "array",
                                "description": "Packages that have to be installed.",
                                "items": {"type": "string"},
                            },
                            "services": {
                                "type": "array",
                                "description": "Units of systemd that have to be active.",
                                "items": {"type": "string"},
                            },
                            "ports": {
                                "type": "array",
                                "description": "TCP ports that something has to listen on.",
                                "items": {"type": "integer"},
                            },
                            "users": {
                                "type": "array",
                                "description": "Accounts that have to exist.",
                                "items": {"type": "string"},
                            },
                            "failed_units": {"type": "boolean", "description": "Put up with failed units of systemd."},
                            "keep_failed": {
                                "type": "boolean",
                                "description": "Leave "
                                "the "
                                "clones "
                                "of "
                                "a "
                                "failed "
                                "proof, "
                                "and "
                                "the "
                                "template "
                                "that "
                                "they "
                                "hang "
                                "on, "
                                "to "
                                "be "
                                "looked "
                                "at.",
                            },
                        },
                        "additionalProperties": False,
                    },
                    "refresh": {
                        "type": "string",
                        "description": "When the vendor is "
                        "asked for a newer "
                        "image. max_age asks "
                        "when the current "
                        "generation is older "
                        "than max_age.",
                        "enum": ["never", "max_age", "always"],
                    },
                    "max_age": {"type": "integer", "description": "Days, for refresh=max_age."},
                    "adopt": {
                        "type": "boolean",
                        "description": "Take over the "
                        "hand-made template "
                        "that vmid names, as "
                        "the line's current "
                        "generation.",
                    },
                    "keep": {
                        "type": "integer",
                        "description": "How many complete generations of each line stay, where the line does not say.",
                    },
                    "hold": {
                        "type": "boolean",
                        "description": "Keep the current "
                        "generation whatever "
                        "the recipe, the vendor "
                        "or keep say; what is "
                        "held back is said. "
                        "Settings that change "
                        "in place still follow. "
                        "A line without a "
                        "current generation "
                        "gets its first one.",
                    },
                    "pin": {
                        "type": "string",
                        "description": "The build to stay with, "
                        "as a generation such as "
                        "20261123203101, as the "
                        "vendor's name of a "
                        "build, or as the digest "
                        "of the vendor's file, "
                        "such as sha256:….",
                    },
                },
                "additionalProperties": False,
                "required": ["line"],
            },
            "default": [],
            "x-merge": "by_key:line",
        },
        "defaults": {
            "type": "object",
            "description": "Options for every line; what a line says itself wins.",
            "default": {},
        },
        "nodes": {
            "type": "array",
            "description": "The nodes that get every line that names none itself.",
            "items": {"type": "string"},
            "default": [],
        },
        "catalog_files": {
            "type": "array",
            "description": "Catalogue files of your own, where the module "
            "runs, laid over the shipped catalogue in this "
            "order.",
            "items": {"type": "string"},
            "default": [],
            "x-merge": "union",
        },
        "signature": {
            "type": "string",
            "description": "With if_available the vendor's signature is checked "
            "where there is one and its key is at hand. The "
            "result says how the checksum is trusted.",
            "enum": ["required", "if_available"],
            "default": "if_available",
        },
        "keyring": {
            "type": "array",
            "description": "Files or directories with the vendors' public keys, where the module runs.",
            "items": {"type": "string"},
            "default": [],
            "x-merge": "union",
        },
        "allow_eol": {
            "type": "boolean",
            "description": "Take an image whose vendor no longer maintains it.",
            "default": False,
        },
        "allow_unverified": {
            "type": "boolean",
            "description": "Take a catalogue entry that is only a lead "
            "(low confidence), or a checksum that came "
            "over plain HTTP.",
            "default": False,
        },
        "download_dir": {
            "type": "string",
            "description": "Where images for upload are fetched and unpacked, on the machine that runs the module.",
            "default": "",
        },
        "keep": {
            "type": "integer",
            "description": "How many complete generations of each line stay, where the line does not say.",
            "default": 2,
            "minimum": 0,
        },
        "max_deletions": {
            "type": "integer",
            "description": "A run that would destroy more generations than this is refused.",
            "default": 5,
            "minimum": 0,
        },
        "workers": {
            "type": "integer",
            "description": "How many lines are worked on at once.",
            "default": 8,
            "minimum": 1,
        },
        "per_storage": {
            "type": "integer",
            "description": "How many images or disks are written to one storage at once.",
            "default": 2,
            "minimum": 1,
        },
        "per_node": {
            "type": "integer",
            "description": "How many images or disks are written by one node at once.",
            "default": 4,
            "minimum": 1,
        },
    },
    "additionalProperties": False,
}
