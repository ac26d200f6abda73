# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the builder is told: user-data, meta-data and network-config of a NoCloud seed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._model.customize import Customize, File, User
from .errors import SeedError
from .merge import MergeError, merge_config
from .runner import FOLDER, runner_files, steps_of
from .yaml_text import dump

HEAD = "#cloud-config\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildUser:
    """An account for the time of the build alone, such as Ansible logs in with; sealing removes it."""

    name: str
    ssh_authorized_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """The files of the seed. C(extra) are further ones by their path on it, C(agent/<name>)."""

    user_data: str = field(repr=False)
    meta_data: str
    network_config: str | None = None
    extra: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def build_seed(
    customize: Customize, *, run: str, build_user: BuildUser | None = None, network: Mapping[str, Any] | None = None
) -> Seed:
    """The seed of one builder; the same arguments give the same bytes.

    C(run) becomes part of the instance-id, so that each builder is a new instance to cloud-init. C(network) is a
    network-config, without which cloud-init asks for DHCP on the first card. Raises SeedError.
    """
    try:
        return Seed(
            user_data=HEAD + dump(user_data(customize, run=run, build_user=build_user)),
            meta_data=dump({"instance-id": f"homelab-{run}"}),
            network_config=dump(network) if network is not None else None,
            extra={f"agent/{file.name}": file.content for file in customize.agent_packages},
        )
    except (SeedError, ValueError) as exc:
        raise SeedError(f"customize: {exc}") from exc


def user_data(customize: Customize, *, run: str, build_user: BuildUser | None = None) -> dict[str, Any]:
    """The cloud-config of the builder as a mapping: the declared, one's own merged into it, and the runner.

    The runner is put in last, so that no merge rule can take it away. Raises SeedError or ValueError.
    """
    try:
        config = merge_config(declared(customize), customize.user_data or {})
    except MergeError as exc:
        raise SeedError(f"user_data: {exc}") from exc
    if build_user is not None:
        config["users"] = [*_list(config, "users"), _build_user(build_user)]
    steps = steps_of(customize, _list(config, "runcmd"))
    files = runner_files(run, steps)
    machinery = [
        _written(path, data, "0700" if path.endswith(".sh") else "0600") for path, data in sorted(files.items())
    ]
    config["write_files"] = [*_list(config, "write_files"), *machinery]
    config["runcmd"] = [["/bin/sh", f"{FOLDER}/run.sh"]]
    return config


def declared(customize: Customize) -> dict[str, Any]:
    """What cloud-init itself does of the declared: accounts, keys, files, timezone and locale.

    Packages and scripts are the runner's. The default user is made only for who has keys for it: its account would
    stay in the template and hold the first user id (22.4 warns of the empty list and obeys it). The image's own
    hostname stays.
    """
    own = customize.user_data or {}
    default = bool(customize.ssh_authorized_keys) or (
        "users" not in own and bool({"ssh_authorized_keys", "ssh_import_id", "chpasswd", "password"} & own.keys())
    )
    config: dict[str, Any] = {"preserve_hostname": True}
    config["users"] = [*(["default"] if default else []), *(_user(user) for user in customize.users)]
    if customize.ssh_authorized_keys:
        config["ssh_authorized_keys"] = list(customize.ssh_authorized_keys)
    if customize.files:
        config["write_files"] = [_file(file) for file in customize.files]
    for name in ("timezone", "locale"):
        if (value := getattr(customize, name)) is not None:
            config[name] = value
    return config


def _user(user: User) -> dict[str, Any]:
    config: dict[str, Any] = {"name": user.name}
    for name in ("gecos", "uid", "primary_group", "shell", "system", "lock_passwd", "passwd"):
        if (value := getattr(user, name)) is not None:
            config[name] = value
    if user.home is not None:
        config["homedir"] = user.home
    if user.groups:
        config["groups"] = list(user.groups)
    if user.sudo:
        # One rule is a text to every version; a list of rules is in the schema since 23.1 only, but was always read.
        config["sudo"] = user.sudo[0] if len(user.sudo) == 1 else list(user.sudo)
    if user.ssh_authorized_keys:
        config["ssh_authorized_keys"] = list(user.ssh_authorized_keys)
    return config


def _build_user(user: BuildUser) -> dict[str, Any]:
    return {
        "name": user.name,
        "lock_passwd": True,
        "shell": "/bin/sh",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "ssh_authorized_keys": list(user.ssh_authorized_keys),
    }


def _file(file: File) -> dict[str, Any]:
    config = _written(file.path, file.data, file.permissions or "0644")
    if file.owner is not None:
        # Only deferred files are written after the accounts were made; versions before 21.1 know no such thing.
        config |= {"owner": file.owner, "defer": True}
    return config


def _written(path: str, data: bytes, permissions: str) -> dict[str, Any]:
    content = base64.b64encode(data).decode("ascii")
    return {"path": path, "content": content, "encoding": "b64", "permissions": permissions}


def _list(config: Mapping[str, Any], key: str) -> Sequence[Any]:
    """The list at a key, empty when there is none. Raises SeedError for a value of another type."""
    value = config.get(key)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise SeedError(f"user_data.{key} has to be a list")
    return value
