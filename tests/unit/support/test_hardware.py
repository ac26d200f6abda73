# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot lab's command line for QEMU, from configs as the server keeps them."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from tests.support.boot import hardware
from tests.support.boot.hardware import Drive, Unsupported, addresses, arguments
from tests.support.pve.vm import Vm

CONFIG = {
    "agent": "enabled=1",
    "boot": "order=scsi0;net0",
    "cores": 2,
    "memory": "1024",
    "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
    "scsihw": "virtio-scsi-single",
    "smbios1": "uuid=11111111-2222-3333-4444-555555555555",
}
SYSTEM = Drive("scsi0", Path("/d/disk"), "qcow2", False)
SEED = Drive("scsi1", Path("/d/seed"), "raw", True)


def built(drives: tuple[Drive, ...] = (SYSTEM, SEED), **changes: object) -> str:
    """The command as one text; None removes a key of the config."""
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
    with mock.patch.object(hardware, "accelerator", return_value=["-accel", "tcg"]):
        return " ".join(arguments(Vm(100, "web", config=config), drives, Path("/s"), Path("/l"), restrict=True))


def test_a_vm_as_templates_make_them() -> None:
    command = built()
    for part in (
        "-name web ",
        "-machine pc -accel tcg -smp 2 -m 1024M",
        "-uuid 11111111-2222-3333-4444-555555555555",
        "scsi-hd,id=scsi0,bus=virtioscsi0.0,channel=0,scsi-id=0,lun=0,device_id=drive-scsi0,drive=drive-scsi0,bootindex=100",
        "scsi-cd,id=scsi1,bus=virtioscsi1.0,channel=0,scsi-id=0,lun=1,device_id=drive-scsi1,drive=drive-scsi1 ",
        "driver=raw,node-name=drive-scsi1,file.driver=file,cache.no-flush=on,discard=unmap,read-only=on,",
        "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
        "virtio-net-pci,netdev=net0,mac=BC:24:11:00:00:01,bootindex=101",
    ):
        assert part in command + " ", part


def test_no_agent_in_the_config_means_no_port_for_it() -> None:
    assert "guest_agent" not in built(agent="enabled=0")
    assert "guest_agent" not in built(agent=None)


@pytest.mark.parametrize(
    ("slot", "machine", "device"),
    [
        ("ide2", None, "ide-cd,id=ide2,bus=ide.1,unit=0"),
        ("ide2", "q35", "ide-cd,id=ide2,bus=ide.2"),
        ("sata1", None, "ide-cd,id=sata1,bus=ahci0.1"),
        ("scsi3", None, "scsi-cd,id=scsi3,bus=virtioscsi3.0,channel=0,scsi-id=0,lun=3,device_id=drive-scsi3"),
    ],
)
def test_a_drive_hangs_where_its_slot_says(slot: str, machine: str | None, device: str) -> None:
    command = built((SYSTEM, Drive(slot, Path("/d/iso"), "raw", True)), machine=machine)
    assert f"-device {device},drive=drive-{slot}" in command


def test_an_empty_drive_has_no_file() -> None:
    command = built((SYSTEM, Drive("ide2", None, "raw", True)))
    assert command.count("-blockdev") == 1
    assert "ide-cd,id=ide2,bus=ide.1,unit=0 " in command


def test_uefi_is_refused() -> None:
    with pytest.raises(Unsupported, match="SeaBIOS"):
        built(bios="ovmf")


@pytest.mark.parametrize(
    ("ipconfig", "expected"),
    [
        ("ip=dhcp", ("10.0.2.0/24", "10.0.2.2", "10.0.2.3", "10.0.2.15")),
        ("", ("10.0.2.0/24", "10.0.2.2", "10.0.2.3", "10.0.2.15")),
        ("ip=10.99.0.71/24,gw=10.99.0.1", ("10.99.0.0/24", "10.99.0.1", "10.99.0.2", "10.99.0.71")),
        ("ip=10.99.0.1/24", ("10.99.0.0/24", "10.99.0.2", "10.99.0.3", "10.99.0.1")),
        ("ip=10.99.0.2/24,gw=10.99.0.1", ("10.99.0.0/24", "10.99.0.1", "10.99.0.3", "10.99.0.2")),
    ],
)
def test_the_guests_network_fits_its_address(ipconfig: str, expected: tuple[str, ...]) -> None:
    assert addresses(ipconfig) == expected
