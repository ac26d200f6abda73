# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the options of a VM become a desired VM."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from .._model.boot import Boot
from .._model.identity import DESCRIPTION_LIMIT, LINE_PATTERN, RESERVED_PREFIXES
from .._model.property_string import PropertyStringError
from .._model.tags import Tags
from .._model.template import Password
from .._model.vm import DiskSlot, HaWish, Vm, VmPlace, Wait, WaitFor
from .._model.vm_config import is_disk_key
from .._plan.plan import OptionProblems
from .hardware_options import Problem, disk_settings, settings_from, size_from

# PVE::JSONSchema's dns-name.
_DNS_NAME = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?")
_NAME_LIMIT = 63
_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_STARTUP = re.compile(r"(?:(?:order|up|down)=\d+|\d+)(?:,(?:order|up|down)=\d+)*")
_VMID_MIN, _VMID_MAX = 100, 999_999_999
# The identity block of a clone takes about 400 characters.
_DESCRIPTION_MAX = DESCRIPTION_LIMIT - 1024
_MAX_PORT = 65535


def desired_vm(params: Mapping[str, t.Any]) -> Vm:
    """One VM from a door's options. Raises OptionProblems with everything that is wrong."""
    problems: list[str] = []

    def problem(option: str, value: object, text: str) -> None:
        problems.append(f"{option}={value!r}: {text}")

    _names(params, problem)
    _together(params, problem)
    place = _place(params, problem)
    settings, clears = settings_from(params, problem)
    settings |= _own_settings(params, problem)
    disks = _disks(params, problem)
    wait = _wait(params, problem)
    if problems:
        raise OptionProblems(tuple(problems))
    password = params["cipassword"]
    return Vm(
        name=params["name"],
        line=params["line"] or "",
        template=params["template"] or "",
        place=place,
        settings=settings,
        clears=clears,
        disks=disks,
        description=params["description"],
        tags=None if params["tags"] is None else frozenset(tag.lower() for tag in params["tags"]),
        protection=params["protection"],
        password=Password(value=password, always=params["cipassword_update"] == "always") if password else None,
        ha=_ha(params["ha"]),
        started=params["started"],
        reboot=params["reboot"] == "when_required",
        force_stop=params["force_stop"],
        shutdown_timeout=params["shutdown_timeout"],
        replace=params["replace"],
        adopt=params["adopt"],
        absent=params["state"] == "absent",
        wait=wait,
    )


def vmid_range(text: str, problem: Problem) -> tuple[int, int]:
    """First and last VMID of a block."""
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not _VMID_MIN <= first <= last <= _VMID_MAX:
        problem("vmid_range", text, f"write first-last within {_VMID_MIN}-{_VMID_MAX}, such as 100-999")
    return first, last


def _names(params: Mapping[str, t.Any], problem: Problem) -> None:
    name = params["name"]
    if not _DNS_NAME.fullmatch(name) or len(name) > _NAME_LIMIT:
        problem("name", name, f"it must be a DNS name of {_NAME_LIMIT} characters at most, such as web1")
    line = params["line"]
    if line and not LINE_PATTERN.fullmatch(line):
        problem("line", line, "use lower-case letters, digits, '.' and '-', 48 characters at most, such as debian-13")
    description = params["description"] or ""
    if "```homelab" in description:
        problem("description", description, "the fence ```homelab is kept for the identity block")
    if len(description) > _DESCRIPTION_MAX:
        text = f"Proxmox VE stores {DESCRIPTION_LIMIT} characters, and the identity block needs some of them"
        shown = f"{description[:20]}…"
        problem("description", shown, f"{text}. Shorten it from {len(description)} to {_DESCRIPTION_MAX}")
    spread = [params["spread"]] if params["spread"] else []
    for option, tags in (("tags", params["tags"] or ()), ("spread", spread)):
        for tag in tags:
            if tag.lower().startswith(RESERVED_PREFIXES):
                problem(option, tag, f"tags that begin with {', '.join(RESERVED_PREFIXES)} are kept for the identity")
        try:
            Tags.of(tags)
        except PropertyStringError as error:
            problem(option, tags, str(error))


