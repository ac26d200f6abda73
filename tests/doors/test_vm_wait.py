# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for VMs: their agent, cloud-init, SSH, and the addresses that come of it; and what HA is told."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._apply import vm_wait
from ansible_collections.homelab.proxmox.plugins.module_utils._model.interfaces import addresses

from tests.support.pve.guest import Guest
from tests.support.vms import VmLab
from tests.support.workbench import warnings_of

RESULT = "/run/cloud-init/result.json"


def guests(lab: VmLab, setup: t.Callable[[t.Any, Guest], None]) -> None:
    """Script every guest that starts from now on."""
    lab.cluster.guest_setup.append(setup)


def interface(name: str, mac: str, *texts: str) -> dict[str, t.Any]:
    return {"name": name, "hardware-address": mac, "ip-addresses": [{"ip-address": text} for text in texts]}


@pytest.mark.parametrize(
    ("interfaces", "expected"),
    [
        ([interface("lo", "00:00:00:00:00:00", "127.0.0.1", "::1")], ()),
        ([interface("eth0", "bc:24:11:00:00:01", "fe80::1%eth0", "192.0.2.7")], ("192.0.2.7",)),
        (
            [
                interface("docker0", "02:42:00:00:00:01", "172.17.0.1"),
                interface("eth1", "bc:24:11:00:00:02", "198.51.100.7"),
                interface("eth0", "BC:24:11:00:00:01", "2001:db8::7", "192.0.2.7", "169.254.3.4"),
                {"name": "sit0"},
            ],
            ("192.0.2.7", "2001:db8::7", "198.51.100.7", "172.17.0.1"),
        ),
        ([interface("eth0", "x", "no address")], ()),
    ],
)
def test_the_address_of_the_first_own_device_comes_first(
    interfaces: list[dict[str, t.Any]], expected: tuple[str, ...]
) -> None:
    assert addresses(interfaces, ["BC:24:11:00:00:01", "BC:24:11:00:00:02"]) == expected


def test_the_agent_is_waited_for_and_tells_the_addresses(lab: VmLab) -> None:
    guests(lab, lambda _vm, guest: setattr(guest, "refusals", 3))
    result = lab.vm(started=True, wait_for="agent")
    assert result["vm"]["addresses"] == ["10.0.0.100"]
    assert result["vm"]["address"] == "10.0.0.100"
    again = lab.settled(wait_for="agent")
    assert again["vm"]["address"] == "10.0.0.100"
    assert [entry for entry in lab.sent() if "agent" in entry] == [
        "GET /nodes/pve1/qemu/100/agent/network-get-interfaces"
    ]


def test_many_are_waited_for_at_once_within_one_time(lab: VmLab) -> None:
    guests(lab, lambda vm, guest: setattr(guest, "refusals", 4 if vm.vmid % 2 else 10_000))
    wanted = [{"name": f"w{number}", "started": True, "wait_for": "agent", "wait_timeout": 200} for number in range(6)]
    result = lab.fleet(*wanted)
    assert result["failed"]
    assert result["changed"] is True
    assert sorted(one["track"] for one in result["failures"]) == ["w0", "w2", "w4"]
    text = "w0: VM 100 is not there after wait_timeout=200 s: its guest agent does not answer. Raise wait_timeout"
    assert text in result["msg"]
    assert [vm["address"] for vm in result["vms"]] == [None, "10.0.0.101", None, "10.0.0.103", None, "10.0.0.105"]
    lab.assert_whole(*(f"w{number}" for number in range(6)))


def test_those_that_came_through_are_waited_for_beside_one_that_failed(lab: VmLab) -> None:
    lab.cluster.faults.add("fail_task", "POST", "/9000/clone$", nth=2, exitstatus="clone failed: out of luck")
    guests(lab, lambda vm, guest: setattr(guest, "refusals", 10_000 if vm.vmid == 102 else 0))
    wanted = [{"name": f"w{number}", "started": True, "wait_for": "agent", "wait_timeout": 60} for number in range(3)]
    result = lab.fleet(*wanted, workers=1)
    assert sorted(one["track"] for one in result["failures"]) == ["w1", "w2"]
    assert [vm["address"] for vm in result["vms"]] == ["10.0.0.100", None, None]
    assert result["summary"]["failed"] == ["w1", "w2"]


def test_an_agent_without_an_address_is_given_a_while_and_then_warned_of(lab: VmLab) -> None:
    guests(lab, lambda _vm, guest: guest.interfaces.append(interface("lo", "0", "127.0.0.1")))
    result = lab.vm(started=True, wait_for="agent")
    assert result["vm"]["addresses"] == []
    assert "VM 100 (web1): its agent tells of no address" in str(warnings_of(result))


