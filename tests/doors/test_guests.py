# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin guests against the fake server: what it asks, what it makes of it, and what it says when not."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from ansible.errors import AnsibleParserError
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import guests_door

from tests.support.inventory import connection, parse
from tests.support.pve import FakeCluster, Server, serve

RESOURCES = ("GET", "/cluster/resources")
CONFIG = ("GET", "/nodes/{node}/qemu/{vmid}/config")
AGENT = ("GET", "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces")


def mac(vmid: int) -> str:
    return f"BC:24:11:00:{vmid // 256:02X}:{vmid % 256:02X}"


def add(server: Server, vmid: int, name: str, *, running: bool = False, pool: str = "", **config: t.Any) -> t.Any:
    config = {"name": name, "agent": "1", "net0": f"virtio={mac(vmid)},bridge=vmbr0", "ostype": "l26", **config}
    config = {key: value for key, value in config.items() if value is not None}
    nodes = list(server.cluster.nodes)
    vm = server.cluster.add_vm(vmid, name, node=nodes[vmid % len(nodes)], config=config, pool=pool or None)
    if running:
        vm.status = vm.qmpstatus = "running"
        server.cluster.wake_guest(vm)
    return vm


@pytest.fixture
def server() -> Iterator[Server]:
    """Guests on three nodes: web and db run, old is stopped, mute runs without an agent; a template; containers."""
    with serve(FakeCluster(nodes=("pve1", "pve2", "pve3"))) as running:
        add(running, 100, "web", running=True, tags="web;line-debian-13", pool="prod")
        add(running, 101, "db", running=True, tags="db", pool="prod")
        add(running, 102, "old", tags="web")
        add(running, 103, "mute", running=True, agent="0", ipconfig0="ip=10.7.0.3/24,gw=10.7.0.1")
        add(running, 104, "base", tags="line-debian-13;state-current").config["template"] = 1
        running.cluster.vms[104].template = True
        net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:00,ip=10.8.0.9/24"
        running.cluster.add_ct(200, "dns", node="pve1", status="running", config={"net0": net})
        running.cluster.add_ct(201, "idle", node="pve2", config={"tags": "web"})
        yield running


@pytest.fixture
def source(server: Server, tmp_path: Path) -> t.Callable[..., t.Any]:
    def read(**options: t.Any) -> t.Any:
        server.reset_log()
        server.cluster.meter.reset()
        return parse(tmp_path, {**connection(server), **options})

    return read


def asked(server: Server) -> Counter[tuple[str, str]]:
    return server.cluster.meter.by_class()


def refused(server: Server) -> list[tuple[str, int]]:
    return [(entry.path, entry.status) for entry in server.requests if entry.status >= 400]


# --- requests


def test_without_facts_there_is_one_request(server: Server, source: t.Any) -> None:
    found = source()
    assert asked(server) == {RESOURCES: 1}
    assert found.hosts == ["db", "dns", "idle", "mute", "old", "web"]
    assert found.group("proxmox_status_running") == ["db", "dns", "mute", "web"]
    assert found.group("proxmox_tag_web") == ["idle", "old", "web"]
    assert found.group("proxmox_pool_prod") == ["db", "web"]
    assert found.group("proxmox_line_debian_13") == ["web"]
    assert found.group("proxmox_type_lxc") == ["dns", "idle"]
    assert found.group("proxmox_node_pve1") == ["dns", "old"]
    assert not any(name.startswith(("proxmox_os", "proxmox_tag_line")) for name in found.groups)


def test_facts_cost_one_request_for_each_guest_that_is_asked_for(server: Server, source: t.Any) -> None:
    found = source(facts=True, include=[{"tag": "web", "type": "qemu"}, {"name": "d?"}])
    assert found.hosts == ["db", "old", "web"]
    assert asked(server) == {RESOURCES: 1, CONFIG: 3}
    assert found.variables("web")["proxmox_config"]["net0"] == f"virtio={mac(100)},bridge=vmbr0"
    assert found.group("proxmox_os_l26") == ["db", "old", "web"]


