# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent calls of the API, put to the guest's own agent. Follows API2/Qemu/Agent.pm and QemuServer/Agent.pm."""

from __future__ import annotations

import asyncio
import base64
import typing as t

from fakepve.model import PveError

from ..pve.agent import NOT_RUNNING, READ_LIMIT, WIDE
from ..pve.guest import agent_error, as_latin
from ..pve.vm import Vm
from ..pve.wire import BrokenPipe
from .machine import AgentRefusal, AgentSilent, Machine, text64

# Bytes per read of a file in the guest.
PIECE = 1024 * 1024


class AgentMixin:
    """Mixin of LabCluster. Nothing is scripted: C(vm.inside) and C(guest_setup) have no meaning here."""

    async def _agent_answer(self, command: str, v: dict, user: str) -> t.Any:
        vm = self.find(v["node"], v["vmid"])
        if not vm.agent_enabled():
            raise PveError(500, "No QEMU guest agent configured")
        machine = self.machines.get(vm.vmid)
        if not vm.running or machine is None:
            raise PveError(500, f"VM {vm.vmid} is not running")
        return await asyncio.to_thread(answer, vm, machine, command, v)


def answer(vm: Vm, machine: Machine, command: str, v: dict) -> t.Any:
    """One call. Proxmox pings before every call, so a busy guest may refuse one although its agent is well."""
    if not machine.agent_up():
        raise PveError(500, NOT_RUNNING)
    own = {
        "exec": start, "exec-status": status, "file-read": read, "file-write": write, "set-user-password": password
    }.get(command)  # fmt: skip
    try:
        return own(vm, machine, v) if own else {"result": machine.agent(f"guest-{command}")}
    except AgentSilent as exc:
        raise PveError(500, f"VM {vm.vmid} qmp command '{exc}' failed - got timeout") from exc
    except AgentRefusal as exc:
        if wide(str(exc)):  # qemu-ga quotes file names with curly quotes, over which the server's reply dies
            raise BrokenPipe from exc
        raise agent_error(str(exc)) from exc


def start(vm: Vm, machine: Machine, v: dict) -> dict[str, t.Any]:
    argv = [str(word) for word in (v["command"] if isinstance(v["command"], list) else [v["command"]])]
    if any(map(wide, argv)):
        machine.wedged = True  # until the guest restarts (measured)
        raise AgentSilent("guest-exec")
    arguments: dict[str, t.Any] = {"path": argv[0], "arg": argv[1:], "capture-output": True}
    text = str(v.get("input-data") or "")
    if wide(text):
        raise PveError(500, WIDE + "QemuServer/Agent.pm line 82.")
    if text:
        arguments["input-data"] = text64(text)
    return machine.agent("guest-exec", arguments)


def status(vm: Vm, machine: Machine, v: dict) -> dict[str, t.Any]:
    """The outcome; the agent forgets it once it has told it."""
    found = machine.agent("guest-exec-status", {"pid": int(v["pid"])})
    shown = {"exited": int(found.pop("exited")), **found}
    for name in ("out-data", "err-data"):
        if name in shown:
            shown[name] = as_latin(base64.b64decode(shown[name]))
            shown.setdefault(name.replace("data", "truncated"), 0)
    return {name: int(value) if isinstance(value, bool) else value for name, value in shown.items()}


def read(vm: Vm, machine: Machine, v: dict) -> dict[str, t.Any]:
    handle = machine.agent("guest-file-open", {"path": v["file"], "mode": "r"})
    content, whole = b"", False
    try:
        while not whole and len(content) < READ_LIMIT:
            piece = machine.agent("guest-file-read", {"handle": handle, "count": PIECE})
            content += base64.b64decode(piece["buf-b64"])
            whole = bool(piece["eof"])
    finally:
        machine.agent("guest-file-close", {"handle": handle})
    shown: dict[str, t.Any] = {"content": as_latin(content[:READ_LIMIT]), "bytes-read": min(len(content), READ_LIMIT)}
    return shown if whole else {**shown, "truncated": 1}


def write(vm: Vm, machine: Machine, v: dict) -> None:
    content = str(v["content"])
    if wide(content):
        raise PveError(500, WIDE + "API2/Qemu/Agent.pm line 521.")
    handle = machine.agent("guest-file-open", {"path": v["file"], "mode": "wb"})
    try:
        data = text64(content) if int(v.get("encode", 1)) else content
        machine.agent("guest-file-write", {"handle": handle, "buf-b64": data})
    finally:
        machine.agent("guest-file-close", {"handle": handle})


def password(vm: Vm, machine: Machine, v: dict) -> dict[str, t.Any]:
    arguments = {"username": v["username"], "password": text64(str(v["password"])), "crypted": bool(v.get("crypted"))}
    return {"result": machine.agent("guest-set-user-password", arguments)}


def wide(text: str) -> bool:
    """Does it hold a character that Perl cannot write as one byte?"""
    return any(ord(char) > 0xFF for char in text)
