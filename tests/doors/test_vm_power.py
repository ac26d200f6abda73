# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power of guests: what is so already is left alone, what cannot be is told before anything is touched."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._apply import power

from tests.support.guests import add_guest, guest_of
from tests.support.workbench import Bench, Result, warnings_of


def switch(bench: Bench, action: str, *guests: str, check: bool = False, **options: Any) -> Result:
    return bench.call("vm_power", {"guests": list(guests or ("web",)), "action": action, **options}, check=check)


def done(bench: Bench, action: str, *guests: str, **options: Any) -> Result:
    result = switch(bench, action, *guests, **options)
    assert not result.get("failed"), result
    return result


def put(bench: Bench, vm: Any, power: str) -> None:
    """Bring a VM into that state by itself."""
    if power in ("running", "paused"):
        bench.server.call(bench.cluster.boot, vm)
    if power == "paused":
        vm.qmpstatus = "paused"
    if power == "suspended":
        vm.lock = "suspended"


# --- what an action means, by how the guest is

TABLE = {
    ("start", "stopped"): "running",
    ("start", "suspended"): "running",
    ("start", "running"): None,
    ("shutdown", "running"): "stopped",
    ("shutdown", "stopped"): None,
    ("shutdown", "suspended"): None,
    ("stop", "running"): "stopped",
    ("stop", "paused"): "stopped",
    ("stop", "stopped"): None,
    ("reboot", "running"): "running",
    ("reset", "running"): "running",
    ("suspend", "running"): "paused",
    ("suspend", "paused"): None,
    ("suspend", "suspended"): None,
    ("resume", "paused"): "running",
    ("resume", "suspended"): "running",
    ("resume", "running"): None,
}


@pytest.mark.parametrize(("action", "before"), TABLE)
def test_each_action_leads_where_it_says_and_does_nothing_where_that_is_so(
    bench: Bench, action: str, before: str
) -> None:
    vm = add_guest(bench, running=False)
    put(bench, vm, before)
    after = TABLE[action, before]
    planned = switch(bench, action, check=True)
    assert bench.writes() == []
    result = done(bench, action)
    assert result["changed"] is planned["changed"] is (after is not None)
    assert guest_of(result) == guest_of(planned)
    assert (guest_of(result)["before"], guest_of(result)["after"]) == (before, after or before)
    assert len(bench.writes()) == (1 if after else 0)
    live = bench.server.call(bench.cluster._show_vm, {"node": "pve1", "vmid": 101}, "root@pam")
    shown = {"paused": "running", "suspended": "stopped"}.get(after or before, after or before)
    assert live["status"] == shown
    assert live["qmpstatus"] == ("paused" if (after or before) == "paused" else shown)


REFUSED = {
    ("reboot", "stopped"): "it is stopped, not running. Use action='start'",
    ("reboot", "paused"): "it is paused, not running. Use action='resume'",
    ("reset", "suspended"): "it is suspended, not running. Use action='resume'",
    ("suspend", "stopped"): "it is stopped, not running. Use action='start'",
    ("resume", "stopped"): "it is stopped, not suspended. Use action='start'",
    ("start", "paused"): "it is paused, and so runs already for Proxmox VE. Use action='resume'",
    ("shutdown", "paused"): "it is paused, and cannot hear that it shall shut down. Use action='resume' first, or set",
}


@pytest.mark.parametrize(("action", "before"), REFUSED)
def test_what_makes_no_sense_is_refused_with_what_does(bench: Bench, action: str, before: str) -> None:
    put(bench, add_guest(bench, running=False), before)
    result = switch(bench, action)
    assert f"VM 101 (web): action='{action}': {REFUSED[action, before]}" in result["msg"]
    assert bench.writes() == []


# --- which guests


def test_guests_are_named_by_name_or_vmid_and_each_counts_once(bench: Bench) -> None:
    for vmid, name in ((101, "web"), (102, "db"), (103, "other")):
        add_guest(bench, vmid, name, running=False)
    result = done(bench, "start", "web", "102", "101")
    assert [guest["vmid"] for guest in result["guests"]] == [101, 102]
    assert bench.cluster.vms[103].status == "stopped"