def test_only_running_guests_with_an_agent_are_asked_for_addresses(server: Server, source: t.Any) -> None:
    found = source(facts=True, agent=True)
    assert asked(server)[AGENT] == 2
    assert asked(server)["GET", "/nodes/{node}/lxc/{vmid}/interfaces"] == 1
    # One more for what the user may ask of agents.
    assert asked(server)["GET", "/access/permissions"] == 1
    assert not refused(server)
    hosts = {name: found.variables(name).get("ansible_host") for name in found.hosts}
    assert hosts == {
        "web": "10.0.0.100", "db": "10.0.0.101", "old": None, "mute": "10.7.0.3", "dns": "10.8.0.9", "idle": None
    }  # fmt: skip


def test_an_agent_that_is_not_up_is_no_trouble(server: Server, source: t.Any) -> None:
    server.cluster.vms[100].inside.refusals = 99
    found = source(facts=True, agent=True)
    assert "ansible_host" not in found.variables("web") and not found.warnings
    assert found.variables("db")["ansible_host"] == "10.0.0.101"


def test_nothing_is_asked_of_a_node_that_is_offline(server: Server, source: t.Any) -> None:
    server.cluster.nodes["pve2"]["online"] = False
    found = source(facts=True, agent=True)
    assert not refused(server)
    assert found.variables("vm-100")["proxmox_status"] == "unknown"
    assert "proxmox_config" not in found.variables("vm-100") and "proxmox_config" in found.variables("db")


def test_requests_at_once_and_connections_are_bounded(server: Server, tmp_path: Path) -> None:
    for vmid in range(1000, 1060):
        add(server, vmid, f"many-{vmid}")
    server.cluster.limits.latency = 0.005
    server.cluster.meter.reset()
    parse(tmp_path, {**connection(server), "facts": True, "include": [{"vmid": "1000-1999"}], "workers": 4})
    assert asked(server) == {RESOURCES: 1, CONFIG: 60}
    assert server.cluster.meter.max_in_flight <= 4
    # A thread has one connection of its own, and so has the one that asks for the list.
    assert server.cluster.meter.connections <= 4 + 1


def test_a_password_logs_in_once(server: Server, tmp_path: Path) -> None:
    login = {**connection(server), "api_user": server.user, "api_password": server.password, "facts": True}
    del login["api_token_id"], login["api_token_secret"]
    parse(tmp_path, login)
    assert asked(server)["POST", "/access/ticket"] == 1
    assert not refused(server)


# --- states and moves


def test_live_asks_the_nodes(server: Server, source: t.Any) -> None:
    server.cluster.limits.resources_lag = 3600.0
    server.cluster.broadcast()
    add(server, 300, "fresh", running=True, pool="prod")
    late = source()
    assert "fresh" not in late.hosts and late.variables("vm-300")["proxmox_status"] == "unknown"
    found = source(live=True)
    assert found.variables("fresh")["proxmox_status"] == "running"
    assert found.variables("fresh")["proxmox_pool"] == "prod"
    assert asked(server) == {
        RESOURCES: 1, ("GET", "/nodes/{node}/qemu"): 3, ("GET", "/nodes/{node}/lxc"): 3
    }  # fmt: skip
    assert "base" not in found.hosts


def test_guests_that_move_or_go_between_list_and_facts(server: Server, source: t.Any) -> None:
    vms, whole = server.cluster.vms, guests_door.read_listing

    def list_and_move(*args: t.Any, **options: t.Any) -> t.Any:
        listing = whole(*args, **options)
        vms[100].node = "pve3"
        server.call(server.cluster.remove_vm, 102)
        return listing

    with mock.patch.object(guests_door, "read_listing", list_and_move):
        found = source(facts=True, include=[{"type": "qemu"}])
    assert found.hosts == ["db", "mute", "web"]
    assert found.variables("web")["proxmox_node"] == "pve3"
    assert "proxmox_config" in found.variables("web")


# --- what may be seen


def limited(server: Server, *privileges: str, path: str = "/vms/100") -> dict[str, t.Any]:
    cluster = server.cluster
    cluster.add_user("low@pve")
    secret = cluster.add_token("low@pve!inv", privsep=0)
    cluster.add_role("Inv", privileges)
    cluster.grant("low@pve", path, "Inv")
    return {**connection(server), "api_token_id": "low@pve!inv", "api_token_secret": secret}


