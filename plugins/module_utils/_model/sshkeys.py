# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public SSH keys for cloud-init: authorized_keys lines, percent-encoded once (C(sshkeys))."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote

from .property_string import PropertyStringError

_PLAIN_TYPES = [
    "ssh-ed25519",
    "ssh-rsa",
    "ssh-dss",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
]
_SECURITY_KEY_TYPES = ["sk-ssh-ed25519", "sk-ecdsa-sha2-nistp256"]
KEY_TYPES = frozenset(
    [
        *_PLAIN_TYPES,
        *(f"{name}@openssh.com" for name in _SECURITY_KEY_TYPES),
        *(f"{name}-cert-v01@openssh.com" for name in _PLAIN_TYPES + _SECURITY_KEY_TYPES),
    ]
)

# pve_verify_urlencoded in pve-common's JSONSchema.pm, and no stray percent sign.
_ENCODED = re.compile(r"(?:[-a-zA-Z0-9_.!~*'()]|%[0-9A-Fa-f]{2})*", re.ASCII)
_OPTIONS = re.compile(r"""(?:[^\s"]|"(?:[^"\\]|\\.)*")+""")


@dataclass(frozen=True, slots=True)
class SshKey:
    """One line: C(options type data comment), of which options and comment may be empty."""

    options: str
    type: str
    data: str
    comment: str

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one line. Raises ValueError that never repeats more of it than the key's type."""
        rest = line.strip()
        if "PRIVATE KEY-----" in rest:
            raise ValueError("this is a private key; give the public one (the .pub file)")
        options = ""
        if not rest.startswith(tuple(KEY_TYPES)):
            match = _OPTIONS.match(rest)
            options = match[0] if match else ""
            rest = rest[len(options) :]
        kind, data, comment = (*rest.split(None, 2), "", "", "")[:3]
        if kind not in KEY_TYPES:
            raise ValueError("no OpenSSH public key (type, data, comment)")
        if not _holds(data, kind):
            raise ValueError(f"the data of this {kind} key is damaged")
        return cls(options, kind, data, comment)

    def __str__(self) -> str:
        return " ".join(field for field in (self.options, self.type, self.data, self.comment) if field)


def _holds(data: str, kind: str) -> bool:
    """Whether the base64 data begins with the key's type, as RFC 4253, section 6.6, has it."""
    try:
        blob = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    name = kind.encode()
    return blob.startswith(len(name).to_bytes(4, "big") + name) and len(blob) > 4 + len(name)


def encode(text: str) -> str:
    """Percent-encode once, as the API wants it in the parameter's value: no C(+) for blanks, no bare C(/)."""
    return quote(text, safe="")


def decode(text: str) -> str:
    """Undo C(encode). Raises PropertyStringError for a text that was not encoded, without repeating it."""
    if not _ENCODED.fullmatch(text):
        raise PropertyStringError("sshkeys: the value is not percent-encoded")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as exc:
        raise PropertyStringError("sshkeys: the value is not UTF-8") from exc


@dataclass(frozen=True, slots=True)
class SshKeys:
    """The encoded value as the config has it, byte for byte; C(of) and C(from_text) make one from plain lines."""

    text: str

    def __post_init__(self) -> None:
        _unused = self.keys

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the encoded value. Raises PropertyStringError that names the line, not its content."""
        return cls(text)

    @classmethod
    def from_text(cls, plain: str) -> Self:
        """From the content of an authorized_keys file: blank lines and line ends are put in order."""
        return cls.of(plain.split("\n"))

    @classmethod
    def of(cls, lines: Iterable[str]) -> Self:
        """From plain lines, in this order. Raises PropertyStringError."""
        return cls(encode("\n".join(str(key) for key in _parse_lines(lines))))

    def __str__(self) -> str:
        return self.text

    @property
    def plain(self) -> str:
        """The decoded lines as they are."""
        return decode(self.text)

    @property
    def keys(self) -> tuple[SshKey, ...]:
        """The keys, blank lines left out."""
        return _parse_lines(self.plain.split("\n"))

    def replace(self, *, keys: Iterable[SshKey]) -> Self:
        """These keys; the text stays where they are the same in the same order."""
        keys = tuple(keys)
        return self if keys == self.keys else type(self).of(map(str, keys))

    def same_as(self, other: SshKeys) -> bool:
        """Whether both let in the same keys: options, type, data and comment, in any order."""
        return set(self.keys) == set(other.keys)


def _parse_lines(lines: Iterable[str]) -> tuple[SshKey, ...]:
    keys = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            keys.append(SshKey.parse(line))
        except ValueError as exc:
            raise PropertyStringError(f"sshkeys, line {number}: {exc}") from exc
    return tuple(keys)
