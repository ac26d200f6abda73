# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The view of a whole config: types that vary, defaults, disks of every bus, complete templates."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.disk import Disk
from ansible_collections.homelab.proxmox.plugins.module_utils._model.efidisk import EfiDisk
from ansible_collections.homelab.proxmox.plugins.module_utils._model.net import Net
from ansible_collections.homelab.proxmox.plugins.module_utils._model.property_string import PropertyStringError
from ansible_collections.homelab.proxmox.plugins.module_utils._model.tpm import TpmState
from ansible_collections.homelab.proxmox.plugins.module_utils._model.vm_config import (
    VmConfig,
    is_disk_key,
    normal_description,
    property_codec,
    same_value,
)

FULL: dict[str, Any] = {
    "name": "debian-13",
    "memory": "2048",
    "cores": 2,
    "sockets": "1",
    "agent": 1,
    "template": 1,
    "protection": "1",
    "lock": "clone",
    "digest": "f45932ed4186e3f48e71b0a4936cbe9bd9cb1edd",
    "tags": "debian;template",
    "description": "# one\r\n\r\ntwo  \n\n",
    "boot": "order=scsi0",
    "cpu": "x86-64-v2-AES",
    "vga": "serial0",
    "serial0": "socket",
    "net1": "virtio,bridge=vmbr1",
    "net0": "virtio=BC:24:11:00:94:00,bridge=vmbr0",
    "ipconfig0": "ip=dhcp",
    "ide2": "none,media=cdrom",
    "scsi10": "local-lvm:base-9-disk-2",
    "scsi2": "fast:9/base-9-disk-0.qcow2",
    "scsi1": "local-lvm:vm-9-cloudinit,media=cdrom",
    "scsi0": "local-lvm:base-9-disk-0,size=3G",
    "virtio15": "local-lvm:base-9-disk-5",
    "sata5": "local-lvm:base-9-disk-6",
    "efidisk0": "local-lvm:base-9-disk-3,efitype=4m",
    "tpmstate0": "local-lvm:base-9-disk-4,version=v2.0",
    "unused0": "local-lvm:vm-9-disk-9",
    "scsihw": "virtio-scsi-single",
    "vmgenid": "x",
    "meta": "creation-qemu=7.2.22,ctime=1",
}


def test_typed_accessors() -> None:
    config = VmConfig(MappingProxyType(FULL))
    assert (config.name, config.memory_mib, config.cores, config.sockets) == ("debian-13", 2048, 2, 1)
    assert (config.is_template, config.protection, config.lock) == (True, True, "clone")
    assert config.digest == "f45932ed4186e3f48e71b0a4936cbe9bd9cb1edd"
    assert config.description == "# one\n\ntwo"
    assert config.tags.names == ("debian", "template")
    assert config.agent is not None and config.agent.enabled is True
    assert config.boot is not None and config.boot.order == ("scsi0",)
    assert config.cpu is not None and config.cpu.cputype == "x86-64-v2-AES"
    assert config.vga is not None and config.vga.type == "serial0"
    assert list(config.serials()) == ["serial0"]
    assert {key: net.bridge for key, net in config.nets().items()} == {"net0": "vmbr0", "net1": "vmbr1"}
    assert {key: str(value) for key, value in config.ipconfigs().items()} == {"ipconfig0": "ip=dhcp"}
    assert config.raw == FULL


def test_an_empty_config_answers_the_servers_defaults() -> None:
    config = VmConfig({})
    assert (config.memory_mib, config.cores, config.sockets) == (512, 1, 1)
    assert (config.name, config.lock, config.digest, config.description) == (None, None, None, "")
    assert (config.is_template, config.protection, config.tags.names) == (False, False, ())
    assert (config.agent, config.boot, config.cpu, config.vga, config.sshkeys) == (None,) * 5
    assert (config.disks(), config.nets(), config.ipconfigs(), config.serials()) == ({}, {}, {}, {})


@pytest.mark.parametrize("value", ["1", 1, True])
def test_types_vary(value: object) -> None:
    config = VmConfig({"template": value, "agent": value, "protection": value, "cores": value})
    assert (config.is_template, config.protection, config.cores) == (True, True, 1)
    assert config.agent is not None and config.agent.enabled is True


def test_memory_as_a_property_string() -> None:
    assert VmConfig({"memory": "current=4096"}).memory_mib == 4096


def test_disks_in_the_order_of_buses_and_numbers() -> None:
    disks = VmConfig(FULL).disks()
    assert list(disks) == [
        *("scsi0", "scsi1", "scsi2", "scsi10", "virtio15", "sata5", "ide2", "efidisk0", "tpmstate0", "unused0")
    ]
    kinds = {key: disk.__class__ for key, disk in disks.items()}
    assert (kinds["scsi0"], kinds["efidisk0"], kinds["tpmstate0"]) == (Disk, EfiDisk, TpmState)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("scsi0", True),
        ("scsi30", True),
        ("scsi31", False),
        ("virtio15", True),
        ("virtio16", False),
        ("virtiofs0", False),
        ("sata5", True),
        ("sata6", False),
        ("ide3", True),
        ("ide4", False),
        ("efidisk0", True),
        ("efidisk1", False),
        ("tpmstate0", True),
        ("unused255", True),
        ("unused256", False),
        ("scsi", False),
        ("scsi01", False),
        ("scsihw", False),
        ("scsi0\n", False),
    ],
)
def test_keys_of_disks(key: str, expected: bool) -> None:
    assert is_disk_key(key) is expected


