# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A resolved image as an unpacked, verified file on the controller: whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .._model.image import Digest, ResolvedImage
from .download import Downloader, Progress, SparseFile, forget, locked, need_space, write_atomically
from .errors import BadSignature, FormatError, ImageError, UnpackError, WorkDirectory
from .http import Clock, Http, SystemClock
from .qcow2 import DiskFacts, inspect_disk
from .signature import Verifier
from .streams import check_supported, image_pieces
from .urls import display_url

MAX_IMAGE = 256 * 2**30
"""The most bytes that an image may have, packed or unpacked."""
# Faults of the file itself: fetching it again gives the same bytes, so nothing is kept.
_HOPELESS = (UnpackError, FormatError, BadSignature)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """An image file that can be uploaded. Sizes are in bytes; C(digest_unpacked) is sha256 of this very file."""

    path: Path
    format: str
    file_size: int
    virtual_size: int
    digest_unpacked: Digest
    verification: str
    """As in ResolvedImage, with the verdict on a signature over the image where there is one."""


def _silent(_stage: str, _done: int, _total: int | None) -> None:
    return None


def file_key(digest: Digest) -> str:
    """How the files of an image are called in a download directory, before their suffix; C(.part) is as it was got."""
    return f"{digest.algorithm}-{digest.value[:40]}"


def fetch(
    resolved: ResolvedImage,
    http: Http,
    directory: Path,
    *,
    progress: Progress | None = None,
    image_signature: Verifier | None = None,
    clock: Clock | None = None,
    lock_timeout: float = 3600.0,
    max_size: int = MAX_IMAGE,
) -> LocalImage:
    """Download, verify and unpack into C(directory), or take what an earlier run left there whole.

    A cut download stays as C(.part) and is continued by the next run. C(image_signature) verifies a signature over the
    image itself (C(resolved.needs_image_signature)). The file is the caller's to delete. Raises ImageError kinds.
    """
    source = display_url(resolved.url)
    check_supported(resolved.compression, source=source)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WorkDirectory(f"{directory} cannot be made: {exc.strerror}") from exc
    clock = clock or SystemClock()
    key = file_key(resolved.digest)
    job = _Job(
        resolved=resolved,
        source=source,
        final=directory / f"{key}.{resolved.format}",
        part=directory / f"{key}.part",
        verifier=image_signature if resolved.needs_image_signature else None,
        progress=progress or _silent,
        max_size=max_size,
    )
    with locked(directory / f"{key}.lock", clock, lock_timeout):
        downloader = Downloader(http=http, clock=clock, progress=job.progress, limit=max_size)
        return job.cached() or job.run(lambda: downloader.run(resolved, job.part))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    resolved: ResolvedImage
    source: str
    final: Path
    part: Path
    verifier: Verifier | None
    progress: Progress
    max_size: int

    @property
    def facts_file(self) -> Path:
        return self.final.with_name(f"{self.final.name}.json")

    def run(self, download: Callable[[], Digest]) -> LocalImage:
        packed_sha256 = download()
        try:
            verification = self._verified()
            if self.resolved.compression == "none":
                return self._publish(self.part, packed_sha256, verification)
            return self._unpacked(verification)
        except _HOPELESS:
            forget(self.part)
            raise

    def cached(self) -> LocalImage | None:
        """What an earlier run left, if it is still what that run had verified, byte by byte."""
        try:
            facts = json.loads(self.facts_file.read_bytes())
            known = Digest.parse(facts["digest_unpacked"])
            packed, verification = str(facts["packed"]), str(facts["verification"])
            if packed != self._packing or self.final.stat().st_size != facts["file_size"]:
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        wants_signature = self.verifier is not None and self.verifier.policy == "required"
        if wants_signature and verification != "signature":
            return None
        try:
            with self.final.open("rb") as file:
                if hashlib.file_digest(file, known.algorithm).hexdigest() != known.value:
                    return None
            disk = inspect_disk(self.final, self.resolved.format, source=self.source)
        except (OSError, ImageError):
            return None
        return self._local(disk, known, verification if self.verifier else self.resolved.verification)

    @property
    def _packing(self) -> str:
        return f"{self.resolved.digest} {self.resolved.compression}"

    def _verified(self) -> str:
        if self.verifier is None or self.resolved.image_signature is None:
            return self.resolved.verification
        return str(self.verifier.file(self.part, self.resolved.image_signature, what=self.source))

    def _unpacked(self, verification: str) -> LocalImage:
        temporary = self.final.with_name(f"{self.final.name}.unpacking")
        try:
            with self.part.open("rb") as packed, SparseFile(temporary) as out:
                need_space(self.final.parent, self.part.stat().st_size, what=f"unpacking {self.source}")
                compression = self.resolved.compression
                for piece in image_pieces(packed, compression, limit=self.max_size, source=self.source):
                    out.write(piece)
                    self.progress("unpack", out.position, None)
            local = self._publish(temporary, out.digest("sha256"), verification)
        finally:
            temporary.unlink(missing_ok=True)
        forget(self.part)
        return local

    def _publish(self, temporary: Path, digest: Digest, verification: str) -> LocalImage:
        """Give the file its name; what is written about it is there before."""
        disk = inspect_disk(temporary, self.resolved.format, source=self.source)
        size = temporary.stat().st_size
        facts = {
            "packed": self._packing,
            "digest_unpacked": str(digest),
            "file_size": size,
            "verification": verification,
        }
        write_atomically(self.facts_file, json.dumps(facts))
        os.replace(temporary, self.final)
        _sync_directory(self.final.parent)
        forget(self.part)
        return self._local(disk, digest, verification)

    def _local(self, disk: DiskFacts, digest: Digest, verification: str) -> LocalImage:
        return LocalImage(
            path=self.final,
            format=disk.format,
            file_size=self.final.stat().st_size,
            virtual_size=disk.virtual_size,
            digest_unpacked=digest,
            verification=verification,
        )


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
