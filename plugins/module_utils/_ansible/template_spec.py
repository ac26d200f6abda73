# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument spec of a template line, twinned with the documentation of the doors that take it."""

from __future__ import annotations

from typing import Any

from .bake_options import bake_options
from .customize_options import customize_options
from .hardware_options import cloud_init_options, disk_options, hardware_options
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
        "disk": {"type": "dict", "options": disk_options()},
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
        **hardware_options(),
        **cloud_init_options(),
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
