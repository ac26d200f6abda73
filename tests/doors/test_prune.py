# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_template_prune: what no line names any more goes, if it is proven ours and nothing speaks against it."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import prune_door

from tests.support import pve_lab
from tests.support.fleet import NODES, Fleet
from tests.support.pve.images import qcow2
from tests.support.workbench import IMAGE, Bench, warnings_of

ALPHA = {"line": "alpha"}
BOTH = (ALPHA, {"line": "beta"})
OTHER_RUN = "000000000000-4711-1"
"""A run of another machine: nobody here can know whether it still goes on."""

Result = dict[str, t.Any]


class Pruner:
    """A fleet of two nodes, and C(vm_template_prune) called beside it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.bench = fleet.bench
        self.cluster = fleet.cluster

    def run(self, *lines: t.Mapping[str, t.Any], check: bool = False, **options: t.Any) -> Result:
        """One call, whatever comes of it; confirmed, unless it says otherwise."""
        given = [{"image": IMAGE, "storage": "local-lvm", **line} for line in lines]
        given = [{key: value for key, value in line.items() if value is not None} for line in given]
        whole = {"nodes": list(NODES), "catalog_files": [str(self.bench.catalog)], "confirm": True, **options}
        return self.bench.call("vm_template_prune", {"lines": given, **whole}, check=check)

    def prune(self, *lines: t.Mapping[str, t.Any], **options: t.Any) -> Result:
        """A call that must go well."""
        result = self.run(*lines, **options)
        assert not result.get("failed"), result["msg"]
        return result

    def settled(self, *lines: t.Mapping[str, t.Any], **options: t.Any) -> Result:
        """A call that must find nothing to do."""
        before = self.bench.snapshot()
        result = self.prune(*lines, **options)
        assert result["changed"] is False, result["steps"]
        assert self.bench.writes() == []
        assert self.bench.snapshot() == before
        return result

    def vmids(self) -> list[int]:
        return sorted(self.cluster.vms)

    def files(self) -> list[tuple[str, str]]:
        """Stored images with their node."""
        return sorted((node, v) for node in NODES for v in self.cluster.volumes(node) if ":import/" in v)

    def orphans(self) -> list[tuple[str, str]]:
        """Disks that no VM of their node has."""
        return sorted(
            (node, volid)
            for node, volid in self.fleet.volumes()
            if not any(volid in str(vm.config) for vm in self.cluster.vms.values() if vm.node == node)
        )


@pytest.fixture
def pruner(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pruner]:
    """A site with two lines on two nodes: VMs 9000 and 9001 of alpha, 9002 and 9003 of beta."""

    class Now(datetime):
        @classmethod
        def now(cls, tz: t.Any = None) -> datetime:
            return fleet.bench.now.astimezone(tz)

    monkeypatch.setattr(prune_door, "datetime", Now)
    fleet.build(*BOTH)
    fleet.bench.later(hours=1)
    return Pruner(fleet)


def of(result: Result, kind: str = "destroyed") -> list[int]:
    return [one["vmid"] for one in result[kind]]


def reasons(result: Result, kind: str = "kept") -> dict[int, str]:
    return {one["vmid"]: one["reason"] for one in result[kind]}


# --- what goes


def test_nothing_beside_the_lines_needs_no_word_and_no_config(pruner: Pruner) -> None:
    result = pruner.settled(*BOTH, confirm=False)
    assert pruner.bench.sent() == ["GET /cluster/resources", "GET /access/permissions"]
    assert [result[kind] for kind in ("destroyed", "removed_images", "kept", "kept_images", "foreign", "unknown")] == [
        [] for _kind in range(6)
    ]


def test_a_line_that_is_not_declared_goes_with_all_its_generations(pruner: Pruner) -> None:
    pruner.fleet.build(ALPHA, {"line": "beta", "disk": {"size": "10G"}})
    result = pruner.prune(ALPHA)
    assert of(result) == [9002, 9004, 9003, 9005]
    assert pruner.vmids() == [9000, 9001]
    assert pruner.orphans() == []
    assert {one["reason"] for one in result["destroyed"]} == {"no line beta is declared"}
    pruner.settled(ALPHA)


def test_an_absent_line_is_not_declared(pruner: Pruner) -> None:
    result = pruner.prune(ALPHA, {"line": "beta", "state": "absent"})
    assert of(result) == [9002, 9003]


def test_a_line_goes_from_nodes_that_it_is_not_declared_for(pruner: Pruner) -> None:
    result = pruner.prune(ALPHA, {"line": "beta", "nodes": ["pve1"]})
    assert reasons(result, "destroyed") == {9003: "line beta is not declared for pve2"}
    assert pruner.vmids() == [9000, 9001, 9002]


def test_what_a_declared_line_has_is_the_business_of_the_fleet(pruner: Pruner) -> None:
    """Former generations, however many, and whatever is wrong with them."""
    for size in ("10G", "11G", "12G"):
        pruner.fleet.build({"line": "alpha", "disk": {"size": size}, "keep": 9}, BOTH[1])
        pruner.bench.later(hours=1)
    pruner.settled(*BOTH)


def test_check_mode_shows_the_plan_without_confirmation_and_reads_only(pruner: Pruner) -> None:
    before = pruner.bench.snapshot()
    planned = pruner.run(ALPHA, check=True, confirm=False)
    assert not planned.get("failed"), planned["msg"]
    assert planned["changed"]
    assert {entry.method for entry in pruner.bench.server.requests} == {"GET"}
    assert pruner.bench.snapshot() == before
    done = pruner.prune(ALPHA)
    for key in ("steps", "diff", "destroyed", "kept"):
        assert planned[key] == done[key], key
    assert planned["diff"]["after"] == {"vm 9002": None, "vm 9003": None}
    assert planned["diff"]["before"]["vm 9002"]["line"] == "beta"


def test_without_confirmation_one_message_says_all_and_nothing_is_written(pruner: Pruner) -> None:
    before = pruner.bench.snapshot()
    result = pruner.run(ALPHA, confirm=False, images=True)
    assert result["failed"]
    assert "confirm=False: 2 VMs and 0 stored images would go" in result["msg"]
    assert "VM 9002 (beta) on pve1: no line beta is declared; VM 9003 (beta) on pve2" in result["msg"]
    assert "set confirm to true" in result["msg"]
    assert pruner.bench.writes() == []
    assert pruner.bench.snapshot() == before


def test_it_reads_once_and_in_few_requests(pruner: Pruner) -> None:
    pruner.run(ALPHA, check=True)
    assert sorted(pruner.bench.sent()) == [
        "GET /access/permissions",
        "GET /cluster/resources",
        "GET /nodes/pve1/qemu/9002/config",
        "GET /nodes/pve2/qemu/9003/config",
    ]


def test_the_current_generation_goes_only_when_the_line_has_another(pruner: Pruner) -> None:
    """The line moves to another node: published before anything is deleted."""
    pruner.prune(ALPHA, {"line": "beta", "nodes": ["pve2"]})
    moved = (ALPHA, {"line": "beta", "nodes": ["pve1"]})
    assert reasons(pruner.settled(*moved)) == {9003: "line beta has no current generation on pve1 yet"}
    pruner.fleet.build(*moved)
    assert of(pruner.prune(*moved)) == [9003]


# --- what says no


def test_no_lines_would_be_everything_and_need_a_word(pruner: Pruner) -> None:
    for lines in ((), ({"line": "alpha", "state": "absent"},)):
        result = pruner.run(*lines)
        assert "every template of this collection would go" in result["msg"]
        assert pruner.bench.server.requests == []
    assert of(pruner.prune(allow_no_lines=True)) == [9000, 9001, 9002, 9003]
    assert pruner.vmids() == []


def test_a_node_that_does_not_exist_refuses_everything(pruner: Pruner) -> None:
    result = pruner.run(*BOTH, nodes=["pve1", "pev2"])
    assert "line alpha, beta: nodes='pev2': the cluster has no such node. Name one of: pve1, pve2" in result["msg"]
    assert pruner.bench.writes() == []


def test_what_is_wrong_with_the_options_is_told_together(pruner: Pruner) -> None:
    result = pruner.run({"line": "Alpha"}, {"line": "beta", "image": "debain-13"}, max_deletions=-1)
    assert len(result["problems"]) == 3, result["problems"]
    assert pruner.bench.server.requests == []


def test_an_image_that_its_vendor_gave_up_does_not_stop_a_prune(pruner: Pruner) -> None:
    pruner.bench.describe(lifecycle={"phase": "eol"}, confidence="low")
    assert of(pruner.prune(ALPHA)) == [9002, 9003]


@pytest.mark.parametrize(("option", "limit", "count"), [("max_deletions", 1, 2), ("max_image_deletions", 2, 3)])
def test_the_brakes(pruner: Pruner, option: str, limit: int, count: int) -> None:
    for number in range(4):
        pruner.cluster.put_file(f"nfs:import/{IMAGE}-00000000000{number}.qcow2", qcow2())
    before = pruner.bench.snapshot()
    for check in (True, False):
        result = pruner.run(ALPHA, check=check, images=True, **{option: limit})
        assert f"{option}={limit}: {count} " in result["msg"], result["msg"]
        assert f"set {option} to {count} if they shall go" in result["msg"]
        assert pruner.bench.writes() == []
        assert pruner.bench.snapshot() == before
    assert not pruner.run(ALPHA, images=True, **{option: count}).get("failed")


# --- whose it is


@pytest.mark.parametrize("storage", ["local-lvm", "local"])
@pytest.mark.parametrize("full", [0, 1], ids=["linked", "full"])
def test_a_clone_by_hand_survives_untouched(pruner: Pruner, storage: str, full: int) -> None:
    line = {"line": "gamma", "storage": storage, "nodes": ["pve1"]}
    pruner.fleet.build(line)
    clone = pruner.bench.clone(9004, 120, full=full, name="web-1")
    kept = dict(clone.config)
    result = pruner.prune(*BOTH)
    stays = not (full and storage == "local")
    assert reasons(result) == ({9004: "clones hang on it: 120"} if stays else {})
    assert reasons(result, "foreign") == {120: "it is a clone that inherited the tags of its template"}
    assert "VM 120 (web-1) on pve1 is left alone" in " ".join(warnings_of(result))
    assert clone.config == kept
    pruner.settled(*BOTH)
    pruner.cluster.remove_vm(120)
    pruner.prune(*BOTH)
    assert 9004 not in pruner.vmids()
    assert pruner.orphans() == []


@pytest.mark.parametrize("full", [0, 1], ids=["linked", "full"])
def test_a_clone_that_was_made_a_template_survives_its_line(pruner: Pruner, full: int) -> None:
    """It has the block, the tags and the template flag, and its disks are base volumes; the VMID tells."""
    pruner.fleet.build({"line": "gamma", "storage": "local", "nodes": ["pve1"]})
    clone = pruner.bench.clone(9004, 120, full=full, name="mine")
    pruner.bench.server.call(pruner.cluster._qm_template, {"node": "pve1", "vmid": 120}, "root@pam")
    pruner.bench.settle()
    assert clone.template
    kept = dict(clone.config)
    for _run in range(2):
        result = pruner.prune(*BOTH)
        assert reasons(result, "foreign") == {120: "its identity block was inherited from VM 9004"}
        assert reasons(result) == ({} if full else {9004: "clones hang on it: 120"})
    assert clone.config == kept


def test_a_clone_outlives_its_template(pruner: Pruner) -> None:
    clone = pruner.bench.clone(9002, 120, full=1, name="web-1")
    pruner.cluster.remove_vm(9002)
    kept = dict(clone.config)
    result = pruner.prune(ALPHA)
    assert of(result) == [9003]
    assert reasons(result, "foreign") == {120: "its identity block was inherited from VM 9002"}
    assert clone.config == kept


def block(pruner: Pruner, vmid: int, /, **changes: str | None) -> None:
    """Change or (None) remove values of a VM's identity block."""
    config = pruner.cluster.vms[vmid].config
    lines = [line for line in config["description"].splitlines() if line.partition(": ")[0] not in changes]
    lines[-1:-1] = [f"{key}: {value}" for key, value in changes.items() if value is not None]
    config["description"] = "\n".join(lines)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "2"}, "its identity block has schema 2, newer than this collection's 1"),
        ({"schema": None}, "its identity block is damaged: no schema number"),
        ({"generation": None}, "its identity block is damaged: no generation"),
        ({"role": "clone"}, "its identity block says that it is a clone"),
        ({"line": "other"}, "its identity block belongs to line other"),
        ({"vmid": "8000"}, "its identity block was inherited from VM 8000"),
    ],
)
def test_an_unbelievable_block_is_foreign(pruner: Pruner, change: dict[str, str | None], reason: str) -> None:
    block(pruner, 9002, **change)
    kept = dict(pruner.cluster.vms[9002].config)
    result = pruner.prune(ALPHA)
    assert reasons(result, "foreign") == {9002: reason}
    assert of(result) == [9003]
    assert pruner.cluster.vms[9002].config == kept


