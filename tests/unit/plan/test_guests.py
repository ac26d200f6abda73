# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests an inventory takes, what they are called, and what their hosts know."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.guest import (
    Guest,
    GuestFacts,
    Interface,
    agent_interfaces,
    container_interfaces,
    public_config,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, Role, describe
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.guest_hosts import (
    AddressRule,
    HostRule,
    address_of,
    groups,
    has_agent,
    nics_of,
    variables,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.guests import (
    Affixes,
    Condition,
    Duplicates,
    Member,
    Selection,
    condition,
    host_names,
)
from hypothesis import given
from hypothesis import strategies as st

MAC, OTHER = "BC:24:11:00:00:01", "BC:24:11:00:00:02"


def member(vmid: int = 100, name: str = "web", *, cluster: str = "", facts: Any = None, **row: Any) -> Member:
    row = {"vmid": vmid, "type": "qemu", "node": "pve1", "name": name, "status": "running", **row}
    return Member(cluster=cluster, guest=Guest.from_row(row), facts=facts)


# --- rows


def test_a_row_of_the_recorded_list_is_understood() -> None:
    row = {
        "maxcpu": 1, "diskwrite": 0, "tags": "debian;line-debian-13;gen-20261123", "cpu": 0, "maxdisk": 2147483648,
        "node": "pve1", "disk": 0, "status": "stopped", "uptime": 0, "type": "qemu", "maxmem": 1073741824,
        "id": "qemu/9000", "name": "debian-12", "mem": 0, "template": 1, "vmid": 9000,
    }  # fmt: skip
    guest = Guest.from_row(row)
    assert (guest.vmid, guest.template, guest.running, guest.pool, guest.lock) == (9000, True, False, "", "")
    assert (guest.line, guest.generation) == ("debian-13", "20261123")
    assert (guest.cpus, guest.memory, guest.disk) == (1, 1073741824, 2147483648)
    assert Guest.from_data(guest.to_data()) == guest


def test_of_a_silent_node_only_the_number_is_known() -> None:
    guest = Guest.from_row({"id": "lxc/7", "type": "lxc", "vmid": 7, "node": "pve9", "status": "unknown"})
    assert (guest.name, guest.status, guest.memory) == ("", "unknown", None)


def test_facts_survive_a_cache() -> None:
    for interfaces in (None, (), (Interface("eth0", MAC, ("10.0.0.5",)),)):
        facts = GuestFacts({"cores": 2}, interfaces)
        assert GuestFacts.from_data(facts.to_data()) == facts


def test_passwords_and_digests_are_not_kept() -> None:
    assert public_config({"cipassword": "**********", "digest": "abc", "cores": 2}) == {"cores": 2}


@pytest.mark.parametrize("reply", [None, [], {}, {"result": None}, {"result": "x"}, {"result": ["x", 1]}])
def test_an_agent_may_answer_nonsense(reply: Any) -> None:
    assert agent_interfaces(reply) == ()


def test_old_servers_tell_one_address_of_a_container_for_each_family() -> None:
    rows = [{"name": "eth0", "hwaddr": MAC.lower(), "inet": "10.0.0.9/24", "inet6": "fd00::9/64"}]
    assert container_interfaces(rows) == (Interface("eth0", MAC, ("10.0.0.9", "fd00::9")),)


# --- selection


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ({"tag": "web"}, True),
        ({"tag": ["db", "web"]}, True),
        ({"tag": "we*"}, True),
        ({"tag": "db"}, False),
        ({"tag": "web", "status": "stopped"}, False),
        ({"vmid": 100}, True),
        ({"vmid": "100-199"}, True),
        ({"vmid": ["5", "101-199"]}, False),
        ({"name": "W*"}, False),
        ({"type": "lxc"}, False),
        ({"pool": "prod", "node": "pve?", "line": "debian-*"}, True),
        ({"cluster": "lab"}, False),
    ],
)
def test_a_condition_is_fulfilled_by_each_of_its_keys(value: dict[str, Any], taken: bool) -> None:
    problems: list[str] = []
    found = condition("include[1]", value, problems)
    assert not problems and found is not None
    guest = member(tags="web;line-debian-13", pool="prod")
    assert found.holds(guest) is taken
    assert Selection(include=(found,)).takes(guest) is taken
    assert Selection(exclude=(found,)).takes(guest) is not taken


