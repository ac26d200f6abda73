# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every packing, and every way in which one can be wrong."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from ansible_collections.homelab.proxmox.plugins.module_utils._images import errors, streams
from ansible_collections.homelab.proxmox.plugins.module_utils._images.keys import Keyring
from ansible_collections.homelab.proxmox.plugins.module_utils._images.signature import Policy, Verifier
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import ResolvedImage, Signature
from ansible_collections.homelab.proxmox.tests.unit.images.conftest import Signer
from ansible_collections.homelab.proxmox.tests.unit.images.image_room import (
    MIB,
    NOISE,
    PACKERS,
    SMALL,
    WHOLE,
    Room,
    sha256,
    tar,
    xz,
    zst,
)
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import qcow2, raw_disk


@pytest.mark.parametrize("compression", sorted(PACKERS))
def test_every_packing(room: Room, compression: str) -> None:
    seen: list[str] = []
    resolved = room.offer(PACKERS[compression](SMALL), compression)
    found = room.fetch(resolved, progress=lambda stage, _done, _total: seen.append(stage))
    assert found.path.read_bytes() == SMALL
    assert (found.format, found.file_size, found.virtual_size) == ("qcow2", len(SMALL), 2**30)
    assert (found.digest_unpacked, found.verification) == (sha256(SMALL), "https")
    assert room.left() == WHOLE
    assert set(seen) == {"download"} | ({"unpack"} if compression != "none" else set())


@pytest.mark.parametrize("pack", [xz, gzip.compress, bz2.compress, zst])
def test_several_streams_in_one_file(room: Room, pack: Callable[[bytes], bytes]) -> None:
    kind = next(name for name, known in PACKERS.items() if known is pack)
    padding = bytes(8) if kind == "xz" else b""
    assert (
        room.fetch(room.offer(pack(SMALL[:5000]) + padding + pack(SMALL[5000:]) + padding, kind)).path.read_bytes()
        == SMALL
    )


def test_zstd_frames_without_size_and_with_skippable_ones(room: Room) -> None:
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    packed = stream.compress(SMALL) + stream.flush()
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    assert room.fetch(room.offer(skippable + packed + skippable, "zst")).path.read_bytes() == SMALL


def test_blocks_of_zeros_become_holes(room: Room) -> None:
    disk = raw_disk(4 * MIB) + NOISE + bytes(4 * MIB)
    for compression in ("none", "xz"):
        found = room.fetch(room.offer(PACKERS[compression](disk), compression, format="raw"))
        status = found.path.stat()
        assert (status.st_size, found.virtual_size) == (len(disk), len(disk))
        assert status.st_blocks * 512 < 2 * MIB
        assert sha256(found.path.read_bytes()) == found.digest_unpacked == sha256(disk)


def test_sparse_member_of_a_tar(room: Room, tmp_path: Path) -> None:
    with (tmp_path / "disk.raw").open("wb") as file:
        file.write(raw_disk())
        file.seek(4 * MIB)
        file.write(NOISE)
        file.truncate(6 * MIB)
    subprocess.run(["tar", "-C", str(tmp_path), "-cSf", str(tmp_path / "a.tar"), "disk.raw"], check=True)
    packed = xz((tmp_path / "a.tar").read_bytes())
    assert room.fetch(room.offer(packed, "tar.xz", format="raw")).digest_unpacked == sha256(
        (tmp_path / "disk.raw").read_bytes()
    )


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2", "zst", "tar", "tar.xz", "tar.zst"])
@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_cut_archive_with_the_right_checksum(room: Room, compression: str, keep: float) -> None:
    packed = PACKERS[compression](SMALL)
    keep = 0.9 if compression == "tar" and keep > 0.9 else keep  # the end of a tar is padding
    with pytest.raises(errors.Corrupt):
        room.fetch(room.offer(packed[: int(len(packed) * keep)], compression))
    assert room.left() == []


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2", "zst", "tar", "tar.gz"])
@pytest.mark.parametrize("content", [SMALL, b"", b"x" * 600])
def test_wrong_compression_declared(room: Room, compression: str, content: bytes) -> None:
    resolved = room.offer(content, compression)
    if not content:
        room.vendor.files["/a"] = content
    with pytest.raises((errors.Corrupt, errors.FormatMismatch, errors.ArchiveMembers)):
        room.fetch(resolved)
    assert room.left() == []


