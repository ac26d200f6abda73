# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One catalogue entry (a mapping that fits the schema) as the value that the rest of the collection works with."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from .._model.image import CloudImage, Digest, Firmware, Lifecycle, Signature, SumsFile

Entry = Mapping[str, Any]
Arch = Literal["x86_64", "aarch64"]
State = Literal["supported", "preview", "eol", "unknown"]

# `rolling` has no end; `extended` is still served by the vendor's long-term team; a test image makes no promise.
_STATES: dict[str, State] = {
    "supported": "supported",
    "rolling": "supported",
    "extended": "supported",
    "preview": "preview",
    "eol": "eol",
    "test": "unknown",
    "unknown": "unknown",
}
# Facts for people and for filters, which neither resolving nor the recipe reads.
EXTRA_FACTS = (
    "codename",
    "provisioner",
    "datasources",
    "package_manager",
    "init_system",
    "network_renderer",
    "selinux",
    "unverified",
)
_TEMPLATE_FIELDS = {"build", "name", "url", "dir"}


def merged(defaults: Entry, entry: Entry) -> dict[str, Any]:
    """The entry with what it leaves to C(defaults); C(quirks) and C(notes) are added up, other keys replaced whole."""
    result = {**defaults, **entry}
    for key in ("quirks", "notes"):
        if key in defaults and key in entry and all(isinstance(side[key], list) for side in (defaults, entry)):
            result[key] = [*defaults[key], *(item for item in entry[key] if item not in defaults[key])]
    return result


def to_image(entry: Entry, arch: Arch) -> CloudImage:
    """The entry for one of its architectures. The entry must have passed the schema and C(entry_problems)."""
    block: Entry = entry["architectures"][arch]
    url: str | None = block.get("url")
    sums = _sums(entry, block)
    digest = Digest.parse(block["digest"]) if "digest" in block else None
    boots = _boots(entry, block, arch)
    image = CloudImage(
        id=entry["id"],
        name=entry["name"],
        family=entry["family"],
        os_family=entry["os_family"],
        release=entry["release"],
        variant=entry.get("variant", ""),
        arch=arch,
        url=url,
        url_kind=entry.get("url_kind", "dated" if digest else "latest"),
        discovery=discovery_of(entry, block),
        format=entry.get("format", "qcow2"),
        compression=entry.get("compression", "none"),
        sums=sums,
        digest=digest,
        signature=_signature(entry, block),
        default_user=entry.get("default_user"),
        cloud_init=entry.get("cloud_init", "full"),
        guest_agent=_said(entry.get("guest_agent", "unknown")),
        serial_console=_said(entry.get("serial_console", "unknown")),
        firmware=_firmware(boots),
        virtual_disk_gib=entry.get("virtual_disk_gib"),
        min_disk_gib=entry.get("min_disk_gib"),
        min_ram_mib=entry.get("min_ram_mib"),
        # The levels are those of x86-64; nothing is known to be asked of an aarch64 processor.
        cpu_level=entry.get("cpu_level", "x86-64-v1") if arch == "x86_64" else "unknown",
        ostype=entry.get("ostype", "l26"),
        # The owner of an own catalogue vouches for it; the shipped entries always write it.
        confidence=entry.get("confidence", "medium"),
        lifecycle=_lifecycle(entry),
        quirks=tuple(entry.get("quirks", ())),
        notes=tuple(entry.get("notes", ())),
    )
    return dataclasses.replace(image, quirks=(*image.quirks, *_derived(image, boots)))


def discovery_of(entry: Entry, block: Entry) -> dict[str, str]:
    """C(kind) and arguments, those of the architecture laid over those of the entry."""
    return {"kind": "none", **entry.get("discovery", {}), **block.get("discovery", {})}


