# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checking what is to be customised, before anything starts: every problem at once, each naming its option."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from .._model.customize import MAX_DECODED, Customize, File, Script, User
from .._model.sshkeys import SshKey
from .check_user_data import HASH, HASH_HELP, user_data_problems
from .cloud_config import HEAD, user_data
from .errors import SeedError
from .iso import MAX_ISO, PACKAGE_NAME
from .runner import FOLDER, interpreter
from .schema import schema_problems
from .yaml_text import dump

MAX_USER_DATA = 1024 * 1024
"""Bytes of the finished user-data. cloud-init has no limit, but parses it in pure Python and keeps several copies."""
MAX_TIMEOUT = 86400
"""Seconds a script may take."""

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}", re.ASCII)
_SCRIPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
# Debian, RPM, Alpine and Arch names, with a version, an architecture or a group mark.
_PACKAGE = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@._:+~=^*/-]{0,254}", re.ASCII)
_PERMISSIONS = re.compile(r"0[0-7]{3,4}", re.ASCII)
_USUAL = (
    "0400",
    "0440",
    "0444",
    "0550",
    "0555",
    "0600",
    "0640",
    "0644",
    "0660",
    "0664",
    "0700",
    "0750",
    "0755",
    "0775",
)
_OWNER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}(?::[A-Za-z_][A-Za-z0-9_-]{0,31})?", re.ASCII)
_TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z]{1,8}(?:_[A-Z]{2})?(?:\.[A-Za-z0-9-]{1,16})?(?:@[a-z]{1,16})?", re.ASCII)
_PATH = re.compile(r"(?:/[^/\x00-\x1f\x7f]{1,255})+")
# What is no file system of the template, or belongs to the builder.
_PLACES = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/lib/cloud")


def problems(customize: Customize, option: str = "customize") -> tuple[str, ...]:
    """Everything that is wrong, each as C(option.path: what); empty when a seed can be made of it.

    Raises SeedError when the library for cloud-init's schema is missing.
    """
    found = [
        *_packages(customize, option),
        *_users(customize.users, f"{option}.users"),
        *_keys(customize.ssh_authorized_keys, f"{option}.ssh_authorized_keys"),
        *_files(customize.files, f"{option}.files"),
        *_scripts(customize.scripts, f"{option}.scripts"),
        *_locales(customize, option),
        *_agent(customize, option),
        *user_data_problems(customize, f"{option}.user_data"),
    ]
    # The finished user-data can be made only of what is right by itself.
    return tuple(found or _finished(customize, option))


def _twice(values: Iterable[Any], option: str, field: str, what: str) -> Iterator[str]:
    first: dict[Any, int] = {}
    for number, value in enumerate(values):
        if value is None:
            continue
        if value in first:
            yield f"{option}[{number}]{field}: {what} {value} already stands in {option}[{first[value]}]"
        first.setdefault(value, number)


def _packages(customize: Customize, option: str) -> Iterator[str]:
    for number, name in enumerate(customize.packages):
        if not _PACKAGE.fullmatch(name):
            yield f"{option}.packages[{number}]: {name!r} is no package name"
    yield from _twice(customize.packages, f"{option}.packages", "", "the package")


def _users(users: tuple[User, ...], option: str) -> Iterator[str]:
    for number, user in enumerate(users):
        yield from _user(user, f"{option}[{number}]")
    yield from _twice((user.name for user in users), option, ".name", "the user")
    yield from _twice((user.uid for user in users), option, ".uid", "the user id")


def _user(user: User, place: str) -> Iterator[str]:
    if not _USER.fullmatch(user.name):
        yield f"{place}.name: {user.name!r} is no user name (a-z, 0-9, _ and -, at most 32 signs)"
    elif user.name in {"root", "default"}:
        yield f"{place}.name: {user.name} cannot be made; write it in user_data"
    if user.primary_group is not None and not _GROUP.fullmatch(user.primary_group):
        yield f"{place}.primary_group: {user.primary_group!r} is no group name"
    for number, group in enumerate(user.groups):
        if not _GROUP.fullmatch(group):
            yield f"{place}.groups[{number}]: {group!r} is no group name"
    if user.uid is not None and not 0 < user.uid < 2**32 - 1:
        yield f"{place}.uid: {user.uid} is no user id"
    for field in ("shell", "home"):
        path = getattr(user, field)
        if path is not None and not _is_path(path):
            yield f"{place}.{field}: {path!r} is no absolute path"
    if user.gecos is not None and not re.fullmatch(r"[^:\x00-\x1f\x7f]*", user.gecos):
        yield f"{place}.gecos: has a colon or a control sign"
    for number, rule in enumerate(user.sudo):
        if not re.fullmatch(r"[ -~]+", rule) or not rule.strip():
            yield f"{place}.sudo[{number}]: has to be one line of ASCII such as ALL=(ALL) NOPASSWD:ALL"
    if user.passwd is not None and not HASH.fullmatch(user.passwd):
        yield f"{place}.passwd: {HASH_HELP}"
    yield from _keys(user.ssh_authorized_keys, f"{place}.ssh_authorized_keys")


def _keys(keys: tuple[str, ...], option: str) -> Iterator[str]:
    for number, key in enumerate(keys):
        try:
            SshKey.parse(key)
        except ValueError as exc:
            yield f"{option}[{number}]: {exc}"
        else:
            if "\n" in key.strip():
                yield f"{option}[{number}]: has to be one line"


def _is_path(path: str) -> bool:
    return bool(_PATH.fullmatch(path)) and not {".", ".."} & set(path.split("/"))


