# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every config string that a real server sent or took goes through its codec unchanged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.property_string import PropertyStringError
from ansible_collections.homelab.proxmox.plugins.module_utils._model.serial import Serial
from ansible_collections.homelab.proxmox.plugins.module_utils._model.size import format_size, parse_size
from ansible_collections.homelab.proxmox.plugins.module_utils._model.sshkeys import SshKeys
from ansible_collections.homelab.proxmox.plugins.module_utils._model.tags import Tags
from ansible_collections.homelab.proxmox.plugins.module_utils._model.vm_config import (
    VmConfig,
    property_codec,
    same_value,
)

CONFIG_PATH = re.compile(r"/nodes/[^/]+/qemu(?:/\d+(?:/config|/resize)?)?")

# What the server itself refused for its form; these codecs refuse it too.
REFUSED = {("tags", "spaced tag!"), ("sshkeys", "ssh-ed25519%20AAAA%20x")}


def exchanges(folder: Path) -> Iterator[dict[str, Any]]:
    for name in ("customise", "extra", "reads", "refusals", "template-life"):
        yield from json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["exchanges"]


def configs(folder: Path) -> Iterator[dict[str, Any]]:
    for exchange in exchanges(folder):
        request, body = exchange["request"], exchange["response"].get("body") or {}
        if request["method"] == "GET" and request["path"].endswith("/config") and isinstance(body.get("data"), dict):
            yield body["data"]


def values(folder: Path) -> Iterator[tuple[str, str]]:
    for config in configs(folder):
        yield from ((key, str(value)) for key, value in config.items())
    for exchange in exchanges(folder):
        request = exchange["request"]
        if request["method"] in ("POST", "PUT") and CONFIG_PATH.fullmatch(request["path"]):
            yield from ((key, str(value)) for key, value in (request.get("params") or {}).items())


def printer(key: str) -> tuple[str, Callable[[str], object]] | None:
    codec = property_codec(key)
    if codec is not None:
        return codec.__name__, codec.parse
    others: dict[str, Callable[[str], object]] = {"tags": Tags.parse, "sshkeys": SshKeys.parse}
    if key in others:
        return key, others[key]
    if re.fullmatch(r"serial\d", key):
        return "Serial", Serial.parse
    if key == "size":
        return "size", lambda text: format_size(parse_size(text))
    return None


@pytest.fixture(scope="module")
def recorded(root: Path) -> Path:
    return root / "tests" / "support" / "recorded"


def test_every_recorded_string_is_printed_as_it_was_read(recorded: Path) -> None:
    visited: dict[str, int] = {}
    for key, text in values(recorded):
        found = printer(key)
        if found is None or (key, text) in REFUSED:
            continue
        name, parse = found
        assert str(parse(text)) == text, key
        visited[name] = visited.get(name, 0) + 1
    # No machine with EFI or TPM was recorded; their strings are in test_disk.py.
    expected = {"Disk", "Net", "IpConfig", "Agent", "Boot", "Cpu", "Vga", "Serial", "tags", "sshkeys", "size"}
    assert set(visited) == expected
    assert min(visited.values()) > 0
    assert visited["Disk"] > 60


def test_what_the_server_refused_for_its_form_is_refused_here(recorded: Path) -> None:
    assert set(values(recorded)) >= REFUSED
    with pytest.raises(PropertyStringError, match="^tags: 'tag!' is no tag: "):
        Tags.parse("spaced tag!")
    with pytest.raises(PropertyStringError, match="^sshkeys, line 1: the data of this ssh-ed25519 key is damaged$"):
        SshKeys.parse("ssh-ed25519%20AAAA%20x")


def test_every_recorded_config_can_be_read_whole(recorded: Path) -> None:
    seen = list(configs(recorded))
    assert len(seen) >= 13
    for raw in seen:
        before = json.dumps(raw)
        config = VmConfig(raw)
        assert config.name
        assert config.disks()
        assert config.memory_mib >= 64
        assert config.digest is not None and len(config.digest) == 40
        config.nets(), config.ipconfigs(), config.serials(), config.tags, config.agent, config.sshkeys  # noqa: B018
        assert all(same_value(key, value, str(value)) for key, value in raw.items())
        assert json.dumps(raw) == before


def test_recorded_templates_are_told_from_broken_ones(recorded: Path) -> None:
    found = {}
    for raw in configs(recorded):
        config = VmConfig(raw)
        vmids = {disk.owner_vmid for disk in config.disks().values() if disk.owner_vmid}
        found[config.name] = config.template_is_complete(min(vmids))
    assert found["onfast"] == ()
    assert found["cust-tmpl"] == ()
    # `template=1` in the create call: the flag is there, the disk is no base.
    assert found["oneshot"] == ("scsi0",)
    assert found["web-9411"] == ("template", "scsi0")