def entry_problems(entry: Entry, required: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """What the schema cannot say, as (path, message); C(required) holds the arguments each kind of discovery needs."""
    found: list[tuple[str, str]] = []
    for arch, block in entry["architectures"].items():
        at = f"architectures.{arch}"
        discovery = discovery_of(entry, block)
        kind = discovery["kind"]
        missing = [key for key in required.get(kind, []) if key not in discovery]
        if missing:
            found.append((f"{at}.discovery", f"kind {kind} also needs {', '.join(missing)}"))
        found += [(f"{at}.discovery.{key}", text) for key, text in _pattern_problems(discovery.get("pattern"))]
        templates = {**{f"discovery.{key}": discovery.get(key) for key in ("url", "sums", "signature")}}
        templates.update({key: block.get(key) for key in ("sums", "signature")})
        found += [(f"{at}.{key}", text) for key, value in templates.items() for text in _template_problems(value)]
        found += [(f"{at}.{key}", text) for key, text in _source_problems(entry, block, kind)]
    return found


def _source_problems(entry: Entry, block: Entry, kind: str) -> list[tuple[str, str]]:
    found = []
    if "url" not in block and kind == "none":
        found.append(("url", "is missing: write the URL of the image, or null where none is public"))
    if "sums" in block and not isinstance(entry.get("sums"), Mapping):
        found.append(("sums", "a sums file is named, but the entry does not say sums: {format, algorithm}"))
    if "signature" in block and not isinstance(entry.get("signature"), Mapping):
        found.append(("signature", "a signature is named, but the entry does not say signature: {kind, fingerprints}"))
    return found


def _pattern_problems(pattern: str | None) -> list[tuple[str, str]]:
    if pattern is None:
        return []
    try:
        groups = re.compile(pattern).groups
    except re.error as exc:
        return [("pattern", f"{pattern!r} is no regular expression: {exc}")]
    return [] if groups else [("pattern", f"{pattern!r} has no group: put parentheses around what names the build")]


def _template_problems(value: str | None) -> list[str]:
    unknown = sorted(set(re.findall(r"\{([^}]*)\}", value or "")) - _TEMPLATE_FIELDS)
    known = ", ".join(f"{{{name}}}" for name in sorted(_TEMPLATE_FIELDS))
    return [f"{{{name}}} is no placeholder; known: {known}" for name in unknown]


def _sums(entry: Entry, block: Entry) -> SumsFile | None:
    form = entry.get("sums")
    if not isinstance(form, Mapping) or "sums" not in block:
        return None
    return SumsFile(url=block["sums"], format=form["format"], algorithm=form["algorithm"])


def _signature(entry: Entry, block: Entry) -> Signature | None:
    form = entry.get("signature")
    if not isinstance(form, Mapping):
        return None
    if form["kind"] != "clearsigned-sums" and "signature" not in block:
        return None
    return Signature(
        kind=form["kind"],
        url=block.get("signature"),
        fingerprints=tuple(form["fingerprints"]),
        key_url=form.get("key_url"),
    )


def _lifecycle(entry: Entry) -> Lifecycle:
    told = entry.get("lifecycle", {})
    phase = told.get("phase", "unknown")
    # Only a release that lives on extended support alone is measured by that later date.
    eol = told.get("extended_eol") if phase == "extended" else told.get("eol")
    return Lifecycle(state=_STATES[phase], released=told.get("released"), eol=eol)


def _boots(entry: Entry, block: Entry, arch: Arch) -> dict[str, Any]:
    told = {"bios": "unknown", "uefi": "unknown", "secure_boot": "unknown", **entry.get("firmware", {})}
    if arch == "aarch64":
        # QEMU's aarch64 machines have no BIOS: UEFI is the only way.
        told.update(bios=False, uefi=True)
    return {**told, **block.get("firmware", {})}


def _firmware(boots: Mapping[str, Any]) -> Firmware:
    # Where nothing is known, SeaBIOS stays: it is what Proxmox takes by itself.
    bios = boots["bios"] is True or (boots["bios"] == "unknown" and boots["uefi"] is not True)
    return Firmware(bios=bios, uefi=boots["uefi"] is True, secure_boot=boots["secure_boot"] is True)


def _derived(image: CloudImage, boots: Mapping[str, Any]) -> list[str]:
    """The codes that follow from other facts, so that the two cannot disagree."""
    name = (image.url or "").rsplit("/", 1)[-1]
    rules = {
        "uefi-only": boots["bios"] is False,
        "bios-only": boots["uefi"] is False,
        "firmware-unattested": "unknown" in (boots["bios"], boots["uefi"]),
        "no-secure-boot": boots["secure_boot"] is False,
        "needs-vga": image.serial_console == "no",
        "no-agent": image.guest_agent == "no",
        "img-is-qcow2": image.format == "qcow2" and name.endswith(".img"),
        "is-ova": name.endswith(".ova"),
        "no-sums": image.sums is None and image.digest is None,
        "weak-sums": image.digest is None and image.sums is not None and image.sums.algorithm in ("md5", "sha1"),
    }
    return [code for code, holds in rules.items() if holds]


def _said(value: bool | str) -> Literal["yes", "no", "unknown"]:
    if value == "unknown":
        return "unknown"
    return "yes" if value else "no"


def facts_of(entry: Entry, arch: Arch) -> dict[str, Any]:
    """The facts that CloudImage does not carry, under the names of the schema; absent ones are None or empty."""
    block = cast(Entry, entry["architectures"][arch])
    facts: dict[str, Any] = {name: entry.get(name) for name in EXTRA_FACTS}
    facts["datasources"] = [*entry.get("datasources", [])]
    facts["unverified"] = [*entry.get("unverified", [])]
    facts["selinux"] = _said(entry.get("selinux", "unknown"))
    facts["aliases"] = [*entry.get("aliases", [])]
    facts["architectures"] = sorted(entry["architectures"], reverse=True)
    facts["file_name"] = block.get("file_name")
    facts["mirrors"] = [*block.get("mirrors", [])]
    facts["known_builds"] = [dict(build) for build in block.get("known_builds", [])]
    facts["phase"] = entry.get("lifecycle", {}).get("phase", "unknown")
    facts["extended_eol"] = entry.get("lifecycle", {}).get("extended_eol")
    return facts