def test_cloud_init_is_waited_for_by_reads_alone(lab: VmLab) -> None:
    polled: list[str] = []

    class Files(dict[str, str]):
        """The result is there when it is looked for the third time."""

        def __contains__(self, path: object) -> bool:
            polled.append(str(path))
            return path == RESULT and polled.count(RESULT) > 2

    done = json.dumps({"v1": {"datasource": "x", "errors": []}})
    guests(lab, lambda _vm, guest: setattr(guest, "files", Files({RESULT: done})))
    result = lab.vm(started=True, wait_for="cloud_init")
    assert not result.get("failed"), result["msg"]
    assert polled.count(RESULT) == 3
    lab.settled(wait_for="cloud_init")


def test_errors_of_cloud_init_fail_the_task_and_leave_the_vm(lab: VmLab) -> None:
    said = json.dumps({"v1": {"errors": ["('packages', broken)"]}})
    guests(lab, lambda _vm, guest: guest.files.update({RESULT: said}))
    result = lab.vm(started=True, wait_for="cloud_init")
    assert "cloud-init of VM 100 ended with errors: ('packages', broken)" in result["msg"]
    assert result["changed"] is True
    assert len(result["done"]) == 3
    lab.assert_whole("web1")


def test_disabled_cloud_init_is_not_waited_for(lab: VmLab) -> None:
    guests(lab, lambda _vm, guest: guest.files.update({"/run/cloud-init/disabled": ""}))
    assert lab.vm(started=True, wait_for="cloud_init")["changed"] is True


def test_ssh_is_asked_where_the_module_runs(lab: VmLab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def greet(address: str, port: int, _seconds: float) -> bytes:
        asked.append((address, port))
        if len(asked) < 3:
            raise ConnectionRefusedError(111, "Connection refused")
        return b"SSH-2.0-OpenSSH_9.2\r\n" if len(asked) > 3 else b"HTTP/1.1 400\r\n"

    monkeypatch.setattr(vm_wait, "greeting", greet)
    monkeypatch.setattr(vm_wait.await_vms, "__defaults__", (greet,))
    fixed = [{"ip": "192.0.2.11/24"}]
    result = lab.vm(started=True, wait_for="ssh", ssh_port=2222, ipconfig=fixed, agent={"enabled": False})
    assert result["vm"]["address"] == "192.0.2.11"
    assert asked == [("192.0.2.11", 2222)] * 4
    # Without a fixed address the agent is asked first.
    other = lab.vm(name="web2", started=True, wait_for="ssh")
    assert (other["vm"]["address"], asked[-1]) == ("10.0.0.101", ("10.0.0.101", 22))


def test_a_server_that_never_speaks_ssh_is_told_with_its_last_word(lab: VmLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm_wait.await_vms, "__defaults__", (lambda _address, _port, _seconds: b"220 mail\r\n",))
    result = lab.vm(started=True, wait_for="ssh", wait_timeout=30, ipconfig=[{"ip": "192.0.2.11/24"}])
    assert "VM 100 is not there after wait_timeout=30 s: 192.0.2.11 port 22 does not speak SSH" in result["msg"]


def test_a_vm_without_an_agent_is_told_at_once(lab: VmLab) -> None:
    result = lab.vm(started=True, wait_for="agent", agent={"enabled": False})
    assert "No QEMU guest agent configured" in result["msg"]


def test_nobody_waits_for_a_vm_that_is_off_or_in_check_mode(lab: VmLab) -> None:
    assert lab.vm(wait_for="agent")["vm"]["addresses"] == []
    lab.vm(started=True)
    checked = lab.vm(check=True, wait_for="agent", memory=1024)
    assert not [entry for entry in lab.sent() if "agent" in entry]
    assert checked["vm"]["address"] is None


def test_info_tells_of_vms_and_asks_agents_only_if_wanted(lab: VmLab) -> None:
    lab.fleet({"name": "one", "started": True, "tags": ["web"]}, {"name": "two"})
    lab.cluster.add_vm(300, "strange")
    plain = lab.call("vm_info", {})
    assert [vm["name"] for vm in plain["vms"]] == ["one", "two"]
    assert plain["requests"] == {"reads": 3, "writes": 0, "polls": 0}
    found = lab.call("vm_info", {"addresses": True, "tags": ["web"]})
    assert [(vm["name"], vm["address"]) for vm in found["vms"]] == [("one", "10.0.0.100")]
    (strange,) = lab.call("vm_info", {"vmid": [300], "ours": False})["vms"]
    assert strange["reason"] == "it was not made by this collection"
    assert lab.call("vm_info", {"vmid": [300]})["vms"] == []


def test_ha_keeps_a_vm_as_declared(lab: VmLab) -> None:
    made = lab.make(ha={"state": "started", "max_restart": 3})
    assert made.ha == {"state": "started", "max_restart": 3}
    lab.settled(ha={"state": "started", "max_restart": 3})
    lab.settled(ha={"max_relocate": 1})
    changed = lab.vm(ha={"state": "stopped"})
    assert changed["diff"]["after"]["web1"] == {"ha": {"state": "stopped"}}
    gone = lab.vm(ha={"managed": False})
    assert gone["steps"] == ["take VM 100 (web1) out of HA"]
    assert not made.ha_managed
    lab.settled(ha={"managed": False})