def test_all_that_is_wrong_is_told_together_before_anything_is_touched(bench: Bench) -> None:
    add_guest(bench, 101, "web", running=False)
    add_guest(bench, 102, "twin", running=False)
    add_guest(bench, 103, "twin", running=False)
    add_guest(bench, 104, "locked", running=False, lock="backup")
    add_guest(bench, 105, "base", running=False, template=True)
    bench.cluster.add_ct(106, "dns")
    result = switch(bench, "start", "web", "twin", "nobody", "999", "locked", "base", "dns")
    for text in (
        "guests='twin': this name stands for several guests: VM 102 (twin) on pve1, VM 103 (twin) on pve1. Give the",
        "guests='nobody': there is no guest of this name that these credentials may see",
        "guests='999': there is no guest of this VMID that these credentials may see",
        "VM 104 (locked): action='start': it is locked (backup)",
        "qm unlock 104",
        "VM 105 (base): action='start': it is a template, which never runs",
        "guests='dns': CT 106 (dns) is a container",
    ):
        assert text in result["msg"]
    assert bench.writes() == []
    assert bench.cluster.vms[101].status == "stopped"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"guests": []}, "guests=[]: name at least one guest"),
        ({"guests": ["web", " "]}, "guests[1]='': give a name or a VMID"),
        ({"guest_timeout": 0}, "guest_timeout=0: give 1 second or more"),
        ({"workers": 0}, "workers=0: it must be 1 at least"),
        ({"force": True}, "force=True: action='start' asks no guest to end by itself"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant(bench: Bench, options: dict[str, Any], text: str) -> None:
    result = bench.call("vm_power", {"guests": ["web"], "action": "start", **options})
    assert text in result["msg"]
    assert bench.server.requests == []


def test_the_nodes_word_counts_not_the_lagging_listing(bench: Bench) -> None:
    vm = add_guest(bench)
    bench.cluster.limits.resources_lag = 60.0
    bench.server.call(bench.cluster._show_resources, {}, "root@pam")
    vm.status = vm.qmpstatus = "stopped"
    assert done(bench, "stop")["changed"] is False
    vm.config["name"] = "renamed"
    refused = switch(bench, "start")
    assert "its node says that it is called renamed by now" in refused["msg"] or "there is no guest" in refused["msg"]


def test_a_vm_that_was_made_just_now_is_found_by_its_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    add_guest(bench, running=False)
    real = bench.cluster.vm_row

    def nameless(vm: Any) -> dict[str, Any]:
        return {key: value for key, value in real(vm).items() if key not in ("name", "template")} | {
            "status": "unknown"
        }

    monkeypatch.setattr(bench.cluster, "vm_row", nameless)
    assert done(bench, "start")["changed"]


def test_a_container_is_switched_where_that_was_said(bench: Bench) -> None:
    bench.cluster.add_ct(106, "dns")
    add_guest(bench, running=False)
    result = done(bench, "start", "dns", "web", containers=True)
    assert [guest["type"] for guest in result["guests"]] == ["lxc", "qemu"]
    assert bench.cluster.ct(106).status == "running"
    assert done(bench, "shutdown", "dns", containers=True)["changed"]
    assert bench.cluster.ct(106).status == "stopped"
    assert done(bench, "stop", "dns", containers=True)["changed"] is False
    refused = switch(bench, "suspend", "dns", containers=True)
    assert (
        "CT 106 (dns): action='suspend': it is a container. Containers take reboot, shutdown, start, stop"
        in (refused["msg"])
    )


def test_privileges_are_looked_at_before(bench: Bench) -> None:
    add_guest(bench, running=False)
    bench.cluster.add_user("ops@pve", "Correct-Horse-1")
    bench.cluster.grant("ops@pve", "/vms/101", bench.cluster.add_role("Looker", ["VM.Audit"]))
    bench.credentials = {"api_user": "ops@pve", "api_password": "Correct-Horse-1"}
    result = switch(bench, "start")
    assert "api_user='ops@pve': it lacks VM.PowerMgmt on /vms/101, needed for start" in result["msg"]
    assert [entry.path for entry in bench.writes()] == []


# --- waiting, force and failures


def test_a_guest_that_does_not_end_is_told_with_its_log_and_the_others_go_on(bench: Bench) -> None:
    deaf = add_guest(bench, 101, "deaf")
    deaf.acpi, deaf.inside.wedged = False, True
    add_guest(bench, 102, "web")
    result = switch(bench, "shutdown", "deaf", "web", guest_timeout=7)
    assert result["failed"]
    (failure,) = result["failures"]
    assert failure["track"] == "VM 101 (deaf)"
    assert "VM quit/powerdown failed - got timeout" in failure["msg"]
    assert "within guest_timeout=7 s" in failure["msg"]
    assert "Install the agent in the guest" in failure["msg"]
    assert any("guest-ping" in line for line in failure["error"]["task"]["log_tail"])
    assert result["changed"]
    assert result["done"] == ["shutdown VM 102 (web) on node pve1"]
    assert guest_of(result, 102)["after"] == "stopped"
    assert {entry.params["timeout"] for entry in bench.writes()} == {"7"}
    assert bench.cluster.vms[101].status == "running"


def test_force_ends_what_does_not_end(bench: Bench) -> None:
    deaf = add_guest(bench)
    deaf.acpi, deaf.inside.wedged = False, True
    result = done(bench, "shutdown", force=True)
    assert bench.cluster.vms[101].status == "stopped"
    texts = " ".join(warnings_of(result))
    assert "none answers, so each shutdown waits for it in vain" in texts
    assert "terminating now with SIGTERM" in texts


def test_force_reboots_what_does_not_end(bench: Bench) -> None:
    deaf = add_guest(bench)
    deaf.acpi, deaf.inside.wedged = False, True
    before = deaf.inside
    result = done(bench, "reboot", force=True)
    assert bench.cluster.vms[101].status == "running"
    assert bench.cluster.vms[101].inside is not before
    assert "was stopped by force" in " ".join(warnings_of(result))
    assert [entry.path.rpartition("/")[2] for entry in bench.writes()] == ["reboot", "stop", "start"]


def test_an_agent_that_is_configured_and_silent_is_warned_of(bench: Bench) -> None:
    add_guest(bench).inside.wedged = True
    (text,) = warnings_of(done(bench, "shutdown"))
    assert text.startswith("VM 101 (web): its config says that a guest agent runs (agent), and none answers")
    add_guest(bench, 102, "well")
    assert warnings_of(done(bench, "shutdown", "well")) == []


def test_a_paused_guest_is_stopped_by_force(bench: Bench) -> None:
    put(bench, add_guest(bench, running=False), "paused")
    result = done(bench, "shutdown", force=True)
    assert result["steps"] == ["stop VM 101 (web) on node pve1"]
    assert guest_of(result)["after"] == "stopped"


def test_a_reboot_has_ended_when_the_guest_runs_again(bench: Bench) -> None:
    vm = add_guest(bench)
    bench.cluster.restart_delay = 0.1
    begun = time.time()
    result = done(bench, "reboot")
    assert guest_of(result)["after"] == "running"
    assert vm.status == "running"
    assert vm.started_at >= begun + 0.1


def test_a_request_to_high_availability_is_awaited_and_told(bench: Bench) -> None:
    vm = add_guest(bench, running=False)
    vm.ha_state = "stopped"
    bench.cluster.ha_delay = 0.1
    result = done(bench, "start")
    assert vm.status == "running"
    assert guest_of(result)["after"] == "running"
    assert "high availability manages it, so start is a request to it" in warnings_of(result)[0]


def test_a_guest_that_does_not_become_what_was_asked_for_is_a_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power, "_SETTLE", 0.05)
    monkeypatch.setattr(power, "_GRACE", 0)
    vm = add_guest(bench, running=False)
    vm.ha_state = "stopped"
    bench.cluster.ha_delay = 3600
    result = switch(bench, "start", guest_timeout=1)
    assert result["failed"]
    assert "start ended well, and it is stopped, not running" in result["msg"]


