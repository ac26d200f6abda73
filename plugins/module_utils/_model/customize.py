# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a template gets beyond its image (C(customize:) of a line), and the part of the recipe that this is.

The values are what was declared, unchecked: _seed/check.py says what is wrong with them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Encoding = Literal["b64", "gz", "gz+b64"]

# Far beyond what a seed can carry; it only keeps a small gz text from filling the memory.
MAX_DECODED = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account of the template. C(passwd) is a crypt(3) hash, never a password."""

    name: str
    gecos: str | None = None
    uid: int | None = None
    primary_group: str | None = None
    groups: tuple[str, ...] = ()
    home: str | None = None
    shell: str | None = None
    system: bool | None = None
    sudo: tuple[str, ...] = ()
    """Rules without the user's name, such as C(ALL=(ALL) NOPASSWD:ALL)."""
    lock_passwd: bool | None = None
    passwd: str | None = field(default=None, repr=False)
    ssh_authorized_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the template. C(content) is as it was declared, C(data) is what the file will hold."""

    path: str
    content: bytes = field(repr=False)
    encoding: Encoding | None = None
    """How C(content) is wrapped; None for not at all."""
    owner: str | None = None
    """C(user) or C(user:group); None for C(root:root)."""
    permissions: str | None = None
    """Octal digits with a leading zero, C(0644); None for cloud-init's C(0644)."""

    @property
    def data(self) -> bytes:
        """The bytes of the finished file. Raises ValueError when C(content) is not what C(encoding) says."""
        data = self.content
        if self.encoding in {"b64", "gz+b64"}:
            try:
                data = base64.b64decode(b"".join(data.split()), validate=True)
            except binascii.Error as exc:
                raise ValueError("is no base64") from exc
        return _unpacked(data) if self.encoding in {"gz", "gz+b64"} else data


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(data, MAX_DECODED)
    except zlib.error as exc:
        raise ValueError("is no gzip data") from exc
    if unpacker.unconsumed_tail:
        raise ValueError(f"unpacks to more than {MAX_DECODED} bytes")
    if not unpacker.eof:
        raise ValueError("is gzip data that ends too early")
    return unpacked


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script that runs once, as root, in the builder. C(timeout) in seconds."""

    name: str
    content: bytes = field(repr=False)
    interpreter: str | None = None
    """Absolute path and at most one argument; None for the content's own C(#!) line, or else C(/bin/sh)."""
    timeout: int = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """A package that rides on the seed: file name and content."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customize:
    """Everything declared. What is None or empty was not, and the image's own stays."""

    packages: tuple[str, ...] = ()
    package_upgrade: bool = False
    users: tuple[User, ...] = ()
    ssh_authorized_keys: tuple[str, ...] = ()
    """Keys of the image's own default user, as cloud-init takes them."""
    files: tuple[File, ...] = ()
    scripts: tuple[Script, ...] = ()
    timezone: str | None = None
    locale: str | None = None
    agent: Literal["auto", "install", "none"] = "auto"
    """C(auto) installs the guest agent where there is none, C(install) always, C(none) never."""
    agent_packages: tuple[PackageFile, ...] = ()
    """Packages of the agent that the seed carries; without them the guest's package manager fetches it."""
    user_data: Mapping[str, Any] | None = field(default=None, repr=False)
    """A cloud-config of one's own, merged by cloud-init's rules."""


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _user_fields(user: User) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": user.name}
    for name in ("gecos", "uid", "primary_group", "home", "shell", "system", "lock_passwd"):
        if (value := getattr(user, name)) is not None:
            fields[name] = value
    if user.groups:
        fields["groups"] = sorted(set(user.groups))
    if user.sudo:
        fields["sudo"] = list(user.sudo)
    if user.ssh_authorized_keys:
        fields["ssh_authorized_keys"] = sorted(set(user.ssh_authorized_keys))
    if user.passwd is not None:
        fields["passwd"] = _digest(user.passwd.encode())
    return fields


def _file_fields(file: File) -> dict[str, Any]:
    fields: dict[str, Any] = {"path": file.path, "content": _digest(file.data)}
    if file.owner is not None:
        fields["owner"] = file.owner
    if file.permissions is not None:
        fields["permissions"] = file.permissions
    return fields


def _script_fields(script: Script) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": script.name, "content": _digest(script.content)}
    if script.interpreter is not None:
        fields["interpreter"] = script.interpreter
    return fields


def customize_fields(customize: Customize) -> dict[str, Any]:
    """The declared fields in the form that the recipe digest is taken over; empty when nothing was declared.

    Contents and password hashes are replaced by their digests. Time-outs are left out: they decide whether a build
    ends, not what it makes. How a content is wrapped and in which order sets are written does not count either.
    Raises ValueError for a file whose content is not what its encoding says, and for user_data that is no plain YAML.
    """
    fields: dict[str, Any] = {}
    if customize.packages:
        fields["packages"] = sorted(set(customize.packages))
    if customize.package_upgrade:
        fields["package_upgrade"] = True
    if customize.users:
        fields["users"] = [_user_fields(user) for user in customize.users]
    if customize.ssh_authorized_keys:
        fields["ssh_authorized_keys"] = sorted(set(customize.ssh_authorized_keys))
    if customize.files:
        fields["files"] = sorted((_file_fields(file) for file in customize.files), key=lambda one: str(one["path"]))
    if customize.scripts:
        fields["scripts"] = [_script_fields(script) for script in customize.scripts]
    for name in ("timezone", "locale"):
        if (value := getattr(customize, name)) is not None:
            fields[name] = value
    if customize.agent != "auto":
        fields["agent"] = customize.agent
    if customize.agent_packages:
        fields["agent_packages"] = {file.name: _digest(file.content) for file in customize.agent_packages}
    if customize.user_data:
        fields["user_data"] = _digest(_canonical(customize.user_data))
    return fields


def _canonical(config: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    except TypeError as exc:
        raise ValueError("user_data holds what is no plain YAML, such as a date") from exc