def test_data_behind_the_packed_stream(room: Room) -> None:
    for compression in ("xz", "gz", "zst"):
        with pytest.raises(errors.Corrupt):
            room.fetch(room.offer(PACKERS[compression](SMALL) + b"garbage", compression))


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2", "zst", "tar.xz"])
def test_bomb(room: Room, compression: str) -> None:
    packed = PACKERS[compression](bytes(5 * MIB))
    with pytest.raises(errors.TooBig, match="more than 2097152 bytes"):
        room.fetch(room.offer(packed, compression, format="raw"), max_size=2 * MIB)
    assert room.left() == []


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([("a.qcow2", SMALL), ("b.raw", raw_disk())], "it holds 2: a.qcow2, b.raw"),
        ([("README", b"x")], "it holds 0: README"),
        ([], "it holds 0: nothing"),
    ],
)
def test_archives_without_exactly_one_image(room: Room, members: list[tuple[str, bytes]], told: str) -> None:
    with pytest.raises(errors.ArchiveMembers, match=told):
        room.fetch(room.offer(xz(tar(*members)), "tar.xz"))
    assert room.left() == []


@pytest.mark.parametrize(
    ("disk", "declared", "error"),
    [
        (qcow2(backing=b"/etc/passwd"), "qcow2", errors.ExternalData),
        (qcow2(features=4), "qcow2", errors.ExternalData),
        (SMALL, "raw", errors.FormatMismatch),
        (raw_disk(), "qcow2", errors.FormatMismatch),
    ],
)
@pytest.mark.parametrize("compression", ["none", "xz"])
def test_content_that_is_refused(
    room: Room, disk: bytes, declared: str, error: type[errors.ImageError], compression: str
) -> None:
    with pytest.raises(error):
        room.fetch(room.offer(PACKERS[compression](disk), compression, format=declared))
    assert room.left() == []


def test_unsupported_packing_is_told_before_any_request(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.UnsupportedCompression, match="'lzo'; known: none, xz"):
        room.fetch(room.offer(SMALL, "lzo"))
    monkeypatch.setattr(streams, "ZSTANDARD_IMPORT_ERROR", "ImportError")
    with pytest.raises(errors.UnsupportedCompression, match="install the Python library zstandard"):
        room.fetch(room.offer(SMALL, "tar.zst"))
    assert room.vendor.log == []


@pytest.mark.parametrize("compression", ["none", "xz", "gz", "zst", "tar.xz"])
def test_memory_is_bounded(room: Room, compression: str) -> None:
    disk = raw_disk(24 * MIB)
    packed = PACKERS[compression](disk) if "tar" not in compression else xz(tar(("disk.raw", disk)))
    source = room.directory.parent / "packed"
    source.write_bytes(packed)
    resolved = ResolvedImage(
        url=str(source), digest=sha256(packed), verification="pinned", compression=compression, format="raw"
    )
    del packed, disk
    tracemalloc.start()
    try:
        found = room.fetch(resolved)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.file_size == 24 * MIB
    assert peak < 8 * MIB


class TestImageSignature:
    """A signature over the packed image, which only this side can verify."""

    @pytest.fixture
    def resolved(self, room: Room, signer: Signer) -> ResolvedImage:
        packed = xz(SMALL)
        room.vendor.files["/a.sig"] = signer.detached(packed, "good")
        signature = Signature(
            kind="detached-image", url=room.vendor.url("/a.sig"), fingerprints=(signer.fingerprints["good"],)
        )
        return room.offer(packed, "xz", image_signature=signature, verification="unverified: the node")

    def verifier(self, room: Room, policy: Policy, keys: Path | None) -> Verifier:
        return Verifier(room.http, policy, Keyring.from_paths([keys] if keys else []))

    def test_good(self, room: Room, resolved: ResolvedImage, key_directory: Path) -> None:
        verifier = self.verifier(room, "required", key_directory)
        assert room.fetch(resolved, image_signature=verifier).verification == "signature"
        room.vendor.log.clear()
        assert room.fetch(resolved, image_signature=verifier).verification == "signature"
        assert room.vendor.log == []

    def test_bad(self, room: Room, resolved: ResolvedImage, key_directory: Path, signer: Signer) -> None:
        room.vendor.files["/a.sig"] = signer.detached(b"other", "good")
        with pytest.raises(errors.BadSignature):
            room.fetch(resolved, image_signature=self.verifier(room, "if_available", key_directory))
        assert room.left() == []

    def test_key_absent(self, room: Room, resolved: ResolvedImage) -> None:
        with pytest.raises(errors.UnknownKey):
            room.fetch(resolved, image_signature=self.verifier(room, "required", None))
        assert room.left() == [".part", ".part.json"]
        found = room.fetch(resolved, image_signature=self.verifier(room, "if_available", None))
        assert found.verification == "unverified: key absent"

    def test_what_was_fetched_unverified_is_not_enough(
        self, room: Room, resolved: ResolvedImage, key_directory: Path
    ) -> None:
        assert room.fetch(resolved).verification == "unverified: the node"
        verifier = self.verifier(room, "required", key_directory)
        assert room.fetch(resolved, image_signature=verifier).verification == "signature"
