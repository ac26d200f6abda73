# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image of one's own, named by its URL: nothing is asked to know what it is."""

from __future__ import annotations

import re
from typing import Literal

from .._model.image import CloudImage, Digest, SumsFile
from .errors import BadUrl
from .urls import display_url, local_path, name_of

Compression = Literal["none", "xz", "gz", "bz2", "zst", "tar", "tar.xz", "tar.gz", "tar.bz2", "tar.zst"]
Format = Literal["qcow2", "raw", "vmdk"]
_COMPRESSIONS: tuple[tuple[str, Compression], ...] = (
    (".tar.xz", "tar.xz"),
    (".txz", "tar.xz"),
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".tar.bz2", "tar.bz2"),
    (".tar.zst", "tar.zst"),
    (".tar", "tar"),
    (".xz", "xz"),
    (".gz", "gz"),
    (".bz2", "bz2"),
    (".zst", "zst"),
)


def own_image(
    url: str,
    *,
    checksum: str | None = None,
    checksum_url: str | None = None,
    image_format: Format | None = None,
    compression: Compression | None = None,
) -> CloudImage:
    """An image of one's own: C(checksum) is C(sha256:<hex>); format and compression follow from the name unless given.

    Raises BadUrl or ValueError for a checksum that is none.
    """
    local_path(url)
    name = name_of(url)
    if not name:
        raise BadUrl(f"{display_url(url)} ends with a slash; the URL of a file is needed")
    packed = _packing(name) if compression is None else compression
    guessed: dict[str, Format] = {"raw": "raw", "vmdk": "vmdk"}
    # An .img is a qcow2 at Ubuntu, Flatcar and CirrOS; the content is checked against it later.
    plain = re.sub(r"\.(tar|t?xz|t?gz|bz2|zst)$", "", name.lower())
    sums = SumsFile(url=checksum_url, format="gnu", algorithm="") if checksum_url else None
    return CloudImage(
        id=name,
        name=name,
        family="own",
        os_family="unknown",
        release="",
        variant="",
        arch="x86_64",
        url=url,
        url_kind="latest",
        format=image_format or guessed.get(plain.rpartition(".")[2], "qcow2"),
        compression=packed,
        sums=sums,
        digest=Digest.parse(checksum) if checksum else None,
    )


def _packing(name: str) -> Compression:
    return next((kind for suffix, kind in _COMPRESSIONS if name.lower().endswith(suffix)), "none")
