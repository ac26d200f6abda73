# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cloud image is: the catalogue's facts about it, and one resolved, verified build of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

# Hex digits per algorithm; what `download-url` of Proxmox VE accepts (no BLAKE2).
DIGEST_LENGTHS: dict[str, int] = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}

_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Digest:
    """A checksum: C(algorithm) is one of DIGEST_LENGTHS, C(value) lower-case hex of exactly that length."""

    algorithm: str
    value: str

    def __post_init__(self) -> None:
        length = DIGEST_LENGTHS.get(self.algorithm)
        if length is None:
            raise ValueError(f"unknown digest algorithm {self.algorithm!r}; known: {', '.join(DIGEST_LENGTHS)}")
        if len(self.value) != length or not _HEX.fullmatch(self.value):
            raise ValueError(
                f"{self.value!r} is no {self.algorithm} digest: {length} lower-case hex digits are needed, "
                f"got {len(self.value)} characters"
            )

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read C(sha256:<hex>). Raises ValueError that says what is wrong with the text."""
        algorithm, colon, value = text.strip().partition(":")
        if not colon:
            raise ValueError(f"{text!r} names no algorithm; write it as sha256:<hex>")
        return cls(algorithm.strip().lower(), value.strip().lower())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"

    @property
    def short(self) -> str:
        """The first twelve hex digits, as used in stored file names."""
        return self.value[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsFile:
    """Where the vendor publishes checksums, and in which form (codes as in the catalogue's schema)."""

    url: str
    format: str
    algorithm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What the vendor signs and with which key.

    C(kind) is C(detached-sums), C(detached-image) or C(clearsigned-sums); C(url) may be None for clearsigned files.
    """

    kind: Literal["detached-sums", "detached-image", "clearsigned-sums"]
    url: str | None
    fingerprints: tuple[str, ...] = ()
    key_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """How the image boots."""

    bios: bool = True
    uefi: bool = True
    secure_boot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """C(state) is C(supported), C(preview), C(eol) or C(unknown); dates are ISO texts or None."""

    state: Literal["supported", "preview", "eol", "unknown"]
    released: str | None = None
    eol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudImage:
    """One catalogue entry for one architecture: the vendor's facts that resolving and the recipe obey."""

    id: str
    name: str
    family: str
    os_family: str
    release: str
    variant: str
    arch: Literal["x86_64", "aarch64"]
    url: str | None
    url_kind: Literal["latest", "dated", "none"]
    discovery: dict[str, str] = field(default_factory=dict)
    """How C(latest) becomes a dated build: C(kind) and its arguments, as in the catalogue's schema."""
    format: Literal["qcow2", "raw", "vmdk"] = "qcow2"
    compression: Literal["none", "xz", "gz", "bz2", "zst", "tar", "tar.xz", "tar.gz", "tar.bz2", "tar.zst"] = "none"
    sums: SumsFile | None = None
    digest: Digest | None = None
    """A digest pinned in the catalogue entry itself (own catalogues, images without a sums file)."""
    signature: Signature | None = None
    default_user: str | None = None
    cloud_init: Literal["full", "partial", "none", "unknown"] = "full"
    guest_agent: Literal["yes", "no", "unknown"] = "unknown"
    serial_console: Literal["yes", "no", "unknown"] = "unknown"
    """C(no): the image stays silent on a serial port, so the template keeps a VGA display."""
    firmware: Firmware = Firmware()
    virtual_disk_gib: float | None = None
    """The disk's own size, below which it cannot go, where it is known."""
    min_disk_gib: float | None = None
    """What the system wants to live on."""
    min_ram_mib: int | None = None
    cpu_level: Literal["x86-64-v1", "x86-64-v2", "x86-64-v3", "unknown"] = "x86-64-v1"
    ostype: str = "l26"
    confidence: Literal["high", "medium", "low"] = "low"
    lifecycle: Lifecycle = Lifecycle(state="unknown")
    quirks: tuple[str, ...] = ()
    """Codes that the recipe obeys (see the catalogue's schema)."""
    notes: tuple[str, ...] = ()
    """Sentences for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """One build that can be fetched: a URL whose bytes have this digest.

    C(digest) is that of the file as downloaded (still packed). C(verification) says how the digest is trusted:
    C(signature), C(https), C(pinned), or C(unverified: <why>).
    """

    url: str
    digest: Digest
    verification: str
    format: Literal["qcow2", "raw", "vmdk"] = "qcow2"
    compression: str = "none"
    build: str | None = None
    """The vendor's own name of the build (a date or serial), where it tells one."""
    size: int | None = None
    """Bytes as downloaded, where known."""
    image_signature: Signature | None = None
    """A signature over the image itself, which only who downloads it can verify (C(url) is that of this build)."""

    @property
    def needs_image_signature(self) -> bool:
        return self.image_signature is not None
