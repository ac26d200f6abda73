# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's quirks, obeyed: what each code changes in a recipe, forbids, or has to be told to the user.

The codes and their meaning are listed in catalog/README.md. A code that says nothing about a recipe is not named here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .._model.ipconfig import IpConfig
from .._model.template import TemplateLine
from .plan import Refusal

_GIB = 1024**3

SETTINGS: dict[str, dict[str, str]] = {"citype-configdrive2": {"citype": "configdrive2"}}
"""Settings that a quirk brings to a new build."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Refuses C(option) where C(broken) holds."""

    option: str
    broken: Callable[[TemplateLine], bool]
    reason: str
    remedy: str


def _static_without_dns(line: TemplateLine) -> bool:
    if "nameserver" in line.settings:
        return False
    addresses = [IpConfig.parse(text) for key, text in line.settings.items() if key.startswith("ipconfig")]
    return any((ip.ip or "dhcp") != "dhcp" for ip in addresses)


_RULES: dict[str, _Rule] = {
    "user-must-be-set": _Rule(
        "ciuser",
        lambda line: "ciuser" not in line.settings,
        "nobody knows this image's default user for sure",
        "Set ciuser",
    ),
    "no-user-operator": _Rule(
        "ciuser",
        lambda line: line.settings.get("ciuser") == "operator",
        "the image has a system account of this name",
        "Choose another ciuser",
    ),
    "ci-upgrade-off": _Rule(
        "ciupgrade",
        lambda line: line.settings.get("ciupgrade") == "1",
        "an upgrade at first boot breaks this image",
        "Set ciupgrade to false, or leave it out",
    ),
    "citype-configdrive2": _Rule(
        "citype",
        lambda line: line.settings.get("citype", "configdrive2") != "configdrive2",
        "this image reads a config drive only",
        "Set citype to configdrive2, or leave it out",
    ),
    "dns-required": _Rule(
        "nameserver",
        _static_without_dns,
        "with a static address this image resolves no names unless a name server is given",
        "Set nameserver",
    ),
    "ipconfig-required": _Rule(
        "ipconfig",
        lambda line: "ipconfig0" in line.clears,
        "without it this image may stay without a network",
        "Give ipconfig, such as [{ip: dhcp}]",
    ),
    "is-ova": _Rule(
        "image",
        lambda line: True,
        "the vendor ships an appliance file (OVA), which cannot be imported as one disk",
        "Unpack its disk, and give it as url with a checksum",
    ),
}

_NOTES: dict[str, tuple[Callable[[TemplateLine], bool], str]] = {
    "no-pve-user": (
        lambda line: "ciuser" in line.settings or line.password is not None,
        "the image ignores ciuser and cipassword; its own default user stays",
    ),
    "default-password": (
        lambda line: True,
        "a published password is active in this image until cloud-init or somebody changes it",
    ),
    "root-no-password": (lambda line: True, "root logs into this image without a password"),
    "root-on-lvm": (
        lambda line: line.disk.size is not None,
        "root is a logical volume in this image: growing the disk alone does not extend it",
    ),
    "locked-user-no-key-login": (
        lambda line: line.password is None,
        "this image refuses key logins of users without a password; set cipassword",
    ),
}


def quirk_refusals(line: TemplateLine) -> Iterator[Refusal]:
    """What a line asks of an image that the image cannot do."""
    for code in line.image.quirks:
        rule = _RULES.get(code)
        if rule is not None and rule.broken(line):
            value = line.image.id if rule.option == "image" else line.settings.get(rule.option)
            yield Refusal(subject=line.subject, option=rule.option, value=value, reason=rule.reason, remedy=rule.remedy)


def quirk_notes(line: TemplateLine) -> Iterator[str]:
    """What somebody who builds from an image should know."""
    smallest = line.image.min_disk_gib
    if line.disk.size is not None and smallest and line.disk.size < smallest * _GIB:
        given = line.disk.size / _GIB
        yield f"{line.subject}: disk.size is {given:g}G; {line.image.name} wants {smallest:g}G to live on"
    for code in line.image.quirks:
        if code in _NOTES and _NOTES[code][0](line):
            yield f"{line.subject}: {_NOTES[code][1]}"


def quirk_settings(line: TemplateLine) -> dict[str, str]:
    """The settings that an image's quirks bring to a new build."""
    found: dict[str, str] = {}
    for code in line.image.quirks:
        found |= SETTINGS.get(code, {})
    return found