def test_a_complete_template() -> None:
    assert VmConfig(FULL).template_is_complete(9) == ()


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"template": 0}, ("template",)),
        ({"template": None}, ("template",)),
        ({"scsi0": "local-lvm:vm-9-disk-0"}, ("scsi0",)),
        ({"scsi0": "local-lvm:base-8-disk-0"}, ("scsi0",)),
        ({"scsi0": "fast:8/base-8-disk-0.qcow2/9/vm-9-disk-0.qcow2"}, ("scsi0",)),
        ({"scsi0": "fast:8/base-8-disk-0.qcow2/9/base-9-disk-0.qcow2"}, ()),
        ({"scsi0": "/dev/sdb", "efidisk0": "local-lvm:vm-9-disk-3"}, ("scsi0", "efidisk0")),
        ({"tpmstate0": "local-lvm:vm-9-disk-4,version=v2.0", "template": 0}, ("template", "tpmstate0")),
        ({"scsi1": "local-lvm:cloudinit"}, ()),
        ({"ide2": "local:iso/x.iso,media=cdrom"}, ()),
        ({"unused1": "local-lvm:vm-8-disk-0"}, ()),
    ],
)
def test_what_keeps_a_template_from_being_complete(changes: dict[str, object], problems: tuple[str, ...]) -> None:
    assert VmConfig({**FULL, **changes}).template_is_complete(9) == problems


def test_a_template_without_a_disk_is_not_complete() -> None:
    raw = {"template": 1, "ide2": "none,media=cdrom", "unused0": "local-lvm:base-9-disk-0"}
    assert VmConfig(raw).template_is_complete(9) == ("no disk",)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"memory": "lots"}, "memory: 'lots' is no whole number"),
        ({"cores": 1.5}, "cores: '1.5' is no whole number"),
        ({"template": "yes"}, "template: 'yes' is no whole number"),
        ({"scsi3": "ssd=1"}, "scsi3: disk: 'file' is missing"),
        ({"net0": "bridge=vmbr0"}, "net0: net: 'model' is missing"),
        ({"ipconfig31": "dhcp"}, "ipconfig31: ipconfig: 'dhcp' is a value without a key"),
        ({"serial3": "x"}, "serial3: serial: 'x' is neither 'socket' nor a path below /dev/"),
        ({"agent": "2"}, "agent: agent option 'enabled': '2' is no boolean; without its key it can only be 0 or 1"),
        ({"sshkeys": "a b"}, "sshkeys: sshkeys: the value is not percent-encoded"),
    ],
)
def test_errors_begin_with_the_config_key(raw: dict[str, object], message: str) -> None:
    config = VmConfig(raw)
    with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
        _unused = (
            config.memory_mib,
            config.cores,
            config.is_template,
            config.disks(),
            config.nets(),
            config.ipconfigs(),
        )
        _unused = (config.serials(), config.agent, config.sshkeys)


def test_descriptions() -> None:
    text = 'human text: ünï "quotes" \\ back\n\n```homelab\nline: debian-13\n```\n<!-- c -->\ntrailing  '
    assert normal_description(text) == text.rstrip()
    assert normal_description("a  \r\nb\r\n\t ") == "a  \nb"


@pytest.mark.parametrize(
    ("key", "one", "other", "same"),
    [
        ("cores", 2, "2", True),
        ("cores", 2, 3, False),
        ("onboot", True, 1, True),
        ("onboot", None, None, True),
        ("onboot", 0, None, False),
        ("agent", 1, "enabled=on", True),
        ("agent", "1", "1,type=isa", False),
        ("scsi0", "a-b:vm-1-disk-0,size=1G,ssd=1", "a-b:vm-1-disk-0,ssd=on,size=1024M", True),
        ("net0", "virtio,bridge=a", "bridge=a,model=virtio", True),
        ("ipconfig0", "ip=dhcp,ip6=auto", "ip6=auto,ip=dhcp", True),
        ("boot", "order=a;b", "order=b;a", False),
        ("tags", "A,b", "b;a", True),
        ("sshkeys", "", "%0A", True),
        ("description", "a\r\n", "a", True),
        ("serial0", "socket", "/dev/ttyS0", False),
        ("ostype", "l26", "other", False),
    ],
)
def test_values_of_one_key_compare_by_meaning(key: str, one: object, other: object, same: bool) -> None:
    for left, right in ((one, other), (other, one)):
        assert same_value(key, left, right) is same


def test_codecs_of_keys() -> None:
    assert property_codec("net31") is Net
    assert property_codec("net32") is None
    assert property_codec("scsi0") is Disk
    assert property_codec("efidisk0") is EfiDisk
    assert property_codec("name") is None
