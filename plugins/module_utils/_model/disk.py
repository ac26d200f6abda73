# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks: the property string of scsiN, virtioN, sataN, ideN and unusedN, and what a volume id says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from .property_string import BOOL, INT, NUMBER, TEXT, Key, Kind, PropertyString
from .size import format_size, parse_size

SIZE: Kind[int] = Kind((int,), parse_size, format_size)

_IMAGE_FORMATS = "raw|qcow2|qcow|qed|vmdk|cloop"

# parse_volume_id in PVE/Storage.pm: a storage's name has two characters at least.
_VOLUME_ID = re.compile(r"([A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]):(.+)", re.ASCII)
# parse_volname of Storage/Plugin.pm (directory, NFS, CIFS, CephFS, BTRFS): the folder is the owner's VMID.
_FILE_VOLUME = re.compile(r"(?:(\d+)/([^/\s]+)/)?(\d+)/([^/\s]+)", re.ASCII)
# parse_volname of ZFSPoolPlugin.pm, RBDPlugin.pm, LvmThinPlugin.pm, LVMPlugin.pm: the name tells the owner's VMID.
_BLOCK_VOLUME = re.compile(r"(?:(base-(\d+)-[^/\s]+)/)?((?:base|vm)-(\d+)-[^/\s]+)", re.ASCII)
# $NEW_DISK_RE, drive_is_cloudinit and cleanup_drive_path of qemu-server.
_NEW_DISK = re.compile(r"(?:([^/:\s]+):)?(\d+(?:\.\d+)?)", re.ASCII)
_CLOUDINIT = re.compile(rf"[:/](?:vm-\d+-)?cloudinit(?:\.(?:{_IMAGE_FORMATS}))?$", re.ASCII)
_EXTENSION = re.compile(rf"\.({_IMAGE_FORMATS})$")
_NO_VOLUME = ("none", "cdrom")


@dataclass(frozen=True, slots=True)
class BaseVolume:
    """The template's volume under a linked clone: C(volume) is its whole id, C(name) the last part of it."""

    volume: str
    name: str
    vmid: int


