# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_template and VMs that are not, not yet or no longer what a line asks for: whose they are and what may go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pve import FakeCluster
from tests.support.workbench import IMAGE, LINE, Bench, lines_of, warnings_of

OTHER_RUN = "000000000000-4711-1"
"""A run of another machine: nobody here can know whether it still goes on."""


@pytest.fixture
def made(bench: Bench) -> Bench:
    """A template that was built an hour ago."""
    bench.build()
    bench.later(hours=1)
    return bench


def block(bench: Bench, vmid: int, /, **changes: str | None) -> None:
    """Change or (None) remove values of a VM's identity block."""
    config = bench.cluster.vms[vmid].config
    lines = []
    for line in config["description"].splitlines():
        key = line.partition(": ")[0]
        if key not in changes:
            lines.append(line)
        elif changes[key] is not None:
            lines.append(f"{key}: {changes[key]}")
    missing = [key for key in changes if changes[key] and f"{key}: " not in config["description"]]
    lines[-1:-1] = [f"{key}: {changes[key]}" for key in missing]
    config["description"] = "\n".join(lines)


def retag(bench: Bench, vmid: int, old: str, new: str) -> None:
    config = bench.cluster.vms[vmid].config
    config["tags"] = config["tags"].replace(old, new)


def unfinish(bench: Bench, vmid: int, *, whole: bool, run: str = OTHER_RUN, deadline: str = "") -> None:
    """Make a template look like a build that was left: converted (C(whole)) or not, and not published."""
    retag(bench, vmid, "state-current", "state-building")
    block(bench, vmid, run=run, deadline=deadline or None)
    config = bench.cluster.vms[vmid].config
    config["name"] = f"{LINE}-20261123120000"
    if not whole:
        del config["template"]
        shelf = bench.cluster.shelf("local-lvm", "pve1")
        shelf[f"vm-{vmid}-disk-0"] = shelf.pop(f"base-{vmid}-disk-0")
        config["scsi0"] = config["scsi0"].replace("base-", "vm-")


# --- absent


@pytest.mark.parametrize("extra", [{}, {"storage": "nosuch", "image": "nosuch", "cores": 4}])
def test_absent_where_nothing_is_changes_nothing(bench: Bench, extra: dict[str, Any]) -> None:
    result = bench.template(state="absent", **extra)
    assert result["changed"] is False
    assert bench.sent() == ["GET /cluster/resources", "GET /access/permissions"]
    assert bench.vendor.asked == []


def test_absent_destroys_every_generation_with_its_disks_and_nothing_else(made: Bench) -> None:
    made.build(disk={"size": "10G"})
    made.build(line="web")
    made.cluster.add_vm(100, "bystander", config={"scsi0": "local-lvm:vm-100-disk-0,size=1G"})
    planned = made.template(state="absent", check=True)
    result = made.template(state="absent")
    assert result["diff"] == planned["diff"]
    assert lines_of(result, "after") == {"vm 9000": None, "vm 9001": None}
    assert lines_of(result, "before")["vm 9000"]["state"] == "retired"
    assert [(write.method, write.path, write.params) for write in made.writes()] == [
        ("DELETE", f"/nodes/pve1/qemu/{vmid}", {"purge": "1"}) for vmid in (9001, 9000)
    ]
    assert result["template"]["current"] is None
    assert result["template"]["retired"] == []
    assert set(made.cluster.vms) == {100, 9002}
    owners = {volume.vmid for volid, volume in made.cluster.volumes().items() if volid.startswith("local-lvm:")}
    assert owners == {9002}
    assert len(made.imports()) == 1, "stored images stay; module image removes them"
    assert made.template(state="absent")["changed"] is False


def test_absent_keeps_other_lines_whose_names_begin_alike(made: Bench) -> None:
    made.build(line="debian-13-web")
    made.build(line="debian-1")
    assert made.template(state="absent", line="debian-1")["changed"]
    assert set(made.cluster.vms) == {9000, 9001}


def test_absent_refuses_a_protected_generation_before_any_write(made: Bench) -> None:
    made.build(disk={"size": "10G"}, protection=True)
    before = made.snapshot()
    result = made.template(state="absent")
    assert result["failed"]
    assert f"state='absent': VM 9001 ({LINE}) stays: it is protected. Run: qm set 9001 --protection 0" in result["msg"]
    assert made.writes() == []
    assert made.snapshot() == before


