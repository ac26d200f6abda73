# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A typed view of the mapping that C(GET /nodes/{node}/qemu/{vmid}/config) answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from .agent import Agent
from .boot import Boot
from .cpu import Cpu
from .disk import Disk
from .efidisk import EfiDisk
from .ipconfig import IpConfig
from .net import Net
from .property_string import PropertyString, PropertyStringError
from .serial import Serial
from .sshkeys import SshKeys
from .tags import Tags
from .tpm import TpmState
from .vga import Vga

T = TypeVar("T")

DISK_BUSES: dict[str, tuple[int, type[Disk]]] = {
    "scsi": (31, Disk),
    "virtio": (16, Disk),
    "sata": (6, Disk),
    "ide": (4, Disk),
    "efidisk": (1, EfiDisk),
    "tpmstate": (1, TpmState),
    "unused": (256, Disk),
}
"""Config key without its number: how many there are (qemu-server's Drive.pm), and the codec."""
MAX_NETS = 32
MAX_SERIALS = 4

_NUMBERED = re.compile(r"([a-z]+)(0|[1-9]\d*)", re.ASCII)
_WHOLE = re.compile(r"(?:current=)?(\d+)", re.ASCII)


def normal_description(text: str) -> str:
    """As Proxmox VE gives a description back: white space at the end gone; line ends of Windows become plain ones."""
    return text.replace("\r\n", "\n").rstrip()


def is_disk_key(key: str) -> bool:
    """Whether a config key holds a disk, CD-ROM and unused ones included."""
    bus, number = _split(key)
    return bus in DISK_BUSES and 0 <= number < DISK_BUSES[bus][0]


def same_value(key: str, one: object, other: object) -> bool:
    """Whether two values of one config key mean the same, whatever their types, key order and spelling.

    None stands for a missing key. Raises PropertyStringError for a value that the key cannot have.
    """
    mine, theirs = VmConfig({key: one}), VmConfig({key: other})
    left, right = mine.text(key), theirs.text(key)
    if left is None or right is None or left == right:
        return left == right
    if key == "description":
        return mine.description == theirs.description
    if key == "tags":
        return mine.tags.same_as(theirs.tags)
    if key == "sshkeys":
        return SshKeys.parse(left).same_as(SshKeys.parse(right))
    codec = property_codec(key)
    return codec is not None and mine._one(key, codec.parse).same_as(theirs._one(key, codec.parse))


def property_codec(key: str) -> type[PropertyString] | None:
    """The property string that a config key holds, None where it holds something else or is unknown here."""
    prefix, number = _split(key)
    if is_disk_key(key):
        return DISK_BUSES[prefix][1]
    if 0 <= number < MAX_NETS:
        return {"net": Net, "ipconfig": IpConfig}.get(prefix)
    return {"agent": Agent, "boot": Boot, "cpu": Cpu, "vga": Vga}.get(key)


def _split(key: str) -> tuple[str, int]:
    match = _NUMBERED.fullmatch(key)
    return (match[1], int(match[2])) if match else (key, -1)