def _files(files: tuple[File, ...], option: str) -> Iterator[str]:
    for number, file in enumerate(files):
        place = f"{option}[{number}]"
        if not _is_path(file.path):
            yield f"{place}.path: {file.path!r} is no absolute path of a file"
        elif any(file.path == root or file.path.startswith(f"{root}/") for root in _PLACES):
            yield f"{place}.path: {file.path} would not be in the template; take a script"
        if file.owner is not None and not _OWNER.fullmatch(file.owner):
            yield f"{place}.owner: {file.owner!r} is no user or user:group"
        yield from _permissions(file.permissions, f"{place}.permissions")
        try:
            size = len(file.data)
        except ValueError as exc:
            yield f"{place}.content: {exc}, but its encoding is {file.encoding}"
        else:
            if size > min(MAX_USER_DATA, MAX_DECODED):
                yield f"{place}.content: has {size} bytes; all files together may have {MAX_USER_DATA * 3 // 4}"
    yield from _twice((file.path for file in files), option, ".path", "the file")


def _permissions(text: str | None, place: str) -> Iterator[str]:
    if text is None or _PERMISSIONS.fullmatch(text):
        return
    meant = ""
    if re.fullmatch("[0-9]{1,4}", text, re.ASCII):
        # YAML reads 0644 as the octal number 420, and Ansible makes a text of it.
        octal = f"{int(text):04o}"
        meant = octal if octal in _USUAL else f"0{text}"
    meant = f"; '{meant}' was perhaps meant" if _PERMISSIONS.fullmatch(meant) else ""
    yield f"{place}: {text!r} is no octal text such as '0644', in quotes and with the leading zero{meant}"


def _scripts(scripts: tuple[Script, ...], option: str) -> Iterator[str]:
    for number, script in enumerate(scripts):
        place = f"{option}[{number}]"
        if not _SCRIPT.fullmatch(script.name):
            yield f"{place}.name: {script.name!r} is no name (A-Z, a-z, 0-9, ., _ and -, at most 63 signs)"
        if not 1 <= script.timeout <= MAX_TIMEOUT:
            yield f"{place}.timeout: {script.timeout} is not between 1 and {MAX_TIMEOUT} seconds"
        if not script.content.strip():
            yield f"{place}.content: is empty"
        elif script.content.split(b"\n", 1)[0].endswith(b"\r"):
            yield f"{place}.content: has Windows line ends, which no shell reads"
        try:
            interpreter(script)
        except SeedError as exc:
            yield f"{place}.interpreter: {exc}"
    yield from _twice((script.name for script in scripts), option, ".name", "the script")


def _locales(customize: Customize, option: str) -> Iterator[str]:
    if customize.timezone is not None and not _TIMEZONE.fullmatch(customize.timezone):
        yield f"{option}.timezone: {customize.timezone!r} is no name such as Europe/Berlin or UTC"
    if customize.locale is not None and not _LOCALE.fullmatch(customize.locale):
        yield f"{option}.locale: {customize.locale!r} is no name such as en_US.UTF-8 or C.UTF-8"


def _agent(customize: Customize, option: str) -> Iterator[str]:
    if customize.agent == "none" and customize.agent_packages:
        yield f"{option}.agent_packages: are given, but agent is none"
    kinds = set()
    for number, file in enumerate(customize.agent_packages):
        place = f"{option}.agent_packages[{number}]"
        if not PACKAGE_NAME.fullmatch(file.name):
            yield f"{place}.name: {file.name!r} is no file name of at most 64 signs of A-Z a-z 0-9 ._+~%-"
        kind = next((end for end in (".deb", ".rpm", ".apk", ".pkg.tar.zst") if file.name.endswith(end)), None)
        if kind is None:
            yield f"{place}.name: {file.name!r} is no .deb, .rpm, .apk or .pkg.tar.zst"
        else:
            kinds.add(kind)
        if not file.content:
            yield f"{place}.content: is empty"
    if len(kinds) > 1:
        yield f"{option}.agent_packages: are of several kinds: {', '.join(sorted(kinds))}"
    names = (file.name for file in customize.agent_packages)
    yield from _twice(names, f"{option}.agent_packages", ".name", "the package")
    if (size := sum(len(file.content) for file in customize.agent_packages)) > MAX_ISO - 2 * MAX_USER_DATA:
        yield f"{option}.agent_packages: have {size} bytes together; a seed may have {MAX_ISO}"


def _finished(customize: Customize, option: str) -> Iterator[str]:
    """What shows only in the finished user-data: its size, what merging made of it, and who writes what twice."""
    try:
        config = user_data(customize, run="check")
    except (SeedError, ValueError) as exc:
        yield f"{option}: {exc}"
        return
    size = len((HEAD + dump(config)).encode())
    if size > MAX_USER_DATA:
        yield f"{option}: makes user-data of {size} bytes; at most {MAX_USER_DATA}{_largest(customize, option)}"
    for text in schema_problems(config, "user-data"):
        yield f"{option}: after merging user_data: {text}"
    names = [user.get("name") for user in config["users"] if isinstance(user, dict)]
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield f"{option}.user_data.users: the user {name} is already declared in {option}.users"
    paths = [file.get("path") for file in config["write_files"] if isinstance(file, dict) and not file.get("append")]
    for path in sorted({str(path) for path in paths if paths.count(path) > 1}):
        owner = "the build itself" if path.startswith(FOLDER) else f"{option}.files"
        yield f"{option}.user_data.write_files: the file {path} is already written by {owner}"


def _largest(customize: Customize, option: str) -> str:
    sizes = {f"files[{number}] ({file.path})": len(file.data) for number, file in enumerate(customize.files)}
    sizes |= {f"scripts[{number}] ({one.name})": len(one.content) for number, one in enumerate(customize.scripts)}
    if not sizes:
        return ""
    name = max(sizes, key=lambda one: sizes[one])
    return f"; the largest part is {option}.{name} with {sizes[name]} bytes"
