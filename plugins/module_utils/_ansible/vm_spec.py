# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument spec of a VM, twinned with doc_fragments/vm.py."""

from __future__ import annotations

from .._model.vm import WaitFor
from .hardware_options import Spec, cloud_init_options, disk_options, hardware_options, net_options


def vm_options() -> Spec:
    """Everything that can be said of one VM."""
    return {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        **_origin_options(),
        "description": {"type": "str"},
        "tags": {"type": "list", "elements": "str"},
        "protection": {"type": "bool"},
        **hardware_options(),
        "net": {"type": "list", "elements": "dict", "options": {**net_options(), "macaddr": {"type": "str"}}},
        "disks": {"type": "list", "elements": "dict", "options": _disks_options()},
        "boot": {"type": "list", "elements": "str"},
        "onboot": {"type": "bool"},
        "startup": {"type": "str"},
        "numa": {"type": "bool"},
        "ha": {"type": "dict", "options": _ha_options()},
        **cloud_init_options(),
        **_power_options(),
        "replace": {"type": "bool", "default": False},
        "adopt": {"type": "bool", "default": False},
        "wait_for": {"type": "str", "choices": [one.value for one in WaitFor], "default": "none"},
        "wait_timeout": {"type": "int", "default": 600},
        "ssh_port": {"type": "int", "default": 22},
    }


def _origin_options() -> Spec:
    return {
        "line": {"type": "str"},
        "template": {"type": "str"},
        "full": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
        "storage": {"type": "str"},
        "format": {"type": "str", "choices": ["qcow2", "raw", "vmdk"]},
        "node": {"type": "str"},
        "nodes": {"type": "list", "elements": "str"},
        "spread": {"type": "str"},
        "pool": {"type": "str"},
        "vmid": {"type": "int"},
        "vmid_range": {"type": "str", "default": "100-8999"},
    }


def _disks_options() -> Spec:
    return {
        "slot": {"type": "str", "default": "scsi0"},
        "storage": {"type": "str"},
        **disk_options(),
        "backup": {"type": "bool"},
    }


def _ha_options() -> Spec:
    return {
        "managed": {"type": "bool", "default": True},
        "state": {"type": "str", "choices": ["started", "stopped", "disabled", "ignored"]},
        "group": {"type": "str"},
        "max_restart": {"type": "int"},
        "max_relocate": {"type": "int"},
        "comment": {"type": "str"},
    }


def _power_options() -> Spec:
    return {
        "started": {"type": "bool"},
        "reboot": {"type": "str", "choices": ["never", "when_required"], "default": "never"},
        "force_stop": {"type": "bool", "default": False},
        "shutdown_timeout": {"type": "int", "default": 180},
    }
