# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_template_fleet: many lines on many nodes, in one plan, side by side, and each for itself when it goes wrong."""

from __future__ import annotations

import asyncio
import collections
import json
import typing as t
from contextlib import asynccontextmanager

import pytest

from tests.support.fleet import ALL, NODES, TWO, Fleet, Line, Result, told
from tests.support.pve import FakeCluster
from tests.support.pve.fault_effects import EFFECTS, Call
from tests.support.pve.limits import Limits
from tests.support.workbench import warnings_of

PASSWORD = "Correct-Horse-77"


# --- building


def test_lines_times_nodes_are_built_as_declared(fleet: Fleet) -> None:
    result = fleet.build(*TWO)
    assert told(result) == {"built": result["summary"]["built"]}
    assert sorted(result["summary"]["built"]) == ALL
    current = fleet.current()
    assert sorted(current) == ALL
    assert sorted(current.values()) == [9000, 9001, 9002, 9003]
    for key, vmid in current.items():
        vm = fleet.cluster.vms[vmid]
        assert vm.node == key.partition("@")[2]
        assert vm.config["memory"] == ("4096" if key.startswith("beta") else "2048")
        assert vm.config["scsi0"].startswith(f"local-lvm:base-{vmid}-disk-0,")
    results = {f"{one['line']}@{one['node']}": one["current"]["vmid"] for one in result["templates"]}
    assert results == current
    assert fleet.cluster.locks == {}
    fleet.settled(*TWO)


def test_the_templates_are_told_in_the_order_of_the_lines(fleet: Fleet) -> None:
    lines = ({"line": "zeta"}, {"line": "alpha", "nodes": ["pve2", "pve1"]})
    result = fleet.build(*lines)
    order = [f"{one['line']}@{one['node']}" for one in result["templates"]]
    assert order == ["zeta@pve1", "zeta@pve2", "alpha@pve2", "alpha@pve1"]
    assert result["summary"]["built"] == order


def test_an_image_is_downloaded_once_for_each_storage(fleet: Fleet) -> None:
    fleet.build(*TWO, {"line": "gamma"})
    assert sorted(fleet.sent("download-url")) == [
        "POST /nodes/pve1/storage/local/download-url",
        "POST /nodes/pve2/storage/local/download-url",
    ]
    assert len(fleet.current()) == 6


def test_a_shared_image_storage_gets_the_image_once(fleet: Fleet) -> None:
    fleet.build(*({**line, "image_storage": "nfs"} for line in TWO))
    assert len(fleet.sent("download-url")) == 1
    assert sorted(fleet.current()) == ALL


def test_an_image_that_is_uploaded_is_fetched_and_sent_once_for_each_storage(fleet: Fleet) -> None:
    fleet.build(*({**line, "transfer": "upload"} for line in TWO))
    assert len(fleet.sent("POST .*/upload$")) == 2
    assert sorted(fleet.current()) == ALL


def test_the_vendor_is_asked_once_for_all(fleet: Fleet) -> None:
    fleet.build(*TWO, {"line": "gamma"})
    assert len([path for path in fleet.bench.vendor.asked if path.endswith("SHA256SUMS")]) == 1


def test_a_line_may_have_nodes_of_its_own(fleet: Fleet) -> None:
    lines = ({"line": "alpha"}, {"line": "beta", "nodes": ["pve2"]})
    fleet.build(*lines)
    assert sorted(fleet.current()) == ["alpha@pve1", "alpha@pve2", "beta@pve2"]
    fleet.settled(*lines)


def test_storages_by_node(fleet: Fleet) -> None:
    lines = ({"line": "alpha", "storages": {"pve2": "tank"}}, {"line": "beta", "storage": None, "storages": {
        "pve1": "tank", "pve2": "local-lvm"}})  # fmt: skip
    fleet.build(*lines)
    on = {key: fleet.cluster.vms[vmid].config["scsi0"].partition(":")[0] for key, vmid in fleet.current().items()}
    assert on == {"alpha@pve1": "local-lvm", "alpha@pve2": "tank", "beta@pve1": "tank", "beta@pve2": "local-lvm"}
    fleet.settled(*lines)


