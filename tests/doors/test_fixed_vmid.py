# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line with a fixed VMID: the new generation ends up there, and from any point a further run finishes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity

from tests.support.workbench import Bench, warnings_of

FIXED = {"vmid": 150, "keep": 2}
MOVE = [
    r"POST /nodes/pve1/qemu$",
    r"POST /nodes/pve1/qemu/9000/template$",
    r"PUT /nodes/pve1/qemu/9000/config$",
    r"DELETE /nodes/pve1/qemu/150$",
    r"POST /nodes/pve1/qemu/9000/clone$",
    r"POST /nodes/pve1/qemu/150/template$",
    r"PUT /nodes/pve1/qemu/150/config$",
    r"DELETE /nodes/pve1/qemu/9000$",
]
"""The writes of a rebuild, in their order."""


def newer(bench: Bench, **options: Any) -> dict[str, Any]:
    """Build a first generation at the fixed VMID, and let the vendor have a newer image a day later."""
    bench.build(**FIXED, **options)
    bench.publish_newer()
    bench.later(days=1)
    return {**FIXED, **options, "refresh": "always"}


def settled(bench: Bench, options: dict[str, Any]) -> None:
    """The newest build is at the fixed VMID, alone, and nothing is left of the way there."""
    again = bench.template(**options)
    assert not again.get("failed"), again
    assert again["changed"] is False, again["diff"]
    assert bench.writes() == []
    assert sorted(bench.cluster.vms) == [150]
    vm = bench.cluster.vms[150]
    assert vm.template
    assert bench.state(150) == "current"
    assert vm.config["name"] == "debian-13"
    identity = read_identity(150, vm.config["description"])
    assert isinstance(identity, Identity)
    disks = {volid for volid in bench.cluster.volumes("pve1") if ":import/" not in volid}
    assert disks == {"local-lvm:base-150-disk-0", "local-lvm:vm-150-cloudinit"}


def test_a_rebuild_ends_at_the_fixed_vmid(bench: Bench) -> None:
    options = newer(bench)
    first = read_identity(150, bench.cluster.vms[150].config["description"])
    planned = bench.template(**options, check=True)
    assert bench.writes() == []
    result = bench.template(**options)
    sent = [line for line in bench.sent() if not line.startswith("GET") and "download-url" not in line]
    assert len(sent) == len(MOVE)
    for line, pattern in zip(sent, MOVE, strict=True):
        assert re.fullmatch(pattern, line), line
    assert planned["steps"] == result["steps"]
    assert result["diff"]["before"]["debian-13@pve1"]["vmid"] == 150
    assert result["diff"]["after"]["debian-13@pve1"]["vmid"] == 150
    assert result["template"]["current"]["vmid"] == 150
    assert result["template"]["retired"] == []
    assert any("there is no VM 150 from the moment" in text for text in warnings_of(planned))
    second = read_identity(150, bench.cluster.vms[150].config["description"])
    assert isinstance(first, Identity)
    assert isinstance(second, Identity)
    assert (second.vmid, second.deadline) == (150, "")
    assert second.generation > first.generation
    assert second.source != first.source
    settled(bench, options)


@pytest.mark.parametrize("effect", ["cut_before", "cut_after", "500", "403"])
@pytest.mark.parametrize("request_", MOVE, ids=lambda text: text.replace("/nodes/pve1/qemu", "").rstrip("$"))
def test_from_any_point_a_further_run_finishes(bench: Bench, effect: str, request_: str) -> None:
    options = newer(bench)
    method, _blank, path = request_.partition(" ")
    codes = {"500": "something broke", "403": "Permission check failed (/vms/1, VM.Some)"}
    how = {"code": int(effect), "reason": codes[effect]} if effect in codes else {}
    bench.cluster.faults.add("status" if how else effect, method, f"^{path}", nth=1, **how)
    hurt = bench.template(**options)
    bench.cluster.faults.assert_all_fired()
    bench.server.call(bench.cluster.faults.reset)
    bench.settle()
    templates = [vmid for vmid, vm in bench.cluster.vms.items() if vm.template and bench.state(vmid) == "current"]
    assert templates, "there is no current generation any more"
    if hurt.get("failed"):
        assert hurt["left_behind"] or "Nothing was left behind" in hurt["msg"]
    bench.later(hours=2)
    for _attempt in range(2):
        again = bench.template(**options)
        assert not again.get("failed"), again
    settled(bench, options)


@pytest.mark.parametrize("task", ["qmclone", "qmtemplate", "qmdestroy"])
def test_a_failed_task_is_shown_and_the_next_run_finishes(bench: Bench, task: str) -> None:
    options = newer(bench)
    paths = {
        "qmclone": ("POST", "^/nodes/pve1/qemu/9000/clone$"),
        "qmtemplate": ("POST", "^/nodes/pve1/qemu/150/template$"),
        "qmdestroy": ("DELETE", "^/nodes/pve1/qemu/150$"),
    }
    bench.cluster.faults.add("fail_task", *paths[task], exitstatus="the disk is on fire")
    hurt = bench.template(**options)
    bench.cluster.faults.assert_all_fired()
    assert "the disk is on fire" in hurt["msg"]
    bench.server.call(bench.cluster.faults.reset)
    bench.settle()
    bench.later(hours=2)
    again = bench.template(**options)
    assert not again.get("failed"), again
    settled(bench, options)


@pytest.mark.parametrize("storage", ["local-lvm", "fast"])
def test_linked_clones_on_the_old_one_refuse_it_before_anything_is_built(bench: Bench, storage: str) -> None:
    options = newer(bench, storage=storage)
    bench.clone(150, 120)
    before = bench.snapshot()
    result = bench.template(**options)
    assert "vmid=150: the generation that has it cannot give it up: clones hang on it: 120" in result["msg"]
    assert bench.writes() == []
    assert bench.snapshot() == before


def test_protection_refuses_it(bench: Bench) -> None:
    options = newer(bench)
    bench.cluster.vms[150].config["protection"] = 1
    result = bench.template(**options)
    assert "cannot give it up: it is protected" in result["msg"]
    assert bench.writes() == []


def test_a_vmid_that_is_declared_later_is_moved_to(bench: Bench) -> None:
    bench.build()
    options = {"vmid": 150}
    result = bench.template(**options)
    assert result["diff"] == {
        "before": {"debian-13@pve1": {"vmid": 9000}},
        "after": {"debian-13@pve1": {"vmid": 150}},
    }
    settled(bench, options)


def test_a_generation_that_clones_hang_on_is_kept_beside_its_copy(bench: Bench) -> None:
    bench.build()
    bench.clone(9000, 120)
    result = bench.template(vmid=150)
    assert result["template"]["current"]["vmid"] == 150
    assert sorted(bench.cluster.vms) == [120, 150, 9000]
    assert bench.state(9000) == "retired"
    again = bench.template(vmid=150)
    assert again["changed"] is False


def test_another_guest_at_the_fixed_vmid_is_left_alone(bench: Bench) -> None:
    bench.build()
    bench.clone(9000, 150, full=1, name="dns")
    before = bench.snapshot()
    result = bench.template(vmid=150)
    assert "vmid=150: another guest has it (dns on pve1)" in result["msg"]
    assert bench.writes() == []
    assert bench.snapshot() == before


def test_the_brake_counts_the_old_one(bench: Bench) -> None:
    options = newer(bench)
    result = bench.template(**options, max_deletions=0)
    assert "max_deletions=0: it would destroy 1 generations (150)" in result["msg"]
    assert bench.writes() == []
