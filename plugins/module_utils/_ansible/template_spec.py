# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument spec of a template line, twinned with the documentation of the doors that take it."""

from __future__ import annotations

from typing import Any

from .bake_options import bake_options
from .customize_options import customize_options
from .image_options import image_options
from .proof_options import proof_options

Spec = dict[str, dict[str, Any]]


def line_options() -> Spec:
    """Everything that one line on one node can say."""
    return {
        "line": {"type": "str", "required": True},
        "node": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        **image_options(),
        **_placement_options(),
        **_hardware_options(),
        **_cloud_init_options(),
        "customize": {"type": "dict", "options": customize_options()},
        **bake_options(),
        "prove": {"type": "dict", "options": proof_options()},
        "refresh": {"type": "str", "choices": ["never", "max_age", "always"], "default": "max_age"},
        "max_age": {"type": "int", "default": 30},
        "adopt": {"type": "bool", "default": False},
        "keep": {"type": "int"},
        "hold": {"type": "bool", "default": False},
        "pin": {"type": "str"},
    }


def _placement_options() -> Spec:
    return {
        "storage": {"type": "str"},
        "image_storage": {"type": "str", "default": "local"},
        "iso_storage": {"type": "str"},
        "cloudinit_storage": {"type": "str"},
        "pool": {"type": "str"},
        "vmid": {"type": "int"},
        "vmid_range": {"type": "str", "default": "9000-9999"},
        "name": {"type": "str"},
        "description": {"type": "str"},
        "tags": {"type": "list", "elements": "str"},
        "protection": {"type": "bool"},
    }


def _hardware_options() -> Spec:
    return {
        "disk": {"type": "dict", "options": _disk_options()},
        "cores": {"type": "int"},
        "sockets": {"type": "int"},
        "cpu": {"type": "str"},
        "memory": {"type": "int"},
        "balloon": {"type": "int"},
        "machine": {"type": "str"},
        "bios": {"type": "str", "choices": ["seabios", "ovmf"]},
        "efi": {
            "type": "dict",
            "options": {
                "secure_boot": {"type": "bool", "default": False},
                "type": {"type": "str", "choices": ["2m", "4m"], "default": "4m"},
            },
        },
        "tpm": {
            "type": "dict",
            "options": {"version": {"type": "str", "choices": ["v1.2", "v2.0"], "default": "v2.0"}},
        },
        "scsihw": {
            "type": "str",
            "choices": ["virtio-scsi-single", "virtio-scsi-pci", "lsi", "lsi53c810", "megasas", "pvscsi"],
        },
        "ostype": {"type": "str"},
        "vga": {"type": "str"},
        "serial0": {"type": "str"},
        "agent": {"type": "dict", "options": _agent_options()},
        "net": {"type": "list", "elements": "dict", "options": _net_options()},
    }


def _disk_options() -> Spec:
    return {
        "size": {"type": "str"},
        "format": {"type": "str", "choices": ["qcow2", "raw"]},
        "discard": {"type": "bool"},
        "ssd": {"type": "bool"},
        "iothread": {"type": "bool"},
        "cache": {"type": "str", "choices": ["none", "writethrough", "writeback", "unsafe", "directsync"]},
        "aio": {"type": "str", "choices": ["native", "threads", "io_uring"]},
    }


def _agent_options() -> Spec:
    return {
        "enabled": {"type": "bool", "default": True},
        "fstrim_cloned_disks": {"type": "bool"},
        "type": {"type": "str", "choices": ["virtio", "isa"]},
    }


def _net_options() -> Spec:
    return {
        "model": {"type": "str", "default": "virtio"},
        "bridge": {"type": "str", "default": "vmbr0"},
        "tag": {"type": "int"},
        "firewall": {"type": "bool"},
        "mtu": {"type": "int"},
        "queues": {"type": "int"},
        "rate": {"type": "float"},
        "link_down": {"type": "bool"},
        "trunks": {"type": "list", "elements": "str"},
    }


def _cloud_init_options() -> Spec:
    return {
        "ciuser": {"type": "str"},
        "cipassword": {"type": "str", "no_log": True},
        "cipassword_update": {
            "type": "str",
            "choices": ["on_create", "always"],
            "default": "on_create",
            "no_log": False,
        },
        "sshkeys": {"type": "list", "elements": "str", "no_log": False},
        "ipconfig": {
            "type": "list",
            "elements": "dict",
            "options": {"ip": {"type": "str"}, "gw": {"type": "str"}, "ip6": {"type": "str"}, "gw6": {"type": "str"}},
        },
        "nameserver": {"type": "list", "elements": "str"},
        "searchdomain": {"type": "str"},
        "ciupgrade": {"type": "bool"},
        "citype": {"type": "str", "choices": ["nocloud", "configdrive2", "opennebula"]},
    }
