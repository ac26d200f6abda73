# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network devices and cloud-init addresses."""

from __future__ import annotations

import re

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.ipconfig import IpConfig
from ansible_collections.homelab.proxmox.plugins.module_utils._model.net import Net
from ansible_collections.homelab.proxmox.plugins.module_utils._model.property_string import PropertyStringError

MAC = "BC:24:11:00:94:00"


@pytest.mark.parametrize(
    "text",
    [
        f"virtio={MAC},bridge=vmbr0,firewall=1",
        f"model=virtio,macaddr={MAC},bridge=vmbr0,firewall=on",
        f"bridge=vmbr0,firewall=yes,virtio={MAC.lower()}",
        f"virtio,macaddr={MAC},firewall=1,bridge=vmbr0",
    ],
)
def test_four_spellings_of_one_device(text: str) -> None:
    net = Net.parse(text)
    assert str(net) == text
    assert (net.model, net.macaddr, net.bridge, net.firewall) == ("virtio", MAC, "vmbr0", True)
    assert net.same_as(Net.parse(f"virtio={MAC},bridge=vmbr0,firewall=1"))


def test_typed_options() -> None:
    net = Net.parse("e1000e,tag=20,trunks=2;10-20,mtu=1,queues=4,rate=12.5,link_down=0,new=x")
    assert (net.model, net.macaddr, net.tag, net.mtu, net.queues) == ("e1000e", None, 20, 1, 4)
    assert (net.trunks, net.rate, net.link_down, net.get("new")) == (("2", "10-20"), 12.5, False, "x")


@pytest.mark.parametrize(
    ("before", "fields", "after"),
    [
        (f"virtio={MAC},bridge=vmbr0", {"bridge": "vmbr1"}, f"virtio={MAC},bridge=vmbr1"),
        (f"virtio={MAC},bridge=vmbr0", {"tag": 5}, f"virtio={MAC},bridge=vmbr0,tag=5"),
        (f"virtio={MAC},bridge=vmbr0", {"model": "e1000"}, f"e1000={MAC},bridge=vmbr0"),
        (f"virtio={MAC},bridge=vmbr0", {"macaddr": "02:00:00:00:00:01"}, "virtio=02:00:00:00:00:01,bridge=vmbr0"),
        (f"virtio={MAC},bridge=vmbr0", {"macaddr": None}, "virtio,bridge=vmbr0"),
        (f"virtio={MAC},x=1", {"model": "newnic"}, f"newnic,macaddr={MAC},x=1"),
        (f"virtio={MAC.lower()}", {"macaddr": MAC}, f"virtio={MAC.lower()}"),
        ("virtio,bridge=vmbr0", {"macaddr": MAC}, f"virtio,bridge=vmbr0,macaddr={MAC}"),
        ("virtio,bridge=vmbr0", {"model": "e1000"}, "e1000,bridge=vmbr0"),
        (f"model=virtio,macaddr={MAC}", {"macaddr": None}, "model=virtio"),
        ("virtio,firewall=1", {"firewall": None}, "virtio"),
    ],
)
def test_replacing_changes_only_that_key(before: str, fields: dict[str, object], after: str) -> None:
    changed = Net.parse(before).replace(**fields)
    assert str(changed) == after
    assert Net.parse(after) == changed
    assert changed.same_as(Net.parse(before), ignore=fields)


