# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving: clones boot, answer, are what was declared and no twins, before anything is published."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity

from tests.support.pve.guest import Guest
from tests.support.pve.vm import Vm
from tests.support.workbench import Bench

GIB = 2**30


class Guests:
    """What the clones say when they are looked at; each has a machine-id and a host key of its own."""

    def __init__(self, bench: Bench) -> None:
        self.booted: list[int] = []
        self.failed_units = ""
        self.cloud_init = ["running", "done"]
        self.errors: list[str] = []
        self.size = 3 * GIB
        self.same = False
        self.refusals = 1
        self.rules: list[tuple[str, dict[str, t.Any]]] = []
        bench.cluster.guest_setup.append(self._boot)

    def _boot(self, vm: Vm, guest: Guest) -> None:
        self.booted.append(vm.vmid)
        guest.refusals = self.refusals
        guest.cloud_init, guest.errors = list(self.cloud_init), list(self.errors)
        who = 1 if self.same else vm.vmid
        guest.on("machine-id", out=f"machine-id {who:032x}\nhost-key ssh-ed25519 AAAA{who}\n")
        guest.on("--failed", out=self.failed_units)
        guest.on("df -B1", out=f"{self.size}\n")
        for pattern, answer in self.rules:
            guest.on(pattern, **answer)


@pytest.fixture
def guests(bench: Bench) -> Guests:
    return Guests(bench)


def proof_of(bench: Bench, vmid: int = 9000) -> str:
    identity = read_identity(vmid, bench.cluster.vms[vmid].config["description"])
    assert isinstance(identity, Identity)
    return identity.proof


def disks(bench: Bench) -> set[str]:
    return {volid for volid in bench.cluster.volumes("pve1") if ":import/" not in volid}


def test_a_generation_is_proved_before_it_is_published(bench: Bench, guests: Guests) -> None:
    planned = bench.template(prove={}, check=True)
    assert bench.writes() == []
    result = bench.template(prove={})
    assert not result.get("failed"), result
    assert planned["steps"] == result["steps"]
    assert result["steps"][-2].startswith("prove that 2 clones of the new generation")
    assert guests.booted == [9001, 9002]
    assert sorted(bench.cluster.vms) == [9000]
    assert bench.state(9000) == "current"
    assert proof_of(bench).startswith("passed 20")
    assert "2 clones, agent after" in proof_of(bench)
    sent = [line for line in bench.sent() if line.startswith(("POST", "PUT", "DELETE"))]
    assert sent.index("POST /nodes/pve1/qemu/9000/clone") < sent.index("DELETE /nodes/pve1/qemu/9001")
    assert sent[-1] == "PUT /nodes/pve1/qemu/9000/config"
    again = bench.template(prove={})
    assert again["changed"] is False
    assert bench.writes() == []


def test_a_proof_is_no_part_of_the_recipe(bench: Bench, guests: Guests) -> None:
    bench.build()
    assert bench.template(prove={"clones": 1})["changed"] is False
    assert guests.booted == []


def test_everything_that_does_not_hold_is_told_and_the_old_one_stays(bench: Bench, guests: Guests) -> None:
    bench.build()
    bench.later(hours=1)
    before = disks(bench)
    guests.failed_units = "apt-daily.service loaded failed failed Daily apt\n"
    guests.size = GIB
    guests.rules = [("is-active", {"exitcode": 3, "out": "inactive\n"}), ("cat /etc/motd", {"out": "hello\n"})]
    wanted = {
        "services": ["nginx"],
        "commands": [{"command": "cat /etc/motd", "stdout": "^welcome"}, {"command": "cat /etc/motd", "status": 4}],
    }
    result = bench.template(prove=wanted, disk={"size": "4G"})
    assert result["failed"]
    for text in (
        "service nginx: inactive",
        "the output of 'cat /etc/motd' does not match '^welcome': hello",
        "'cat /etc/motd' ended with status 0, not 4",
        "failed units: apt-daily.service",
        "the root file system has 1.0 GiB of the disk's 4.0 GiB: it did not grow",
        "Nothing was left behind",
    ):
        assert text in result["msg"]
    assert sorted(bench.cluster.vms) == [9000]
    assert bench.state(9000) == "current"
    assert disks(bench) == before


def test_twins_are_found(bench: Bench, guests: Guests) -> None:
    guests.same = True
    result = bench.template(prove={})
    assert "VM 9001 and VM 9002 have the same host-key: the template is not sealed" in result["msg"]
    assert "VM 9001 and VM 9002 have the same machine-id" in result["msg"]
    assert bench.cluster.vms == {}


def test_cloud_init_that_failed_shows_its_log(bench: Bench, guests: Guests) -> None:
    guests.cloud_init, guests.errors = ["error"], ["boom in modules-final"]
    result = bench.template(prove={"clones": 1})
    assert "cloud-init of VM 9001 ended as error: boom in modules-final" in result["msg"]
    assert bench.cluster.vms == {}


def test_clones_are_looked_at_side_by_side(bench: Bench, guests: Guests) -> None:
    """The first one is not done before the other one is looked at."""
    here: dict[int, Guest] = {}

    def boot(vm: Vm, guest: Guest) -> None:
        here[vm.vmid] = guest
        guest.cloud_init = ["running"]
        guest.on("is-active ssh", then=lambda _guest: here[9001].cloud_init.__setitem__(0, "done"))
        if vm.vmid == 9002:
            guest.cloud_init = ["done"]

    bench.cluster.guest_setup.append(boot)
    result = bench.template(prove={"services": ["ssh"], "timeout": 20})
    assert not result.get("failed"), result
    assert proof_of(bench).startswith("passed")


