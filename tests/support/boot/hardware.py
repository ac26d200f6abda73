# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of QEMU for a VM's config: what PVE/QemuServer.pm makes of it, as far as a guest can tell.

Not modelled, and refused: UEFI, several sockets' topology, host devices, SPICE. Every NIC is a user network of its own
whose only way in is a forwarded port on loopback; the VM always has a serial port, whose output is kept.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from fakepve.lxc import split_props

from ..pve.vm import NET, Vm, boot_devices
from .tools import accelerator

# QEMU's user network, its router and resolver, and the address that its DHCP server gives.
USUAL = ("10.0.2.0/24", "10.0.2.2", "10.0.2.3", "10.0.2.15")
MODELS = {"virtio": "virtio-net-pci"}
SLOT = re.compile(r"([a-z]+)(\d+)")


class Unsupported(Exception):
    """The lab has no such hardware."""


@dataclass(frozen=True, slots=True)
class Drive:
    """One drive: its slot, the file behind it (none: an empty CD-ROM drive) and the format of that file."""

    slot: str
    path: Path | None
    format: str
    cdrom: bool


def arguments(vm: Vm, drives: t.Sequence[Drive], folder: Path, log: Path, *, restrict: bool) -> list[str]:
    """The whole command; sockets C(qmp) and C(agent) are made in ``folder``, the serial port writes to ``log``."""
    config = vm.config
    if config.get("bios") == "ovmf":
        raise Unsupported("the lab boots with SeaBIOS only")
    argv = [
        "qemu-system-x86_64",
        "-name",
        vm.name,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-vga",
        "none",
    ]
    argv += ["-machine", "q35" if "q35" in str(config.get("machine", "")) else "pc", *accelerator()]
    argv += ["-smp", str(int(config.get("cores", 1)) * int(config.get("sockets", 1))), "-m", f"{memory(config)}M"]
    argv += ["-rtc", "base=utc", "-boot", "menu=off,strict=on"]
    identity = split_props("x," + str(config.get("smbios1", "")))[1].get("uuid")
    argv += ["-uuid", identity] if identity else []
    argv += ["-device", f"vmgenid,guid={config['vmgenid']}"] if config.get("vmgenid") else []
    argv += ["-qmp", f"unix:{folder / 'qmp'},server=on,wait=off"]
    argv += ["-chardev", f"socket,id=serial0,path={folder / 'serial'},server=on,wait=off,logfile={log},logappend=on"]
    argv += ["-device", "isa-serial,chardev=serial0"]
    if vm.agent_enabled():
        argv += ["-device", "virtio-serial", "-chardev", f"socket,id=agent,path={folder / 'agent'},server=on,wait=off"]
        argv += ["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]
    if "rng0" in config:
        argv += ["-device", "virtio-rng-pci"]
    order = boot_devices(config)
    argv += controllers(config, drives)
    for drive in drives:
        argv += drive_options(config, drive, order)
    for key in sorted(filter(NET.fullmatch, config)):
        argv += nic_options(config, key, order, restrict=restrict)
    return argv


def memory(config: t.Mapping[str, t.Any]) -> int:
    """MiB."""
    return int(str(config.get("memory", 512)).partition(",")[0].removeprefix("current="))


def scsi_controller(config: t.Mapping[str, t.Any]) -> tuple[str, bool]:
    """The device of QEMU, and whether every disk gets one of its own."""
    kind = str(config.get("scsihw", "lsi"))
    single = kind == "virtio-scsi-single"
    return "virtio-scsi-pci" if single else kind, single


def controllers(config: t.Mapping[str, t.Any], drives: t.Sequence[Drive]) -> list[str]:
    """What the drives hang on."""
    slots = [drive.slot for drive in drives]
    device, single = scsi_controller(config)
    argv = []
    scsi = [slot for slot in slots if slot.startswith("scsi")]
    if single:
        argv += [word for slot in scsi for word in ("-device", f"{device},id=virtioscsi{slot[4:]}")]
    elif scsi:
        argv += ["-device", f"{device},id=scsihw0"]
    if any(slot.startswith("sata") for slot in slots):
        argv += ["-device", "ahci,id=ahci0"]
    return argv


def drive_options(config: t.Mapping[str, t.Any], drive: Drive, order: t.Sequence[str]) -> list[str]:
    """One drive: the file, and the device that shows it to the guest."""
    kind, number = split_slot(drive.slot)
    node = f"drive-{drive.slot}"
    argv = []
    if drive.path is not None:
        # Nobody will miss the lab's disks after a power failure, so nothing waits for the real disk.
        block = f"driver={drive.format},node-name={node},file.driver=file,cache.no-flush=on,discard=unmap"
        block += f",read-only={'on' if drive.cdrom else 'off'},file.filename={drive.path}"
        argv += ["-blockdev", block]
    device = {"scsi": "scsi", "ide": "ide", "sata": "ide", "virtio": "virtio-blk-pci"}[kind]
    if kind != "virtio":
        device += "-cd" if drive.cdrom else "-hd"
    words = [device, f"id={drive.slot}", f"bus={bus(config, kind, number)}" if kind != "virtio" else ""]
    if kind == "scsi":
        single = scsi_controller(config)[1]
        words += ["channel=0,scsi-id=0," + f"lun={number}" if single else f"scsi-id={number}", f"device_id={node}"]
    elif kind == "ide" and not is_q35(config):
        words.append(f"unit={number % 2}")
    words.append(f"drive={node}" if drive.path is not None else "")
    words.append(f"bootindex={100 + order.index(drive.slot)}" if drive.slot in order else "")
    return [*argv, "-device", ",".join(filter(None, words))]


def bus(config: t.Mapping[str, t.Any], kind: str, number: int) -> str:
    """The bus of a slot; q35 has no IDE, its slots are on the AHCI controller of the chipset."""
    if kind == "scsi":
        return f"virtioscsi{number}.0" if scsi_controller(config)[1] else "scsihw0.0"
    if kind == "sata":
        return f"ahci0.{number}"
    return f"ide.{number}" if is_q35(config) else f"ide.{number // 2}"


def is_q35(config: t.Mapping[str, t.Any]) -> bool:
    return "q35" in str(config.get("machine", ""))


def split_slot(slot: str) -> tuple[str, int]:
    """scsi1 -> (scsi, 1)"""
    found = SLOT.fullmatch(slot)
    if found is None:
        raise Unsupported(f"the lab has no slot {slot}")
    return found.group(1), int(found.group(2))


def nic_options(config: t.Mapping[str, t.Any], key: str, order: t.Sequence[str], *, restrict: bool) -> list[str]:
    """One NIC in a network of its own; port 22 of the guest is forwarded from a free port of loopback."""
    model, mac = str(config[key]).partition(",")[0].split("=")
    network, host, resolver, guest = addresses(str(config.get(f"ipconfig{key[3:]}", "")))
    link = f"user,id={key},net={network},host={host},dns={resolver},dhcpstart={guest}"
    link += f",restrict={'on' if restrict else 'off'},hostfwd=tcp:127.0.0.1:0-{guest}:22"
    device = f"{MODELS.get(model, model)},netdev={key},mac={mac}"
    device += f",bootindex={100 + order.index(key)}" if key in order else ""
    return ["-netdev", link, "-device", device]


def addresses(ipconfig: str) -> tuple[str, str, str, str]:
    """(network, router, resolver, guest) so that a static address of the config is reachable; else QEMU's."""
    props = split_props("x," + ipconfig)[1]
    if props.get("ip", "dhcp") == "dhcp":
        return USUAL
    interface = ipaddress.ip_interface(props["ip"])
    network, guest = interface.network, interface.ip
    free = (address for address in network.hosts() if str(address) not in (str(guest), props.get("gw")))
    host = props.get("gw") or str(next(free))
    return str(network), host, str(next(free)), str(guest)