@dataclass(frozen=True, slots=True)
class VmConfig:
    """C(raw) stays untouched; the types of its values vary from key to key and from call to call (C("512"), C(1)).

    Accessors raise PropertyStringError that begins with the config key. Where a key is missing they answer the
    server's default if it is a number or a boolean, else None or nothing.
    """

    raw: Mapping[str, object]

    def text(self, key: str) -> str | None:
        """The value of a key as the text the config file holds, None where the key is missing."""
        value = self.raw.get(key)
        if value is None:
            return None
        return str(int(value)) if isinstance(value, bool) else str(value)

    @property
    def name(self) -> str | None:
        """The VM's name."""
        return self.text("name")

    @property
    def memory_mib(self) -> int:
        """MiB of memory; also read from C(current=512)."""
        return self._whole("memory", 512)

    @property
    def cores(self) -> int:
        """Cores per socket."""
        return self._whole("cores", 1)

    @property
    def sockets(self) -> int:
        """CPU sockets."""
        return self._whole("sockets", 1)

    @property
    def is_template(self) -> bool:
        """The config's flag alone; C(template_is_complete) also looks at the disks."""
        return self._whole("template", 0) == 1

    @property
    def protection(self) -> bool:
        """Whether destroying the VM and its disks is refused."""
        return self._whole("protection", 0) == 1

    @property
    def lock(self) -> str | None:
        """C(create), C(clone), C(backup) ... or None."""
        return self.text("lock")

    @property
    def digest(self) -> str | None:
        """The SHA-1 of the config, to be sent with a write planned from this read."""
        return self.text("digest")

    @property
    def description(self) -> str:
        """Normalised, empty where there is none."""
        return normal_description(self.text("description") or "")

    @property
    def tags(self) -> Tags:
        """No tags where the key is missing."""
        return self._parsed("tags", Tags.parse) or Tags("")

    @property
    def agent(self) -> Agent | None:
        """The guest agent's switch."""
        return self._parsed("agent", Agent.parse)

    @property
    def boot(self) -> Boot | None:
        """The order of boot devices."""
        return self._parsed("boot", Boot.parse)

    @property
    def cpu(self) -> Cpu | None:
        """The emulated processor."""
        return self._parsed("cpu", Cpu.parse)

    @property
    def vga(self) -> Vga | None:
        """The display."""
        return self._parsed("vga", Vga.parse)

    @property
    def sshkeys(self) -> SshKeys | None:
        """Cloud-init's public keys."""
        return self._parsed("sshkeys", SshKeys.parse)

    def disks(self) -> dict[str, Disk]:
        """Config key to disk, bus by bus in the order of DISK_BUSES, CD-ROM and unused ones included."""
        buses = list(DISK_BUSES)
        keys = sorted(filter(is_disk_key, self.raw), key=lambda key: (buses.index(_split(key)[0]), _split(key)[1]))
        return {key: self._one(key, DISK_BUSES[_split(key)[0]][1].parse) for key in keys}

    def nets(self) -> dict[str, Net]:
        """Config key to network device."""
        return self._numbered("net", MAX_NETS, Net.parse)

    def ipconfigs(self) -> dict[str, IpConfig]:
        """Config key to cloud-init addresses."""
        return self._numbered("ipconfig", MAX_NETS, IpConfig.parse)

    def serials(self) -> dict[str, Serial]:
        """Config key to serial port."""
        return self._numbered("serial", MAX_SERIALS, Serial.parse)

    def template_is_complete(self, vmid: int) -> tuple[str, ...]:
        """What keeps this from being a whole template of that VMID; empty: nothing.

        C(template) where the flag is missing, C(no disk) where there is none, and the key of every disk, other than
        CD-ROM and cloud-init, that is no base volume of C(vmid). C(unusedN) does not count: the conversion leaves
        those volumes alone, and a clone does not get them.
        """
        disks = {
            key: disk
            for key, disk in self.disks().items()
            if not (disk.is_cdrom or disk.is_cloudinit or key.startswith("unused"))
        }
        problems = [key for key, disk in disks.items() if not (disk.is_base and disk.owner_vmid == vmid)]
        if not disks:
            problems.insert(0, "no disk")
        if not self.is_template:
            problems.insert(0, "template")
        return tuple(problems)

    def _whole(self, key: str, default: int) -> int:
        text = self.text(key)
        if text is None:
            return default
        match = _WHOLE.fullmatch(text)
        if match is None:
            raise PropertyStringError(f"{key}: {text!r} is no whole number")
        return int(match[1])

    def _parsed(self, key: str, parse: Callable[[str], T]) -> T | None:
        return None if self.raw.get(key) is None else self._one(key, parse)

    def _one(self, key: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(self.text(key) or "")
        except PropertyStringError as exc:
            raise PropertyStringError(f"{key}: {exc}") from exc

    def _numbered(self, prefix: str, count: int, parse: Callable[[str], T]) -> dict[str, T]:
        keys = (f"{prefix}{number}" for number in range(count))
        return {key: self._one(key, parse) for key in keys if self.raw.get(key) is not None}
