# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker host is to get: daemon.json merged and checked, projects refused or rendered, nothing forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.docker_door import docker_plan
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.docker_daemon import (
    effects,
    merged,
    remembered,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.docker_project import environment
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.docker_rules import Ground, refusals
from hypothesis import given
from hypothesis import strategies as st

ROLE = Path(__file__).resolve().parents[3] / "roles" / "docker"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
OPTIONS: dict[str, Any] = {
    **{name.removeprefix("docker_"): value for name, value in DEFAULTS.items()},
    "engine_package": "docker.io",
    "conflicting_packages": ["docker-ce"],
}
SURVEY: dict[str, Any] = {
    "daemon_json": None,
    "state": None,
    "hardening": None,
    "routes": [{"dst": "default", "dev": "eth0"}, {"dst": "192.0.2.0/24", "dev": "eth0"}],
    "packages": {},
    "held": [],
    "limits": {"nofile": 20000, "core": None},
    "may_raise": True,
    "members": [],
    "accounts": ["ops"],
    "version": "26.1.5+dfsg1",
    "swarm": False,
}
DIGEST = "sha256:" + "0" * 64
PINNED = {"services": {"web": {"image": f"registry.lan/web@{DIGEST}"}}}
CA = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----"


def plan(survey: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return docker_plan({**SURVEY, **(survey or {})}, {**OPTIONS, **options})


def only(found: dict[str, Any]) -> str:
    """The one refusal there is."""
    (text,) = found["refusals"]
    return text


# --- daemon.json


def test_the_defaults_are_in_order_and_bound_logs():
    found = plan()
    assert found["refusals"] == []
    assert found["settings"]["log-opts"] == {"max-size": "10m", "max-file": "3"}
    assert found["settings"]["live-restore"] is True
    assert json.loads(found["text"]) == found["settings"]


def test_what_others_wrote_stays_and_what_is_ours_wins():
    theirs = {
        "labels": ["a=b"],
        "runtimes": {"nvidia": {"path": "/x"}},
        "live-restore": False,
        "log-opts": {"tag": "x"},
    }
    found = plan({"daemon_json": json.dumps(theirs)}, daemon_settings={"runtimes": {"own": {"path": "/y"}}})
    settings = found["settings"]
    assert settings["labels"] == ["a=b"]
    assert settings["runtimes"] == {"nvidia": {"path": "/x"}, "own": {"path": "/y"}}
    assert settings["live-restore"] is True
    # Options of one driver say nothing to another, so they are not mixed.
    assert "tag" not in settings["log-opts"]


def test_what_is_not_declared_any_more_goes_and_what_somebody_changed_since_stays():
    first = plan(daemon_settings={"mtu": 1400, "debug": True, "features": {"buildkit": True}})
    on_disk = {**first["settings"], "debug": False, "dns": ["192.0.2.53"]}
    second = plan({"daemon_json": json.dumps(on_disk), "state": json.dumps(first["state"])})
    assert "mtu" not in second["settings"]
    assert "features" not in second["settings"]
    assert second["settings"]["debug"] is False
    assert second["settings"]["dns"] == ["192.0.2.53"]


def test_a_key_without_a_value_is_left_out():
    settings = plan(daemon_settings={"live-restore": None, "log-driver": "journald"})["settings"]
    assert "live-restore" not in settings
    assert settings["log-driver"] == "journald"
    assert "log-opts" not in settings, "sizes are no options of the journal"


JSON = st.recursive(
    st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
SETTINGS = st.dictionaries(st.sampled_from(["log-opts", "features", "runtimes", "mtu"]), JSON, max_size=4)


@given(SETTINGS, SETTINGS, SETTINGS)
def test_merging_again_changes_nothing_also_after_a_run_that_was_cut(existing, former, wanted):
    once = merged(existing, former, wanted)
    meanwhile = remembered(former, wanted)
    assert merged(once, wanted, wanted) == once
    # The state of a run that ended between the file and the end names both.
    assert merged(once, meanwhile, wanted) == once


def test_effects_are_what_docker_info_calls_them():
    told = effects({"log-driver": "local", "default-address-pools": [{"base": "10.0.0.0/8", "size": 24}], "mtu": 1400})
    assert told == {"LoggingDriver": "local", "DefaultAddressPools": [{"Base": "10.0.0.0/8", "Size": 24}]}


REFUSED = [
    ({"hosts": ["tcp://0.0.0.0:2375"]}, "hosts=", "-H"),
    ({"pidfile": "/x"}, "pidfile=", "unit"),
    ({"firewall-backend": "nftables"}, "firewall-backend=", "needs Docker 29"),
    ({"graph": "/x"}, "graph=", "went with Docker 23"),
    ({"log-driver": "local", "log-opts": {"tag": "x"}}, "log-opts.tag", "compress, max-file, max-size"),
    ({"log-driver": "none", "log-opts": {"tag": "x"}}, "log-opts.tag", "It knows none"),
    ({"log-opts": {"max-file": 3}}, "log-opts.max-file", 'Write "3"'),
    ({"log-opts": {"max-size": "10 megabytes"}}, "log-opts.max-size", '"10m"'),
    ({"log-opts": {"max-file": "0"}}, "log-opts.max-file", "number of files"),
    ({"log-opts": {"max-file": "1", "compress": "true"}}, "log-opts.compress", "refuses the pair"),
    ({"default-address-pools": [{"base": "10.1.0.1/16", "size": 24}]}, "[0].base", "host bits"),
    ({"default-address-pools": [{"base": "10.1.0.0/16", "size": 8}]}, "[0].size", "16 to 30"),
    ({"default-address-pools": [{"base": "10.1.0.0/16", "size": "24"}]}, "[0].size", "16 to 30"),
    ({"default-address-pools": [{"base": "192.0.0.0/16", "size": 24}]}, "[0].base", "reached through eth0"),
    ({"default-address-pools": [{"base": "10.42.0.0/16", "size": 24}]}, "[0].base", "docker_reserved_networks"),
    (
        {"default-address-pools": [{"base": "10.1.0.0/16", "size": 24}, {"base": "10.1.2.0/24", "size": 28}]},
        "[1].base",
        "in default-address-pools[0] already",
    ),
    ({"bip": "10.1.0.1"}, "bip=", "10.1.0.1/24"),
    ({"bip": "here"}, "bip=", "no address"),
    ({"default-ulimits": {"files": {"Hard": 1, "Soft": 1}}}, "default-ulimits.files", "no such limit"),
    ({"default-ulimits": {"nofile": {"Hard": 1, "Soft": 2}}}, "default-ulimits.nofile", "over the hard one"),
    ({"default-ulimits": {"nofile": {"Soft": 2}}}, "default-ulimits.nofile", "Give soft and hard"),
    ({"default-ulimits": {"nofile": {"Hard": 99999, "Soft": 2}}}, "default-ulimits.nofile", "20000 or less"),
    ({"default-ulimits": {"nofile": {"Hard": -1, "Soft": -1}}}, "default-ulimits.nofile", "20000 or less"),
    ({"live-restore": True}, "live-restore (docker_live_restore)=", "swarm"),
]
GROUND = Ground(
    routes=SURVEY["routes"], reserved=["10.42.0.0/16"], version="26.1.5", swarm=True, limits={"nofile": 20000}
)


@pytest.mark.parametrize(("settings", "option", "text"), REFUSED)
def test_setting_is_refused_by_its_name_with_what_would_be_right(settings, option, text):
    (problem,) = refusals(settings, GROUND)
    assert option in str(problem)
    assert text in str(problem)


INNOCENT = [
    {"log-driver": "json-file", "log-opts": {"max-size": "-1", "tag": "x", "compress": "true", "max-file": "2"}},
    {"log-driver": "some/plugin", "log-opts": {"anything": "goes"}},
    {"default-address-pools": [{"base": "172.17.0.0/16", "size": 24}, {"base": "fd00:1::/48", "size": 64}]},
    {"default-ulimits": {"nofile": {"Hard": 4096, "Soft": 1024}, "memlock": {"Hard": -1, "Soft": -1}}},
    {"bip": "10.1.0.1/24", "mtu": 1400, "dns": ["192.0.2.53"], "live-restore": False},
]


@pytest.mark.parametrize("settings", INNOCENT)
def test_setting_that_is_right_passes(settings):
    # Docker's own bridge is no conflict: its address came out of the pool.
    routes = [*SURVEY["routes"], {"dst": "172.17.0.0/24", "dev": "docker0"}, {"dst": "fe80::/64", "dev": "eth0"}]
    assert not refusals(settings, Ground(routes=routes, version="28.0", limits={"nofile": 20000}))


def test_a_pool_that_is_taken_is_answered_with_one_that_is_free():
    text = only(plan({"routes": [{"dst": "10.192.0.0/10", "dev": "tun0"}]}))
    assert "Choose a network that is free" in text
    assert "such as" not in text, "all that could be named lies behind the tunnel"
    text = only(plan({"routes": [{"dst": "10.201.9.0/24", "dev": "vmbr1"}]}))
    assert "such as 10.192.0.0/16" in text


def test_everything_that_is_wrong_is_said_at_once():
    found = plan(
        {"packages": {"docker-ce": "5:29"}, "hardening": "x = 1\nnet.ipv4.ip_forward = 0\n"},
        users=["ops", "gone"],
        daemon_settings={"hosts": []} | {"pidfile": "/x"},
        registries=[{"host": "a b"}, {"host": "r:443", "ca": "/a/path", "client_cert": CA}, {"host": "r"}],
        projects=[{"name": "x", "compose": {}}, {"name": "x", "compose": PINNED}],
    )
    text = "\n".join(found["refusals"])
    for part in ("pidfile", "docker_users='gone'", "docker_source='distro'", "hardening_workloads", "host='a b'"):
        assert part in text
    for part in ("no certificate in PEM", "go together", "declared twice", "names no services"):
        assert part in text


def test_a_file_that_is_no_json_is_not_replaced_unseen():
    assert "it is no JSON" in only(plan({"daemon_json": "{broken"}))
    assert "holds no object" in only(plan({"daemon_json": "[]"}))
    assert plan({"daemon_json": "  \n"})["refusals"] == []


@pytest.mark.parametrize(
    ("installed", "wanted", "refused"),
    [("26.1.5-1", "26.1.*", False), ("26.1.5-1", "26.1.5-1", False), ("26.1.5-1", "", False), ("20.10-1", "26*", True)],
)
def test_an_installed_engine_of_another_version_is_refused(installed, wanted, refused):
    found = plan({"packages": {"docker.io": installed}}, version=wanted)
    assert bool(found["refusals"]) == refused
    assert all("docker_upgrade" in text for text in found["refusals"])


# --- members and registries


def test_members_come_and_only_those_that_are_ours_go():
    found = plan({"members": ["old", "theirs"], "state": json.dumps({"users": ["old"]})}, users=["ops"])
    assert found["users"] == ["ops"]
    assert found["stale_users"] == ["old"]
    assert found["state"]["users"] == ["ops"]
    assert found["state_meanwhile"]["users"] == ["old", "ops"]


def test_certificates_lie_where_docker_looks_and_former_folders_go():
    registries = [
        {"host": "r.lan:5000", "ca": CA},
        {"host": "r.lan:443", "ca": CA, "client_cert": CA, "client_key": "k"},
    ]
    found = plan({"state": json.dumps({"registries": ["old:1", "r.lan"]})}, registries=registries)
    assert [(f["path"].removeprefix("/etc/docker/certs.d/"), f["mode"], f["secret"]) for f in found["trust"]] == [
        ("r.lan:5000/ca.crt", "0644", False),
        ("r.lan/ca.crt", "0644", False),
        ("r.lan/client.cert", "0644", False),
        ("r.lan/client.key", "0600", True),
    ]
    assert found["stale_folders"] == ["/etc/docker/certs.d/old:1"]


# --- projects


def test_a_project_becomes_files_with_the_environment_for_root_alone():
    found = plan(
        projects=[{"name": "wiki", "compose": PINNED, "env": {"A": "b"}, "files": [{"path": "c/d", "content": 1}]}]
    )
    (payload,) = found["projects"]
    assert [(f["path"], f["mode"]) for f in payload["files"]] == [
        ("compose.yaml", "0640"),
        (".env", "0600"),
        ("c/d", "0644"),
    ]
    assert yaml.safe_load(payload["files"][0]["content"]) == PINNED
    assert payload["services"] == ["web"]


def test_text_is_written_as_it_is_given():
    text = f"# mine\nservices:\n  web:\n    image: {DIGEST}"
    (payload,) = plan(projects=[{"name": "wiki", "compose": text}])["projects"]
    assert payload["files"][0]["content"] == text + "\n"


PROJECTS = [
    ({"name": "Wiki"}, "name='Wiki'"),
    ({"compose": "a: ["}, "is no YAML"),
    ({"compose": "a: 1\na: 2\nservices: {}"}, "already stands"),
    ({"compose": "text"}, "holds no mapping"),
    ({"compose": {"services": {"a": None}}}, "this is no service"),
    ({"compose": {"services": {"a": {"image": "nginx:1"}}}}, "Write nginx:1@sha256:"),
    ({"compose": {"services": {"a": {"image": "nginx@sha256:12"}}}}, "Write nginx@sha256:"),
    ({"compose": {"services": {"a": {"build": "."}}}}, "another image each time"),
    ({"env": {"A-B": 1}}, "env='A-B'"),
    ({"files": [{"path": "/etc/x", "content": ""}]}, "relative path"),
    ({"files": [{"path": "a/../../x", "content": ""}]}, "relative path"),
    ({"files": [{"path": ".env", "content": ""}]}, "already"),
    ({"files": [{"path": "a", "content": "", "mode": "rw"}]}, "three octal digits"),
]


@pytest.mark.parametrize(("project", "text"), PROJECTS)
def test_project_is_refused(project, text):
    assert text in only(plan(projects=[{"name": "wiki", "compose": PINNED, **project}]))


def test_tags_and_builds_pass_where_they_are_allowed():
    services = {"a": {"image": "nginx:1"}, "b": {"build": "."}}
    project = {"name": "wiki", "compose": {"services": services}, "allow_unpinned": True}
    assert plan(projects=[project])["refusals"] == []
    assert plan(projects=[{"name": "gone", "state": "absent"}])["projects"][0]["files"] == []


def test_environment_is_quoted_as_compose_reads_it():
    # Compose 2.26 read these back on a host (tests/hosts/molecule/docker).
    values = {
        "PLAIN": "a/b:1",
        "SPACE": "a $b #c",
        "QUOTE": 'it\'s "$x" \\',
        "LINES": "a\nb",
        "NO": False,
        "NONE": None,
    }
    assert environment(values).splitlines() == [
        "PLAIN=a/b:1",
        "SPACE='a $b #c'",
        'QUOTE="it\'s \\"\\$x\\" \\\\"',
        'LINES="a\\nb"',
        "NO=false",
        "NONE=",
    ]
