# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checking one's own cloud-config beyond its schema: secrets, what would break the build, and what would be lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._model.customize import Customize
from .merge import MergeError, parse_rules
from .schema import path_text, schema_problems
from .yaml_text import dump

# crypt(5): bcrypt, SHA-256, SHA-512, scrypt, yescrypt and gost-yescrypt. DES and MD5 are broken, so they are refused.
HASH = re.compile(r"\$(2[abxy]|5|6|7|y|gy)\$[./A-Za-z0-9$=,]+", re.ASCII)
HASH_HELP = "has to be a hash such as mkpasswd --method=SHA-512 makes ($6$...), never the password itself"

_FORBIDDEN = {
    "power_state": "the builder is shut down by the build, after it was sealed",
    "cloud_init_modules": "which modules run is the image's to say",
    "cloud_config_modules": "which modules run is the image's to say",
    "cloud_final_modules": "which modules run is the image's to say",
    "hostname": "a template has no hostname; its clones get theirs from Proxmox VE",
    "fqdn": "a template has no hostname; its clones get theirs from Proxmox VE",
    "preserve_hostname": "a template has no hostname; its clones get theirs from Proxmox VE",
}
_REBOOTS = ("package_reboot_if_required", "apt_reboot_if_required")
_PLAIN_KEYS = ("password", "plain_text_passwd")


def user_data_problems(customize: Customize, option: str) -> Iterator[str]:
    """Every problem of C(customize.user_data); nothing when there is none."""
    config = customize.user_data
    if config is None:
        return
    try:
        dump(config)
    except (TypeError, ValueError) as exc:
        # Dates and keys that are no texts would fail in everything that follows too.
        yield f"{option}: cannot be written as YAML: it has {exc}"
        return
    yield from schema_problems(config, option)
    yield from _forbidden(config, option)
    yield from _passwords(config, option)
    yield from _conflicts(customize, config, option)
    yield from _rules(config, option)


def _forbidden(config: Mapping[str, Any], option: str) -> Iterator[str]:
    for key, reason in _FORBIDDEN.items():
        if key in config:
            yield f"{option}.{key}: cannot be set: {reason}"
    for key in _REBOOTS:
        if config.get(key):
            yield f"{option}.{key}: cannot be set: a reboot would end the build"


def _passwords(config: Mapping[str, Any], option: str) -> Iterator[str]:
    """Passwords in plain text, wherever cloud-init takes one."""
    if "password" in config:
        yield f"{option}.password: {HASH_HELP}; give it as users[].passwd"
    users = config.get("users")
    for place, user in [("user", config.get("user")), *_numbered("users", users)]:
        if not isinstance(user, Mapping):
            continue
        for key in _PLAIN_KEYS:
            if key in user:
                yield f"{option}.{place}.{key}: {HASH_HELP}; give it as passwd"
        for key in ("passwd", "hashed_passwd"):
            if key in user and not (isinstance(user[key], str) and HASH.fullmatch(user[key])):
                yield f"{option}.{place}.{key}: {HASH_HELP}"
    chpasswd = config.get("chpasswd")
    if isinstance(chpasswd, Mapping):
        if "list" in chpasswd:
            yield f"{option}.chpasswd.list: holds passwords in plain text; write them as chpasswd.users with a hash"
        for place, user in _numbered("chpasswd.users", chpasswd.get("users")):
            if isinstance(user, Mapping):
                yield from _changed_password(user, f"{option}.{place}")


def _changed_password(user: Mapping[str, Any], place: str) -> Iterator[str]:
    # Without a type cloud-init takes the password for a hash. A random one would be the same in every clone.
    if user.get("type", "hash") != "hash":
        yield f"{place}.type: only hash is taken"
    elif not (isinstance(user.get("password"), str) and HASH.fullmatch(user["password"])):
        yield f"{place}.password: {HASH_HELP}"


def _numbered(name: str, items: Any) -> Iterator[tuple[str, Any]]:
    for number, item in enumerate(items if isinstance(items, list | tuple) else ()):
        yield f"{name}{path_text([number])}", item


def _conflicts(customize: Customize, config: Mapping[str, Any], option: str) -> Iterator[str]:
    """What the default merge rules would drop without a word."""
    if not {"merge_how", "merge_type"} & config.keys():
        for key in ("timezone", "locale"):
            declared = getattr(customize, key)
            if declared is not None and key in config and config[key] != declared:
                yield f"{option}.{key}: is not the declared {key}; leave one of them out"
    for key in ("users", "write_files", "runcmd"):
        if key in config and not isinstance(config[key], list | tuple):
            yield f"{option}.{key}: has to be a list"


def _rules(config: Mapping[str, Any], option: str) -> Iterator[str]:
    for key in ("merge_how", "merge_type"):
        if config.get(key) is not None:
            try:
                parse_rules(config[key])
            except MergeError as exc:
                yield f"{option}.{key}: {exc}"
            return