def test_without_a_block_it_is_foreign(pruner: Pruner) -> None:
    pruner.cluster.vms[9002].config["description"] = "Edited."
    assert reasons(pruner.prune(ALPHA), "foreign") == {9002: "it has the line's tag or name, and no identity block"}


def test_a_template_that_somebody_made_a_vm_of_again_stays(pruner: Pruner) -> None:
    del pruner.cluster.vms[9002].config["template"]
    result = pruner.prune(ALPHA)
    assert reasons(result) == {9002: "it is no whole template any more (template)"}
    assert of(result) == [9003]
    pruner.settled(ALPHA)


def test_guests_of_others_are_not_even_read(pruner: Pruner) -> None:
    pruner.cluster.add_vm(100, "dns", config={"tags": "web;linux"})
    pruner.cluster.add_vm(101, "backup-20261123203101")
    result = pruner.prune(ALPHA)
    assert pruner.vmids() == [100, 101, 9000, 9001]
    assert result["foreign"] == []
    assert not any("/qemu/100/" in line for line in pruner.bench.sent())


# --- what stays in spite of it


def test_what_is_protected_or_locked_stays(pruner: Pruner) -> None:
    pruner.cluster.vms[9002].config["protection"] = 1
    pruner.bench.server.call(pruner.cluster.snapshot_lock, 9003, "backup")
    assert reasons(pruner.settled(ALPHA)) == {9002: "it is protected", 9003: "it is locked (backup)"}


