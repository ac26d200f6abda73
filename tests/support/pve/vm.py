# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual machine: its config file, what of it is pending, and the values the server normalises."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import struct
import typing as t
import urllib.parse

from fakepve.model import FakeVm, PveError
from fakepve.qemu import DRIVE_KEY, is_cdrom, natural, split_drive

# Measured on 8.4.21: these take effect at once on a running VM; disks and CD media have their own rules.
LIVE = frozenset(
    {"name", "description", "onboot", "tags", "protection", "hookscript", "startup", "agent", "lock", "parent"}
)
# get_default_bootdevices looks in this order (valid_drive_names in QemuServer/Drive.pm).
DRIVE_ORDER = ("ide", "scsi", "virtio", "sata")
UNUSED = re.compile(r"unused\d+")
NET = re.compile(r"net\d+")
KEY_TYPES = ("ssh-", "ecdsa-", "sk-")


class Vm(FakeVm):
    """A VM; ``config`` is the config file, ``pending`` what the next start applies (None deletes)."""

    config: t.ClassVar[dict[str, t.Any]] = {}

    def __init__(self, vmid: int, name: str | None = None, **options: t.Any) -> None:
        # FakeVm sets name, template and lock as plain attributes; here they are views of the config.
        config = {key: value for key, value in (options.pop("config", None) or {}).items() if value is not None}
        if options.pop("template", False):
            config["template"] = 1
        if options.get("lock"):
            config["lock"] = options["lock"]
        if name:
            config["name"] = name
        super().__init__(vmid, name, **options)
        self.config = config
        # The script of the guest inside, see guest.py; made when the VM starts.
        self.inside: t.Any = None
        # What the cloud-init drive holds: {user, network, meta[, vendor]}; None before the first start.
        self.cloudinit: dict[str, str] | None = None

    @property
    def name(self) -> str:
        return self.config.get("name") or f"VM {self.vmid}"

    @name.setter
    def name(self, value: str | None) -> None:
        if "config" in self.__dict__ and value:
            self.config["name"] = value

    @property
    def template(self) -> bool:
        return str(self.config.get("template", 0)) == "1"

    @template.setter
    def template(self, value: bool) -> None:
        if "config" in self.__dict__:
            self.config["template"] = int(value)

    @property
    def lock(self) -> str | None:
        return self.config.get("lock")

    @lock.setter
    def lock(self, value: str | None) -> None:
        if "config" not in self.__dict__:
            return
        if value:
            self.config["lock"] = value
        else:
            self.config.pop("lock", None)

    @property
    def running(self) -> bool:
        return self.status == "running"

    def option_on(self, key: str) -> bool:
        return str(self.config.get(key, 0)) == "1"

    def agent_enabled(self) -> bool:
        """Is the guest agent switched on in the config (``1``, ``enabled=1``)?"""
        first = str(self.config.get("agent", "0")).partition(",")[0]
        return first.removeprefix("enabled=") == "1"

    def wanted(self) -> dict[str, t.Any]:
        """The config with everything pending applied."""
        merged = {**self.config, **self.pending}
        return {key: value for key, value in merged.items() if value is not None}

    def text(self) -> str:
        """The config file: sections for the current state, pending values and snapshots."""
        parts = [render(self.config)]
        if self.pending:
            parts.append("[PENDING]\n" + render({key: "delete" if v is None else v for key, v in self.pending.items()}))
        parts.extend(f"[{name}]\n" + render(snapshot) for name, snapshot in sorted(self.snapshots.items()))
        return "\n".join(parts)

    def digest(self) -> str:
        """SHA-1 of the config file: any change of it changes the digest."""
        return hashlib.sha1(self.text().encode(), usedforsecurity=False).hexdigest()

    def drives(self, config: dict[str, t.Any] | None = None, *, cdrom: bool = True) -> list[tuple[str, str, dict]]:
        """(slot, volume, options) of every drive, in device order; CD-ROMs and cloud-init drives on demand."""
        config = self.config if config is None else config
        found = []
        for key in sorted(filter(DRIVE_KEY.match, config), key=natural):
            volume, props = split_drive(config[key])
            if cdrom or not is_cdrom(volume, props):
                found.append((key, volume, props))
        return found

    def add_unused(self, volid: str) -> None:
        """Keep a volume that lost its slot as the first free unusedN (unless it is one already)."""
        if any(str(self.config[key]) == volid for key in self.config if UNUSED.fullmatch(key)):
            return
        number = next(n for n in range(256) if f"unused{n}" not in self.config)
        self.config[f"unused{number}"] = volid


def render(config: t.Mapping[str, t.Any]) -> str:
    return "".join(f"{key}: {config[key]}\n" for key in sorted(config))


def is_cloudinit(volume: str) -> bool:
    """Is it a cloud-init drive: to be made (``store:cloudinit``) or made (``store:vm-N-cloudinit``)?"""
    return bool(re.search(r"[:/](?:vm-\d+-)?cloudinit(?:\.\w+)?$", volume))


def boot_default(config: t.Mapping[str, t.Any]) -> str | None:
    """The ``boot`` that a create without one gets: first disk, first CD-ROM, first NIC."""
    first: dict[bool, str] = {}
    for prefix in DRIVE_ORDER:
        for key in sorted(filter(DRIVE_KEY.match, config), key=natural):
            if key.startswith(prefix):
                first.setdefault(is_cdrom(*split_drive(config[key])), key)
    order = [first[cdrom] for cdrom in (False, True) if cdrom in first]
    order += sorted(filter(NET.fullmatch, config), key=natural)[:1]
    return "order=" + ";".join(order) if order else None


def boot_devices(config: t.Mapping[str, t.Any]) -> list[str]:
    """The devices of ``boot: order=…``."""
    value = str(config.get("boot", ""))
    return [name for name in value.removeprefix("order=").split(";") if name] if value.startswith("order=") else []


def normal_tags(text: str) -> str:
    """Tags as a PUT stores them: lower-cased, de-duplicated, sorted; nothing at all becomes one blank (measured)."""
    tags = sorted({tag.lower() for tag in re.split(r"[\s,;]+", text) if tag})
    return ";".join(tags) or " "


def check_sshkeys(text: str) -> None:
    """Raises the server's 500 unless one line is a well-formed public key (the server asks ssh-keygen)."""
    if not any(valid_key(line) for line in urllib.parse.unquote(text).splitlines()):
        raise PveError(500, "SSH public key validation error")


def valid_key(line: str) -> bool:
    """Does the base64 blob of an OpenSSH line repeat its key type and hold the fields of that type?"""
    words = line.split()
    for kind, blob in zip(words, words[1:], strict=False):
        if not kind.startswith(KEY_TYPES):
            continue
        try:
            fields = ssh_fields(base64.b64decode(blob, validate=True))
        except (binascii.Error, struct.error, ValueError):
            return False
        return len(fields) > 1 and fields[0] == kind.encode() and (kind != "ssh-ed25519" or len(fields[1]) == 32)
    return False


def ssh_fields(blob: bytes) -> list[bytes]:
    """The length-prefixed fields of a key blob; ValueError when it is cut short."""
    fields = []
    while blob:
        (length,) = struct.unpack(">I", blob[:4])
        if len(blob) < 4 + length:
            raise ValueError("cut short")
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields


def hashed(password: str) -> str:
    """A stand-in for crypt's $5$ form, in which a PUT stores cipassword."""
    salt = secrets.token_hex(4)
    return f"$5${salt}${hashlib.sha256((salt + password).encode()).hexdigest()}"