def test_templates_have_to_be_asked_for() -> None:
    template = member(template=1)
    assert not Selection().takes(template)
    assert Selection(templates=True).takes(template)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("web", "is no condition"),
        ({}, "is no condition"),
        ({"tags": "web"}, "Did you mean `tag`?"),
        ({"shade": "red"}, "Known keys: vmid, cluster, name"),
        ({"vmid": "abc"}, "`exclude[2].vmid`: 'abc' is no VMID"),
        ({"tag": {"a": 1}}, "is neither a value nor a list of values"),
        ({"tag": []}, "is neither a value nor a list of values"),
    ],
)
def test_what_is_no_condition_is_said(value: Any, text: str) -> None:
    problems: list[str] = []
    assert condition("exclude[2]", value, problems) is None
    (problem,) = problems
    assert text in problem and "`exclude[2]" in problem


# --- names


def names(rule: Duplicates, *members: Member, **affixes: Affixes) -> list[str]:
    problems: list[str] = []
    found = host_names(members, rule, affixes, problems)
    assert not problems, problems
    return found


TWINS = (member(100, status="stopped"), member(101, node="pve2"), member(102, "db"))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Duplicates.VMID, ["web-100", "web-101", "db"]),
        (Duplicates.NODE, ["web-pve1", "web-pve2", "db"]),
        (Duplicates.FIRST, ["web-100", "web", "db"]),
        (Duplicates.CLUSTER, ["web-100", "web-101", "db"]),
    ],
)
def test_guests_of_one_name_are_told_apart(rule: Duplicates, expected: list[str]) -> None:
    assert names(rule, *TWINS) == expected


def test_a_longer_name_may_be_another_guests_own_name() -> None:
    found = names(Duplicates.VMID, member(100), member(101), member(102, "web-101"))
    assert len(set(found)) == 3 and found[0] == "web-100"


def test_clusters_are_told_apart() -> None:
    two = (member(100, cluster="home"), member(100, cluster="lab"))
    assert names(Duplicates.CLUSTER, *two) == ["web-home", "web-lab"]
    assert names(Duplicates.VMID, *two) == ["web-100-home", "web-100-lab"]
    lab = Affixes("lab-", ".example.org")
    assert names(Duplicates.ERROR, *two, lab=lab) == ["web", "lab-web.example.org"]
    three = (*two, member(101, cluster="lab"))
    assert names(Duplicates.VMID, *three, lab=lab) == ["web", "lab-web-100.example.org", "lab-web-101.example.org"]


def test_guests_that_must_not_be_called_alike_are_named() -> None:
    problems: list[str] = []
    host_names(TWINS, Duplicates.ERROR, {}, problems)
    (problem,) = problems
    assert "the host name web belongs to several guests: 100 on pve1, 101 on pve2" in problem


@pytest.mark.parametrize("name", ["", "-oProxyCommand=x", "a b", "{{ x }}", "web\n", "a;b"])
def test_what_is_no_host_name_is_not_taken(name: str) -> None:
    assert names(Duplicates.VMID, member(100, name), member(101, name, type="lxc")) == ["vm-100", "ct-101"]


@given(
    st.lists(st.sampled_from(["a", "a-1", "a-2", "a-1-1", "b"]), min_size=1, max_size=6), st.sampled_from(Duplicates)
)
def test_all_names_differ_or_it_is_said(wanted: list[str], rule: Duplicates) -> None:
    members = [member(vmid, name, node=f"pve{vmid % 2}") for vmid, name in enumerate(wanted, start=1)]
    problems: list[str] = []
    found = host_names(members, rule, {}, problems)
    assert len(set(found)) == len(found) or problems


# --- variables and groups


CONFIG = {
    "ostype": "l26", "agent": "1", "net0": f"virtio={MAC},bridge=vmbr0,tag=7",
    "ipconfig0": "ip=10.0.0.5/24,gw=10.0.0.1",
    "net1": f"virtio={OTHER},bridge=vmbr1", "ipconfig1": "ip=dhcp,ip6=fd00::5/64",
}  # fmt: skip


def test_variables_without_facts() -> None:
    found = variables(member(tags="web", pool="prod", maxmem=1024), HostRule())
    assert found["proxmox_vmid"] == 100
    assert (found["proxmox_tags"], found["proxmox_pool"], found["proxmox_memory"]) == (["web"], "prod", 1024)
    assert not {"ansible_host", "proxmox_config", "proxmox_cluster", "proxmox_uptime"} & found.keys()


def test_variables_with_facts_and_another_prefix() -> None:
    found = variables(member(cluster="lab", facts=GuestFacts(CONFIG)), HostRule(var_prefix="pve_"))
    assert (found["pve_cluster"], found["pve_os"], found["pve_agent"]) == ("lab", "l26", True)
    assert found["ansible_host"] == "10.0.0.5"
    assert found["pve_nets"]["net0"] == {"mac": MAC, "bridge": "vmbr0", "vlan": 7, "addresses": ["10.0.0.5"]}
    assert found["pve_config"]["net1"] == CONFIG["net1"]
    assert not {"ostype", "agent"} & found["pve_config"].keys()
    assert "pve_interfaces" not in found