def test_a_node_that_joins_gets_its_lines_and_the_others_stay(fleet: Fleet) -> None:
    fleet.build(*TWO, nodes=["pve1"])
    before = {vmid: dict(vm.config) for vmid, vm in fleet.cluster.vms.items()}
    result = fleet.build(*TWO)
    assert told(result) == {"built": ["alpha@pve2", "beta@pve2"], "unchanged": ["alpha@pve1", "beta@pve1"]}
    assert {vmid: dict(fleet.cluster.vms[vmid].config) for vmid in before} == before
    fleet.settled(*TWO)


def test_a_newer_image_makes_new_generations_and_retires_the_old_ones(fleet: Fleet) -> None:
    lines = [{**line, "refresh": "always"} for line in TWO]
    fleet.build(*lines)
    old = fleet.current()
    fleet.bench.later(hours=1)
    fleet.bench.publish_newer()
    result = fleet.build(*lines)
    assert sorted(result["summary"]["built"]) == ALL
    assert result["summary"]["retired"] == sorted(old.values())
    assert not set(fleet.current().values()) & set(old.values())
    assert {fleet.bench.state(vmid) for vmid in old.values()} == {"retired"}
    fleet.settled(*lines)


def test_absent_lines_go_and_the_others_stay(fleet: Fleet) -> None:
    fleet.build(*TWO)
    lines = ({"line": "alpha", "state": "absent"}, TWO[1])
    result = fleet.build(*lines)
    unchanged = ["beta@pve1", "beta@pve2"]
    assert result["summary"]["removed"] == ["alpha@pve1", "alpha@pve2"]
    assert result["summary"]["unchanged"] == unchanged
    assert sorted(fleet.current()) == unchanged
    assert len(fleet.volumes()) == 4
    fleet.settled(*lines)


# --- shared storage


def test_a_line_on_shared_storage_is_kept_once(fleet: Fleet) -> None:
    lines = ({"line": "alpha", "storage": "nfs"}, {"line": "beta"})
    result = fleet.build(*lines)
    assert sorted(fleet.current()) == ["alpha@pve1", "beta@pve1", "beta@pve2"]
    assert len(result["templates"]) == 3
    fleet.settled(*lines)


def test_a_line_on_shared_storage_stays_where_it_is(fleet: Fleet) -> None:
    line = {"line": "alpha", "storage": "nfs"}
    fleet.build(line, nodes=["pve2"])
    again = fleet.settled(line, nodes=["pve1", "pve2"])
    assert told(again) == {"unchanged": ["alpha@pve2"]}
    assert list(fleet.current()) == ["alpha@pve2"]


def test_a_line_on_shared_storage_goes_to_a_node_that_is_there(fleet: Fleet) -> None:
    fleet.cluster.set_node_offline("pve1")
    line = {"line": "alpha", "storage": "nfs"}
    fleet.build(line)
    assert list(fleet.current()) == ["alpha@pve2"]
    fleet.cluster.set_node_offline("pve1", False)
    fleet.settled(line)


def test_a_line_on_shared_storage_stays_also_before_its_status_was_broadcast(fleet: Fleet) -> None:
    """The template flag of /cluster/resources is up to ten seconds old."""
    fleet.cluster.set_node_offline("pve1")
    line = {"line": "alpha", "storage": "nfs"}
    fleet.cluster.limits = Limits(resources_lag=3600, lagging=frozenset({"template"}))
    fleet.build(line)
    fleet.cluster.set_node_offline("pve1", False)
    fleet.settled(line)


def test_both_kinds_of_storage_for_one_line(fleet: Fleet) -> None:
    line = {"line": "alpha", "storages": {"pve1": "nfs"}}
    fleet.build(line)
    assert sorted(fleet.current()) == ["alpha@pve1", "alpha@pve2"]
    fleet.settled(line)


# --- runs without change, and with little


def test_a_run_without_change_reads_as_little_as_it_can(fleet: Fleet) -> None:
    fleet.build(*TWO)
    again = fleet.settled(*TWO)
    assert sorted(fleet.bench.sent(polls=True)) == sorted(
        ["GET /cluster/resources", "GET /access/permissions"]
        + [f"GET /nodes/{fleet.cluster.vms[vmid].node}/qemu/{vmid}/config" for vmid in range(9000, 9004)]
    )
    assert again["requests"] == {"reads": 6, "writes": 0, "polls": 0}
    assert told(again) == {"unchanged": ["alpha@pve1", "alpha@pve2", "beta@pve1", "beta@pve2"]}
    assert "diff" not in again