def test_somebody_who_was_faster_is_no_failure(bench: Bench) -> None:
    vm = add_guest(bench, running=False)
    real = bench.cluster._power_start

    async def start(v: dict[str, Any], user: str) -> str:
        bench.cluster.boot(vm)
        return await real(v, user)

    bench.cluster._table["POST", "/nodes/{node}/qemu/{vmid}/status/start"] = start
    result = done(bench, "start")
    assert guest_of(result)["after"] == "running"
    assert list(bench.cluster.tasks.values())[-1]["exitstatus"] == "VM 101 already running"


def test_a_lock_that_comes_in_between_is_waited_for(bench: Bench) -> None:
    add_guest(bench, running=False)
    bench.cluster.faults.add("lock", "POST", r"/status/start$", lasts=3)
    assert done(bench, "start")["changed"]
    bench.cluster.faults.assert_all_fired()
    assert len(bench.writes()) > 1


def test_an_interrupted_run_says_what_goes_on(bench: Bench) -> None:
    add_guest(bench, running=False)
    bench.cluster.faults.add("hang_task", "POST", r"/status/start$")
    result = switch(bench, "start", timeout=1)
    (upid,) = bench.cluster.running_tasks()
    assert upid in result["msg"]
    assert result["left_behind"] == ["VM 101 (web): start may still be under way"]
    bench.server.call(bench.cluster.faults.reset)
    bench.settle()
    assert done(bench, "start")["changed"] is False


def test_a_lost_answer_is_found_again_by_its_task(bench: Bench) -> None:
    add_guest(bench, running=False)
    bench.cluster.faults.add("cut_after", "POST", r"/status/start$")
    result = done(bench, "start")
    bench.cluster.faults.assert_all_fired()
    assert guest_of(result)["after"] == "running"
    assert len(bench.writes()) == 1


def test_many_guests_are_switched_side_by_side(bench: Bench) -> None:
    for vmid in range(101, 113):
        add_guest(bench, vmid, f"web-{vmid}", running=False)
    bench.cluster.durations["qmstart"] = 0.3
    begun = time.monotonic()
    result = done(bench, "start", *(f"web-{vmid}" for vmid in range(101, 113)), workers=12)
    assert time.monotonic() - begun < 12 * 0.3
    assert {guest["after"] for guest in result["guests"]} == {"running"}
    assert result["requests"]["writes"] == 12
