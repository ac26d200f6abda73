# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a template line, and how they become a desired line."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from .._model.customize import Customize
from .._model.identity import DESCRIPTION_LIMIT, LINE_PATTERN, RESERVED_PREFIXES
from .._model.image import CloudImage
from .._model.property_string import PropertyStringError
from .._model.tags import Tags
from .._model.template import DiskWish, EfiWish, Password, Placement, Refresh, TemplateLine
from .._plan.plan import OptionProblems
from .bake_options import bake_from
from .customize_options import customize_from
from .hardware_options import Problem, disk_settings, settings_from, size_from
from .image_options import chosen_image
from .proof_options import proof_from

# PVE::JSONSchema's dns-name.
_DNS_NAME = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?")
_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
# Proxmox VE appends "-<generation>" to names of generations that are not current; a DNS label has 63 characters.
_NAME_LIMIT = 63 - 1 - 14
_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+~-]{0,199}")
_VMID_MIN, _VMID_MAX = 100, 999_999_999
# The identity block takes about 600 characters, most of them the URL of the image.
_DESCRIPTION_MAX = DESCRIPTION_LIMIT - 1024


def desired_line(params: Mapping[str, t.Any]) -> TemplateLine:
    """One line from a door's options. Raises OptionProblems with everything that is wrong."""
    problems: list[str] = []

    def problem(option: str, value: object, text: str) -> None:
        problems.append(f"{option}={value!r}: {text}")

    absent = params["state"] == "absent"
    line: str = params["line"]
    if not LINE_PATTERN.fullmatch(line):
        problem("line", line, "use lower-case letters, digits, '.' and '-', 48 characters at most, such as debian-13")
    image = placeholder(line) if absent else chosen_image(params, line, "template", problems)
    place = _placement(params, absent, problem)
    settings, clears = settings_from(params, problem)
    disk = _disk(params, problem)
    _names(params, problem)
    customize = None if absent else customize_from(params["customize"], problems)
    bake = None if absent else bake_from(params, customize, problems)
    prove = None if absent else proof_from(params["prove"], problems)
    if problems or image is None:
        raise OptionProblems(tuple(problems))
    return TemplateLine(
        line=line,
        name=params["name"] or line,
        image=image,
        own_image=bool(params["url"]),
        place=place,
        disk=disk,
        bios=params["bios"],
        efi=EfiWish(secure_boot=params["efi"]["secure_boot"], type=params["efi"]["type"]) if params["efi"] else None,
        tpm=params["tpm"]["version"] if params["tpm"] else None,
        settings=settings,
        clears=clears,
        description=params["description"],
        tags=None if params["tags"] is None else frozenset(tag.lower() for tag in params["tags"]),
        protection=params["protection"],
        password=_password(params),
        transfer=params["transfer"],
        require_signature=params["signature"] == "required",
        refresh=Refresh(policy=params["refresh"], max_age=params["max_age"] * 86400),
        adopt=params["adopt"],
        keep=params["keep"],
        # The builder of a bake is booted with a seed, even where it says nothing.
        customize=Customize() if customize is None and bake is not None else customize,
        bake=bake,
        prove=prove,
        hold=params["hold"],
        pin=params["pin"],
        absent=absent,
    )


def placeholder(line: str) -> CloudImage:
    """An absent line needs no image."""
    return CloudImage(
        id=line, name=line, family="", os_family="", release="", variant="", arch="x86_64", url=None, url_kind="none"
    )


def _placement(params: Mapping[str, t.Any], absent: bool, problem: Problem) -> Placement:
    storage = params["storage"] or ""
    if not storage and not absent:
        problem("storage", params["storage"], "name the storage for the template's disks, such as local-lvm")
    vmid = params["vmid"]
    if vmid is not None and not _VMID_MIN <= vmid <= _VMID_MAX:
        problem("vmid", vmid, f"Proxmox VE takes {_VMID_MIN} to {_VMID_MAX}")
    match = _RANGE.fullmatch(params["vmid_range"])
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not _VMID_MIN <= first <= last <= _VMID_MAX:
        problem(
            "vmid_range", params["vmid_range"], f"write first-last within {_VMID_MIN}-{_VMID_MAX}, such as 9000-9099"
        )
    if params["adopt"] and vmid is None and not absent:
        problem("adopt", True, "name the template to take over with vmid")
    return Placement(
        node=params["node"],
        storage=storage,
        image_storage=params["image_storage"],
        iso_storage=params["iso_storage"] or params["image_storage"],
        cloudinit_storage=params["cloudinit_storage"] or storage,
        pool=params["pool"] or "",
        vmid=vmid,
        vmid_range=(first, last),
    )


def _names(params: Mapping[str, t.Any], problem: Problem) -> None:
    if params["keep"] is not None and params["keep"] < 1:
        problem("keep", params["keep"], "the current generation always stays. Give 1 or more, or leave it out")
    if params["bios"] == "seabios" and (params["efi"] or params["tpm"]):
        problem("bios", "seabios", "efi and tpm need UEFI. Set bios to ovmf, or leave it out")
    if params["pin"] is not None and not _PIN.fullmatch(params["pin"]):
        problem("pin", params["pin"], "name a generation, a vendor's build, or a digest as sha256:<hex>")
    name = params["name"] or params["line"]
    if params["name"] and (not _DNS_NAME.fullmatch(name) or len(name) > _NAME_LIMIT):
        problem("name", name, f"it must be a DNS name of {_NAME_LIMIT} characters at most, such as debian-13")
    description = params["description"] or ""
    if "```homelab" in description:
        problem("description", description, "the fence ```homelab is kept for the identity block")
    if len(description) > _DESCRIPTION_MAX:
        text = f"Proxmox VE stores {DESCRIPTION_LIMIT} characters, and the identity block needs some of them"
        problem(
            "description", f"{description[:20]}…", f"{text}. Shorten it from {len(description)} to {_DESCRIPTION_MAX}"
        )
    for tag in params["tags"] or ():
        if tag.lower().startswith(RESERVED_PREFIXES):
            problem("tags", tag, f"tags that begin with {', '.join(RESERVED_PREFIXES)} are kept for the identity")
    try:
        Tags.of(params["tags"] or ())
    except PropertyStringError as error:
        problem("tags", params["tags"], str(error))


def _disk(params: Mapping[str, t.Any], problem: Problem) -> DiskWish:
    wish = params["disk"] or {}
    size = size_from("disk.size", wish.get("size"), problem)
    return DiskWish(size=size, format=wish.get("format"), options=disk_settings(wish))


def _password(params: Mapping[str, t.Any]) -> Password | None:
    if not params["cipassword"]:
        return None
    return Password(value=params["cipassword"], always=params["cipassword_update"] == "always")