def test_retired_generations_are_not_read(fleet: Fleet) -> None:
    fleet.build(*TWO)
    fleet.bench.later(hours=1)
    bigger = [{**line, "disk": {"size": "10G"}} for line in TWO]
    fleet.build(*bigger)
    again = fleet.settled(*bigger)
    assert again["requests"]["reads"] == 6
    assert [one["retired"] for one in again["templates"]] == [[9000], [9001], [9002], [9003]]


def test_check_mode_shows_the_same_plan_and_reads_only(fleet: Fleet) -> None:
    planned = fleet.run(*TWO, check=True)
    assert planned["changed"]
    assert {entry.method for entry in fleet.bench.server.requests} == {"GET"}
    assert fleet.cluster.vms == {}
    done = fleet.build(*TWO)
    assert planned["steps"] == done["steps"]
    assert planned["diff"] == done["diff"]
    assert planned["summary"] == done["summary"]
    assert sorted(planned["diff"]["after"]) == ALL
    assert [one["current"] for one in planned["templates"]] == [None] * 4


def test_one_line_changes_in_place_and_nothing_else(fleet: Fleet) -> None:
    fleet.build(*TWO)
    before = {vmid: dict(vm.config) for vmid, vm in fleet.cluster.vms.items()}
    lines = (TWO[0], {**TWO[1], "memory": 8192})
    result = fleet.build(*lines)
    changed = ["beta@pve1", "beta@pve2"]
    assert told(result) == {"changed": changed, "unchanged": ["alpha@pve1", "alpha@pve2"]}
    assert sorted(result["diff"]["after"]) == changed
    assert sorted(entry.path for entry in fleet.bench.writes()) == [
        "/nodes/pve1/qemu/9002/config",
        "/nodes/pve2/qemu/9003/config",
    ]
    assert {vmid: dict(fleet.cluster.vms[vmid].config) for vmid in (9000, 9001)} == {
        vmid: before[vmid] for vmid in (9000, 9001)
    }
    fleet.settled(*lines)


def test_a_line_alone_is_what_vm_template_makes_of_it(fleet: Fleet) -> None:
    fleet.build({"line": "alpha"}, nodes=["pve1"])
    single = fleet.bench.template(line="alpha", node="pve1")
    assert single["changed"] is False
    fleet.settled({"line": "alpha"}, nodes=["pve1"])


def test_no_lines_are_no_work(fleet: Fleet) -> None:
    result = fleet.settled()
    assert result["templates"] == []
    assert told(result) == {}


def test_a_hand_made_clone_is_foreign_and_stays(fleet: Fleet) -> None:
    fleet.build(*TWO)
    fleet.bench.clone(9000, 500)
    again = fleet.settled(*TWO)
    assert again["summary"]["foreign"] == [500]
    assert "VM 500" in " ".join(warnings_of(again))


# --- options


def test_problems_of_all_lines_are_told_together_before_anything_is_asked(fleet: Fleet) -> None:
    result = fleet.run(
        {"line": "Alpha"},
        {"line": "beta", "memory": 1, "storage": None},
        {"line": "gamma", "nodes": []},
        {"line": "delta"},
        {"line": "delta", "nodes": ["pve2"]},
        {"line": "epsilon", "image": "debain-13"},
        workers=0,
        per_storage=0,
        per_node=-1,
    )
    assert result["failed"]
    assert fleet.bench.server.requests == []
    assert fleet.bench.vendor.asked == []
    together = "\n".join(result["problems"])
    for begin in (
        "lines[0].line='Alpha': ",
        "lines[1].memory=1: ",
        "lines[1].storage=None: ",
        "lines[2].nodes=[]: ",
        "lines[5].image: 'debain-13' is not in the catalogue",
        "lines: delta is declared twice for node pve2",
        "workers=0: ",
        "per_storage=0: ",
        "per_node=-1: ",
    ):
        assert any(problem.startswith(begin) for problem in result["problems"]), f"{begin}\n{together}"
    assert len(result["problems"]) == 9, together
    assert all(problem in result["msg"] for problem in result["problems"])


