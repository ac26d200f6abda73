# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenPGP public keys as files: armour, fingerprints, keyrings. Only gpgv decides what a signature is worth."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import KeyUnreadable
from .sums import refuse_html

_ARMOUR = re.compile(r"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_ARMOUR_HEADER = re.compile(r"[A-Za-z-]+: .*")
_CHECKSUM_LINE = re.compile(r"=([A-Za-z0-9+/]{4})")
_PUBLIC_KEY_TAG = 6
# A keybox file (gpg's pubring.kbx) has this at byte 8; gpgv cannot take one joined with other keys.
_KEYBOX = b"KBXf"
_KEY_SUFFIXES = frozenset({".asc", ".gpg", ".pgp", ".key", ".pub"})
_KEY_LIMIT = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Key:
    """One key file: C(data) is binary OpenPGP, C(fingerprints) are those of its primary keys, upper-case."""

    source: str
    data: bytes
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that the user trusts enough to lay them out; a signature still has to be by a pinned fingerprint."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def from_paths(cls, paths: Iterable[str | Path]) -> Keyring:
        """Read key files, and key-like files (C(.asc .gpg .pgp .key .pub)) of directories. Raises KeyUnreadable."""
        return cls(tuple(read_key(_read(file), source=str(file)) for file in _key_files(paths)))

    def having(self, fingerprints: Iterable[str]) -> tuple[Key, ...]:
        """The keys of which at least one primary key is one of C(fingerprints)."""
        wanted = {normal_fingerprint(item) for item in fingerprints}
        return tuple(key for key in self.keys if wanted & set(key.fingerprints))


def normal_fingerprint(text: str) -> str:
    """Upper-case hex without blanks, colons or a leading C(0x)."""
    return re.sub(r"[\s:]", "", text).upper().removeprefix("0X")


def read_key(raw: bytes, *, source: str) -> Key:
    """A public key file, ASCII-armoured (also several blocks) or binary. Raises KeyUnreadable."""
    if not raw.strip():
        raise KeyUnreadable(f"{source} is empty; an OpenPGP public key was expected")
    if raw[8:12] == _KEYBOX:
        raise KeyUnreadable(f"{source} is a keybox of gpg; write the keys out with: gpg --export --armor")
    data = dearmour(raw.decode("utf-8", "replace"), source=source) if _is_text(raw) else raw
    fingerprints = tuple(_primary_fingerprints(data, source))
    if not fingerprints:
        raise KeyUnreadable(f"{source} holds no public key; an OpenPGP public key was expected")
    return Key(source, data, fingerprints)


def dearmour(text: str, *, source: str) -> bytes:
    """All public key blocks of a text as binary, each with its CRC-24 checked. Raises KeyUnreadable.

    The checksum is optional since RFC 9580 §6.1, so a block without one is accepted.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    blocks = _ARMOUR.findall(text)
    if not blocks:
        refuse_html(text, source=source)
        raise KeyUnreadable(f"{source} holds no '-----BEGIN PGP PUBLIC KEY BLOCK-----' and is not binary either")
    return b"".join(_dearmour_block(block, source) for block in blocks)


def crc24(data: bytes) -> int:
    """The checksum of OpenPGP's armour (RFC 4880 §6.1)."""
    crc = 0xB704CE
    for byte in data:
        crc = (crc << 8) & 0xFFFFFF ^ _CRC_TABLE[(crc >> 16) ^ byte]
    return crc


def _crc_row(value: int) -> int:
    value <<= 16
    for _bit in range(8):
        value = (value << 1) ^ (0x1864CFB if value & 0x800000 else 0)
    return value & 0xFFFFFF


_CRC_TABLE = tuple(map(_crc_row, range(256)))


def _dearmour_block(block: str, source: str) -> bytes:
    lines = [line.strip() for line in block.split("\n")]
    while lines and _ARMOUR_HEADER.fullmatch(lines[0]):
        lines.pop(0)
    lines = [line for line in lines if line]
    expected = None
    if lines and (match := _CHECKSUM_LINE.fullmatch(lines[-1])):
        expected = int.from_bytes(base64.b64decode(match.group(1)), "big")
        lines.pop()
    try:
        data = base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise KeyUnreadable(f"{source}: the armour of the key is damaged ({exc}); fetch the key again") from exc
    if expected is not None and crc24(data) != expected:
        raise KeyUnreadable(
            f"{source}: the armour of the key has a wrong checksum; it was changed or cut, fetch it again"
        )
    return data


def _primary_fingerprints(data: bytes, source: str) -> Iterator[str]:
    for tag, body in _packets(data, source):
        if tag != _PUBLIC_KEY_TAG or not body:
            continue
        if body[0] == 4:  # RFC 4880 §12.2
            yield hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper()
        elif body[0] == 6:  # RFC 9580 §5.5.4.3
            yield hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()


def _packets(data: bytes, source: str) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet of a transferable public key (RFC 4880 §4.2), which has no partial lengths."""
    position = 0
    while position < len(data):
        header = data[position]
        if not header & 0x80:
            raise KeyUnreadable(f"{source} is no OpenPGP key (byte {position} begins no packet)")
        if header & 0x40:
            tag, (length, size) = header & 0x3F, _new_length(data[position + 1 : position + 6])
        else:
            size = (1, 2, 4, 0)[header & 3]
            tag, length = (header >> 2) & 0xF, int.from_bytes(data[position + 1 : position + 1 + size], "big")
        start = position + 1 + size
        if size == 0 or start + length > len(data):
            raise KeyUnreadable(f"{source} ends in the middle of an OpenPGP packet; fetch the key again")
        yield tag, data[start : start + length]
        position = start + length


def _new_length(octets: bytes) -> tuple[int, int]:
    """Length and number of length octets in the new packet format; (0, 0) for a partial or missing length."""
    if not octets or 224 <= octets[0] < 255:
        return 0, 0
    if octets[0] < 192:
        return octets[0], 1
    if octets[0] == 255:
        return (int.from_bytes(octets[1:5], "big"), 5) if len(octets) == 5 else (0, 0)
    return ((octets[0] - 192) * 256 + octets[1] + 192, 2) if len(octets) > 1 else (0, 0)


def _is_text(raw: bytes) -> bool:
    return not raw[0] & 0x80 or raw.startswith(b"\xef\xbb\xbf")


def _key_files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(
                item for item in path.iterdir() if item.suffix.lower() in _KEY_SUFFIXES and item.is_file()
            )
        elif path.is_file():
            yield path
        else:
            raise KeyUnreadable(f"{path} is neither a key file nor a directory of them on the controller")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_KEY_LIMIT + 1)
    except OSError as exc:
        raise KeyUnreadable(f"{path} cannot be read: {exc.strerror}") from exc
    if len(raw) > _KEY_LIMIT:
        raise KeyUnreadable(f"{path} is too large for a key file")
    return raw