def test_a_device_from_typed_values() -> None:
    assert str(Net.of(bridge="vmbr0", model="virtio", firewall=True)) == "virtio,bridge=vmbr0,firewall=1"
    assert Net.parse("virtio,bridge=a").same_as(Net.parse(f"virtio={MAC},bridge=a"), ignore=["macaddr"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bridge=vmbr0", "net: 'model' is missing"),
        (f"virtio={MAC},model=e1000", "net: 'model' is set twice"),
        (f"model=e1000,virtio={MAC}", "net: 'model' is set twice"),
        (f"virtio={MAC},macaddr={MAC}", "net: 'macaddr' is set twice"),
        (f"virtio,e1000={MAC}", "net: 'model' is set twice"),
        ("virtio=auto", "net option 'macaddr': 'auto' is no unicast MAC address, such as BC:24:11:00:94:00"),
        (
            "virtio=01:00:5E:00:00:01",
            "net option 'macaddr': '01:00:5E:00:00:01' is no unicast MAC address, such as BC:24:11:00:94:00",
        ),
        ("virtio,tag=x", "net option 'tag': 'x' is no whole number"),
    ],
)
def test_devices_refused(text: str, message: str) -> None:
    with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
        Net.parse(text)


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("ip=dhcp", ("dhcp", None, None, None)),
        ("ip=10.0.0.5/24,gw=10.0.0.1,ip6=auto", ("10.0.0.5/24", "10.0.0.1", "auto", None)),
        ("gw6=fd00::1,ip6=FD00:0::5/64", (None, None, "fd00::5/64", "fd00::1")),
        ("ip=manual,ip6=manual", ("manual", None, "manual", None)),
        ("", (None, None, None, None)),
    ],
)
def test_addresses(text: str, typed: tuple[str | None, ...]) -> None:
    config = IpConfig.parse(text)
    assert str(config) == text
    assert (config.ip, config.gw, config.ip6, config.gw6) == typed
    assert config.problems() == ()


def test_addresses_compare_by_meaning() -> None:
    assert IpConfig.parse("ip6=FD00:0::5/64,ip=dhcp").same_as(IpConfig.parse("ip=dhcp,ip6=fd00::5/64"))
    assert str(IpConfig.parse("ip6=FD00::5/64,x=1").replace(ip6="fd00::5/64")) == "ip6=FD00::5/64,x=1"
    assert str(IpConfig.parse("ip=dhcp,x=1").replace(ip="10.0.0.5/24", gw="10.0.0.1")) == (
        "ip=10.0.0.5/24,x=1,gw=10.0.0.1"
    )
    assert str(IpConfig.of(ip="dhcp", ip6="auto")) == "ip=dhcp,ip6=auto"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("gw=10.0.0.1", ("gw needs ip",)),
        ("ip=dhcp,gw=10.0.0.1", ("gw does not go with ip=dhcp",)),
        ("ip=manual,gw=10.0.0.1", ()),
        ("ip6=auto,gw6=fd00::1,gw=10.0.0.1", ("gw needs ip", "gw6 does not go with ip6=auto")),
        ("ip6=manual,gw6=fd00::1", ("gw6 does not go with ip6=manual",)),
    ],
)
def test_address_problems(text: str, problems: tuple[str, ...]) -> None:
    assert IpConfig.parse(text).problems() == problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dhcp", "ipconfig: 'dhcp' is a value without a key"),
        ("ip=auto", "ipconfig option 'ip': 'auto' is neither dhcp nor manual nor an IPv4 address such as 10.0.0.5/24"),
        (
            "ip=10.0.0.5",
            "ipconfig option 'ip': '10.0.0.5' is neither dhcp nor manual nor an IPv4 address such as 10.0.0.5/24",
        ),
        (
            "ip=10.0.0.5/255.255.255.0",
            "ipconfig option 'ip': '10.0.0.5/255.255.255.0' is neither dhcp nor manual "
            "nor an IPv4 address such as 10.0.0.5/24",
        ),
        (
            "ip=10.0.0.5/7",
            "ipconfig option 'ip': '10.0.0.5/7' is neither dhcp nor manual nor an IPv4 address such as 10.0.0.5/24",
        ),
        (
            "ip6=10.0.0.5/24",
            "ipconfig option 'ip6': '10.0.0.5/24' is none of auto, dhcp, manual, an IPv6 address such as fd00::5/64",
        ),
        ("gw=10.0.0.1/24", "ipconfig option 'gw': '10.0.0.1/24' is no IPv4 address"),
        ("gw6=10.0.0.1", "ipconfig option 'gw6': '10.0.0.1' is no IPv6 address"),
    ],
)
def test_addresses_refused(text: str, message: str) -> None:
    with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
        IpConfig.parse(text)
