# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packed images as streams: every reader holds a few MiB, ends loudly when cut, and stops at a limit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from .errors import ArchiveMembers, Corrupt, TooBig, UnsupportedCompression, WorkDirectory

ZSTANDARD_IMPORT_ERROR: str | None = None
_CODEC_ERRORS: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError)
try:
    import zstandard

    _CODEC_ERRORS = (*_CODEC_ERRORS, zstandard.ZstdError)
except ImportError:
    ZSTANDARD_IMPORT_ERROR = traceback.format_exc()

PIECE = 2**20
"""Bytes per read of unpacked data."""
_PACKED_PIECE = 2**16
# xz -9 needs 65 MiB to unpack, zstd --ultra -22 a window of 128 MiB; what asks for more is no vendor's image.
_XZ_MEMORY = 256 * 2**20
_ZSTD_WINDOW = 2**27
_IMAGE_SUFFIXES = (".raw", ".img", ".qcow2", ".vmdk")
_MAX_MEMBERS = 10_000
_ZSTD_MAGIC = 0xFD2FB528
_SUPPORTED = ("none", "xz", "gz", "bz2", "zst", "tar", "tar.xz", "tar.gz", "tar.bz2", "tar.zst")


class Reader(Protocol):
    """As much of a binary file as unpacking needs."""

    def read(self, size: int, /) -> bytes: ...