def test_the_list_is_what_the_user_may_see(server: Server, tmp_path: Path) -> None:
    found = parse(tmp_path, {**limited(server, "VM.Audit"), "facts": True})
    assert found.hosts == ["web"] and found.variables("web")["proxmox_pool"] == ""
    assert not refused(server)


@pytest.mark.parametrize(("version", "privilege"), [("8.4.21", "VM.Monitor"), ("9.1.2", "VM.GuestAgent.Audit")])
def test_agents_are_asked_only_by_who_may(version: str, privilege: str, tmp_path: Path) -> None:
    with serve(FakeCluster(nodes=("pve1",), version=version)) as server:
        add(server, 100, "web", running=True)
        add(server, 101, "db", running=True)
        login = limited(server, "VM.Audit", path="/vms")
        found = parse(tmp_path, {**login, "facts": True, "agent": True})
        assert not refused(server) and asked(server)[AGENT] == 0
        (warning,) = found.warnings
        assert "the agents of 2 guests were not asked, such as 100" in warning and privilege in warning
        server.cluster.add_role("Inv", ["VM.Audit", privilege])
        server.cluster.meter.reset()
        found = parse(tmp_path, {**login, "facts": True, "agent": True})
        assert not found.warnings and not refused(server) and asked(server)[AGENT] == 2
        assert found.variables("web")["ansible_host"] == "10.0.0.100"


# --- filters


def test_filters_come_before_facts(server: Server, source: t.Any) -> None:
    found = source(facts=True, filters=["proxmox_status == 'running'", "'db' in proxmox_tags"])
    assert found.hosts == ["db"] and asked(server)[CONFIG] == 1


def test_filters_of_facts_come_after_them(server: Server, source: t.Any) -> None:
    found = source(facts=True, facts_filters=["not proxmox_agent"], include=[{"type": "qemu"}])
    assert found.hosts == ["mute"] and asked(server)[CONFIG] == 4


def test_an_expression_that_fails_is_false_or_an_error(source: t.Any) -> None:
    assert source(filters=["proxmox_colour == 'red'"]).hosts == []
    with pytest.raises(AnsibleParserError, match="`filters`: .*proxmox_colour.* fails for guest 100"):
        source(filters=["proxmox_colour == 'red'"], strict=True, include=[{"vmid": 100}])


def test_exclusion_templates_and_names(source: t.Any) -> None:
    found = source(templates=True, exclude=[{"type": "lxc"}, {"tag": "web"}], host_prefix="p-", host_suffix=".lab")
    assert found.hosts == ["p-base.lab", "p-db.lab", "p-mute.lab"]


def test_constructed_variables_and_groups(source: t.Any) -> None:
    found = source(
        compose={"wanted": "proxmox_vmid + 1"},
        groups={"even": "proxmox_vmid % 2 == 0"},
        keyed_groups=[{"key": "proxmox_pool", "prefix": "of", "default_value": "none"}],
        native_groups=["type"],
        var_prefix="proxmox_",
    )
    assert found.variables("web")["wanted"] == 101
    assert found.group("even") == ["dns", "old", "web"]
    assert found.group("of_prod") == ["db", "web"] and found.group("of_none") == ["dns", "idle", "mute", "old"]
    assert found.groups == {"even", "of_prod", "of_none", "proxmox_type_qemu", "proxmox_type_lxc"}


def test_guests_of_one_name(server: Server, source: t.Any) -> None:
    add(server, 110, "web")
    assert {"web-100", "web-110"} <= set(source().hosts)
    assert {"web", "web-110"} <= set(source(duplicates="first").hosts)
    with pytest.raises(AnsibleParserError, match="the host name web belongs to several guests: 100 on pve2, 110 on"):
        source(duplicates="error")