def test_a_line_without_any_node_is_a_problem(fleet: Fleet) -> None:
    result = fleet.run({"line": "alpha"}, nodes=[])
    assert result["problems"] == ["lines[0].nodes=[]: name the nodes that get line alpha, here or in nodes"]


def test_an_unknown_option_of_a_line_is_refused(fleet: Fleet) -> None:
    result = fleet.run({"line": "alpha", "memroy": 1})
    assert "memroy" in result["msg"]
    assert fleet.bench.server.requests == []


def test_one_vmid_cannot_serve_two_nodes(fleet: Fleet) -> None:
    result = fleet.run({"line": "alpha", "vmid": 9050})
    assert result["failed"]
    assert "9050" in result["msg"]
    assert len([vmid for vmid in fleet.cluster.vms if vmid != 9050]) == 0


# --- one goes wrong, the others go on


def failed(fleet: Fleet, result: Result, *keys: str) -> list[dict[str, t.Any]]:
    """The failures of a result, which must be of these tracks, told everywhere, and leave nothing half-made."""
    assert result["failed"]
    assert sorted(found["track"] for found in result["failures"]) == sorted(keys)
    assert result["summary"]["failed"] == sorted(keys)
    assert not set(keys) & {key for kind in ("built", "changed", "unchanged") for key in result["summary"][kind]}
    assert all(key in result["msg"] for key in keys)
    built = {f"{one['line']}@{one['node']}": (one["current"] or {}).get("vmid") for one in result["templates"]}
    assert {key: vmid for key, vmid in built.items() if vmid is not None} == fleet.current()
    states = [fleet.bench.state(vmid) for vmid in fleet.cluster.vms]
    assert "building" not in states
    configs = " ".join(str(value) for vm in fleet.cluster.vms.values() for value in vm.config.values())
    assert [volid for _node, volid in fleet.volumes() if volid not in configs] == []
    return list(result["failures"])


def mended(fleet: Fleet, *lines: Line, **options: t.Any) -> Result:
    """Without the fault the next run finishes, and the one after it has nothing to do."""
    result = fleet.build(*lines, **options)
    assert result["summary"]["failed"] == result["summary"]["refused"] == []
    fleet.settled(*lines, **options)
    return result


def test_a_failing_download_stops_the_lines_that_need_it(fleet: Fleet) -> None:
    lines = [{**line, "transfer": "download"} for line in TWO]
    fleet.add("fail_task", "POST ^/nodes/pve2/storage/local/download-url$", exitstatus="download failed: exit code 8",
              log=["404 Not Found"])  # fmt: skip
    result = fleet.run(*lines)
    for failure in failed(fleet, result, "alpha@pve2", "beta@pve2"):
        assert "download failed" in failure["msg"]
        assert failure["error"]["task"]["log_tail"]
    assert result["changed"]
    assert result["summary"]["built"] == ["alpha@pve1", "beta@pve1"]
    assert sorted(fleet.current()) == ["alpha@pve1", "beta@pve1"]
    assert len(fleet.sent("pve2/storage/local/download-url")) == 1, "what failed for one is not tried for the next"
    fleet.heal()
    assert mended(fleet, *lines)["summary"]["built"] == ["alpha@pve2", "beta@pve2"]


def test_a_failing_download_is_replaced_by_an_upload_for_all(fleet: Fleet) -> None:
    fleet.add("fail_task", "POST ^/nodes/pve2/storage/local/download-url$", exitstatus="download failed: exit code 8")
    result = fleet.build(*TWO)
    assert sorted(fleet.current()) == ALL
    assert len(fleet.sent("POST .*pve2/.*/upload$")) == 1
    warned = [text for text in warnings_of(result) if "could not download" in text]
    assert len(warned) == 1, warned


