# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloading and unpacking over a real loopback server: whole or not at all, whatever happens."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import json
import lzma
import multiprocessing
import os
import subprocess
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from ansible_collections.homelab.proxmox.plugins.module_utils._images import download, errors, streams
from ansible_collections.homelab.proxmox.plugins.module_utils._images.http import RequestsHttp
from ansible_collections.homelab.proxmox.plugins.module_utils._images.keys import Keyring
from ansible_collections.homelab.proxmox.plugins.module_utils._images.signature import Policy, Verifier
from ansible_collections.homelab.proxmox.plugins.module_utils._images.unpack import LocalImage, fetch
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import Digest, ResolvedImage, Signature
from ansible_collections.homelab.proxmox.tests.unit.images.conftest import Signer
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import FakeClock, Vendor, qcow2, raw_disk

NOISE = b"".join(hashlib.sha256(bytes([number % 256, number // 256])).digest() for number in range(12_000))
DISK = qcow2(body=NOISE)
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


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "xz": lzma.compress,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zst,
    "tar": lambda data: tar(("disk.qcow2", data)),
    "tar.xz": lambda data: lzma.compress(tar(("notes.txt", b"x"), ("../../etc/disk.qcow2", data))),
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


@pytest.fixture
def room(vendor: Vendor, http: RequestsHttp, clock: FakeClock, tmp_path: Path) -> Room:
    return Room(vendor, http, clock, tmp_path / "work")


WHOLE = [".qcow2", ".qcow2.json"]


@pytest.mark.parametrize("compression", sorted(PACKERS))
def test_every_packing(room: Room, compression: str) -> None:
    seen: list[str] = []
    resolved = room.offer(PACKERS[compression](DISK), compression)
    found = room.fetch(resolved, progress=lambda stage, _done, _total: seen.append(stage))
    assert found.path.read_bytes() == DISK
    assert (found.format, found.file_size, found.virtual_size) == ("qcow2", len(DISK), 2**30)
    assert (found.digest_unpacked, found.verification) == (sha256(DISK), "https")
    assert room.left() == WHOLE
    assert set(seen) == {"download"} | ({"unpack"} if compression != "none" else set())


def test_another_algorithm(room: Room) -> None:
    resolved = room.offer(DISK, digest=Digest("sha512", hashlib.sha512(DISK).hexdigest()))
    assert room.fetch(resolved).digest_unpacked == sha256(DISK)


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress, bz2.compress, zst])
def test_several_streams_in_one_file(room: Room, pack: Callable[[bytes], bytes]) -> None:
    kind = {lzma.compress: "xz", gzip.compress: "gz", bz2.compress: "bz2"}.get(pack, "zst")
    padding = bytes(8) if kind == "xz" else b""
    assert (
        room.fetch(room.offer(pack(DISK[:5000]) + padding + pack(DISK[5000:]) + padding, kind)).path.read_bytes()
        == DISK
    )


def test_zstd_frames_without_size_and_with_skippable_ones(room: Room) -> None:
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    packed = stream.compress(DISK) + stream.flush()
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    assert room.fetch(room.offer(skippable + packed + skippable, "zst")).path.read_bytes() == DISK


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
    packed = lzma.compress((tmp_path / "a.tar").read_bytes())
    assert room.fetch(room.offer(packed, "tar.xz", format="raw")).digest_unpacked == sha256(
        (tmp_path / "disk.raw").read_bytes()
    )


def test_second_run_asks_nothing(room: Room) -> None:
    resolved = room.offer(lzma.compress(DISK), "xz")
    first = room.fetch(resolved)
    room.vendor.log.clear()
    assert room.fetch(resolved) == first
    assert room.vendor.log == []


@pytest.mark.parametrize("damage", ["content", "facts", "missing"])
def test_a_damaged_result_is_made_again(room: Room, damage: str) -> None:
    resolved = room.offer(lzma.compress(DISK), "xz")
    path = room.fetch(resolved).path
    facts = path.with_name(path.name + ".json")
    if damage == "content":
        path.write_bytes(DISK[:-1] + b"x")
    elif damage == "facts":
        facts.write_text("{")
    else:
        path.unlink()
    assert room.fetch(resolved).path.read_bytes() == DISK


def test_cut_connections_are_resumed(room: Room) -> None:
    room.vendor.cuts["/a"] = [200_000, 150_000]
    room.fetch(room.offer(DISK))
    asked = room.vendor.ranges_asked()
    assert asked[0] is None
    assert len(asked) == 3
    assert all(item and item != "bytes=0-" for item in asked[1:])


def test_cut_without_any_progress_ends(room: Room) -> None:
    room.vendor.cuts["/a"] = [200_000, 0, 0, 0, 0, 0]
    resolved = room.offer(DISK)
    with pytest.raises(errors.Truncated, match="the next run goes on there"):
        room.fetch(resolved)
    assert room.left() == [".part", ".part.json"]
    assert "127.0.0.1" not in room.part(resolved).with_suffix(".part.json").read_text()
    room.vendor.cuts.clear()
    room.vendor.log.clear()
    assert room.fetch(resolved).path.read_bytes() == DISK
    assert room.vendor.ranges_asked() == ["bytes=131072-"]
    assert room.vendor.log[0][2]["If-Range"].startswith('"')


def test_server_that_cannot_resume(room: Room) -> None:
    room.vendor.ranges = False
    room.vendor.cuts["/a"] = [200_000]
    assert room.fetch(room.offer(DISK)).path.read_bytes() == DISK


def test_server_without_etag_and_length(room: Room) -> None:
    room.vendor.etags = room.vendor.lengths = False
    resolved = room.offer(DISK)
    room.part(resolved).write_bytes(DISK[:1000])
    assert room.fetch(resolved).path.read_bytes() == DISK
    assert room.vendor.ranges_asked() == ["bytes=1000-"]


def test_a_complete_part_needs_no_request(room: Room) -> None:
    resolved = room.offer(DISK)
    room.part(resolved).write_bytes(DISK)
    assert room.fetch(resolved).path.read_bytes() == DISK
    assert room.vendor.log == []


@pytest.mark.parametrize("rest", [NOISE[:5000], NOISE * 3])
def test_the_part_of_something_else_is_thrown_away(room: Room, rest: bytes) -> None:
    resolved = room.offer(DISK)
    room.part(resolved).write_bytes(rest)
    assert room.fetch(resolved).path.read_bytes() == DISK


def test_the_file_changed_between_two_runs(room: Room) -> None:
    old = qcow2(body=NOISE[::-1])
    resolved = room.offer(DISK)
    room.vendor.files["/a"] = old
    room.vendor.cuts["/a"] = [200_000, 0, 0, 0]
    with pytest.raises(errors.Truncated):
        room.fetch(resolved)
    room.vendor.files["/a"] = DISK
    assert room.fetch(resolved).path.read_bytes() == DISK


def test_wrong_checksum_leaves_nothing(room: Room) -> None:
    resolved = room.offer(DISK, digest=sha256(b"other"))
    with pytest.raises(errors.DigestMismatch, match="the vendor's checksum is sha256:d9298a10"):
        room.fetch(resolved)
    assert room.left() == []


def test_web_page_instead_of_an_image(room: Room) -> None:
    resolved = room.offer(b"<!DOCTYPE html><title>Sorry</title>", digest=sha256(DISK))
    with pytest.raises(errors.DigestMismatch, match="what came is a web page"):
        room.fetch(resolved)


def test_size_in_the_list_is_compared_first(room: Room) -> None:
    with pytest.raises(errors.DigestMismatch, match="bytes, but the vendor's list says 7"):
        room.fetch(room.offer(DISK, size=7))
    assert room.left() == []


def test_missing_file_and_silent_server(room: Room) -> None:
    resolved = room.offer(DISK)
    del room.vendor.files["/a"]
    with pytest.raises(errors.HttpStatus, match="HTTP 404"):
        room.fetch(resolved)
    assert room.left() == []
    with pytest.raises(errors.FetchFailed, match="refused"):
        room.fetch(ResolvedImage(url="http://127.0.0.1:1/a", digest=sha256(DISK), verification="https"))
    assert room.left() == []


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2", "zst", "tar", "tar.xz", "tar.zst"])
@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_cut_archive_with_the_right_checksum(room: Room, compression: str, keep: float) -> None:
    packed = PACKERS[compression](DISK)
    keep = 0.9 if compression == "tar" and keep > 0.9 else keep  # the end of a tar is padding
    with pytest.raises(errors.Corrupt):
        room.fetch(room.offer(packed[: int(len(packed) * keep)], compression))
    assert room.left() == []


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2", "zst", "tar", "tar.gz"])
@pytest.mark.parametrize("content", [DISK, b"", b"x" * 600])
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
            room.fetch(room.offer(PACKERS[compression](DISK) + b"garbage", compression))


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2", "zst", "tar.xz"])
def test_bomb(room: Room, compression: str) -> None:
    packed = PACKERS[compression](bytes(5 * MIB))
    with pytest.raises(errors.TooBig, match="more than 2097152 bytes"):
        room.fetch(room.offer(packed, compression, format="raw"), max_size=2 * MIB)
    assert room.left() == []


def test_download_larger_than_any_image(room: Room) -> None:
    for room.vendor.lengths in (True, False):
        with pytest.raises(errors.TooBig, match="more than 300000 bytes"):
            room.fetch(room.offer(DISK), max_size=300_000)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([("a.qcow2", DISK), ("b.raw", raw_disk())], "it holds 2: a.qcow2, b.raw"),
        ([("README", b"x")], "it holds 0: README"),
        ([], "it holds 0: nothing"),
    ],
)
def test_archives_without_exactly_one_image(room: Room, members: list[tuple[str, bytes]], told: str) -> None:
    with pytest.raises(errors.ArchiveMembers, match=told):
        room.fetch(room.offer(lzma.compress(tar(*members)), "tar.xz"))
    assert room.left() == []