class _Decompressor(Protocol):
    """What lzma and bz2 have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def check_supported(compression: str, *, source: str) -> None:
    """Raises UnsupportedCompression, before anything is downloaded."""
    if compression not in _SUPPORTED:
        raise UnsupportedCompression(f"{source} is packed with {compression!r}; known: {', '.join(_SUPPORTED)}")
    if compression.endswith("zst") and ZSTANDARD_IMPORT_ERROR is not None:
        raise UnsupportedCompression(
            f"{source} is packed with zstd; install the Python library zstandard (>= 0.22) on the controller"
        )


def image_pieces(file: BinaryIO, compression: str, *, limit: int, source: str) -> Iterator[bytes]:
    """The unpacked image in pieces of at most PIECE bytes, from a packed file that is open at its beginning.

    C(limit) is the most that may come out, in bytes. The pieces must be read to the end: only there a cut stream or a
    second image in an archive shows. Raises Corrupt, TooBig, ArchiveMembers or UnsupportedCompression.
    """
    check_supported(compression, source=source)
    archive, _dot, inner = compression.partition(".") if compression.startswith("tar") else ("", "", compression)
    reader = _Guarded(_inflated(file, inner, source), limit, source)
    return _tar_image(reader, source) if archive else _pieces(reader)


def _pieces(reader: Reader) -> Iterator[bytes]:
    while piece := reader.read(PIECE):
        yield piece


def check_zstd(file: BinaryIO, *, source: str) -> None:
    """Walk all frames of a zstd file (RFC 8878 §3.1), because python-zstandard 0.25 ends a cut frame silently.

    Raises Corrupt. Leaves the file at its beginning.
    """
    end = file.seek(0, 2)
    position = file.seek(0)

    def take(size: int) -> bytes:
        nonlocal position
        position += size
        data = file.read(size)
        if len(data) != size:
            raise Corrupt(f"{source} ends in the middle of a zstd frame, after {end} bytes")
        return data

    def skip(size: int) -> None:
        nonlocal position
        position += size
        if position > end:
            raise Corrupt(f"{source} ends in the middle of a zstd frame, after {end} bytes")
        file.seek(position)

    while position < end or end == 0:
        magic = int.from_bytes(take(4), "little")
        if magic & 0xFFFFFFF0 == 0x184D2A50:  # a skippable frame
            skip(int.from_bytes(take(4), "little"))
        elif magic == _ZSTD_MAGIC:
            _skip_zstd_frame(take, skip, source)
        else:
            raise Corrupt(f"{source} is no zstd file, or has other data behind it at byte {position - 4}")
    file.seek(0)


def _skip_zstd_frame(take: Callable[[int], bytes], skip: Callable[[int], None], source: str) -> None:
    descriptor = take(1)[0]
    single = descriptor >> 5 & 1
    content_size = (single, 2, 4, 8)[descriptor >> 6]
    skip((0 if single else 1) + (0, 1, 2, 4)[descriptor & 3] + content_size)
    last = 0
    while not last:
        block = int.from_bytes(take(3), "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        if kind == 3:
            raise Corrupt(f"{source} holds a zstd block of a reserved kind")
        skip(1 if kind == 1 else size)
    if descriptor & 4:
        skip(4)


def _inflated(file: BinaryIO, compression: str, source: str) -> Reader:
    match compression:
        case "" | "none":
            return file
        case "gz":
            return gzip.GzipFile(fileobj=file, mode="rb")
        case "xz":
            return _Inflated(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY))
        case "bz2":
            return _Inflated(file, bz2.BZ2Decompressor)
        case _:
            check_zstd(file, source=source)
            unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            reader: Reader = unpacker.stream_reader(file, read_across_frames=True, closefd=False)
            return reader


class _Inflated:
    """Unpacks one stream after the other; unlike the file classes of the library it lets the memory be limited."""

    def __init__(self, file: BinaryIO, fresh: Callable[[], _Decompressor]) -> None:
        self._file = file
        self._fresh = fresh
        self._stream = fresh()
        self._finished = False

    def read(self, size: int, /) -> bytes:
        while not self._finished:
            data = b""
            if self._stream.eof:
                data = self._next_stream()
                if not data:
                    self._finished = True
                    break
                self._stream = self._fresh()
            elif self._stream.needs_input:
                data = self._file.read(_PACKED_PIECE)
                if not data:
                    raise EOFError("the packed stream ends early")
            out = self._stream.decompress(data, size)
            if out:
                return out
        return b""

    def _next_stream(self) -> bytes:
        """What follows a finished stream, without the zero bytes that may pad it."""
        data = self._stream.unused_data.lstrip(b"\0")
        while not data:
            packed = self._file.read(_PACKED_PIECE)
            if not packed:
                return b""
            data = packed.lstrip(b"\0")
        return data


class _Guarded:
    """Turns the codecs' own errors into ours and counts what comes out."""

    def __init__(self, reader: Reader, limit: int, source: str) -> None:
        self._reader = reader
        self._limit = limit
        self._source = source
        self._count = 0

    def read(self, size: int = PIECE, /) -> bytes:
        try:
            data = self._reader.read(min(size, PIECE))
        except _CODEC_ERRORS as exc:
            raise Corrupt(self._corrupt(exc)) from exc
        except OSError as exc:
            if exc.errno is None:  # gzip and bz2 report damaged data so
                raise Corrupt(self._corrupt(exc)) from exc
            raise WorkDirectory(f"the downloaded file of {self._source} cannot be read: {exc.strerror}") from exc
        self._count += len(data)
        if self._count > self._limit:
            raise TooBig(
                f"{self._source} unpacks to more than {self._limit} bytes, more than any image may have; if it "
                f"really is that large, unpack it yourself and name the unpacked file"
            )
        return data

    def _corrupt(self, exc: Exception) -> str:
        return (
            f"{self._source} cannot be unpacked although its checksum is right (after {self._count} bytes: {exc}); the "
            f"vendor's file is damaged, or the declared compression is wrong"
        )


def _tar_image(reader: _Guarded, source: str) -> Iterator[bytes]:
    images: list[str] = []
    others: list[str] = []
    try:
        with tarfile.open(fileobj=reader, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                is_image = member.isreg() and member.name.lower().endswith(_IMAGE_SUFFIXES)
                (images if is_image else others).append(member.name)
                if len(images) > 1 or len(others) > _MAX_MEMBERS:
                    break
                if is_image and (content := archive.extractfile(member)) is not None:
                    yield from _pieces(content)
    except tarfile.TarError as exc:
        raise Corrupt(f"{source} is no complete tar archive: {exc}") from exc
    if len(images) != 1:
        seen = ", ".join((images or others)[:6]) or "nothing"
        raise ArchiveMembers(
            f"{source} must hold exactly one image ({', '.join(_IMAGE_SUFFIXES)}), but it holds {len(images)}: {seen}"
        )
    while reader.read(PIECE):  # the padding behind the archive, so that the checksum of the packed stream is seen
        pass