def test_a_failing_create_task_stops_its_line_only(fleet: Fleet) -> None:
    fleet.add("fail_task", "POST ^/nodes/pve2/qemu$", exitstatus="unable to create VM 9001 - lvcreate failed",
              log=["device-mapper: message ioctl failed"])  # fmt: skip
    result = fleet.run(*TWO)
    (key,) = result["summary"]["failed"]
    (failure,) = failed(fleet, result, key)
    assert key.endswith("@pve2")
    assert "lvcreate failed" in failure["msg"]
    assert "Nothing was left behind" in failure["msg"]
    assert failure["left_behind"] == []
    assert any("ioctl failed" in text for text in failure["error"]["task"]["log_tail"])
    assert len(result["summary"]["built"]) == 3
    fleet.heal()
    assert mended(fleet, *TWO)["summary"]["built"] == [key]


def test_what_was_done_is_told_once(fleet: Fleet) -> None:
    fleet.add("fail_task", "POST ^/nodes/pve2/qemu$", exitstatus="lvcreate failed")
    result = fleet.run(*TWO)
    counted = collections.Counter(result["done"])
    assert [text for text, count in counted.items() if count > 1] == []


def test_what_a_failed_track_leaves_is_told_and_cleaned_by_the_next_run(fleet: Fleet) -> None:
    fleet.add("status", "POST ^/nodes/pve2/qemu/9001/template$", code=500, message="something broke")
    fleet.add("status", "DELETE ^/nodes/pve2/qemu/9001$", code=500, message="something else broke")
    result = fleet.run(*TWO)
    (failure,) = result["failures"]
    assert failure["track"] == "alpha@pve2"
    assert "VM 9001" in failure["left_behind"][0]
    assert result["left_behind"] == failure["left_behind"]
    assert len(fleet.current()) == 3
    fleet.heal()
    assert mended(fleet, *TWO)["summary"]["built"] == ["alpha@pve2"]


def test_refused_lines_do_not_hinder_the_others(fleet: Fleet) -> None:
    lines = (TWO[0], {"line": "lost", "storage": "gone", "nodes": ["pve1"]}, {"line": "wide", "nodes": ["pve9"]})
    result = fleet.run(*lines)
    assert result["failed"]
    assert result["changed"]
    assert told(result) == {"built": ["alpha@pve1", "alpha@pve2"], "refused": ["lost@pve1", "wide@pve9"]}
    assert sorted(fleet.current()) == ["alpha@pve1", "alpha@pve2"]
    refusals = "\n".join(result["refusals"])
    assert "line lost on node pve1: storage='gone'" in refusals
    assert "line wide on node pve9: node='pve9'" in refusals
    assert all(refusal in result["msg"] for refusal in result["refusals"])
    assert "failures" not in result
    again = fleet.run(*lines)
    assert again["failed"]
    assert again["changed"] is False
    assert fleet.bench.writes() == []
    assert told(again) == {"unchanged": ["alpha@pve1", "alpha@pve2"], "refused": ["lost@pve1", "wide@pve9"]}
    mended(fleet, TWO[0], {"line": "lost", "nodes": ["pve1"]})


def test_check_mode_tells_refusals_beside_the_plan(fleet: Fleet) -> None:
    lines = (TWO[0], {"line": "lost", "storage": "gone"})
    planned = fleet.run(*lines, check=True)
    assert planned["failed"]
    assert {entry.method for entry in fleet.bench.server.requests} == {"GET"}
    done = fleet.run(*lines)
    for key in ("steps", "diff", "summary", "refusals", "changed", "msg"):
        assert planned[key] == done[key], key


def test_an_offline_node_does_not_hinder_the_others(fleet: Fleet) -> None:
    fleet.cluster.set_node_offline("pve2")
    result = fleet.run(*TWO)
    assert result["failed"]
    assert told(result) == {"built": ["alpha@pve1", "beta@pve1"], "refused": ["alpha@pve2", "beta@pve2"]}
    assert all("offline" in refusal for refusal in result["refusals"])
    assert fleet.sent("pve2") == []
    fleet.cluster.set_node_offline("pve2", False)
    mended(fleet, *TWO)
    assert sorted(fleet.current()) == ALL


def test_failures_and_refusals_in_one_run(fleet: Fleet) -> None:
    lines = (*TWO, {"line": "lost", "storage": "gone", "nodes": ["pve1"]})
    fleet.add("status", "POST ^/nodes/pve1/qemu/9000/template$", code=500, message="something broke")
    result = fleet.run(*lines)
    failed(fleet, result, "alpha@pve1")
    assert result["summary"]["refused"] == ["lost@pve1"]
    assert sorted(result["summary"]["built"]) == ["alpha@pve2", "beta@pve1", "beta@pve2"]
    assert len(result["refusals"]) == 1
    assert "something broke" in result["msg"]
    assert result["refusals"][0] in result["msg"]