def test_a_guests_own_block_tells_its_line() -> None:
    own = describe("Mine", Identity(vmid=100, role=Role.CLONE, line="debian-13", generation="20261128"))
    found = variables(member(facts=GuestFacts({"description": own})), HostRule())
    assert (found["proxmox_line"], found["proxmox_generation"]) == ("debian-13", "20261128")
    assert found["proxmox_description"] == "Mine"
    inherited = variables(member(101, facts=GuestFacts({"description": own})), HostRule())
    assert inherited["proxmox_line"] == ""


def test_groups_of_all_kinds() -> None:
    one = member(cluster="lab", tags="web;line-debian-13;gen-1;state-current", pool="prod", facts=GuestFacts(CONFIG))
    rule = HostRule(per_cluster=True)
    assert groups(one, variables(one, rule), rule) == [
        "proxmox_cluster_lab", "proxmox_type_qemu", "proxmox_status_running", "proxmox_node_lab_pve1",
        "proxmox_pool_lab_prod", "proxmox_tag_web", "proxmox_line_debian_13", "proxmox_os_l26",
    ]  # fmt: skip
    bare = HostRule(group_prefix="", group_kinds=("tag", "pool"))
    lone = member(tags="a+b;a.b")
    assert groups(lone, variables(lone, bare), bare) == ["tag_a_b"]


# --- addresses


def address(interfaces: Any = None, config: Any = None, kind: str = "qemu", **rule: Any) -> str | None:
    facts = GuestFacts(CONFIG if config is None else config, interfaces)
    return address_of(facts, tuple(nics_of(kind, facts.config)), AddressRule(**rule))


INSIDE = (
    Interface("lo", "00:00:00:00:00:00", ("127.0.0.1", "::1")),
    Interface("docker0", "02:42:00:00:00:01", ("172.17.0.1",)),
    Interface("eth1", OTHER, ("192.168.1.5", "fd00::1:5")),
    Interface("eth0", MAC, ("fe80::1", "10.9.9.9")),
)


def test_the_agent_is_believed_before_the_configuration() -> None:
    assert address(INSIDE) == "10.9.9.9"
    assert address(INSIDE, sources=("config",)) == "10.0.0.5"
    assert address(()) == "10.0.0.5"
    assert address(INSIDE, sources=()) is None


def test_families_and_networks_choose() -> None:
    assert address(INSIDE, families=(6, 4)) == "fd00::1:5"
    assert address(INSIDE, families=(6,), sources=("config",)) == "fd00::5"
    assert address(INSIDE, networks=(ipaddress.ip_network("192.168.0.0/16"),)) == "192.168.1.5"
    assert address(INSIDE, networks=(ipaddress.ip_network("192.0.2.0/24"),)) is None


@pytest.mark.parametrize("text", ["-oProxyCommand=id", "10.0.0.5;id", "{{ x }}", "169.254.1.1", "224.0.0.1", "0.0.0.0"])
def test_a_guest_cannot_smuggle_anything_into_an_address(text: str) -> None:
    assert address((Interface("eth0", MAC, (text,)),), sources=("agent",)) is None


def test_containers_have_their_address_in_the_network_device() -> None:
    config = {"net0": f"name=eth0,bridge=vmbr0,hwaddr={MAC},ip=10.0.0.6/24,type=veth", "net1": "name=eth1,ip=dhcp"}
    assert address(None, config, "lxc") == "10.0.0.6"
    assert address((Interface("eth0", MAC, ("10.0.0.7",)),), config, "lxc") == "10.0.0.7"


def test_a_device_that_cannot_be_understood_hinders_nobody() -> None:
    config = {**CONFIG, "net0": "virtio=nonsense", "ipconfig1": "ip=10.0.0.8/24"}
    assert [nic.key for nic in nics_of("qemu", config)] == ["net1"]
    assert address(None, config) == "10.0.0.8"


@pytest.mark.parametrize(
    ("text", "on"),
    [("1", True), (1, True), ("enabled=1,fstrim_cloned_disks=1", True), ("0", False), ("x", False), (None, False)],
)
def test_the_switch_of_the_agent(text: Any, on: bool) -> None:
    assert has_agent({} if text is None else {"agent": text}) is on


def test_conditions_are_values() -> None:
    assert Condition({}, (range(1, 3),)).holds(member(2)) and not Condition({}, (range(1, 3),)).holds(member(3))
