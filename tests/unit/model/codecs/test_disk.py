# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks, EFI disks and TPM states: what their strings and volume ids tell."""

from __future__ import annotations

import re

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.disk import BaseVolume, Disk, Volume
from ansible_collections.homelab.proxmox.plugins.module_utils._model.efidisk import EfiDisk
from ansible_collections.homelab.proxmox.plugins.module_utils._model.property_string import PropertyStringError
from ansible_collections.homelab.proxmox.plugins.module_utils._model.tpm import TpmState

GIB = 1 << 30

ON_FAST = BaseVolume("fast:9310/base-9310-disk-0.qcow2", "base-9310-disk-0.qcow2", 9310)
ON_TANK = BaseVolume("tank:base-100-disk-0", "base-100-disk-0", 100)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("local-lvm:vm-9100-disk-0", ("local-lvm", "vm-9100-disk-0", 9100, False, None)),
        ("local-lvm:base-9100-disk-0", ("local-lvm", "base-9100-disk-0", 9100, True, None)),
        ("fast:9310/base-9310-disk-0.qcow2", ("fast", "base-9310-disk-0.qcow2", 9310, True, None)),
        (
            "fast:9310/base-9310-disk-0.qcow2/9311/vm-9311-disk-0.qcow2",
            ("fast", "vm-9311-disk-0.qcow2", 9311, False, ON_FAST),
        ),
        (
            "fast:9310/base-9310-disk-0.qcow2/9312/base-9312-disk-0.qcow2",
            ("fast", "base-9312-disk-0.qcow2", 9312, True, ON_FAST),
        ),
        ("tank:base-100-disk-0/vm-101-disk-0", ("tank", "vm-101-disk-0", 101, False, ON_TANK)),
        ("tank:base-100-disk-0/base-101-disk-0", ("tank", "base-101-disk-0", 101, True, ON_TANK)),
        ("fast:9102/any-name.raw", ("fast", "any-name.raw", 9102, False, None)),
        # On a directory the folder is the owner, whatever the name says.
        ("fast:9102/base-9000-disk-0.raw", ("fast", "base-9000-disk-0.raw", 9102, True, None)),
        ("local-lvm:vm-9-cloudinit", ("local-lvm", "vm-9-cloudinit", 9, False, None)),
        ("local:iso/vm-9-disk-0.iso", ("local", "vm-9-disk-0.iso", None, False, None)),
        ("local:iso/base-9-disk-0.iso", ("local", "base-9-disk-0.iso", None, False, None)),
        ("local:import/base-1-disk-0.qcow2", ("local", "base-1-disk-0.qcow2", None, False, None)),
        ("/dev/disk/by-id/base-9-disk-0", (None, "base-9-disk-0", None, False, None)),
        ("local-lvm:base-9100", ("local-lvm", "base-9100", None, False, None)),
        ("local-lvm:state-9-x", ("local-lvm", "state-9-x", None, False, None)),
    ],
)
def test_volume_ids(text: str, told: tuple[object, ...]) -> None:
    disk = Disk.parse(f"{text},size=2G")
    assert disk.volume == text
    assert (disk.storage, disk.volume_name, disk.owner_vmid, disk.is_base, disk.base) == told
    assert disk.allocates_gib is None
    assert Volume.parse(text).path == (text.partition(":")[2] or text)


@pytest.mark.parametrize(
    ("text", "is_cdrom", "is_cloudinit"),
    [
        ("none,media=cdrom", True, False),
        ("none", True, False),
        ("cdrom", True, False),
        ("local:iso/x.iso,media=cdrom,size=366K", True, False),
        ("local-lvm:cloudinit", False, True),
        ("local-lvm:vm-9-cloudinit,media=cdrom,size=4M", True, True),
        ("fast:9102/vm-9102-cloudinit.qcow2,media=cdrom,size=4M", True, True),
        ("fast:cloudinit,format=qcow2", False, True),
        ("local-lvm:vm-9-disk-0", False, False),
        ("local-lvm:vm-9-disk-0,media=disk", False, False),
        ("fast:9/my-cloudinit.qcow2", False, False),
        ("local:iso/cloudinit.iso,media=cdrom", True, False),
    ],
)
def test_drives_that_are_no_disks(text: str, is_cdrom: bool, is_cloudinit: bool) -> None:
    disk = Disk.parse(text)
    assert (disk.is_cdrom, disk.is_cloudinit) == (is_cdrom, is_cloudinit)


@pytest.mark.parametrize(
    ("text", "storage", "gib", "source"),
    [
        ("local-lvm:4", "local-lvm", 4.0, None),
        ("local-lvm:0.5,ssd=1", "local-lvm", 0.5, None),
        ("8", None, 8.0, None),
        ("local-lvm:0,import-from=local:import/x.qcow2", "local-lvm", 0.0, "local:import/x.qcow2"),
        ("fast:0,import-from=/tmp/x.raw,format=qcow2", "fast", 0.0, "/tmp/x.raw"),
    ],
)
def test_forms_that_make_a_disk(text: str, storage: str | None, gib: float, source: str | None) -> None:
    disk = Disk.parse(text)
    assert (disk.storage, disk.allocates_gib, disk.import_from) == (storage, gib, source)
    assert (disk.volume_name, disk.owner_vmid, disk.is_base) == (None, None, False)