def test_the_only_line_with_work_fails_and_the_summary_is_there(fleet: Fleet) -> None:
    fleet.build(TWO[0])
    fleet.add("status", "POST ^/nodes/pve2/qemu$", code=500, message="something broke")
    lines = (TWO[0], {"line": "beta", "nodes": ["pve2"]}, {"line": "lost", "storage": "gone", "nodes": ["pve1"]})
    result = fleet.run(*lines)
    failed(fleet, result, "beta@pve2")
    assert result["summary"]["unchanged"] == ["alpha@pve1", "alpha@pve2"]
    assert result["summary"]["refused"] == ["lost@pve1"]
    assert len(result["refusals"]) == 1


@pytest.mark.parametrize("nodes", [["pve1"], list(NODES)], ids=["one", "two"])
def test_a_config_that_changed_meanwhile_is_planned_anew(fleet: Fleet, nodes: list[str]) -> None:
    """As vm_template does it: what was read is stale, nothing is wrong."""
    fleet.build(TWO[0], nodes=nodes)
    fleet.add("digest_bump", "PUT ^/nodes/pve1/qemu/9000/config$")
    result = fleet.run({**TWO[0], "memory": 3072}, nodes=nodes)
    assert not result.get("failed"), result["msg"]
    assert {fleet.cluster.vms[vmid].config["memory"] for vmid in fleet.current().values()} == {"3072"}


def test_a_second_plan_that_fails_as_well_is_told_like_the_first(fleet: Fleet) -> None:
    fleet.build(*TWO)
    fleet.add("digest_bump", "PUT ^/nodes/pve1/qemu/9000/config$")
    fleet.add("status", "PUT ^/nodes/pve1/qemu/9000/config$", nth=2, code=500, message="something broke")
    lines = [{**line, "memory": 3072} for line in TWO]
    result = fleet.run(*lines)
    (failure,) = failed(fleet, result, "alpha@pve1")
    assert "something broke" in failure["msg"]
    assert sorted(result["summary"]["changed"]) == ALL[1:]
    fleet.heal()
    mended(fleet, *lines)