def test_an_offline_node_is_unknown_and_asked_nothing(pruner: Pruner) -> None:
    pruner.cluster.set_node_offline("pve2")
    result = pruner.prune(ALPHA)
    assert of(result) == [9002]
    assert reasons(result, "unknown") == {9003: "its node is offline"}
    assert "node pve2 is offline: what is on it cannot be known, and stays" in warnings_of(result)
    assert all("/pve2/" not in line for line in pruner.bench.sent())
    pruner.cluster.set_node_offline("pve2", False)
    assert of(pruner.prune(ALPHA)) == [9003]


def test_a_storage_that_does_not_answer_hides_the_clones(pruner: Pruner) -> None:
    pruner.fleet.build({"line": "gamma", "storage": "nfs", "nodes": ["pve1"]})
    pruner.cluster.storages["nfs"]["active"] = 0
    (kept,) = pruner.settled(*BOTH)["kept"]
    assert kept["reason"] == "whether clones hang on it cannot be told: nfs does not list it"
    told = warnings_of(pruner.run(*BOTH, images=True, check=True))
    assert "storage nfs on pve1 is not available: its images stay" in told
    pruner.cluster.storages["nfs"]["active"] = 1
    assert of(pruner.prune(*BOTH)) == [9004]


def unfinish(pruner: Pruner, vmid: int, *, run: str = OTHER_RUN, deadline: str, whole: bool = False) -> None:
    """Make a generation what a run leaves that ended too early."""
    config = pruner.cluster.vms[vmid].config
    block(pruner, vmid, run=run, deadline=deadline)
    config["tags"] = config["tags"].replace("state-current", "state-building")
    if not whole:
        del config["template"]