def test_absent_refuses_a_base_of_linked_clones_before_any_write(bench: Bench) -> None:
    bench.build(storage="local")
    bench.clone(9000, 120, name="web-1")
    bench.clone(9000, 121, name="web-2")
    before = bench.snapshot()
    result = bench.template(state="absent")
    assert "linked clones hang on it: 120, 121. Remove or fully clone them first" in result["msg"]
    assert bench.writes() == []
    assert bench.snapshot() == before
    for vmid in (120, 121):
        bench.cluster.remove_vm(vmid)
    assert bench.template(state="absent")["changed"]
    assert bench.cluster.vms == {}


def test_absent_reports_all_that_stands_in_its_way(bench: Bench) -> None:
    bench.build(storage="local", protection=True)
    bench.clone(9000, 120)
    result = bench.template(state="absent")
    assert len(result["refusals"]) == 2
    assert "it is protected" in result["msg"]
    assert "linked clones hang on it: 120" in result["msg"]


def test_absent_lets_a_thin_base_go_and_the_clone_live(made: Bench) -> None:
    """LVM-thin keeps no reference to the base, and a clone's data does not depend on it."""
    made.clone(9000, 120, name="web-1")
    clone = dict(made.cluster.vms[120].config)
    result = made.template(state="absent")
    assert result["changed"], result
    assert set(made.cluster.vms) == {120}
    assert made.cluster.vms[120].config == clone
    assert made.cluster.volume(clone["scsi0"].split(",")[0], "pve1")


# --- clones made by hand


@pytest.mark.parametrize("storage", ["local-lvm", "local"])
@pytest.mark.parametrize("full", [0, 1], ids=["linked", "full"])
def test_a_clone_by_hand_survives_everything_untouched(bench: Bench, storage: str, full: int) -> None:
    """It inherits description, tags and the creation time of its template."""
    bench.build(storage=storage)
    clone = bench.clone(9000, 8999, full=full, name="web-1")
    assert "role: template" in clone.config["description"]
    assert f"line-{LINE}" in clone.config["tags"]
    kept = dict(clone.config)
    bench.later(hours=1)

    quiet = bench.template(storage=storage)
    assert quiet["changed"] is False
    bench.build(storage=storage, memory=4096)
    bench.later(hours=1)
    result = bench.template(storage=storage, disk={"size": "10G"})
    assert result["changed"]
    assert result["template"]["foreign"][0]["vmid"] == 8999
    if full or storage == "local-lvm":
        assert bench.template(state="absent")["changed"]
        assert set(bench.cluster.vms) == {8999}
    assert bench.cluster.vms[8999].config == kept
    for key in ("scsi0", "scsi1"):
        assert bench.cluster.volume(kept[key].split(",")[0], "pve1")


def test_a_clone_is_reported_as_foreign_with_its_reason(made: Bench) -> None:
    made.clone(9000, 120, name="web-1")
    result = made.template()
    assert result["template"]["foreign"] == [
        {"vmid": 120, "name": "web-1", "reason": "it is a clone that inherited the tags of its template"}
    ]
    assert len(made.sent()) == 3, "the config of a clone is not needed"
    (warning,) = warnings_of(result)
    assert warning.startswith(f"line {LINE} on node pve1: VM 120 (web-1) is left alone: ")


def test_a_clone_that_was_made_a_template_is_foreign_too(made: Bench) -> None:
    clone = made.clone(9000, 120, full=1, name="mine")
    clone.config["template"] = 1
    clone.config["scsi0"] = clone.config["scsi0"].replace("vm-", "base-")
    kept = dict(clone.config)
    result = made.template()
    assert result["template"]["current"]["vmid"] == 9000
    assert result["template"]["foreign"] == [
        {"vmid": 120, "name": "mine", "reason": "its identity block was inherited from VM 9000"}
    ]
    assert made.template(state="absent")["changed"]
    assert made.cluster.vms[120].config == kept


def test_a_clone_outlives_its_template_and_is_not_taken_for_it(made: Bench) -> None:
    clone = made.clone(9000, 120, full=1, name="web-1")
    made.cluster.remove_vm(9000)
    kept = dict(clone.config)
    result = made.template()
    assert result["template"]["current"]["vmid"] == 9000
    assert clone.config == kept
    assert result["template"]["foreign"][0]["vmid"] == 120