@pytest.mark.parametrize(
    ("disk", "declared", "error"),
    [
        (qcow2(backing=b"/etc/passwd"), "qcow2", errors.ExternalData),
        (qcow2(features=4), "qcow2", errors.ExternalData),
        (DISK, "raw", errors.FormatMismatch),
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
        room.fetch(room.offer(DISK, "lzo"))
    monkeypatch.setattr(streams, "ZSTANDARD_IMPORT_ERROR", "ImportError")
    with pytest.raises(errors.UnsupportedCompression, match="install the Python library zstandard"):
        room.fetch(room.offer(DISK, "tar.zst"))
    assert room.vendor.log == []


class Interrupted(BaseException):
    """As sudden as a signal."""


@pytest.mark.parametrize("compression", ["none", "xz"])
@pytest.mark.parametrize("stage", ["download", "unpack"])
def test_interrupted_at_any_point(room: Room, compression: str, stage: str) -> None:
    resolved = room.offer(PACKERS[compression](DISK), compression)

    def interrupt(now: str, done: int, _total: int | None) -> None:
        if now == stage and done > 100_000:
            raise Interrupted

    if stage == "unpack" and compression == "none":
        return
    with pytest.raises(Interrupted):
        room.fetch(resolved, progress=interrupt)
    assert room.left() == [".part", ".part.json"]
    assert room.fetch(resolved).path.read_bytes() == DISK
    assert room.left() == WHOLE


def test_leftovers_of_a_killed_process(room: Room) -> None:
    resolved = room.offer(lzma.compress(DISK), "xz")
    part = room.part(resolved)
    part.write_bytes(room.vendor.files["/a"][:1000])
    part.with_suffix(".qcow2.unpacking").write_bytes(NOISE * 9)
    part.with_suffix(".lock").write_text("pid 1 on elsewhere, much longer than what comes next")
    part.with_suffix(".part.json").write_text("[]")
    assert room.fetch(resolved).path.read_bytes() == DISK
    assert room.left() == WHOLE


def test_no_space(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "free_bytes", lambda _directory: 64 * MIB)
    with pytest.raises(errors.NoSpace, match="64 MiB free"):
        room.fetch(room.offer(DISK))
    assert room.left() == []


def test_disk_full_while_unpacking_keeps_the_download(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    real, resolved = os.fsync, room.offer(lzma.compress(DISK), "xz")

    def full(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith(".unpacking"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(errors.NoSpace, match="No space left on device"):
            room.fetch(resolved)
    assert room.left() == [".part", ".part.json"]
    room.vendor.log.clear()
    assert room.fetch(resolved).path.read_bytes() == DISK
    assert room.vendor.log == []


def test_work_directory_that_cannot_be_used(room: Room) -> None:
    room.directory.write_text("a file")
    with pytest.raises(errors.WorkDirectory, match="cannot be made"):
        room.fetch(room.offer(DISK))


def test_two_at_once_download_once(room: Room) -> None:
    resolved = room.offer(lzma.compress(DISK), "xz")
    found: list[LocalImage] = []

    class RealClock(FakeClock):
        def sleep(self, seconds: float) -> None:
            time.sleep(0.002)

    def work() -> None:
        found.append(fetch(resolved, room.http, room.directory, clock=RealClock()))

    threads = [threading.Thread(target=work) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert room.vendor.paths() == ["/a"]
    assert room.left() == WHOLE


def _hold(lock: str, held: Any) -> None:
    with download.locked(Path(lock), FakeClock(), 1.0):
        held.set()
        time.sleep(60)


def test_another_process_holds_the_lock_until_it_dies(room: Room) -> None:
    resolved = room.offer(DISK)
    lock = room.part(resolved).with_suffix(".lock")
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=_hold, args=(str(lock), held), daemon=True)
    process.start()
    try:
        assert held.wait(10)
        with pytest.raises(errors.LockTimeout, match=f"pid {process.pid} on "):
            room.fetch(resolved, lock_timeout=30.0)
        assert room.clock.now >= 30
    finally:
        process.kill()
        process.join()
    assert lock.exists()
    assert room.fetch(resolved).path.read_bytes() == DISK
    assert room.left() == WHOLE


@pytest.mark.parametrize("compression", ["none", "xz", "gz", "zst", "tar.xz"])
def test_memory_is_bounded(room: Room, compression: str) -> None:
    disk = raw_disk(48 * MIB)
    packed = lzma.compress(tar(("disk.raw", disk)), preset=0) if compression == "tar.xz" else {
        "none": bytes, "xz": lambda data: lzma.compress(data, preset=0), "gz": lambda data: gzip.compress(data, 1), "zst": zst
    }[compression](disk)  # fmt: skip
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
    assert found.file_size == 48 * MIB
    assert peak < 16 * MIB


class TestImageSignature:
    """A signature over the packed image, which only this side can verify."""

    @pytest.fixture
    def resolved(self, room: Room, signer: Signer) -> ResolvedImage:
        packed = lzma.compress(DISK)
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


def test_what_lies_beside_the_image(room: Room) -> None:
    found = room.fetch(room.offer(DISK))
    facts = json.loads(found.path.with_name(found.path.name + ".json").read_text())
    assert facts["digest_unpacked"] == str(sha256(DISK))
    assert found.path.name == f"sha256-{sha256(DISK).value[:40]}.qcow2"