PAST, FUTURE = "2026-11-23T12:31:00+00:00", "2026-11-23T13:31:00+00:00"


@pytest.mark.parametrize("whole", [True, False])
def test_an_unfinished_build_whose_time_is_up_goes(pruner: Pruner, whole: bool) -> None:
    unfinish(pruner, 9002, deadline=PAST, whole=whole)
    result = pruner.prune(ALPHA)
    assert reasons(result, "destroyed")[9002] == "an unfinished build of line beta, whose run is gone"
    assert pruner.vmids() == [9000, 9001]


def test_an_unfinished_build_of_a_run_that_may_live_stays(pruner: Pruner) -> None:
    unfinish(pruner, 9002, deadline=FUTURE)
    result = pruner.prune(ALPHA)
    assert reasons(result) == {9002: f"run {OTHER_RUN} may still build it, until {FUTURE}"}
    assert of(result) == [9003]


def test_an_unfinished_build_with_a_task_on_it_stays(pruner: Pruner) -> None:
    unfinish(pruner, 9002, deadline=PAST)
    assert 9002 in of(pruner.run(ALPHA, check=True))
    pruner.cluster.faults.add("hang_task", "PUT", "/qemu/9002/resize$")
    client = pve_lab.Client(pruner.bench.server)
    upid = client.root("PUT", "/nodes/pve1/qemu/9002/resize", disk="scsi0", size="20G").json()["data"]
    result = pruner.run(ALPHA, check=True)
    pruner.bench.server.call(pruner.cluster.faults.reset)
    pruner.bench.settle()
    assert reasons(result)[9002] == f"run {OTHER_RUN} builds it, task {upid} runs on it"


