# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud-init as the server generates it: user data, network (version 1), instance id. Follows Cloudinit.pm."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import typing as t
import urllib.parse

from fakepve.lxc import split_props
from fakepve.model import TaskError
from fakepve.qemu import natural
from fakepve.routing import die

from .vm import NET, Vm, is_cloudinit

BASE = "/nodes/{node}/qemu/{vmid}/cloudinit"
# GET cloudinit lists these when set, never ipconfigN (recorded).
LISTED = ("searchdomain", "ciuser", "nameserver", "sshkeys", "cipassword", "cicustom", "citype")
# A guest without a nameserver gets the node's resolver (measured).
NODE_RESOLVER = ("10.255.255.53", ".")


class CloudinitMixin:
    """Mixin of FakeCluster: the cloud-init calls."""

    def _routes_zz_cloudinit(self) -> list[tuple[str, str, t.Callable]]:
        return [
            ("GET", BASE, self._cloudinit_pending),
            ("PUT", BASE, self._cloudinit_regenerate),
            ("GET", BASE + "/dump", self._cloudinit_dump),
        ]

    async def _cloudinit_pending(self, v: dict, user: str) -> list[dict[str, t.Any]]:
        vm = self.find(v["node"], v["vmid"])
        return [{"key": key, "value": self.shown(key, vm.config[key])} for key in LISTED if key in vm.config]

    async def _cloudinit_regenerate(self, v: dict, user: str) -> None:
        vm = self.find(v["node"], v["vmid"])
        self.need_unlocked(vm, {})
        self.generate_cloudinit(vm)

    async def _cloudinit_dump(self, v: dict, user: str) -> str:
        vm = self.find(v["node"], v["vmid"])
        kind = v["type"]
        custom = split_props("x," + str(vm.config.get("cicustom", "")))[1].get(kind)
        if custom:
            return self.snippet(vm, custom)
        config = vm.wanted()
        if "cipassword" in config:
            config["cipassword"] = "**********"
        return documents(config, host_name(vm))[kind]

    def generate_cloudinit(self, vm: Vm) -> None:
        """Write the drive: keep what a guest would read from it in ``vm.cloudinit`` {user, network, meta[, vendor]}."""
        custom = split_props("x," + str(vm.config.get("cicustom", "")))[1]
        own = {kind: self.snippet(vm, volid) for kind, volid in custom.items()}
        found = documents(vm.config, host_name(vm), own) | own
        vm.cloudinit = found if any(is_cloudinit(volid) for _key, volid, _props in vm.drives()) else None

    def snippet(self, vm: Vm, volid: str) -> str:
        """The text of a snippet file; a missing one stops the start."""
        volume = self.volume(volid, vm.node)
        if volume is None or volume.path is None:
            raise TaskError(f"volume '{volid}' does not exist") if ":" in volid else die(f"unable to parse '{volid}'")
        return volume.path.read_text()


def host_name(vm: Vm) -> str:
    """The name of the VM; one without a name is called by its number."""
    return str(vm.config.get("name") or f"VM{vm.vmid}")


def documents(config: dict[str, t.Any], name: str, custom: t.Mapping[str, str] | None = None) -> dict[str, str]:
    """{user, network, meta} of a config; ``custom`` documents count for the instance id instead of generated ones."""
    own = custom or {}
    user, network = own.get("user", user_data(config, name)), own.get("network", network_data(config))
    # Cloudinit.pm:588: the instance id changes with the data.
    digest = hashlib.sha1((user + network).encode(), usedforsecurity=False).hexdigest()
    return {"user": user, "network": network, "meta": f"instance-id: {digest}\n"}


def user_data(config: dict[str, t.Any], name: str) -> str:
    short, dot, _rest = name.partition(".")
    domain = "" if dot else config.get("searchdomain")
    lines = ["#cloud-config", f"hostname: {short}", "manage_etc_hosts: true"]
    lines.append(f"fqdn: {name}{'.' + domain if domain else ''}")
    if config.get("ciuser"):
        lines.append(f"user: {config['ciuser']}")
    if config.get("ciuser") == "root":
        lines.append("disable_root: False")
    if config.get("cipassword"):
        lines.append(f"password: {config['cipassword']}")
    keys = [line for line in urllib.parse.unquote(str(config.get("sshkeys", ""))).splitlines() if line.strip()]
    if keys:
        lines += ["ssh_authorized_keys:", *(f"  - {key}" for key in keys)]
    lines += ["chpasswd:", "  expire: False"]
    if config.get("ciuser") != "root":
        lines += ["users:", "  - default"]
    if str(config.get("ciupgrade", 1)) == "1":
        lines.append("package_upgrade: true")
    return "\n".join(lines) + "\n"


def network_data(config: dict[str, t.Any]) -> str:
    lines = ["version: 1", "config:"]
    for key in sorted(filter(NET.fullmatch, config), key=natural):
        number = key.removeprefix("net")
        mac = re.search(r"=((?:[0-9A-F]{2}:){5}[0-9A-F]{2})", str(config[key]), re.IGNORECASE)
        subnets = subnet_lines(str(config.get(f"ipconfig{number}", "")))
        if subnets:
            lines += ["    - type: physical", f"      name: eth{number}"]
            lines += [f"      mac_address: '{mac.group(1).lower() if mac else ''}'", "      subnets:", *subnets]
    server = str(config.get("nameserver") or NODE_RESOLVER[0])
    search = str(config.get("searchdomain") or NODE_RESOLVER[1])
    lines += ["    - type: nameserver", "      address:", *(f"      - '{one}'" for one in re.split(r"[ ,;]+", server))]
    lines += ["      search:", *(f"      - '{one}'" for one in re.split(r"[ ,;]+", search))]
    return "\n".join(lines) + "\n"


def subnet_lines(ipconfig: str) -> list[str]:
    """The subnets of one ipconfigN."""
    props = split_props("x," + ipconfig)[1]
    lines: list[str] = []
    if props.get("ip") == "dhcp":
        lines.append("      - type: dhcp4")
    elif "ip" in props:
        address = ipaddress.ip_interface(props["ip"])
        lines += ["      - type: static", f"        address: '{address.ip}'", f"        netmask: '{address.netmask}'"]
        if "gw" in props:
            lines.append(f"        gateway: '{props['gw']}'")
    if props.get("ip6") in ("auto", "dhcp"):
        lines.append("      - type: " + {"auto": "ipv6_slaac", "dhcp": "dhcp6"}[props["ip6"]])
    elif "ip6" in props:
        lines += ["      - type: static6", f"        address: '{props['ip6']}'"]
        if "gw6" in props:
            lines.append(f"        gateway: '{props['gw6']}'")
    return lines