# --- blocks that cannot be believed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "2"}, "its identity block has schema 2, newer than this collection's 1"),
        ({"schema": None}, "its identity block is damaged: no schema number"),
        ({"generation": None}, "its identity block is damaged: no generation"),
        ({"role": "queen"}, "its identity block is damaged: 'queen' is not a valid Role"),
        ({"role": "builder"}, "its identity block says that it is a builder"),
        ({"line": "other"}, "its identity block belongs to line other"),
        ({"vmid": "8000"}, "its identity block was inherited from VM 8000"),
    ],
)
def test_a_template_with_an_unbelievable_block_is_left_alone(
    made: Bench, change: dict[str, str | None], reason: str
) -> None:
    block(made, 9000, **change)
    kept = dict(made.cluster.vms[9000].config)
    result = made.template()
    assert result["changed"], "the line has no current generation of its own"
    assert result["template"]["current"]["vmid"] == 9001
    assert result["template"]["foreign"] == [{"vmid": 9000, "name": LINE, "reason": reason}]
    assert made.template(state="absent")["changed"]
    assert made.cluster.vms[9000].config == kept


def test_a_template_whose_block_was_edited_away_is_foreign(made: Bench) -> None:
    made.cluster.vms[9000].config["description"] = "Edited."
    result = made.template()
    assert result["template"]["foreign"][0]["reason"] == "it has the line's tag or name, and no identity block"


def test_a_source_that_is_no_digest_is_a_damaged_block(made: Bench) -> None:
    block(made, 9000, source="sha256:abc")
    kept = dict(made.cluster.vms[9000].config)
    result = made.template(refresh="always")
    assert result["template"]["foreign"][0]["vmid"] == 9000
    assert made.cluster.vms[9000].config == kept


# --- two current ones, and builds that were left


def test_of_two_current_generations_the_newest_complete_one_wins(made: Bench) -> None:
    made.build(disk={"size": "10G"})
    retag(made, 9000, "state-retired", "state-current")
    result = made.template(disk={"size": "10G"})
    assert result["changed"]
    assert lines_of(result, "after") == {"retired": [9000]}
    assert lines_of(result, "before") == {"retired": []}
    assert (made.state(9000), made.state(9001)) == ("retired", "current")
    assert len(made.writes()) == 1
    assert made.template(disk={"size": "10G"})["changed"] is False


def test_a_build_of_a_run_whose_time_is_up_is_removed_and_made_anew(made: Bench) -> None:
    unfinish(made, 9000, whole=False, deadline="2026-11-23T12:31:00+00:00")
    planned = made.template(check=True)
    result = made.template()
    assert result["diff"] == planned["diff"]
    assert lines_of(result, "before")["unfinished 9000"] == "building"
    assert lines_of(result, "after")["unfinished 9000"] == "absent"
    assert result["template"]["unfinished"] == []
    assert result["template"]["current"]["vmid"] == 9001
    assert set(made.cluster.vms) == {9001}
    assert made.template()["changed"] is False


def test_a_build_that_only_lacked_its_publication_is_published(made: Bench) -> None:
    unfinish(made, 9000, whole=True, deadline="2026-11-23T12:31:00+00:00")
    result = made.template()
    assert result["changed"], result
    assert len(made.writes()) == 1
    assert made.state(9000) == "current"
    assert made.cluster.vms[9000].config["name"] == LINE
    assert "deadline" not in made.cluster.vms[9000].config["description"]
    assert made.template()["changed"] is False


def test_a_build_of_a_run_that_may_still_go_on_is_refused(made: Bench) -> None:
    unfinish(made, 9000, whole=False, deadline="2026-11-23T13:31:00+00:00")
    before = made.snapshot()
    result = made.template()
    assert f"line='{LINE}': VM 9000 is being built by run {OTHER_RUN}" in result["msg"]
    assert "it may be taken over after 2026-11-23T13:31:00+00:00 when no task runs on it" in result["msg"]
    assert made.writes() == []
    assert made.snapshot() == before


def test_absent_removes_a_build_that_was_left(made: Bench) -> None:
    unfinish(made, 9000, whole=False, deadline="2026-11-23T12:31:00+00:00")
    assert made.template(state="absent")["changed"]
    assert made.cluster.vms == {}


# --- adoption


