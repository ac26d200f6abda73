# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a customisation is part of the recipe: golden forms, since a change would rebuild every user's templates."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import replace
from datetime import date

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.customize import (
    Customize,
    File,
    PackageFile,
    Script,
    User,
    customize_fields,
)

HASH = "$6$salt$" + "a" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlace ops"

FULL = Customize(
    packages=("nginx", "curl"),
    package_upgrade=True,
    users=(
        User(name="ops", uid=2000, groups=("sudo", "adm"), sudo=("ALL=(ALL) ALL",), passwd=HASH, lock_passwd=False),
    ),
    ssh_authorized_keys=(KEY,),
    files=(File(path="/etc/motd", content=b"hello\n", owner="ops", permissions="0600"),),
    scripts=(Script(name="one", content=b"true\n", interpreter="/bin/bash", timeout=5),),
    timezone="UTC",
    locale="C.UTF-8",
    agent="install",
    agent_packages=(PackageFile(name="a.deb", content=b"deb"),),
    user_data={"ntp": {"enabled": True}},
)


def digest(customize: Customize) -> str:
    return hashlib.sha256(json.dumps(customize_fields(customize), sort_keys=True).encode()).hexdigest()


def test_nothing_declared_is_nothing():
    assert customize_fields(Customize()) == {}


def test_golden():
    assert customize_fields(FULL) == {
        "packages": ["curl", "nginx"],
        "package_upgrade": True,
        "users": [
            {
                "name": "ops",
                "uid": 2000,
                "lock_passwd": False,
                "groups": ["adm", "sudo"],
                "sudo": ["ALL=(ALL) ALL"],
                "passwd": "sha256:" + hashlib.sha256(HASH.encode()).hexdigest(),
            }
        ],
        "ssh_authorized_keys": [KEY],
        "files": [
            {
                "path": "/etc/motd",
                "content": "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
                "owner": "ops",
                "permissions": "0600",
            }
        ],
        "scripts": [
            {
                "name": "one",
                "content": "sha256:" + hashlib.sha256(b"true\n").hexdigest(),
                "interpreter": "/bin/bash",
            }
        ],
        "timezone": "UTC",
        "locale": "C.UTF-8",
        "agent": "install",
        "agent_packages": {"a.deb": "sha256:" + hashlib.sha256(b"deb").hexdigest()},
        "user_data": "sha256:" + hashlib.sha256(b'{"ntp":{"enabled":true}}').hexdigest(),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"packages": ("curl", "nginx", "curl")},
        {"scripts": (replace(FULL.scripts[0], timeout=7200),)},
        {"users": (replace(FULL.users[0], groups=("adm", "sudo")),)},
        {"files": (replace(FULL.files[0], content=base64.b64encode(b"hello\n"), encoding="b64"),)},
        {"files": (replace(FULL.files[0], content=gzip.compress(b"hello\n", mtime=0), encoding="gz"),)},
    ],
)
def test_what_makes_the_same_template_has_the_same_digest(changes):
    assert digest(replace(FULL, **changes)) == digest(FULL)


@pytest.mark.parametrize(
    "changes",
    [
        {"packages": ("nginx",)},
        {"package_upgrade": False},
        {"users": ()},
        {"users": (replace(FULL.users[0], passwd=HASH + "b"),)},
        {"ssh_authorized_keys": ()},
        {"files": (replace(FULL.files[0], content=b"hello"),)},
        {"files": (replace(FULL.files[0], permissions=None),)},
        {"scripts": (replace(FULL.scripts[0], content=b"false\n"),)},
        {"scripts": (*FULL.scripts, Script(name="two", content=b"true\n"))},
        {"timezone": "Europe/Berlin"},
        {"locale": None},
        {"agent": "none"},
        {"agent_packages": ()},
        {"user_data": {"ntp": {"enabled": False}}},
    ],
)
def test_what_makes_another_template_has_another_digest(changes):
    assert digest(replace(FULL, **changes)) != digest(FULL)


def test_neither_secrets_nor_contents_are_in_the_form_or_shown():
    for text in (json.dumps(customize_fields(FULL)), repr(FULL)):
        assert HASH not in text
        assert "hello" not in text
        assert "ntp" not in text


@pytest.mark.parametrize("own", [{"a": date(2026, 1, 1)}, {1: "a", "b": 2}])
def test_user_data_without_a_canonical_form_is_an_error(own):
    with pytest.raises(ValueError, match="no plain YAML"):
        customize_fields(Customize(user_data=own))


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"hello", None),
        (b"aGVs\nbG8=\n", "b64"),
        (gzip.compress(b"hello", mtime=0), "gz"),
        (base64.b64encode(gzip.compress(b"hello", mtime=0)), "gz+b64"),
    ],
)
def test_the_data_of_a_file(content, encoding):
    assert File(path="/a", content=content, encoding=encoding).data == b"hello"


@pytest.mark.parametrize(
    ("content", "encoding", "what"),
    [
        (b"not!", "b64", "no base64"),
        (b"aGVsbG8", "b64", "no base64"),
        (b"hello", "gz", "no gzip"),
        (base64.b64encode(b"hello"), "gz+b64", "no gzip"),
        (gzip.compress(b"hello", mtime=0)[:-4], "gz", "too early"),
        (gzip.compress(bytes(65 * 2**20), mtime=0), "gz", "more than"),
    ],
)
def test_data_that_is_not_as_declared(content, encoding, what):
    with pytest.raises(ValueError, match=what):
        File(path="/a", content=content, encoding=encoding).data  # noqa: B018