def test_what_guests_say_is_never_a_template(server: Server, source: t.Any) -> None:
    evil = "{{ lookup('ansible.builtin.pipe', 'false') }}"
    add(server, 120, "evil", description=evil, running=True)
    server.cluster.vms[120].inside.interfaces = [
        {"name": evil, "hardware-address": mac(120), "ip-addresses": [{"ip-address": evil, "ip-address-type": "ipv4"}]}
    ]
    found = source(facts=True, agent=True, include=[{"vmid": 120}], compose={"said": "proxmox_description"})
    variables = found.variables("evil")
    assert variables["said"] == variables["proxmox_description"] == evil
    assert variables["proxmox_interfaces"][0]["name"] == evil
    assert "ansible_host" not in variables


# --- connections


def test_the_connection_may_come_from_environment_and_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXMOX_HOST", f"{server.host}:{server.port}")
    monkeypatch.setenv("PROXMOX_TOKEN_ID", server.token_id)
    monkeypatch.setenv("PROXMOX_TOKEN_SECRET", server.token_secret)
    monkeypatch.setenv("PROXMOX_FINGERPRINT", server.fingerprint)
    assert "web" in parse(tmp_path, {}).hosts
    for name in ("HOST", "TOKEN_ID", "TOKEN_SECRET", "FINGERPRINT"):
        monkeypatch.delenv(f"PROXMOX_{name}")
    file = tmp_path / "home.yml"
    login = {"host": server.host, "port": server.port, "ca_path": server.ca_path}
    file.write_text(json.dumps({**login, "user": server.user, "password": server.password}))
    file.chmod(0o600)
    assert "web" in parse(tmp_path, {"connection_file": str(file)}).hosts


@pytest.fixture
def lab() -> Iterator[Server]:
    with serve(FakeCluster(nodes=("pve1", "pve2"))) as running:
        add(running, 100, "web", running=True)
        yield running


def test_several_clusters_in_one_source(server: Server, lab: Server, tmp_path: Path) -> None:
    home = {"name": "home", **connection(server)}
    far = {"name": "lab-2", **connection(lab), "host_prefix": "lab-"}
    found = parse(tmp_path, {"clusters": [home, far], "facts": True})
    assert {"web", "lab-web", "db"} <= set(found.hosts)
    assert found.variables("lab-web")["proxmox_cluster"] == "lab-2"
    assert found.group("proxmox_cluster_lab_2") == ["lab-web"]
    assert "lab-web" not in found.group("proxmox_node_home_pve2")
    found = parse(tmp_path, {"clusters": [home, {**far, "host_prefix": ""}], "duplicates": "cluster"})
    assert {"web-home", "web-lab-2", "db"} <= set(found.hosts)


