# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say which image is meant, shared by the doors for images and templates."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from .._images.errors import ImageError
from .._images.own import own_image
from .._model.image import CloudImage, Firmware, Signature

COMPRESSIONS = ("none", "xz", "gz", "bz2", "zst", "tar", "tar.xz", "tar.gz", "tar.bz2", "tar.zst")


def image_options() -> dict[str, dict[str, t.Any]]:
    """Which image, whom to believe, and how it gets to the storage."""
    return {
        "image": {"type": "str"},
        "arch": {"type": "str", "choices": ["x86_64", "aarch64"], "default": "x86_64"},
        "catalog_files": {"type": "list", "elements": "path", "default": []},
        "url": {"type": "str"},
        "checksum": {"type": "str"},
        "checksum_url": {"type": "str"},
        "image_format": {"type": "str", "choices": ["qcow2", "raw", "vmdk"]},
        "compression": {"type": "str", "choices": list(COMPRESSIONS)},
        "signature": {"type": "str", "choices": ["required", "if_available"], "default": "if_available"},
        "keyring": {"type": "list", "elements": "path", "default": [], "no_log": False},
        "allow_eol": {"type": "bool", "default": False},
        "allow_unverified": {"type": "bool", "default": False},
        "transfer": {"type": "str", "choices": ["auto", "download", "upload"], "default": "auto"},
        "download_dir": {"type": "path"},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom to believe about an image's checksum."""

    signature: t.Literal["required", "if_available"]
    keyring: tuple[Path, ...]
    allow_unverified: bool


def trust_from(params: Mapping[str, t.Any]) -> Trust:
    return Trust(
        signature=params["signature"],
        keyring=tuple(Path(path) for path in params["keyring"]),
        allow_unverified=params["allow_unverified"],
    )


def chosen_image(
    params: Mapping[str, t.Any],
    fallback: str | None,
    purpose: t.Literal["image", "template", "removal"],
    problems: list[str],
) -> CloudImage | None:
    """The image that the options name; what is wrong with them goes to C(problems).

    C(fallback) is the catalogue id that is meant when neither C(image) nor C(url) is given.
    """
    if params["url"]:
        return _own_image(params, problems, removal=purpose == "removal")
    for option in ("checksum", "checksum_url", "image_format", "compression"):
        if params[option]:
            problems.append(
                f"{option}={params[option]!r}: it belongs to url. Catalogue images bring their own; give url as well, "
                f"or remove {option}"
            )
    wanted = params["image"] or fallback
    if not wanted:
        problems.append("image: it is missing. Give a catalogue id such as debian-13, or url with checksum")
        return None
    # Lines with URLs of their own need no catalogue.
    from .._images.catalog import CatalogError, load_catalog, problems_for  # noqa: PLC0415

    try:
        image = load_catalog([Path(path) for path in params["catalog_files"]]).get(wanted, params["arch"])
    except CatalogError as error:
        problems.append(str(error))
        return None
    if purpose != "removal":
        problems += problems_for(
            image,
            purpose=purpose,
            allow_eol=params["allow_eol"],
            allow_unverified=params["allow_unverified"],
            today=date.today(),
        )
    return image


def _own_image(params: Mapping[str, t.Any], problems: list[str], *, removal: bool) -> CloudImage | None:
    url: str = params["url"]
    found = len(problems)
    if params["image"]:
        problems.append(f"image={params['image']!r} and url={url!r}: give one of them, not both")
    if not removal and bool(params["checksum"]) == bool(params["checksum_url"]):
        problems.append(
            f"url={url!r}: its checksum is {'given twice' if params['checksum'] else 'missing'}. "
            "Give checksum: sha256:<hex>, or checksum_url: the vendor's sums file"
        )
    image = None
    try:
        image = own_image(
            url,
            checksum=params["checksum"],
            checksum_url=params["checksum_url"],
            image_format=params["image_format"],
            compression=params["compression"],
        )
    except ImageError as error:
        problems.append(f"url={url!r}: {error}")
    except ValueError as error:
        problems.append(f"checksum={params['checksum']!r}: {error}")
    signature = _own_signature(params, problems)
    if image is None or len(problems) > found:
        return None
    return replace(
        image,
        id=_stem(image.id),
        arch=params["arch"],
        cloud_init="unknown",
        # What an own image can boot is its owner's knowledge: nothing is refused.
        firmware=Firmware(bios=True, uefi=True, secure_boot=True),
        confidence="high",
        signature=signature,
    )


def _stem(filename: str) -> str:
    """The file name without what tells format and packing; one file is one image, whichever lines use it."""
    known = {"qcow2", "img", "raw", "vmdk", "tar", "xz", "gz", "bz2", "zst", "tgz", "txz"}
    stem = filename
    while stem.rpartition(".")[2].lower() in known and "." in stem:
        stem = stem.rpartition(".")[0]
    return stem


def _own_signature(params: Mapping[str, t.Any], problems: list[str]) -> Signature | None:
    """Own images with a sums file may be signed the common way: beside it, by any key of the user's keyring."""
    if not params["checksum_url"] or params["signature"] != "required":
        return None
    from .._images.keys import Keyring  # noqa: PLC0415

    keyring = Keyring()
    try:
        keyring = Keyring.from_paths(params["keyring"])
    except ImageError as error:
        problems.append(f"keyring={params['keyring']!r}: {error}")
    else:
        if not keyring.keys:
            problems.append("signature='required': no key is given that could have signed. Name key files with keyring")
    fingerprints = tuple(fingerprint for key in keyring.keys for fingerprint in key.fingerprints)
    return Signature(kind="detached-sums", url=params["checksum_url"] + ".gpg", fingerprints=fingerprints)