def hand_made(bench: Bench, vmid: int = 9000, **config: Any) -> Any:
    """A template as people make them."""
    values = {"scsi0": f"local-lvm:base-{vmid}-disk-0,size=3G", "net0": "virtio=BC:24:11:00:00:02,bridge=vmbr0"}
    disk = f"base-{vmid}-disk-0"
    bench.cluster.allocate("pve1", "local-lvm", vmid, 3 * 1024**3, name=disk)
    return bench.cluster.add_vm(vmid, "my-template", config={**values, "tags": "mine", **config}, template=True)


def test_a_hand_made_template_is_adopted(bench: Bench) -> None:
    vm = hand_made(bench, description="Made on a Sunday.")
    digest = vm.digest()
    options = {"vmid": 9000, "adopt": True}
    planned = bench.template(check=True, **options)
    result = bench.template(**options)
    assert result["diff"] == planned["diff"]
    hand = {"vmid": 9000, "name": "my-template", "state": "hand-made"}
    ours = {"vmid": 9000, "name": LINE, "state": "current"}
    assert {key: lines_of(result, "before")[key] for key in hand} == hand
    assert {key: lines_of(result, "after")[key] for key in ours} == ours
    assert bench.put()["digest"] == digest
    assert bench.vendor.asked == []
    assert "mine" in bench.tags(9000)
    assert vm.config["description"].startswith("Made on a Sunday.\n\n```homelab\n")
    assert "verification: unverified: adopted\n" in vm.config["description"]
    assert result["template"]["current"]["image"] == IMAGE
    assert bench.template(**options)["changed"] is False
    assert bench.template(vmid=9000)["changed"] is False


def test_an_adopted_template_is_replaced_when_the_vendor_is_asked(bench: Bench) -> None:
    """Its image is unknown, so any build is newer; the VMID cannot stay."""
    hand_made(bench)
    bench.build(vmid=9000, adopt=True)
    bench.later(hours=1)
    result = bench.template(refresh="always")
    assert "the vendor has a newer image" in lines_of(result, "after")["reasons"][0]
    assert (bench.state(9000), bench.state(9001)) == ("retired", "current")


def test_adoption_applies_declared_settings(bench: Bench) -> None:
    vm = hand_made(bench, memory="512")
    options = {"vmid": 9000, "adopt": True, "memory": 4096, "tags": ["web"], "description": "Ours.", "protection": True}
    bench.build(**options)
    assert vm.config["protection"] == 1
    assert bench.tags(9000) >= {"web", "state-current"}
    assert "mine" not in bench.tags(9000)
    assert vm.config["memory"] == "4096"
    assert bench.template(**options)["changed"] is False


def test_a_vm_that_is_no_template_is_not_adopted(bench: Bench) -> None:
    bench.cluster.add_vm(9000, "dns", config={"scsi0": "local-lvm:vm-9000-disk-0,size=3G"})
    result = bench.template(vmid=9000, adopt=True)
    assert "vmid=9000: another guest has it (dns on pve1)" in result["msg"]
    assert bench.writes() == []


def test_adoption_without_anything_to_adopt_builds(bench: Bench) -> None:
    assert bench.build(vmid=9000, adopt=True).vmid == 9000


def test_a_template_of_another_line_is_not_adopted(made: Bench) -> None:
    kept = dict(made.cluster.vms[9000].config)
    result = made.template(line="web", vmid=9000, adopt=True)
    assert result.get("failed"), result
    assert made.writes() == []
    assert made.cluster.vms[9000].config == kept


def test_a_foreign_block_is_not_adopted(made: Bench) -> None:
    """An inherited block marks a foreign VM, which is never planned (docs: whose it is)."""
    clone = made.clone(9000, 120, full=1, name="mine")
    clone.config["template"] = 1
    clone.config["scsi0"] = clone.config["scsi0"].replace("vm-", "base-")
    made.cluster.remove_vm(9000)
    kept = dict(clone.config)
    result = made.template(vmid=120, adopt=True)
    assert result.get("failed"), result
    assert made.writes() == []
    assert clone.config == kept


@pytest.mark.parametrize("bench", [lambda: FakeCluster(nodes=("pve1", "pve2"))], indirect=True)
def test_a_template_on_an_offline_node_is_not_asked_for(bench: Bench) -> None:
    bench.build(node="pve2")
    bench.cluster.nodes["pve2"]["online"] = False
    bench.server.reset_log()
    result = bench.template(node="pve2")
    assert "node='pve2': the node is offline" in result["msg"]
    assert all(entry.status == 200 for entry in bench.server.requests)