@pytest.mark.parametrize(("status", "gone"), [("stopped", True), ("running", False)])
def test_a_builder_goes_when_its_time_is_up_and_it_does_not_run(pruner: Pruner, status: str, gone: bool) -> None:
    block(pruner, 9002, role="builder", deadline=PAST)
    config = pruner.cluster.vms[9002].config
    del config["template"]
    pruner.cluster.vms[9002].status = status
    result = pruner.prune(ALPHA)
    assert (9002 in of(result)) is gone
    assert reasons(result) == ({} if gone else {9002: "it is running"})


def test_a_build_whose_tags_had_to_wait_is_found_by_its_name(pruner: Pruner) -> None:
    unfinish(pruner, 9002, deadline=PAST)
    config = pruner.cluster.vms[9002].config
    config["name"] = "beta-20261123120000"
    del config["tags"]
    assert 9002 in of(pruner.prune(ALPHA))


def test_an_unfinished_build_of_a_declared_line_is_the_business_of_the_fleet(pruner: Pruner) -> None:
    unfinish(pruner, 9002, deadline=PAST)
    pruner.settled(*BOTH)
    config = pruner.cluster.vms[9002].config
    config["name"] = "beta-20261123120000"
    del config["tags"]
    pruner.settled(*BOTH)


# --- images


def test_images_are_left_alone_where_nothing_is_said(pruner: Pruner) -> None:
    before = pruner.files()
    pruner.prune(allow_no_lines=True)
    assert pruner.files() == before


def test_images_go_with_the_last_template_that_was_built_from_them(pruner: Pruner) -> None:
    assert len(pruner.files()) == 2
    pruner.settled(*BOTH, images=True)
    half = pruner.prune(ALPHA, images=True)
    assert half["removed_images"] == []
    result = pruner.prune(images=True, allow_no_lines=True)
    assert [(one["node"], one["image"]) for one in result["removed_images"]] == [("pve1", IMAGE), ("pve2", IMAGE)]
    assert pruner.files() == []
    assert "local:import" in str(result["diff"]["before"])
    pruner.settled(images=True, allow_no_lines=True)


def test_the_newest_file_of_a_declared_line_stays_on_every_storage(pruner: Pruner) -> None:
    """Old ones that no template was built from go; the newest is what a node added later is served from."""
    built_from = pruner.files()
    for node in NODES:
        for number, age in enumerate((300, 200, 100)):
            volume = pruner.cluster.put_file(f"fast:import/{IMAGE}-00000000000{number}.qcow2", qcow2(), node=node)
            volume.ctime -= age
    volume = pruner.cluster.put_file(f"local:import/{IMAGE}-000000000007.qcow2", qcow2())
    volume.ctime -= 999
    result = pruner.prune(*BOTH, images=True)
    assert [(one["node"], one["volid"]) for one in result["removed_images"]] == [
        ("pve1", f"fast:import/{IMAGE}-000000000000.qcow2"),
        ("pve1", f"fast:import/{IMAGE}-000000000001.qcow2"),
        ("pve1", f"local:import/{IMAGE}-000000000007.qcow2"),
        ("pve2", f"fast:import/{IMAGE}-000000000000.qcow2"),
        ("pve2", f"fast:import/{IMAGE}-000000000001.qcow2"),
    ]
    assert set(built_from) < set(pruner.files())
    pruner.settled(*BOTH, images=True)


