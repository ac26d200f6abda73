# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user-data of a builder, and the check of what goes into it."""

from __future__ import annotations

import base64
import gzip
import sys
from dataclasses import replace

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._model.customize import (
    Customize,
    File,
    PackageFile,
    Script,
    User,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._seed import check
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.check import problems
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.cloud_config import BuildUser, build_seed
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.errors import SeedError
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.schema import schema, schema_problems

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + base64.b64encode(bytes(32)).decode()[1:] + " ops"
HASH = "$6$salt$" + "a" * 86
OPS = User(name="ops", groups=("sudo",), sudo=("ALL=(ALL) ALL",), ssh_authorized_keys=(KEY,), passwd=HASH)
FULL = Customize(
    packages=("nginx", "qemu-utils=1:7.2+dfsg-7", "@core", "python3.11"),
    package_upgrade=True,
    users=(OPS, User(name="svc", system=True, uid=400, home="/srv/x", shell="/usr/sbin/nologin", gecos="A service")),
    ssh_authorized_keys=(KEY,),
    files=(File(path="/etc/motd", content="grüß\n".encode(), owner="ops:ops", permissions="0640"),),
    scripts=(Script(name="one", content=b"#!/bin/bash\ntrue\n", timeout=60),),
    timezone="Europe/Berlin",
    locale="de_DE.UTF-8",
    agent_packages=(PackageFile(name="qemu-guest-agent_7.2_amd64.deb", content=b"deb"),),
    user_data={"runcmd": ["echo a"], "write_files": [{"path": "/etc/own", "content": "x"}], "ntp": {"enabled": True}},
)


def config(customize: Customize, **more) -> dict:
    text = build_seed(customize, run="r-1", **more).user_data
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


# --- user-data


def test_everything_declared_is_in_it():
    made = config(FULL, build_user=BuildUser(name="build", ssh_authorized_keys=(KEY,)))
    assert made["users"] == [
        "default",
        {
            "name": "ops",
            "groups": ["sudo"],
            "sudo": "ALL=(ALL) ALL",
            "ssh_authorized_keys": [KEY],
            "passwd": HASH,
        },
        {
            "name": "svc",
            "gecos": "A service",
            "homedir": "/srv/x",
            "shell": "/usr/sbin/nologin",
            "system": True,
            "uid": 400,
        },
        {
            "name": "build",
            "lock_passwd": True,
            "shell": "/bin/sh",
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": [KEY],
        },
    ]
    assert (made["timezone"], made["locale"]) == ("Europe/Berlin", "de_DE.UTF-8")
    assert made["ssh_authorized_keys"] == [KEY]
    assert made["preserve_hostname"] is True
    assert made["ntp"] == {"enabled": True}
    assert made["runcmd"] == [["/bin/sh", "/run/homelab/run.sh"]]
    paths = [file["path"] for file in made["write_files"]]
    assert paths[:2] == ["/etc/motd", "/etc/own"]
    assert paths[2:] == ["/run/homelab/run.sh", *(f"/run/homelab/step-{number}" for number in range(1, 6))]
    motd = made["write_files"][0]
    assert base64.b64decode(motd.pop("content")).decode() == "grüß\n"
    assert motd == {
        "path": "/etc/motd",
        "encoding": "b64",
        "permissions": "0640",
        "owner": "ops:ops",
        "defer": True,
    }
    steps = {
        file["path"]: base64.b64decode(file["content"]) for file in made["write_files"] if "homelab" in file["path"]
    }
    assert steps["/run/homelab/step-4"] == b"#!/bin/sh\necho a\n"
    assert steps["/run/homelab/step-5"] == b"#!/bin/bash\ntrue\n"
    assert b'step "script one" 60 /bin/bash "$folder/step-5"' in steps["/run/homelab/run.sh"]
    assert not list(schema_problems(made, "user-data"))


def test_nothing_declared_makes_no_account_and_still_reports():
    made = config(Customize(agent="none"))
    assert set(made) == {"preserve_hostname", "users", "write_files", "runcmd"}
    assert made["users"] == []
    assert [file["path"] for file in made["write_files"]] == ["/run/homelab/run.sh"]


@pytest.mark.parametrize(
    ("changes", "users"),
    [
        ({}, []),
        ({"ssh_authorized_keys": (KEY,)}, ["default"]),
        ({"user_data": {"ssh_import_id": ["gh:x"]}}, ["default"]),
        ({"user_data": {"ssh_import_id": ["gh:x"], "users": [{"name": "a"}]}}, [{"name": "a"}]),
        ({"user_data": {"users": ["default"]}}, ["default"]),
    ],
)
def test_the_default_user_is_made_only_where_it_is_asked_for(changes, users):
    assert config(Customize(**changes))["users"] == users


def test_no_merge_rule_takes_the_runner_away():
    own = {"merge_how": "dict(replace)+list()", "runcmd": ["echo own"], "users": [{"name": "a"}], "write_files": []}
    made = config(replace(FULL, user_data=own), build_user=BuildUser(name="build", ssh_authorized_keys=(KEY,)))
    assert [user["name"] for user in made["users"]] == ["a", "build"]
    assert made["runcmd"] == [["/bin/sh", "/run/homelab/run.sh"]]
    assert made["write_files"][0]["path"] == "/run/homelab/run.sh"
    assert "merge_how" not in made


def test_a_file_for_root_is_written_early_so_that_packages_find_it():
    made = config(Customize(files=(File(path="/etc/a", content=b""),)))["write_files"][0]
    assert made == {"path": "/etc/a", "content": "", "encoding": "b64", "permissions": "0644"}


def test_several_sudo_rules_stay_several():
    rules = ("ALL=(ALL) /bin/a", "ALL=(ALL) /bin/b")
    assert config(Customize(users=(User(name="a", sudo=rules),)))["users"][0]["sudo"] == list(rules)


def test_the_other_files_of_the_seed():
    seed = build_seed(FULL, run="r-1", network={"version": 2, "ethernets": {"e": {"dhcp4": True}}})
    assert yaml.safe_load(seed.meta_data) == {"instance-id": "homelab-r-1"}
    assert yaml.safe_load(seed.network_config or "") == {"version": 2, "ethernets": {"e": {"dhcp4": True}}}
    assert seed.extra == {"agent/qemu-guest-agent_7.2_amd64.deb": b"deb"}
    assert build_seed(FULL, run="r-1").network_config is None
    assert "ssh-ed25519" not in repr(seed)


def test_the_same_declaration_gives_the_same_bytes():
    shuffled = replace(FULL, user_data=dict(reversed(list((FULL.user_data or {}).items()))))
    assert build_seed(FULL, run="r-1") == build_seed(shuffled, run="r-1")
    assert build_seed(FULL, run="r-1") != build_seed(FULL, run="r-2")


@pytest.mark.parametrize("own", [{"runcmd": "text"}, {"merge_how": "x", "a": 1}, {"runcmd": [5]}, {"a": float("nan")}])
def test_what_cannot_be_built_is_an_error_of_its_own(own):
    with pytest.raises(SeedError, match="customize"):
        build_seed(Customize(user_data=own), run="r-1")


# --- checking


def test_what_is_right_has_no_problem():
    assert problems(FULL) == ()
    assert problems(Customize()) == ()


def test_all_problems_are_told_together_each_with_its_option():
    wrong = Customize(
        packages=("nginx", "-y", "nginx"),
        users=(User(name="Ops", passwd="secret"), User(name="a", uid=5), User(name="a", uid=5)),
        ssh_authorized_keys=("ssh-ed25519 AAAA",),
        files=(File(path="etc/motd", content=b"", permissions="420"), File(path="/run/x", content=b"")),
        scripts=(Script(name="a b", content=b""), Script(name="c", content=b"x", timeout=0)),
        timezone="Berlin!",
        locale="german",
        agent="none",
        agent_packages=(PackageFile(name="a.exe", content=b""),),
        user_data={"power_state": {"mode": "poweroff"}, "pakages": ["x"]},
    )
    found = problems(wrong, "lines[0].customize")
    assert [text.partition(": ")[0].removeprefix("lines[0].customize.") for text in found] == [
        "packages[1]",
        "packages[2]",
        "users[0].name",
        "users[0].passwd",
        "users[2].name",
        "users[2].uid",
        "ssh_authorized_keys[0]",
        "files[0].path",
        "files[0].permissions",
        "files[1].path",
        "scripts[0].name",
        "scripts[0].content",
        "scripts[1].timeout",
        "timezone",
        "agent_packages",
        "agent_packages[0].name",
        "agent_packages[0].content",
        "user_data.pakages",
        "user_data.power_state",
    ]
    assert not any("secret" in text for text in found)


@pytest.mark.parametrize(
    ("customize", "text"),
    [
        (Customize(packages=("a b",)), "packages[0]: 'a b' is no package name"),
        (Customize(packages=("$(x)",)), "packages[0]"),
        (Customize(users=(User(name="root"),)), "users[0].name: root cannot be made"),
        (Customize(users=(User(name="a", shell="bash"),)), "users[0].shell: 'bash' is no absolute path"),
        (Customize(users=(User(name="a", home="/a/../b"),)), "users[0].home"),
        (Customize(users=(User(name="a", groups=("ok", "a b")),)), "users[0].groups[1]"),
        (Customize(users=(User(name="a", primary_group="x:y"),)), "users[0].primary_group"),
        (Customize(users=(User(name="a", sudo=("ALL\nx ALL",)),)), "users[0].sudo[0]"),
        (Customize(users=(User(name="a", gecos="x:y"),)), "users[0].gecos"),
        (Customize(users=(User(name="a", uid=-1),)), "users[0].uid"),
        (Customize(users=(User(name="a", ssh_authorized_keys=("x",)),)), "users[0].ssh_authorized_keys[0]"),
        (Customize(users=(User(name="a", passwd="$1$salt$hash"),)), "users[0].passwd: has to be a hash"),
        (Customize(files=(File(path="/a/", content=b""),)), "files[0].path"),
        (
            Customize(files=(File(path="/a", content=b"x", encoding="b64"),)),
            "files[0].content: is no base64, but its encoding is b64",
        ),
        (Customize(files=(File(path="/a", content=b"", owner="a b"),)), "files[0].owner"),
        (Customize(files=(File(path="/a", content=b""),) * 2), "files[1].path: the file /a already stands in"),
        (Customize(files=(File(path="/a", content=bytes(2**21)),)), "files[0].content: has 2097152 bytes"),
        (Customize(scripts=(Script(name="a", content=b"x"),) * 2), "scripts[1].name: the script a already stands"),
        (Customize(scripts=(Script(name="a", content=b"x", interpreter="bash"),)), "scripts[0].interpreter"),
        (
            Customize(scripts=(Script(name="a", content=b"#!/bin/sh\r\nx"),)),
            "scripts[0].content: has Windows line ends",
        ),
        (Customize(scripts=(Script(name="a", content=b"x", timeout=90000),)), "scripts[0].timeout"),
        (Customize(timezone="../../etc/passwd"), "timezone"),
        (Customize(locale="C.UTF-8; x"), "locale"),
        (
            Customize(
                agent_packages=(PackageFile(name="a.deb", content=b"x"), PackageFile(name="a.rpm", content=b"x"))
            ),
            "agent_packages: are of several kinds",
        ),
    ],
)
def test_problem(customize, text):
    (found,) = problems(customize)
    assert found.startswith(f"customize.{text}")


@pytest.mark.parametrize(
    ("permissions", "meant"),
    [
        ("420", "0644"),
        ("493", "0755"),
        ("384", "0600"),
        ("644", "0644"),
        ("755", "0755"),
        ("1777", "01777"),
        ("u=rw", None),
        ("888", None),
        ("0o644", None),
    ],
)
def test_permissions_that_yaml_has_spoilt(permissions, meant):
    (found,) = problems(Customize(files=(File(path="/a", content=b"", permissions=permissions),)))
    assert found.startswith(f"customize.files[0].permissions: '{permissions}' is no octal text")
    assert found.endswith(f"; '{meant}' was perhaps meant") if meant else "perhaps" not in found


@pytest.mark.parametrize("permissions", ["0644", "0000", "01777", "04755"])
def test_permissions_that_are_right(permissions):
    assert problems(Customize(files=(File(path="/a", content=b"", permissions=permissions),))) == ()


# one's own cloud-config, and the beginning of what is said of it
OWN = [
    ({"pakages": []}, "pakages: cloud-init 26.2 knows no such key; did you mean packages?"),
    (
        {"write_files": [{"path": "/a", "permissions": 420}]},
        "write_files[0].permissions: has to be a text; put it in quotes",
    ),
    ({"write_files": [{"content": "x"}]}, "write_files[0]: needs path"),
    ({"write_files": [{"path": "/a", "mode": "0644"}]}, "write_files[0].mode: cloud-init 26.2 knows no such key"),
    ({"users": [{"name": "a", "lock_passwd": "yes"}]}, "users[0].lock_passwd: has to be true or false"),
    ({"package_upgrade": "yes"}, "package_upgrade: has to be true or false"),
    ({"runcmd": [{"a": 1}]}, "runcmd[0]: has to be "),
    ({"ntp": {"servers": "x"}}, "ntp.servers: has to be a list"),
    ({"packages": []}, "packages: is a list that needs 1 or more"),
    ({"power_state": {"mode": "reboot"}}, "power_state: cannot be set: the builder is shut down"),
    ({"package_reboot_if_required": True}, "package_reboot_if_required: cannot be set"),
    ({"hostname": "x"}, "hostname: cannot be set: a template has no hostname"),
    ({"cloud_final_modules": ["runcmd"]}, "cloud_final_modules: cannot be set"),
    ({"password": "hunter2"}, "password: has to be a hash"),
    ({"user": {"name": "a", "plain_text_passwd": "hunter2"}}, "user.plain_text_passwd: has to be a hash"),
    ({"users": [{"name": "a", "passwd": "hunter2"}]}, "users[0].passwd: has to be a hash"),
    ({"users": ["default", {"name": "a", "hashed_passwd": "hunter2"}]}, "users[1].hashed_passwd: has to be a hash"),
    ({"chpasswd": {"list": "a:hunter2"}}, "chpasswd.list: holds passwords in plain text"),
    (
        {"chpasswd": {"users": [{"name": "a", "password": "hunter2", "type": "text"}]}},
        "chpasswd.users[0].type: only hash",
    ),
    ({"chpasswd": {"users": [{"name": "a", "type": "RANDOM"}]}}, "chpasswd.users[0].type: only hash"),
    ({"chpasswd": {"users": [{"name": "a", "password": "hunter2"}]}}, "chpasswd.users[0].password: has to be a hash"),
    ({"users": "a,b"}, "users: has to be a list"),
    ({"timezone": "Asia/Tokyo"}, "timezone: is not the declared timezone"),
    ({"merge_how": "everything"}, "merge_how: 'everything' is no merger"),
    ({"users": [{"name": "ops"}]}, "users: the user ops is already declared in customize.users"),
    ({"write_files": [{"path": "/etc/motd"}]}, "write_files: the file /etc/motd is already written by customize.files"),
    (
        {"write_files": [{"path": "/run/homelab/run.sh"}]},
        "write_files: the file /run/homelab/run.sh is already written by the build",
    ),
    ({"ntp": {1: "x"}}, " cannot be written as YAML: it has the key 1, which is no text"),
    ({"ntp": {"x": {"y"}}}, " cannot be written as YAML: it has a value of type set"),
]


@pytest.mark.parametrize(("own", "text"), OWN, ids=lambda value: value[:30] if isinstance(value, str) else "")
def test_problem_of_ones_own_cloud_config(own, text):
    found = problems(replace(FULL, user_data=own))
    place = "customize.user_data" + (":" if text.startswith(" ") else ".")
    assert [one for one in found if one.startswith(place + text)], found
    assert not any("hunter2" in one for one in found), "no message repeats a value"


def test_what_merging_makes_of_it_is_checked_too():
    own = {"merge_how": "dict(recurse_str)+str(append)", "timezone": "x", "locale": "y", "users": [{"name": "b"}]}
    assert problems(replace(FULL, user_data=own)) == ()
    own = {"merge_how": "dict(recurse_list)+list(append)", "ssh_authorized_keys": ["a"], "users": [{"name": "ops"}]}
    assert len(problems(replace(FULL, user_data=own))) == 1


def test_user_data_that_is_too_large_names_the_largest_part():
    large = Customize(
        files=(File(path="/a", content=b"x"), File(path="/b", content=bytes(600_000))),
        scripts=(Script(name="s", content=b"x" * 400_000),),
    )
    (found,) = problems(large)
    assert "at most 1048576" in found
    assert found.endswith("the largest part is customize.files[1] (/b) with 600000 bytes")


def test_a_bomb_is_not_unpacked():
    (found,) = problems(Customize(files=(File(path="/a", content=gzip.compress(bytes(65 * 2**20)), encoding="gz"),)))
    assert "unpacks to more than" in found


def test_packages_that_are_too_large(monkeypatch):
    monkeypatch.setattr(check, "MAX_ISO", 2 * check.MAX_USER_DATA + 2)
    (found,) = problems(Customize(agent_packages=(PackageFile(name="a.deb", content=b"xyz"),)))
    assert found.startswith("customize.agent_packages: have 3 bytes together")


def test_without_jsonschema_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(SeedError, match="jsonschema"):
        problems(FULL)


def test_the_shipped_schema_is_a_schema_and_small():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft4Validator.check_schema(schema())
    assert {"users", "runcmd", "write_files", "packages"} <= schema()["properties"].keys()
    assert "description" not in schema()["$defs"]["cc_timezone"]["properties"]["timezone"]