def test_a_refusal_of_the_second_plan_fails_the_run(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node goes while the plan is made anew: its line must not pass for done."""

    async def bump_and_go(call: Call) -> None:
        await EFFECTS["digest_bump"](call)
        fleet.cluster.set_node_offline("pve1")

    monkeypatch.setitem(EFFECTS, "bump_and_go", bump_and_go)
    fleet.build(*TWO)
    fleet.add("bump_and_go", "PUT ^/nodes/pve1/qemu/9000/config$")
    result = fleet.run({**TWO[0], "memory": 3072})
    assert result.get("failed")
    assert "alpha@pve1" in result["summary"]["failed"] + result["summary"]["refused"]


KINDS = ("built", "changed", "removed", "unchanged", "refused", "failed")


def kinds(result: Result) -> dict[str, list[str]]:
    """What the summary says of each template: exactly one thing."""
    keys = [f"{one['line']}@{one['node']}" for one in result["templates"]]
    return {key: [kind for kind in KINDS if key in result["summary"][kind]] for key in keys}


def test_a_line_that_only_retires_is_changed(fleet: Fleet) -> None:
    fleet.build(*TWO)
    fleet.bench.later(hours=1)
    bigger = [{**line, "disk": {"size": "10G"}} for line in TWO]
    fleet.add("status", "PUT ^/nodes/pve1/qemu/9000/config$", code=500, message="something broke")
    assert fleet.run(*bigger)["summary"]["failed"] == ["alpha@pve1"]
    fleet.heal()
    result = fleet.build(*bigger)
    assert result["summary"]["retired"] == [9000]
    assert kinds(result) == {key: ["changed" if key == "alpha@pve1" else "unchanged"] for key in ALL}


def test_a_line_that_only_clears_a_broken_build_away_is_not_removed(fleet: Fleet) -> None:
    line = {"line": "alpha", "nodes": ["pve1"]}
    fleet.build(line)
    fleet.bench.later(hours=1)
    fleet.add("status", "POST ^/nodes/pve1/qemu/9001/template$", code=500, message="something broke")
    fleet.add("status", "DELETE ^/nodes/pve1/qemu/9001$", code=500, message="something broke")
    assert fleet.run({**line, "disk": {"size": "10G"}})["failed"]
    fleet.heal()
    fleet.bench.later(hours=1)
    result = fleet.build(line)
    assert kinds(result) == {"alpha@pve1": ["changed"]}
    assert result["summary"]["destroyed"] == [9001]


def test_former_generations_go_on_every_node(fleet: Fleet) -> None:
    """All generations of one run carry the same tag, which is what clones are known by on LVM-thin."""
    line = {"line": "alpha", "keep": 1}
    fleet.build(line, {"line": "beta"})
    fleet.bench.clone(9001, 500, node="pve2")
    fleet.bench.later(hours=1)
    result = fleet.build({**line, "disk": {"size": "10G"}}, {"line": "beta"})
    assert result["summary"]["destroyed"] == [9000]
    assert [(found["vmid"], found["reason"]) for found in result["summary"]["kept"]] == [
        (9001, "clones hang on it: 500")
    ]
    assert fleet.current() == {"alpha@pve1": 9004, "alpha@pve2": 9005, "beta@pve1": 9002, "beta@pve2": 9003}
    assert kinds(result)["alpha@pve1"] == ["built"]


# --- side by side


class Watch:
    """Counts the workers of a cluster's nodes that are busy with something heavy."""

    def __init__(self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.03) -> None:
        self.busy: collections.Counter[str] = collections.Counter()
        self.most: collections.Counter[str] = collections.Counter()
        self.seconds = seconds
        monkeypatch.setattr(cluster, "worker_slot", self._slot)

    @asynccontextmanager
    async def _slot(self, record: dict[str, t.Any]) -> t.AsyncIterator[None]:
        heavy = record["type"] in ("qmcreate", "download")
        keys = [record["node"], "all", f"{record['node']} {record['type']}"] if heavy else []
        for key in keys:
            self.busy[key] += 1
            self.most[key] = max(self.most[key], self.busy[key])
        try:
            await asyncio.sleep(self.seconds if heavy else 0)
            yield
        finally:
            for key in keys:
                self.busy[key] -= 1


SIX = tuple({"line": f"line-{number}"} for number in range(6))


@pytest.mark.parametrize(
    ("options", "node", "everywhere"),
    [
        ({}, 2, 4),
        ({"per_storage": 1}, 1, 2),
        ({"per_storage": 3}, 3, 6),
        ({"per_storage": 9, "per_node": 2}, 2, 4),
        ({"workers": 1}, 1, 1),
    ],
    ids=["defaults", "one per storage", "three per storage", "two per node", "one worker"],
)
def test_heavy_work_is_bounded(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, options: dict[str, int], node: int, everywhere: int
) -> None:
    watch = Watch(fleet.cluster, monkeypatch)
    fleet.build(*SIX, **options)
    assert max(watch.most["pve1"], watch.most["pve2"]) == node
    assert watch.most["all"] <= everywhere
    assert watch.most["pve1 download"] == watch.most["pve2 download"] == 1
    assert len(fleet.current()) == 12
    assert sorted(fleet.current().values()) == list(range(9000, 9012))


def test_a_shared_storage_is_bounded_across_nodes(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"line": f"line-{number}", "storage": "nfs", "nodes": [NODES[number % 2]]} for number in range(6)]
    fleet.build(*({**line, "storage": "local-lvm", "line": f"x-{line['line']}"} for line in lines))
    watch = Watch(fleet.cluster, monkeypatch)
    fleet.build(*lines)
    assert watch.most["all"] == 2