def test_files_of_others_are_not_touched(pruner: Pruner) -> None:
    digest = "0123456789ab"
    strangers = [
        f"local:import/appliance-{digest}.qcow2",
        f"local:import/{IMAGE}.qcow2",
        f"local:import/{IMAGE}-{digest[:-1]}.qcow2",
        f"local:import/{IMAGE}-{digest.upper()}.qcow2",
        f"local:import/{IMAGE}-{digest}.ova",
        f"local:iso/{IMAGE}-{digest}.iso",
    ]
    for volid in strangers:
        pruner.cluster.put_file(volid, qcow2())
    pruner.cluster.put_file(f"local:import/{IMAGE}-{digest}.qcow2", qcow2())
    result = pruner.prune(images=True, allow_no_lines=True)
    gone = {one["volid"] for one in result["removed_images"]}
    assert f"local:import/{IMAGE}-{digest}.qcow2" in gone
    assert not gone & set(strangers)
    assert set(strangers) <= set(pruner.cluster.volumes("pve1"))


def test_a_shared_storage_is_listed_once_and_its_files_go_once(pruner: Pruner) -> None:
    pruner.cluster.put_file(f"nfs:import/{IMAGE}-0123456789ab.qcow2", qcow2())
    result = pruner.prune(images=True, allow_no_lines=True)
    listed = [line for line in pruner.bench.sent() if "/storage/nfs/content" in line]
    assert sorted(listed) == [
        f"DELETE /nodes/pve1/storage/nfs/content/nfs:import/{IMAGE}-0123456789ab.qcow2",
        "GET /nodes/pve1/storage/nfs/content",
    ]
    assert [one["node"] for one in result["removed_images"] if one["storage"] == "nfs"] == ["pve1"]
    reads = [line for line in pruner.bench.sent() if line.startswith("GET ") and "/content" in line]
    assert len(reads) == len(set(reads)) == 5, "local and fast of each node, nfs once"


def test_an_own_image_is_known_by_the_digest_in_the_block(pruner: Pruner) -> None:
    sha = pruner.bench.publish(qcow2() + bytes(512), "own/appliance.qcow2")
    own = {"url": pruner.bench.url("own/appliance.qcow2"), "checksum": f"sha256:{sha}", "image": None}
    line = {"line": "own", "nodes": ["pve1"], **own}
    pruner.fleet.build(line)
    older = f"local:import/appliance-{'0' * 12}.qcow2"
    pruner.cluster.put_file(older, qcow2()).ctime -= 100
    assert [one["volid"] for one in pruner.prune(*BOTH, line, images=True)["removed_images"]] == [older]
    pruner.cluster.put_file(older, qcow2()).ctime -= 100
    gone = [one["volid"] for one in pruner.prune(*BOTH, images=True)["removed_images"]]
    assert gone == [older, f"local:import/appliance-{sha[:12]}.qcow2"]


def test_a_file_that_a_foreign_template_was_made_of_is_not_in_use(pruner: Pruner) -> None:
    """A clone has its own disk, and its block is not its own."""
    pruner.bench.clone(9002, 120, full=1)
    pruner.cluster.remove_vm(9002)
    pruner.prune(images=True, allow_no_lines=True)
    assert pruner.files() == []
    assert 120 in pruner.vmids()


def test_what_offline_nodes_were_built_from_is_not_known(pruner: Pruner) -> None:
    pruner.cluster.set_node_offline("pve2")
    result = pruner.prune(images=True, allow_no_lines=True)
    assert of(result) == [9000, 9002]
    assert result["removed_images"] == []
    assert [one["reason"] for one in result["kept_images"]] == ["what the VMs on pve2 were built from is not known"]
    pruner.cluster.set_node_offline("pve2", False)
    assert len(pruner.prune(images=True, allow_no_lines=True)["removed_images"]) == 2


# --- faults

GONE_VMS = (9002, 9003)


def recovered(pruner: Pruner, **options: t.Any) -> None:
    """The next run finishes, the one after it writes nothing."""
    pruner.fleet.heal()
    pruner.prune(**options)
    assert pruner.vmids() == ([] if "allow_no_lines" in options else [9000, 9001])
    assert pruner.orphans() == []
    pruner.settled(**options)


EACH_DELETE = pytest.mark.parametrize(
    ("path", "nth"),
    [(r"/qemu/\d+$", 1), (r"/qemu/\d+$", 4), (r"/content/", 1), (r"/content/", 2)],
    ids=["first VM", "last VM", "first image", "last image"],
)
ALL_GOES: dict[str, t.Any] = {"images": True, "allow_no_lines": True}