def test_every_clone_that_fails_is_told(bench: Bench, guests: Guests) -> None:
    guests.cloud_init, guests.errors = ["error"], ["boom in modules-final"]
    result = bench.template(prove={})
    for vmid in (9001, 9002):
        assert f"cloud-init of VM {vmid} ended as error: boom in modules-final" in result["msg"]
    assert bench.cluster.vms == {}


def test_on_request_the_clones_are_left_and_said(bench: Bench, guests: Guests) -> None:
    guests.failed_units = "x.service loaded failed failed X\n"
    result = bench.template(prove={"keep_failed": True, "clones": 1})
    assert result["left_behind"] == [
        "VM 9001 on pve1, a clone of the failed proof",
        "VM 9000 is complete but not published, the next run publishes it",
    ]
    assert sorted(bench.cluster.vms) == [9000, 9001]
    assert bench.state(9000) == "candidate"
    guests.failed_units = ""
    bench.later(hours=2)
    result = bench.template(prove={"clones": 1})
    assert not result.get("failed"), result
    assert sorted(bench.cluster.vms) == [9000]
    assert bench.state(9000) == "current"


def test_a_candidate_of_a_killed_run_is_proved_and_published(bench: Bench, guests: Guests) -> None:
    bench.cluster.faults.add("cut_before", "POST", r"/clone$", times=None)
    hurt = bench.template(prove={})
    assert hurt["failed"]
    bench.server.call(bench.cluster.faults.reset)
    bench.later(hours=2)
    result = bench.template(prove={})
    assert not result.get("failed"), result
    assert sorted(bench.cluster.vms) == [9000]
    assert bench.state(9000) == "current"
    assert proof_of(bench).startswith("passed")
    assert bench.template(prove={})["changed"] is False


@pytest.mark.parametrize(
    ("read", "sent", "told"),
    [(64 * 2**20, 446, ""), (4096, 446, "has read 4096 bytes"), (64 * 2**20, 0, "sent 0 into its network")],
    ids=["alive", "did not get beyond its firmware", "says nothing"],
)
def test_a_guest_without_an_agent_gets_a_degraded_proof(
    bench: Bench, guests: Guests, read: int, sent: int, told: str
) -> None:
    def boot(vm: Vm, guest: Guest) -> None:
        vm.stats.update(diskread=read, netout=sent)

    bench.cluster.guest_setup.append(boot)
    result = bench.template(prove={"clones": 1, "timeout": 1}, agent={"enabled": False})
    assert bool(result.get("failed")) is bool(told), result
    if told:
        assert told in result["msg"]
        assert "so it did not boot" in result["msg"]
        assert bench.cluster.vms == {}
    else:
        assert proof_of(bench).startswith("degraded ")
        assert "1 clones run; without a guest agent nothing more is known" in proof_of(bench)


def test_clones_get_no_address_that_is_meant_for_somebody(bench: Bench, guests: Guests) -> None:
    bench.build(prove={"clones": 1}, ipconfig=[{"ip": "10.0.0.5/24", "gw": "10.0.0.1"}])
    put = [one for one in bench.writes() if one.path == "/nodes/pve1/qemu/9001/config"]
    assert [one.params["ipconfig0"] for one in put] == ["ip=dhcp"]


def test_the_door_proves_what_is_current_and_says_it_in_the_template(bench: Bench, guests: Guests) -> None:
    bench.build()
    before = bench.cluster.vms[9000].config["tags"]
    result = bench.call("vm_template_prove", {"line": "debian-13", "prove": {"clones": 1}})
    assert not result.get("failed"), result
    assert result["proofs"][0]["proof"] == proof_of(bench)
    assert proof_of(bench).startswith("passed")
    assert sorted(bench.cluster.vms) == [9000]
    assert bench.cluster.vms[9000].config["tags"] == before
    assert bench.template()["changed"] is False


def test_a_failed_proof_of_the_door_is_kept_as_well_and_the_template_stays(bench: Bench, guests: Guests) -> None:
    bench.build()
    guests.failed_units = "x.service loaded failed failed X\n"
    result = bench.call("vm_template_prove", {"line": "debian-13"})
    assert result["failed"]
    assert "failed units: x.service" in result["msg"]
    assert sorted(bench.cluster.vms) == [9000]
    assert bench.state(9000) == "current"
    assert proof_of(bench).startswith("failed ")
    info = bench.call("vm_template_info", {})
    assert info["templates"][0]["proof"].startswith("failed")


@pytest.mark.parametrize(
    ("prove", "text"),
    [
        ({"clones": 0}, "prove.clones=0: give 1 to 4"),
        ({"ports": [0]}, "prove.ports[0]=0"),
        ({"services": ["a;b"]}, "prove.services[0]='a;b': it is no name"),
        (
            {"commands": [{"command": "true", "stdout": "("}]},
            "prove.commands[0].stdout='(': it is no regular expression",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_told(bench: Bench, prove: dict[str, t.Any], text: str) -> None:
    result = bench.template(prove=prove)
    assert text in result["msg"]
    assert bench.writes() == []