def _together(params: Mapping[str, t.Any], problem: Problem) -> None:
    """Options that say something else together than each alone."""
    if params["line"] and params["template"]:
        problem("template", params["template"], "a VM is cloned from a line or from a template. Give one of them")
    if params["node"] and params["nodes"]:
        problem("nodes", params["nodes"], f"node={params['node']!r} says where already. Give one of them")
    if params["full"] == "false" and (params["storage"] or params["format"]):
        option = "storage" if params["storage"] else "format"
        problem(option, params[option], "a linked clone lives beside its template. Set full to true, or leave it out")
    if params["wait_for"] != "none" and params["started"] is False:
        problem("wait_for", params["wait_for"], "a VM that is not started comes to nothing. Set started to true")
    ha = params["ha"]
    if ha and not ha["managed"] and any(ha[key] is not None for key in ha if key != "managed"):
        problem("ha.managed", False, "what HA is to do says nothing then. Leave the other keys of ha out")
    if ha and params["started"] is not None and ha["state"] == ("stopped" if params["started"] else "started"):
        problem("started", params["started"], f"ha.state={ha['state']} wants the opposite. Let them say the same")


def _place(params: Mapping[str, t.Any], problem: Problem) -> VmPlace:
    vmid = params["vmid"]
    if vmid is not None and not _VMID_MIN <= vmid <= _VMID_MAX:
        problem("vmid", vmid, f"Proxmox VE takes {_VMID_MIN} to {_VMID_MAX}")
    node = params["node"] or ""
    return VmPlace(
        # The word says the same as leaving the option out.
        node="" if node == "any" else node,
        nodes=tuple(params["nodes"] or ()),
        spread=(params["spread"] or "").lower(),
        vmid=vmid,
        vmid_range=vmid_range(params["vmid_range"], problem),
        pool=params["pool"] or "",
        storage=params["storage"] or "",
        format=params["format"] or "",
        full=params["full"],
    )


def _own_settings(params: Mapping[str, t.Any], problem: Problem) -> dict[str, str]:
    """Settings that templates do not have."""
    settings = {key: str(int(params[key])) for key in ("onboot", "numa") if params[key] is not None}
    if params["bios"]:
        settings["bios"] = params["bios"]
    if params["startup"]:
        if not _STARTUP.fullmatch(params["startup"]):
            problem("startup", params["startup"], "write it as order=1,up=30,down=60")
        settings["startup"] = params["startup"]
    if params["boot"]:
        settings["boot"] = str(Boot.of(order=tuple(params["boot"])))
    return settings


def _disks(params: Mapping[str, t.Any], problem: Problem) -> tuple[DiskSlot, ...]:
    found: list[DiskSlot] = []
    for number, given in enumerate(params["disks"] or ()):
        slot, where = given["slot"], f"disks[{number}]"
        if not is_disk_key(slot) or slot.startswith(("unused", "efidisk", "tpmstate")):
            problem(f"{where}.slot", slot, "name a slot such as scsi0, virtio1 or sata0")
        if any(other.slot == slot for other in found):
            problem(f"{where}.slot", slot, "it is declared twice. Keep one of them")
        found.append(
            DiskSlot(
                slot=slot,
                size=size_from(f"{where}.size", given["size"], problem),
                storage=given["storage"] or "",
                format=given["format"] or "",
                options=disk_settings(given),
            )
        )
    return tuple(found)


def _ha(given: Mapping[str, t.Any] | None) -> HaWish | None:
    if given is None:
        return None
    keys = ("state", "group", "max_restart", "max_relocate", "comment")
    settings = {key: str(given[key]) for key in keys if given[key] is not None}
    return HaWish(managed=given["managed"], settings=settings)


def _wait(params: Mapping[str, t.Any], problem: Problem) -> Wait:
    for option in ("wait_timeout", "shutdown_timeout"):
        if params[option] < 1:
            problem(option, params[option], "it is seconds, 1 at least")
    if not 1 <= params["ssh_port"] <= _MAX_PORT:
        problem("ssh_port", params["ssh_port"], f"it must be 1 to {_MAX_PORT}")
    return Wait(wanted=WaitFor(params["wait_for"]), seconds=params["wait_timeout"], port=params["ssh_port"])