@dataclass(frozen=True, slots=True)
class Volume:
    """What a volume id tells: C(fast:9310/base-9310-disk-0.qcow2/9311/vm-9311-disk-0.qcow2).

    C(path) is the part behind the storage, C(name) its last element. C(vmid) is the owner's, None for what no VM owns
    (ISO images, import files, paths of the host). C(base) is set only where the storage's names keep the parent:
    LVM-thin forgets whose clone a volume is.
    """

    storage: str | None
    path: str
    name: str
    vmid: int | None = None
    is_base: bool = False
    base: BaseVolume | None = None

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Read a volume id or a path of the host; never fails."""
        match = _VOLUME_ID.fullmatch(text)
        if match is None:
            return cls(None, text, text.rpartition("/")[2])
        storage, path = match.groups()
        owned = _FILE_VOLUME.fullmatch(path)
        if owned:
            base_vmid, base_name, vmid, name = owned.groups()
            base_path = f"{base_vmid}/{base_name}"
        else:
            owned = _BLOCK_VOLUME.fullmatch(path)
            if owned is None:
                return cls(storage, path, path.rpartition("/")[2])
            base_path, base_vmid, name, vmid = owned.groups()
            base_name = base_path
        base = BaseVolume(f"{storage}:{base_path}", base_name, int(base_vmid)) if base_vmid else None
        return cls(storage, path, name, int(vmid), name.startswith("base-"), base)


@dataclass(frozen=True, slots=True, repr=False)
class Disk(PropertyString):
    """One disk or drive, as in the config or in the forms that create one.

    C(local-lvm:4) allocates 4 GiB, C(local-lvm:0,import-from=local:import/x.qcow2) imports, C(none,media=cdrom) is an
    empty drive. Keys after C(%drivedesc_base) and the per-bus formats in qemu-server's Drive.pm.
    """

    NOUN: ClassVar[str] = "disk"

    volume = Key(TEXT, "file", aliases=["volume"], default=True, required=True)
    media = Key(TEXT)
    format = Key(TEXT)
    size_bytes = Key(SIZE, "size")
    """What the config remembers of the size; informational, the storage knows better."""
    import_from = Key(TEXT, "import-from")
    backup = Key(BOOL)
    replicate = Key(BOOL)
    shared = Key(BOOL)
    snapshot = Key(BOOL)
    cache = Key(TEXT)
    aio = Key(TEXT)
    discard = Key(TEXT)
    """C(on) or C(ignore): an enumeration, no boolean."""
    detect_zeroes = Key(BOOL)
    iothread = Key(BOOL)
    ssd = Key(BOOL)
    ro = Key(BOOL)
    scsiblock = Key(BOOL)
    queues = Key(INT)
    serial = Key(TEXT)
    wwn = Key(TEXT)
    model = Key(TEXT)
    vendor = Key(TEXT)
    product = Key(TEXT)
    rerror = Key(TEXT)
    werror = Key(TEXT)
    mbps = Key(NUMBER)
    mbps_rd = Key(NUMBER)
    mbps_wr = Key(NUMBER)
    mbps_max = Key(NUMBER)
    mbps_rd_max = Key(NUMBER)
    mbps_wr_max = Key(NUMBER)
    iops = Key(INT)
    iops_rd = Key(INT)
    iops_wr = Key(INT)
    iops_max = Key(INT)
    iops_rd_max = Key(INT)
    iops_wr_max = Key(INT)
    bps_max_length = Key(INT)
    bps_rd_max_length = Key(INT, aliases=["bps_rd_length"])
    bps_wr_max_length = Key(INT, aliases=["bps_wr_length"])
    iops_max_length = Key(INT)
    iops_rd_max_length = Key(INT, aliases=["iops_rd_length"])
    iops_wr_max_length = Key(INT, aliases=["iops_wr_length"])

    @property
    def _volume(self) -> Volume:
        return Volume.parse(self.volume or "")

    @property
    def storage(self) -> str | None:
        """The storage's name; None for C(none), C(cdrom) and a path of the host."""
        new = self._new_disk
        return new[1] if new else self._volume.storage

    @property
    def volume_name(self) -> str | None:
        """The last element of the volume's id; None where nothing exists yet or the drive is empty."""
        return None if self._new_disk or self.volume in _NO_VOLUME else self._volume.name

    @property
    def owner_vmid(self) -> int | None:
        """The VM that the volume's name says it belongs to."""
        return self._volume.vmid

    @property
    def is_base(self) -> bool:
        """A template's converted volume: linked clones can hang on it."""
        return self._volume.is_base

    @property
    def base(self) -> BaseVolume | None:
        """The template's volume that this linked clone hangs on, where its name tells (not on LVM-thin)."""
        return self._volume.base

    @property
    def is_cloudinit(self) -> bool:
        """A cloud-init drive, also as the C(storage:cloudinit) that creates one."""
        return bool(_CLOUDINIT.search(self.volume or ""))

    @property
    def is_cdrom(self) -> bool:
        """A CD-ROM drive, a cloud-init drive with C(media=cdrom) included; C(none) and C(cdrom) imply it."""
        return self.media == "cdrom" or self.volume in _NO_VOLUME

    @property
    def allocates_gib(self) -> float | None:
        """GiB to be allocated, in the form C(storage:4); 0 goes with C(import_from)."""
        new = self._new_disk
        return float(new[2]) if new else None

    @property
    def image_format(self) -> str | None:
        """From the C(format) key, else the volume's extension; None: the storage decides (raw on block storage)."""
        extension = _EXTENSION.search(self.volume or "")
        return self.format or (extension[1] if extension else None)

    @property
    def _new_disk(self) -> re.Match[str] | None:
        return _NEW_DISK.fullmatch(self.volume or "")