@pytest.mark.parametrize(
    ("text", "image_format"),
    [
        ("fast:9/vm-9-disk-0.qcow2", "qcow2"),
        ("fast:9/vm-9-disk-0.raw,format=raw", "raw"),
        ("fast:4,format=qcow2", "qcow2"),
        ("local-lvm:vm-9-disk-0", None),
        ("local:iso/x.iso,media=cdrom", None),
        ("fast:4.5", None),
    ],
)
def test_image_formats(text: str, image_format: str | None) -> None:
    assert Disk.parse(text).image_format == image_format


def test_typed_options() -> None:
    text = (
        "volume=a-b:vm-1-disk-0,discard=on,iothread=yes,size=2252M,ssd=1,mbps_rd=1.5,iops_rd_length=60,aio=native,zz=1"
    )
    disk = Disk.parse(text)
    assert disk.size_bytes == 2252 << 20
    assert (disk.discard, disk.iothread, disk.ssd, disk.backup) == ("on", True, True, None)
    assert (disk.mbps_rd, disk.iops_rd_max_length, disk.aio, disk.get("zz")) == (1.5, 60, "native", "1")
    assert str(disk.replace(size_bytes=3 * GIB)) == text.replace("2252M", "3G")
    assert str(disk.replace(volume="fast:4")) == text.replace("a-b:vm-1-disk-0", "fast:4")
    assert str(disk.replace(iops_rd_max_length=1)) == text.replace("length=60", "length=1")
    assert str(disk.replace(backup=False)) == f"{text},backup=0"
    assert disk.same_as(disk.replace(size_bytes=None), ignore=["size"])
    assert disk.same_as(disk.replace(size_bytes=None), ignore=["size_bytes"])
    assert not disk.same_as(disk.replace(size_bytes=None))


def test_sizes_compare_by_bytes() -> None:
    assert Disk.parse("a-b:1,size=3G").same_as(Disk.parse("file=a-b:1,size=3072M"))
    assert str(Disk.parse("a-b:1,size=3072M").replace(size_bytes=3 * GIB)) == "a-b:1,size=3072M"


def test_a_disk_from_typed_values() -> None:
    disk = Disk.of(ssd=True, volume="local-lvm:0", import_from="local:import/x.qcow2")
    assert str(disk) == "local-lvm:0,ssd=1,import-from=local:import/x.qcow2"
    assert str(Disk.of(volume="/dev/x=1")) == "file=/dev/x=1"
    assert str(Disk.parse("a-b:4").replace(volume="/dev/x=1", ssd=False)) == "file=/dev/x=1,ssd=0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "disk: 'file' is missing"),
        ("ssd=1", "disk: 'file' is missing"),
        ("a-b:4,fast:4", "disk: 'file' is set twice"),
        ("a-b:4,volume=fast:4", "disk: 'file' is set twice"),
        (
            "a-b:4,ssd=maybe",
            "disk option 'ssd': 'maybe' is no boolean; it can be 1, on, yes, true, 0, off, no or false",
        ),
        (
            "a-b:4,size=4GB",
            "disk option 'size': '4GB' is no size; write it as bytes or with K, M, G or T: 4194304, 2252M, 3G, 0.5T",
        ),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
        Disk.parse(text)


def test_efi_disk() -> None:
    text = "fast:9/vm-9-disk-0.qcow2,efitype=4m,pre-enrolled-keys=1,ms-cert=2023k,size=4M"
    efi = EfiDisk.parse(text)
    assert str(efi) == text
    assert (efi.efitype, efi.pre_enrolled_keys, efi.ms_cert, efi.size_bytes) == ("4m", True, "2023k", 4 << 20)
    assert (efi.storage, efi.owner_vmid, efi.is_base) == ("fast", 9, False)
    assert str(efi.replace(pre_enrolled_keys=False)) == text.replace("keys=1", "keys=0")
    assert str(efi.replace(ms_cert=None)) == text.replace(",ms-cert=2023k", "")
    assert efi.same_as(EfiDisk.parse(text.replace("keys=1", "keys=on")))
    assert str(EfiDisk.of(volume="fast:1", efitype="4m", pre_enrolled_keys=True)) == (
        "fast:1,efitype=4m,pre-enrolled-keys=1"
    )
    with pytest.raises(PropertyStringError, match="^efidisk: 'file' is missing$"):
        EfiDisk.parse("efitype=4m")


def test_tpm_state() -> None:
    text = "local-lvm:base-9-disk-1,size=4M,version=v2.0"
    tpm = TpmState.parse(text)
    assert str(tpm) == text
    assert (tpm.version, tpm.is_base, tpm.owner_vmid) == ("v2.0", True, 9)
    assert str(tpm.replace(version="v1.2")) == text.replace("v2.0", "v1.2")
    assert not tpm.same_as(Disk.parse(text))
    with pytest.raises(PropertyStringError, match="^tpmstate: 'file' is missing$"):
        TpmState.parse("version=v2.0")