def test_named_clusters_have_variables_of_their_own(
    server: Server, lab: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, one in (("HOME", server), ("LAB_2", lab)):
        monkeypatch.setenv(f"PROXMOX_{name}_HOST", f"{one.host}:{one.port}")
        monkeypatch.setenv(f"PROXMOX_{name}_CA_PATH", one.ca_path)
    token = {"api_token_id": server.token_id, "api_token_secret": server.token_secret}
    # Not meant for any of the two.
    monkeypatch.setenv("PROXMOX_HOST", "192.0.2.1")
    found = parse(tmp_path, {"clusters": [{"name": "home"}, {"name": "lab-2", "host_prefix": "lab-"}], **token})
    assert {"web", "lab-web"} <= set(found.hosts)


def test_a_cluster_that_is_down_fails_the_source_or_is_said(server: Server, tmp_path: Path) -> None:
    dead = {**connection(server), "name": "dead", "fingerprint": ":".join(["00"] * 32)}
    del dead["ca_path"]
    clusters = [{"name": "home", **connection(server)}, dead]
    with pytest.raises(AnsibleParserError, match=r"^cluster dead \(127\.0\.0\.1:\d+\): .*`fingerprint`"):
        parse(tmp_path, {"clusters": clusters})
    found = parse(tmp_path, {"clusters": clusters, "unreachable": "warn"})
    assert "web" in found.hosts
    (warning,) = found.warnings
    assert warning.startswith("cluster dead (") and warning.endswith("Its guests are missing in the inventory.")
    with pytest.raises(AnsibleParserError, match="cluster dead"):
        parse(tmp_path, {"clusters": [dead], "unreachable": "warn"})


# --- what is wrong


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    options = {
        "api_host": "pve1", "agent": True, "workers": 0, "include": [{"tags": "web"}], "facts_filters": ["x"],
        "address_networks": ["10.0.0.0/99"], "var_prefix": "a-b",
    }  # fmt: skip
    with pytest.raises(AnsibleParserError) as caught:
        parse(tmp_path, options)
    text = str(caught.value)
    assert text.startswith("7 problems:\n")
    for part in (
        "credentials are missing", "`agent`=True needs", "`workers`=0", "Did you mean `tag`?", "`facts_filters`",
        "'10.0.0.0/99' is no network", "`var_prefix`='a-b'",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("clusters", "text"),
    [
        (["x"], "`clusters[1]`: 'x' is no mapping"),
        ([{"api_host": "a"}], "`clusters[1].name`=''"),
        ([{"name": "a", "api_hots": "x"}], "Did you mean `api_host`?"),
        ([{"name": "a"}, {"name": "a"}], "`clusters[2].name`='a' is taken already"),
        ([{"name": "a"}], "cluster a: `api_host` is missing: set it, or PROXMOX_A_HOST, or"),
    ],
)
def test_what_is_wrong_with_clusters_is_said(clusters: list[t.Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(AnsibleParserError) as caught:
        parse(tmp_path, {"clusters": clusters})
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"api_token_secret": "wrong"}, "Check `api_token_id` and `api_token_secret`"),
        ({"ca_path": "/nonexistent"}, "`ca_path`"),
    ],
)
def test_a_connection_that_fails_names_host_option_and_fix(
    server: Server, tmp_path: Path, change: t.Any, text: str
) -> None:
    with pytest.raises(AnsibleParserError) as caught:
        parse(tmp_path, {**connection(server), "timeout": 5, **change})
    said = str(caught.value)
    assert text in said and "127.0.0.1:" in said and "Traceback" not in said
    assert server.token_secret not in said


def test_a_missing_library_is_named(server: Server, tmp_path: Path) -> None:
    missing = mock.patch.object(guests_door, "MISSING_LIBRARY", "ImportError")
    with missing, pytest.raises(AnsibleParserError, match=r"-m pip install 'proxmoxer >= 2\.3\.0'"):
        parse(tmp_path, connection(server))


# --- cache


def test_a_cache_saves_all_requests_until_it_is_refreshed(server: Server, tmp_path: Path) -> None:
    options = {
        **connection(server), "facts": True, "agent": True, "cache": True,
        "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache"),
    }  # fmt: skip
    first = parse(tmp_path, options)
    server.reset_log()
    again = parse(tmp_path, options)
    assert server.requests == []
    assert {name: first.variables(name) for name in first.hosts} == {
        name: again.variables(name) for name in again.hosts
    }
    # What only shapes hosts needs no new reading, what chooses guests does.
    assert parse(tmp_path, {**options, "host_prefix": "x-"}).hosts[0] == "x-db" and server.requests == []
    assert parse(tmp_path, {**options, "include": [{"name": "db"}]}).hosts == ["db"] and server.requests != []
    server.cluster.vms[101].config["name"] = "db2"
    assert "db" in parse(tmp_path, options).hosts
    assert "db2" in parse(tmp_path, options, cache=False).hosts
    assert "db2" in parse(tmp_path, options).hosts
    stored = "".join(path.read_text() for path in (tmp_path / "cache").iterdir())
    assert server.token_secret not in stored


def test_another_user_has_another_cache(server: Server, tmp_path: Path) -> None:
    cache = {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache")}
    assert "db" in parse(tmp_path, {**connection(server), **cache}).hosts
    assert parse(tmp_path, {**limited(server, "VM.Audit"), **cache}).hosts == ["web"]


def test_a_damaged_cache_is_read_anew(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    options = {
        **connection(server), "cache": True, "cache_plugin": "jsonfile", "cache_connection": str(folder)
    }  # fmt: skip
    parse(tmp_path, options)
    for file in folder.iterdir():
        file.write_text(json.dumps([{"cluster": "", "guest": {"vmid": 1}, "facts": None}]))
    assert "web" in parse(tmp_path, options).hosts
