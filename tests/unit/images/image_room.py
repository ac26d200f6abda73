# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One image at a loopback vendor, packed in every way, and the work directory it is fetched to."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard
from ansible_collections.homelab.proxmox.plugins.module_utils._images.http import RequestsHttp
from ansible_collections.homelab.proxmox.plugins.module_utils._images.unpack import LocalImage, fetch
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import Digest, ResolvedImage
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import FakeClock, Vendor, qcow2

NOISE = b"".join(hashlib.sha256(bytes([number % 256, number // 256])).digest() for number in range(9_000))


DISK = qcow2(body=NOISE)
SMALL = qcow2(body=NOISE[:70_000])
"""More than one piece of packed data, but quickly packed."""


MIB = 2**20


def sha256(data: bytes) -> Digest:
    return Digest("sha256", hashlib.sha256(data).hexdigest())


def tar(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "xz": xz,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zst,
    "tar": lambda data: tar(("disk.qcow2", data)),
    "tar.xz": lambda data: xz(tar(("notes.txt", b"x"), ("../../etc/disk.qcow2", data))),
    "tar.gz": lambda data: gzip.compress(tar(("./disk.img", data), ("sha256sums", b"x"))),
    "tar.bz2": lambda data: bz2.compress(tar(("disk.qcow2", data))),
    "tar.zst": lambda data: zst(tar(("disk.qcow2", data))),
}


class Room:
    """One image at the vendor's and a work directory; C(left) is what lies there."""

    def __init__(self, vendor: Vendor, http: RequestsHttp, clock: FakeClock, directory: Path) -> None:
        self.vendor, self.http, self.clock, self.directory = vendor, http, clock, directory
        self.facts: dict[str, Any] = {}

    def offer(self, data: bytes, compression: str = "none", **facts: Any) -> ResolvedImage:
        self.vendor.files["/a"] = data
        facts = {"digest": sha256(data), "verification": "https", "compression": compression, **facts}
        return ResolvedImage(url=self.vendor.url("/a"), **facts)

    def fetch(self, resolved: ResolvedImage, **options: Any) -> LocalImage:
        return fetch(resolved, self.http, self.directory, clock=self.clock, **options)

    def left(self) -> list[str]:
        return sorted(path.name.partition("-")[2][40:] for path in self.directory.iterdir())

    def part(self, resolved: ResolvedImage) -> Path:
        self.directory.mkdir(exist_ok=True)
        return self.directory / f"sha256-{resolved.digest.value[:40]}.part"


WHOLE = [".qcow2", ".qcow2.json"]
