# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agent, boot order, processor, display and serial ports."""

from __future__ import annotations

import re

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.agent import Agent
from ansible_collections.homelab.proxmox.plugins.module_utils._model.boot import Boot
from ansible_collections.homelab.proxmox.plugins.module_utils._model.cpu import Cpu
from ansible_collections.homelab.proxmox.plugins.module_utils._model.property_string import (
    PropertyString,
    PropertyStringError,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.serial import Serial
from ansible_collections.homelab.proxmox.plugins.module_utils._model.vga import Vga


@pytest.mark.parametrize("text", ["1", "enabled=1", "enabled=on", "enabled=Yes", "enabled=true"])
def test_agent_spellings(text: str) -> None:
    agent = Agent.parse(text)
    assert str(agent) == text
    assert agent.enabled is True
    assert agent.fstrim_cloned_disks is None
    assert agent.same_as(Agent.parse("1"))


def test_agent_options() -> None:
    agent = Agent.parse("1,fstrim_cloned_disks=1,type=isa,new=2")
    assert (agent.fstrim_cloned_disks, agent.type, agent.get("new")) == (True, "isa", "2")
    assert str(agent.replace(enabled=False)) == "0,fstrim_cloned_disks=1,type=isa,new=2"
    assert str(agent.replace(fstrim_cloned_disks=None)) == "1,type=isa,new=2"
    assert str(agent.replace(freeze_fs_on_backup=False)) == f"{agent},freeze-fs-on-backup=0"
    assert str(Agent.of(enabled=True, fstrim_cloned_disks=True)) == "1,fstrim_cloned_disks=1"


def test_the_agent_option_that_was_renamed() -> None:
    # freeze-fs is the new name; 8.4 knows only the old one.
    assert Agent.parse("1,freeze-fs=0").same_as(Agent.parse("enabled=1,freeze-fs-on-backup=0"))
    assert str(Agent.parse("1,freeze-fs=0").replace(freeze_fs_on_backup=True)) == "1,freeze-fs=1"


@pytest.mark.parametrize(
    ("text", "order", "legacy"),
    [
        ("order=scsi0;net0", ("scsi0", "net0"), None),
        ("order=scsi0", ("scsi0",), None),
        ("cdn", None, "cdn"),
        ("legacy=cdn", None, "cdn"),
        (" ", None, None),
        ("", None, None),
    ],
)
def test_boot(text: str, order: tuple[str, ...] | None, legacy: str | None) -> None:
    boot = Boot.parse(text)
    assert str(boot) == text
    assert (boot.order, boot.legacy) == (order, legacy)


def test_boot_order_matters() -> None:
    assert not Boot.parse("order=scsi0;net0").same_as(Boot.parse("order=net0;scsi0"))
    assert str(Boot.parse("order=scsi0;ide3").replace(order=["scsi0"])) == "order=scsi0"
    assert str(Boot.of(order=["scsi0", "net0"])) == "order=scsi0;net0"
    assert str(Boot.parse("cdn").replace(legacy=None, order=["scsi0"])) == "order=scsi0"


def test_cpu() -> None:
    text = "host,flags=+aes;-pcid,hidden=1,hv-vendor-id=abc,phys-bits=host,guest-phys-bits=40,x=1"
    cpu = Cpu.parse(text)
    assert str(cpu) == text
    assert (cpu.cputype, cpu.flags, cpu.hidden) == ("host", frozenset({"+aes", "-pcid"}), True)
    assert (cpu.hv_vendor_id, cpu.phys_bits, cpu.guest_phys_bits) == ("abc", "host", 40)
    assert str(cpu.replace(cputype="x86-64-v2-AES")) == text.replace("host,flags", "x86-64-v2-AES,flags")
    assert str(cpu.replace(flags={"-pcid", "+aes"})) == text
    assert str(cpu.replace(flags=["-pcid", "+ssbd"])) == text.replace("+aes;-pcid", "+ssbd;-pcid")
    assert Cpu.parse("cputype=host,flags=-pcid;+aes").same_as(Cpu.parse("host,flags=+aes;-pcid"))


def test_vga() -> None:
    assert Vga.parse("serial0").same_as(Vga.parse("type=serial0"))
    vga = Vga.parse("type=virtio,memory=64,clipboard=vnc")
    assert (vga.type, vga.memory, vga.clipboard) == ("virtio", 64, "vnc")
    assert str(vga.replace(type="std")) == "type=std,memory=64,clipboard=vnc"
    assert str(Vga.parse("serial0").replace(memory=32)) == "serial0,memory=32"
    assert Vga.parse("memory=64").type is None


@pytest.mark.parametrize(
    ("codec", "text", "message"),
    [
        (Agent, "", "agent: 'enabled' is missing"),
        (Agent, "on", "agent option 'enabled': 'on' is no boolean; without its key it can only be 0 or 1"),
        (
            Agent,
            "enabled=2",
            "agent option 'enabled': '2' is no boolean; it can be 1, on, yes, true, 0, off, no or false",
        ),
        (Cpu, "flags=+aes", "cpu: 'cputype' is missing"),
        (Cpu, "host,flags=aes", "cpu option 'flags': 'aes' is no CPU flag, such as +aes or -pcid"),
        (Cpu, "host,flags=+aes;", "cpu option 'flags': '' is no CPU flag, such as +aes or -pcid"),
        (Vga, "std,memory=1G", "vga option 'memory': '1G' is no whole number"),
        (Vga, "std,qxl", "vga: 'type' is set twice"),
        (Boot, "order=", "boot: 'order=' has no value"),
        (Boot, "cdn,legacy=cdn", "boot: 'legacy' is set twice"),
    ],
)
def test_refused(codec: type[PropertyString], text: str, message: str) -> None:
    with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
        codec.parse(text)


def test_serial() -> None:
    socket, device = Serial.parse("socket"), Serial.parse("/dev/serial/by-id/usb-a,b=1")
    assert (str(socket), socket.is_socket, socket.device) == ("socket", True, None)
    assert (str(device), device.is_socket, device.device) == (device.target, False, device.target)
    assert socket.replace(target="/dev/ttyS0") == Serial("/dev/ttyS0")
    assert socket.same_as(Serial.parse("socket"))
    assert not socket.same_as(device)


@pytest.mark.parametrize("text", ["", "Socket", "ttyS0", "/dev/", "/tmp/x"])
def test_serial_refused(text: str) -> None:
    with pytest.raises(PropertyStringError, match=f"^serial: '{text}' is neither 'socket' nor a path below /dev/$"):
        Serial.parse(text)
