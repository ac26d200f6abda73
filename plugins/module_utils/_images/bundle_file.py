# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a bundle: a tar whose members have fixed names, so that no name out of it ever becomes a path."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .._model.image import Digest
from .errors import ArchiveMembers, DigestMismatch, SourceError, WorkDirectory

MANIFEST, SIGNATURE, IMAGE = "manifest.json", "manifest.json.sig", "image"
_LIMITS = {MANIFEST: 4 * 1024**2, SIGNATURE: 64 * 1024}
"""Bytes. The image is limited by its digest: what is not it is not kept."""
_CHUNK = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """What was read of a bundle; its image stays in the file. C(signature) is empty where there is none."""

    manifest: bytes
    signature: bytes
    has_image: bool


def read_bundle(path: Path) -> BundleFile:
    """Manifest and signature, as bytes nobody has verified. Raises SourceError, ArchiveMembers."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                _refuse_odd(member, found, path)
                file = archive.extractfile(member) if member.name in _LIMITS else None
                found[member.name] = file.read() if file is not None else b""
    except tarfile.TarError as error:
        raise ArchiveMembers(f"{path} is no bundle: {error}") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    if MANIFEST not in found:
        raise ArchiveMembers(f"{path} is no bundle: it has no {MANIFEST}")
    return BundleFile(manifest=found[MANIFEST], signature=found.get(SIGNATURE, b""), has_image=IMAGE in found)


def _refuse_odd(member: tarfile.TarInfo, found: dict[str, bytes], path: Path) -> None:
    """Links, folders, paths and doubles have no place in a bundle."""
    if member.name not in (MANIFEST, SIGNATURE, IMAGE) or not member.isreg():
        raise ArchiveMembers(f"{path} is no bundle: it has a member {member.name[:100]!r}")
    if member.name in found:
        raise ArchiveMembers(f"{path} is no bundle: {member.name} is in it twice")
    if member.size > _LIMITS.get(member.name, member.size):
        raise ArchiveMembers(f"{path} is no bundle: {member.name} has {member.size} bytes")


def write_bundle(path: Path, manifest: bytes, signature: bytes, image: Path | None) -> None:
    """Write beside the target, then move: the old bundle or the new one is there. The same parts are the same bytes."""
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
                _add(archive, MANIFEST, io.BytesIO(manifest), len(manifest))
                if signature:
                    _add(archive, SIGNATURE, io.BytesIO(signature), len(signature))
                if image is not None:
                    with image.open("rb") as file:
                        _add(archive, IMAGE, file, image.stat().st_size)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        os.replace(name, target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise WorkDirectory(f"{path} cannot be written: {error.strerror}") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, file)


def extract_image(path: Path, digest: Digest, target: Path) -> None:
    """Put the image of a bundle in place of C(target), if it is what its digest says. Raises ImageError kinds."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as stream, tarfile.open(path, "r:") as archive:
            found = archive.extractfile(IMAGE)
            if found is None:
                raise ArchiveMembers(f"{path}: {IMAGE} is no file in it")
            hasher = hashlib.new(digest.algorithm, usedforsecurity=False)
            while piece := found.read(_CHUNK):
                hasher.update(piece)
                stream.write(piece)
            if hasher.hexdigest() != digest.value:
                raise DigestMismatch(f"the image in {path} is not what the signed manifest says ({digest})")
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        os.replace(name, target)
    except (KeyError, tarfile.TarError):
        Path(name).unlink(missing_ok=True)
        raise ArchiveMembers(f"{path} is cut off: its image is not whole") from None
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise WorkDirectory(f"{target} cannot be written: {error.strerror}") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def matches(path: Path, digest: Digest) -> bool:
    """Whether a file is there and has this digest."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.value
    except OSError:
        return False
