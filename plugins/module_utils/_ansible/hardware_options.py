# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options about hardware and cloud-init that templates and VMs share, and how they become Proxmox's settings."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping

from .._model.agent import Agent
from .._model.cpu import Cpu
from .._model.ipconfig import IpConfig
from .._model.net import Net
from .._model.property_string import PropertyString
from .._model.size import parse_size
from .._model.sshkeys import SshKeys
from .._model.vga import Vga
from .._model.vm_config import MAX_NETS

Spec = dict[str, dict[str, t.Any]]
Problem = Callable[[str, object, str], None]

# Least values of qemu-server's schema.
_LEAST = {"cores": 1, "sockets": 1, "memory": 16, "balloon": 0}


def hardware_options() -> Spec:
    """What a VM is built of, disks left out."""
    return {
        "cores": {"type": "int"},
        "sockets": {"type": "int"},
        "cpu": {"type": "str"},
        "memory": {"type": "int"},
        "balloon": {"type": "int"},
        "machine": {"type": "str"},
        "bios": {"type": "str", "choices": ["seabios", "ovmf"]},
        "scsihw": {
            "type": "str",
            "choices": ["virtio-scsi-single", "virtio-scsi-pci", "lsi", "lsi53c810", "megasas", "pvscsi"],
        },
        "ostype": {"type": "str"},
        "vga": {"type": "str"},
        "serial0": {"type": "str"},
        "agent": {"type": "dict", "options": _agent_options()},
        "net": {"type": "list", "elements": "dict", "options": net_options()},
    }


def disk_options() -> Spec:
    """What can be said of one disk."""
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


def net_options() -> Spec:
    """What can be said of one network device."""
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


def cloud_init_options() -> Spec:
    """What the guest is told at its first boot."""
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


def settings_from(params: Mapping[str, t.Any], problem: Problem) -> tuple[dict[str, str], frozenset[str]]:
    """Declared settings by Proxmox's config key; an empty text or list clears the key."""
    settings: dict[str, str] = {}
    clears: set[str] = set()

    def put(option: str, key: str, value: object, encode: Callable[[t.Any], object]) -> None:
        if value is None:
            return
        if value in ("", []):
            clears.add(key)
            return
        try:
            settings[key] = str(encode(value))
        except (ValueError, TypeError) as error:
            # What is given as a key may be a private one: the codec's text names the line only.
            problem(option, "…" if option == "sshkeys" else value, str(error))

    for key, least in _LEAST.items():
        put(key, key, params[key], int)
        if params[key] is not None and params[key] < least:
            problem(key, params[key], f"Proxmox VE takes {least} or more")
    for key in ("machine", "scsihw", "ostype", "serial0", "ciuser", "searchdomain", "citype"):
        put(key, key, params[key], str)
    put("cpu", "cpu", params["cpu"], Cpu.parse)
    put("vga", "vga", params["vga"], Vga.parse)
    put("ciupgrade", "ciupgrade", params["ciupgrade"], int)
    put("agent", "agent", params["agent"], _agent)
    put("nameserver", "nameserver", params["nameserver"], " ".join)
    put("sshkeys", "sshkeys", params["sshkeys"], SshKeys.of)
    for option in ("net", "ipconfig"):
        if params[option] is not None:
            clears |= {f"{option}{number}" for number in range(len(params[option]), MAX_NETS)}
    for number, net in enumerate(params["net"] or ()):
        put(f"net[{number}]", f"net{number}", net, lambda given: _of(Net, given))
    for number, ip in enumerate(params["ipconfig"] or ()):
        put(f"ipconfig[{number}]", f"ipconfig{number}", ip if any(ip.values()) else "", _ipconfig)
    return settings, frozenset(clears)


def _of(codec: type[PropertyString], given: Mapping[str, t.Any]) -> PropertyString:
    return codec.of(**{key: value for key, value in given.items() if value is not None})


def _agent(given: Mapping[str, t.Any]) -> PropertyString:
    return _of(Agent, given)


def _ipconfig(given: Mapping[str, t.Any]) -> PropertyString:
    parsed = IpConfig.parse(",".join(f"{key}={value}" for key, value in given.items() if value is not None))
    problems = parsed.problems()
    if problems:
        raise ValueError("; ".join(problems))
    return parsed


def size_from(option: str, text: str | None, problem: Problem) -> int | None:
    """Bytes of a disk."""
    if not text:
        return None
    try:
        size = parse_size(text)
    except ValueError as error:
        problem(option, text, str(error))
        return None
    if size == 0:
        problem(option, text, "a disk has some size. Write it as 10G, or leave it out")
    return size


def disk_settings(wish: Mapping[str, t.Any]) -> dict[str, str]:
    """What was said of a disk, in Proxmox's keys."""
    flags = {"discard": ("on", "ignore"), "ssd": ("1", "0"), "iothread": ("1", "0"), "backup": ("1", "0")}
    options = {key: on if wish[key] else off for key, (on, off) in flags.items() if wish.get(key) is not None}
    return options | {key: wish[key] for key in ("cache", "aio") if wish.get(key)}
