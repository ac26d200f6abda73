# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option C(customize) of a line, and how it becomes what a builder is told."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from pathlib import Path

from .._model.customize import Customize, File, PackageFile, Script, User, customize_fields

Spec = dict[str, dict[str, t.Any]]


def customize_options() -> Spec:
    """What a template gets beyond its image."""
    return {
        "packages": {"type": "list", "elements": "str", "default": []},
        "package_upgrade": {"type": "bool", "default": False},
        "users": {"type": "list", "elements": "dict", "default": [], "options": _user_options()},
        "ssh_authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "files": {"type": "list", "elements": "dict", "default": [], "options": _file_options()},
        "scripts": {"type": "list", "elements": "dict", "default": [], "options": _script_options()},
        "timezone": {"type": "str"},
        "locale": {"type": "str"},
        "agent": {"type": "str", "choices": ["auto", "install", "none"], "default": "auto"},
        "agent_packages": {"type": "list", "elements": "path", "default": []},
        "user_data": {"type": "dict"},
    }


def _user_options() -> Spec:
    return {
        "name": {"type": "str", "required": True},
        "gecos": {"type": "str"},
        "uid": {"type": "int"},
        "primary_group": {"type": "str"},
        "groups": {"type": "list", "elements": "str", "default": []},
        "home": {"type": "str"},
        "shell": {"type": "str"},
        "system": {"type": "bool"},
        "sudo": {"type": "list", "elements": "str", "default": []},
        "lock_passwd": {"type": "bool", "no_log": False},
        "passwd": {"type": "str", "no_log": True},
        "ssh_authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    }


def _file_options() -> Spec:
    return {
        "path": {"type": "str", "required": True},
        "content": {"type": "str"},
        "src": {"type": "path"},
        "encoding": {"type": "str", "choices": ["b64", "gz", "gz+b64"]},
        "owner": {"type": "str"},
        "permissions": {"type": "str"},
    }


def _script_options() -> Spec:
    return {
        "name": {"type": "str", "required": True},
        "content": {"type": "str"},
        "src": {"type": "path"},
        "interpreter": {"type": "str"},
        "timeout": {"type": "int", "default": 1800},
    }


def customize_from(given: Mapping[str, t.Any] | None, problems: list[str]) -> Customize | None:
    """What is to be customised, None for nothing; everything that is wrong is added to C(problems)."""
    if given is None:
        return None
    # A module is compiled anew in each run; who customises nothing does not pay for the layer that makes seeds.
    from .._seed.check import problems as seed_problems  # noqa: PLC0415

    found: list[str] = []
    files = tuple(_file(one, f"customize.files[{number}]", found) for number, one in enumerate(given["files"]))
    scripts = tuple(_script(one, f"customize.scripts[{number}]", found) for number, one in enumerate(given["scripts"]))
    packages = tuple(
        PackageFile(name=Path(path).name, content=_read(path, f"customize.agent_packages[{number}]", found))
        for number, path in enumerate(given["agent_packages"])
    )
    wanted = Customize(
        packages=tuple(given["packages"]),
        package_upgrade=given["package_upgrade"],
        users=tuple(_user(one) for one in given["users"]),
        ssh_authorized_keys=tuple(given["ssh_authorized_keys"]),
        files=files,
        scripts=scripts,
        timezone=given["timezone"],
        locale=given["locale"],
        agent=given["agent"],
        agent_packages=packages,
        user_data=given["user_data"],
    )
    found += () if found else seed_problems(wanted)
    problems += found
    return wanted if found or customize_fields(wanted) else None


def _user(given: Mapping[str, t.Any]) -> User:
    return User(
        name=given["name"],
        gecos=given["gecos"],
        uid=given["uid"],
        primary_group=given["primary_group"],
        groups=tuple(given["groups"]),
        home=given["home"],
        shell=given["shell"],
        system=given["system"],
        sudo=tuple(given["sudo"]),
        lock_passwd=given["lock_passwd"],
        passwd=given["passwd"],
        ssh_authorized_keys=tuple(given["ssh_authorized_keys"]),
    )


def _file(given: Mapping[str, t.Any], option: str, problems: list[str]) -> File:
    return File(
        path=given["path"],
        content=_content(given, option, problems),
        encoding=given["encoding"],
        owner=given["owner"],
        permissions=given["permissions"],
    )


def _script(given: Mapping[str, t.Any], option: str, problems: list[str]) -> Script:
    return Script(
        name=given["name"],
        content=_content(given, option, problems),
        interpreter=given["interpreter"],
        timeout=given["timeout"],
    )


def _content(given: Mapping[str, t.Any], option: str, problems: list[str]) -> bytes:
    """The bytes given, in the play or as a file where the module runs."""
    text, src = given["content"], given["src"]
    if (text is None) == (src is None):
        problems.append(f"{option}: give either content or src")
        return b""
    return text.encode() if text is not None else _read(src, f"{option}.src", problems)


def _read(path: str, option: str, problems: list[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        problems.append(f"{option}={path!r}: it cannot be read where the module runs: {error.strerror}")
        return b""