@EACH_DELETE
@pytest.mark.parametrize("effect", ["cut_before", "cut_after"])
def test_a_cut_connection_is_survived(pruner: Pruner, effect: str, path: str, nth: int) -> None:
    pruner.fleet.add(effect, f"DELETE {path}", nth=nth)
    result = pruner.prune(**ALL_GOES)
    assert of(result) == [9000, 9001, 9002, 9003]
    assert len(result["removed_images"]) == 2
    assert pruner.files() == []
    recovered(pruner, **ALL_GOES)


CODES = {"500": "something broke", "403": "Permission check failed (/somewhere, Some.Right)"}


@EACH_DELETE
@pytest.mark.parametrize("effect", ["500", "403", "task"])
def test_what_cannot_be_removed_does_not_stop_the_rest(pruner: Pruner, effect: str, path: str, nth: int) -> None:
    if effect == "task":
        pruner.fleet.add("fail_task", f"DELETE {path}", nth=nth, exitstatus="lvremove failed", log=["first", "second"])
        text = "lvremove failed"
    else:
        text = CODES[effect]
        pruner.fleet.add("status", f"DELETE {path}", nth=nth, code=int(effect), message=text)
    planned = pruner.run(check=True, **ALL_GOES)
    result = pruner.run(**ALL_GOES)
    assert result["failed"]
    assert result["changed"]
    assert text in result["msg"]
    tracks = [failure["track"] for failure in result["failures"]]
    there = [f"VM {vmid} on {vm.node}" for vmid, vm in pruner.cluster.vms.items()]
    there += [f"{volid} on {node}" for node, volid in pruner.files()]
    assert sorted(tracks) == sorted(there), "whatever is still there is named"
    for vmid in of(planned):
        assert (vmid in of(result)) is (vmid not in pruner.cluster.vms)
    assert len(result["removed_images"]) == 2 - len(pruner.files())
    if effect == "task" and "qemu" in path:
        assert "second" in str(result["failures"][0]), "the log of the task"
        assert "not wholly; the next run tries again" in result["failures"][0]["left_behind"][0]
    recovered(pruner, **ALL_GOES)


def test_the_images_of_a_template_that_could_not_go_stay(pruner: Pruner) -> None:
    pruner.fleet.add("status", "DELETE /qemu/9002$", code=500, message="something broke")
    result = pruner.run(**ALL_GOES)
    assert "VM 9002 was built from it, and could not be destroyed; it was left alone" in result["msg"]
    assert len(pruner.files()) == 2
    recovered(pruner, **ALL_GOES)


def test_every_request_may_be_refused_and_nothing_is_lost(pruner: Pruner) -> None:
    """Reads included: what is declared stays whole, and what is still there is not called destroyed."""
    options = {"images": True}
    pruner.cluster.put_file(f"fast:import/{IMAGE}-000000000000.qcow2", qcow2()).ctime -= 99
    pruner.cluster.put_file(f"fast:import/{IMAGE}-000000000001.qcow2", qcow2())
    count = 0
    while True:
        pruner.bench.server.call(pruner.cluster.faults.reset)
        fault = pruner.cluster.faults.add("status", at=count, code=403, message="Permission check failed (/x, Y.Z)")
        result = pruner.run(ALPHA, **options)
        if not fault.fired:
            break
        count += 1
        current = pruner.fleet.current()
        assert {key: current[key] for key in ("alpha@pve1", "alpha@pve2")} == {"alpha@pve1": 9000, "alpha@pve2": 9001}
        for vmid in set(GONE_VMS) & set(pruner.cluster.vms):
            assert result["failed"], f"{count}: VM {vmid} is still there, and nothing is said"
            assert vmid not in of({"destroyed": [], **result})
        if not set(GONE_VMS) <= set(pruner.cluster.vms):
            pruner.bench.server.call(pruner.cluster.faults.reset)
            pruner.bench.later(minutes=5)
            pruner.fleet.build(*BOTH)
        assert count < 100
    assert count > 10