def test_connections_are_as_many_as_the_workers_and_a_few(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    Watch(fleet.cluster, monkeypatch)
    fleet.cluster.meter.reset()
    fleet.build(*SIX, workers=4)
    assert fleet.cluster.meter.max_in_flight <= 4
    assert fleet.cluster.meter.connections <= 4 + 2
    fleet.cluster.meter.reset()
    fleet.settled(*SIX, workers=4)
    assert fleet.cluster.meter.connections <= 8 + 2, "configs are read by eight at most"


def test_a_real_servers_few_workers_are_enough(fleet: Fleet) -> None:
    fleet.cluster.limits = Limits(proxy_workers=3, daemon_workers=3)
    fleet.build(*SIX)
    assert len(fleet.current()) == 12
    fleet.settled(*SIX)


def test_vmids_are_distinct_also_when_another_client_takes_some(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    stolen: set[int] = set()

    async def take(call: Call) -> None:
        vmid = int(call.params["vmid"])
        if len(stolen) < 2 and vmid not in fleet.cluster.vms:
            stolen.add(vmid)
            fleet.cluster.add_vm(vmid, "racing-client")

    monkeypatch.setitem(EFFECTS, "take", take)
    fleet.add("take", "POST /qemu$", times=None)
    fleet.build(*TWO)
    current = fleet.current()
    assert len(stolen) == 2
    assert sorted(current) == ALL
    assert len(set(current.values())) == 4
    assert not stolen & set(current.values())
    assert {vmid for vmid, vm in fleet.cluster.vms.items() if vm.config.get("name") == "racing-client"} <= stolen
    assert len(fleet.cluster.vms) == 6
    fleet.heal()
    fleet.settled(*TWO)


def test_a_track_does_not_remove_what_another_one_builds(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both belong to one run; the first one's VMID is taken, and the next one is where the second one builds."""
    cluster, asked, steps = fleet.cluster, [], []

    async def happens(call: Call, want: t.Callable[[], bool]) -> None:
        for _time in range(400):
            if want():
                return
            await asyncio.sleep(0.005)

    async def race(call: Call) -> None:
        """9000 is lost to another client once 9001 is there; what comes for 9001 after that breaks."""
        vmid = int(call.params["vmid"])
        asked.append(vmid)
        if vmid == 9000:
            await happens(call, lambda: 9001 in cluster.vms)
            cluster.add_vm(9000, "racing-client")
        elif asked.count(vmid) > 1:
            await EFFECTS["status"](call, code=500, message="something broke")
            steps.append("broke")

    async def convert_late(call: Call) -> None:
        """The conversion of 9001 waits until the other track has cleaned up behind itself."""
        await happens(call, lambda: "broke" in steps)
        await asyncio.sleep(0.3)

    monkeypatch.setitem(EFFECTS, "race", race)
    monkeypatch.setitem(EFFECTS, "convert_late", convert_late)
    fleet.bench.image()
    fleet.add("race", "POST ^/nodes/pve1/qemu$", times=None)
    fleet.add("convert_late", "POST ^/nodes/pve1/qemu/9001/template$")
    result = fleet.run(*TWO, nodes=["pve1"])
    assert sorted(asked) == [9000, 9001, 9001], asked
    failed_tracks = [failure["track"] for failure in result["failures"]]
    assert failed_tracks == ["alpha@pve1"], result["msg"]
    assert fleet.sent("DELETE") == []
    assert fleet.current() == {"beta@pve1": 9001}


# --- secrets


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
def test_no_secret_is_in_a_result(fleet: Fleet, check: bool) -> None:
    lines = [{**line, "cipassword": PASSWORD} for line in TWO]
    result = fleet.run(*lines, check=check)
    assert not result.get("failed"), result["msg"]
    assert PASSWORD not in json.dumps(result)
    creates = [entry.params for entry in fleet.bench.writes() if entry.path.endswith("/qemu")]
    assert all("cipassword" not in params for params in creates)
    assert check or {vm.config["cipassword"][:3] for vm in fleet.cluster.vms.values()} == {"$5$"}


def test_no_secret_is_in_the_result_of_a_failure(fleet: Fleet) -> None:
    lines = [{**line, "cipassword": PASSWORD} for line in TWO]
    fleet.add("status", "PUT ^/nodes/pve2/qemu/9001/config$", code=500, message="something broke")
    result = fleet.run(*lines)
    assert [failure["track"] for failure in result["failures"]] == ["alpha@pve2"]
    assert PASSWORD not in json.dumps(result)
    problems = fleet.run(*lines, workers=0)
    assert PASSWORD not in json.dumps(problems)
