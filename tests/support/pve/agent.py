# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent calls of the API, answered by the script of the guest (guest.py)."""

from __future__ import annotations

import functools
import re
import typing as t

from fakepve.agent import default as plausible
from fakepve.model import PveError

from . import schema
from .guest import Guest, MissingProgram, agent_error, as_latin, decoded, exec_view, folder_exists
from .shell import Shell
from .vm import Vm
from .wire import BrokenPipe

PREFIX = "/nodes/{node}/qemu/{vmid}/agent/"
NOT_RUNNING = "QEMU guest agent is not running"
WIDE = "Wide character in subroutine entry at /usr/share/perl5/PVE/"
# file-read stops at 16 MiB.
READ_LIMIT = 16 * 1024 * 1024


class AgentMixin:
    """Mixin of FakeCluster. ``guest_setup``: functions called as f(vm, guest) when a VM starts, to script its guest."""

    def _init_agent(self) -> None:
        self.guest_setup: list[t.Callable[[Vm, Guest], None]] = []

    def _routes_zz_agent(self) -> list[tuple[str, str, t.Callable]]:
        index = ("GET", PREFIX.rstrip("/"), self._agent_index)
        return [index] + [
            (method, template, functools.partial(self._agent_answer, template.removeprefix(PREFIX)))
            for template, methods in schema.load(self.major).paths.items()
            if template.startswith(PREFIX)
            for method in methods
        ]

    async def _agent_index(self, v: dict, user: str) -> list[dict[str, str]]:
        self.find(v["node"], v["vmid"])
        return [{"name": name} for name in schema.load(self.major).children(PREFIX.rstrip("/"))]

    def wake_guest(self, vm: Vm) -> None:
        """A new boot of the guest: a fresh script, but the files of the disk stay."""
        files = vm.disk_files if hasattr(vm, "disk_files") else {}
        vm.inside = Guest(hostname=vm.name, files=files)
        vm.disk_files = vm.inside.files
        for setup in self.guest_setup:
            setup(vm, vm.inside)

    def agent_answers(self, vm: Vm) -> bool:
        return bool(vm.running and vm.agent_enabled() and vm.inside and vm.inside.refusals == 0 and vm.inside.up())

    async def _agent_answer(self, command: str, v: dict, user: str) -> t.Any:
        vm = self.find(v["node"], v["vmid"])
        if not vm.agent_enabled():
            raise PveError(500, "No QEMU guest agent configured")
        if not vm.running:
            raise PveError(500, f"VM {vm.vmid} is not running")
        guest = vm.inside
        if guest is None or guest.refuse_once():
            raise PveError(500, NOT_RUNNING)
        guest.calls.append(
            (command, {key: value for key, value in v.items() if key not in ("node", "vmid", "password")})
        )
        own = {
            "exec": agent_exec, "exec-status": agent_exec_status, "file-read": agent_read, "file-write": agent_write
        }.get(command)  # fmt: skip
        if own is not None:
            return own(vm, guest, v)
        return {"result": self.agent_fact(vm, guest, command)}

    def agent_fact(self, vm: Vm, guest: Guest, command: str) -> t.Any:
        """The plain commands; ``guest.answers`` overrides them by name."""
        if command in guest.answers:
            return guest.answers[command]
        if command == "ping":
            return {}
        if command == "get-host-name":
            return {"host-name": guest.hostname}
        if command == "network-get-interfaces":
            return guest.interfaces or interfaces(vm)
        if command == "shutdown":
            self.halt(vm)
            return {}
        found = plausible(vm, command)
        return {} if found is None else found


