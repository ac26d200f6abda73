# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloading over a real loopback server: resumed, verified, whole or not at all, whatever happens."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images import download, errors
from ansible_collections.homelab.proxmox.plugins.module_utils._images.unpack import LocalImage, fetch
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import Digest, ResolvedImage
from ansible_collections.homelab.proxmox.tests.unit.images.image_room import (
    DISK,
    MIB,
    NOISE,
    PACKERS,
    WHOLE,
    Room,
    sha256,
    xz,
)
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import FakeClock, qcow2


def test_second_run_asks_nothing(room: Room) -> None:
    resolved = room.offer(xz(DISK), "xz")
    first = room.fetch(resolved)
    room.vendor.log.clear()
    assert room.fetch(resolved) == first
    assert room.vendor.log == []


@pytest.mark.parametrize("damage", ["content", "facts", "missing"])
def test_a_damaged_result_is_made_again(room: Room, damage: str) -> None:
    resolved = room.offer(xz(DISK), "xz")
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
    room.vendor.cuts["/a"] = [100_000, 80_000]
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
    kept = room.part(resolved).stat().st_size
    assert kept > 60_000
    room.vendor.cuts.clear()
    room.vendor.log.clear()
    assert room.fetch(resolved).path.read_bytes() == DISK
    assert room.vendor.ranges_asked() == [f"bytes={kept}-"]
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


def test_download_larger_than_any_image(room: Room) -> None:
    for room.vendor.lengths in (True, False):
        with pytest.raises(errors.TooBig, match="more than 200000 bytes"):
            room.fetch(room.offer(DISK), max_size=200_000)


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
    resolved = room.offer(xz(DISK), "xz")
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
    real, resolved = os.fsync, room.offer(xz(DISK), "xz")

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
    resolved = room.offer(xz(DISK), "xz")
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


def test_another_algorithm(room: Room) -> None:
    resolved = room.offer(DISK, digest=Digest("sha512", hashlib.sha512(DISK).hexdigest()))
    assert room.fetch(resolved).digest_unpacked == sha256(DISK)


def test_what_lies_beside_the_image(room: Room) -> None:
    found = room.fetch(room.offer(DISK))
    facts = json.loads(found.path.with_name(found.path.name + ".json").read_text())
    assert facts["digest_unpacked"] == str(sha256(DISK))
    assert found.path.name == f"sha256-{sha256(DISK).value[:40]}.qcow2"