def test_a_vm_that_became_another_one_is_left_alone(pruner: Pruner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between plan and deletion somebody gave the VMID to something else."""
    plan_prune = prune_door.plan_prune

    def replaced(*given: t.Any) -> t.Any:
        plan = plan_prune(*given)
        block(pruner, 9002, run="somebody-else-1")
        return plan

    monkeypatch.setattr(prune_door, "plan_prune", replaced)
    result = pruner.run(ALPHA)
    assert "VM 9002 on pve1 is no longer what the plan saw; it was left alone" in result["msg"]
    assert of(result) == [9003]
    assert 9002 in pruner.vmids()


def test_a_vm_that_went_meanwhile_is_no_failure(pruner: Pruner, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_prune = prune_door.plan_prune

    def removed(*given: t.Any) -> t.Any:
        plan = plan_prune(*given)
        pruner.bench.server.call(pruner.cluster.remove_vm, 9002)
        return plan

    monkeypatch.setattr(prune_door, "plan_prune", removed)
    result = pruner.prune(ALPHA)
    assert of(result) == [9003]
    assert "VM 9002 on pve1 was gone already" in warnings_of(result)


def test_a_vm_that_may_not_be_read_any_more_is_not_called_gone(pruner: Pruner) -> None:
    pruner.fleet.add("status", "GET /qemu/9002/config$", nth=2, code=403, message="Permission check failed (/x, Y.Z)")
    result = pruner.run(ALPHA)
    assert "VM 9002 is no longer on pve1, or may not be read any more; it was left alone" in result["msg"]
    assert of(result) == [9003]


# --- least privileges


@pytest.mark.parametrize("bench", [pve_lab.build, lambda: pve_lab.build("9.1.2")], indirect=True, ids=["8.4", "9.1"])
def test_the_least_privileges_are_enough(bench: Bench) -> None:
    limited(bench)
    bench.build(pool="templates")
    result = bench.call("vm_template_prune", OLD_LINE)
    assert not result.get("failed"), result["msg"]
    assert (of(result), len(result["removed_images"])) == ([9000], 1)
    assert set(bench.cluster.vms) == {9450}
    assert bench.imports() == []
    assert all(entry.status < 400 for entry in bench.server.requests)


@pytest.mark.parametrize("bench", [pve_lab.build], indirect=True)
@pytest.mark.parametrize(
    ("privilege", "path"), [("VM.Allocate", "/pool/templates"), ("Datastore.Allocate", "/storage/local")]
)
def test_a_missing_privilege_is_refused_with_the_line_that_grants_it(bench: Bench, privilege: str, path: str) -> None:
    limited(bench)
    bench.build(pool="templates")
    for held in bench.cluster.access.roles.values():
        held.discard(privilege)
    before = bench.snapshot()
    result = bench.call("vm_template_prune", OLD_LINE)
    assert f"api_token_id='{pve_lab.TOKEN}': it lacks {privilege} on {path}" in result["msg"]
    assert "Run on a node: pveum role add" in result["msg"]
    assert bench.writes() == []
    assert bench.snapshot() == before


@pytest.mark.parametrize("bench", [pve_lab.build], indirect=True)
def test_credentials_that_see_no_guests_are_told_so(bench: Bench) -> None:
    """Every image would seem to be out of use."""
    limited(bench)
    bench.build(pool="templates")
    for held in bench.cluster.access.roles.values():
        held.discard("VM.Audit")
    result = bench.call("vm_template_prune", OLD_LINE)
    assert "these credentials are not allowed to see guests" in result["msg"]
    assert bench.writes() == []


@pytest.mark.parametrize("bench", [pve_lab.build], indirect=True)
def test_credentials_that_do_not_see_the_clones_destroy_nothing(bench: Bench) -> None:
    """Without a sight of the volumes nobody can tell who hangs on a base."""
    limited(bench)
    bench.build(pool="templates", storage="local", cloudinit_storage="local")
    for held in bench.cluster.access.roles.values():
        held -= {"Datastore.Audit", "Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate"}
    result = bench.call("vm_template_prune", {**OLD_LINE, "images": False})
    assert result["changed"] is False
    assert reasons(result) == {9000: "whether clones hang on it cannot be told: local does not list it"}


OLD_LINE = {"lines": [], "allow_no_lines": True, "confirm": True, "images": True}


def limited(bench: Bench) -> None:
    token = pve_lab.TOKEN
    bench.credentials = {"api_token_id": token, "api_token_secret": bench.cluster.apitokens[token]}


def test_times_are_of_the_world(pruner: Pruner) -> None:
    """The deadline of another run is compared with the time of this machine, in whatever zone it is written."""
    pruner.bench.now = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
    unfinish(pruner, 9002, deadline="2026-11-23T14:30:00+02:00")
    assert 9002 in of(pruner.run(ALPHA, check=True))