def agent_exec(vm: Vm, guest: Guest, v: dict) -> dict[str, int]:
    """Start a program. Characters beyond U+00FF hang the agent in an argument, in the input they die cleanly."""
    words = v["command"] if isinstance(v["command"], list) else [v["command"]]
    argv = [str(word) for word in words]
    if any(ord(char) > 0xFF for word in argv for char in word):
        guest.wedged = True
        raise PveError(500, f"VM {vm.vmid} qmp command 'guest-exec' failed - got timeout")
    stdin = str(v.get("input-data") or "")
    if any(ord(char) > 0xFF for char in stdin):
        raise PveError(500, WIDE + "QemuServer/Agent.pm line 82.")
    guest.next_pid += 1
    if guest.shell is not None and argv == ["/bin/sh"]:
        guest.scripts[guest.next_pid] = guest.shell.start(stdin)
        return {"pid": guest.next_pid}
    try:
        result = guest.run(argv, stdin)
    except MissingProgram as exc:
        raise BrokenPipe from exc
    guest.results[guest.next_pid] = result
    return {"pid": guest.next_pid}


def agent_exec_status(vm: Vm, guest: Guest, v: dict) -> dict[str, t.Any]:
    """The outcome, readable once."""
    pid = int(v["pid"])
    if pid in guest.scripts:
        view = guest.scripts[pid].view()
        if view["exited"]:
            del guest.scripts[pid]
        return view
    if pid not in guest.results:
        raise agent_error("Invalid parameter 'pid'")
    result = guest.results[pid]
    if result.reads > 0:
        guest.results[pid] = result._replace(reads=result.reads - 1)
        return {"exited": 0}
    del guest.results[pid]
    return exec_view(result)


def agent_read(vm: Vm, guest: Guest, v: dict) -> dict[str, t.Any]:
    path = str(v["file"])
    if guest.shell is not None:
        return agent_read_real(guest.shell, path)
    if path.rstrip("/").count("/") <= 1 and path.strip("/") in ("", "etc", "tmp", "root", "run", "usr", "var", "home"):
        raise agent_error("failed to read file: Is a directory")
    if path not in guest.files:
        raise agent_error(f"failed to open file '{path}' (mode: 'r'): No such file or directory")
    found = guest.files[path]
    return read_answer(found.encode() if isinstance(found, str) else found)


def agent_read_real(shell: Shell, path: str) -> dict[str, t.Any]:
    place = shell.place(path)
    if place is None or not place.exists():
        raise agent_error(f"failed to open file '{path}' (mode: 'r'): No such file or directory")
    if place.is_dir():
        raise agent_error("failed to read file: Is a directory")
    return read_answer(place.read_bytes())


def read_answer(data: bytes) -> dict[str, t.Any]:
    """The content as the API gives it, as far as it does."""
    answer: dict[str, t.Any] = {"content": as_latin(data[:READ_LIMIT]), "bytes-read": min(len(data), READ_LIMIT)}
    return {**answer, "truncated": 1} if len(data) > READ_LIMIT else answer


def agent_write(vm: Vm, guest: Guest, v: dict) -> None:
    path, content = str(v["file"]), str(v["content"])
    if any(ord(char) > 0xFF for char in content):
        raise PveError(500, WIDE + "API2/Qemu/Agent.pm line 521.")
    if not folder_exists(path):
        raise agent_error(f"failed to open file '{path}' (mode: 'wb'): No such file or directory")
    guest.files[path] = decoded(content, bool(int(v.get("encode", 1))))


def interfaces(vm: Vm) -> list[dict[str, t.Any]]:
    """lo and one interface per NIC; a static address from ipconfigN, else a made-up one (none without ipconfigN)."""
    rows = [address_row("lo", "00:00:00:00:00:00", "127.0.0.1/8")]
    for key in sorted(vm.config):
        found = re.fullmatch(r"net(\d+)", key)
        if found:
            mac = re.search(r"=((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})", str(vm.config[key]))
            static = re.search(r"ip=(\d[\d./]+)", str(vm.config.get(f"ipconfig{found.group(1)}", "")))
            address = static.group(1) if static else f"10.0.{vm.vmid // 256 % 256}.{vm.vmid % 256}/16"
            rows.append(address_row(f"eth{found.group(1)}", mac.group(1).lower() if mac else "", address))
    return rows


def address_row(name: str, mac: str, address: str) -> dict[str, t.Any]:
    host, _unused, prefix = address.partition("/")
    return {
        "name": name,
        "hardware-address": mac,
        "ip-addresses": [{"ip-address": host, "ip-address-type": "ipv4", "prefix": int(prefix or 32)}],
    }
