# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned, held and rolled back: which generation is current is the user's word, and it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fleet import Fleet
from tests.support.workbench import FILE, Bench, warnings_of


@pytest.fixture
def two(bench: Bench) -> Bench:
    """Two generations a day apart, 9000 of the vendor's first image and 9001, which is current, of the second."""
    bench.build()
    bench.publish_newer()
    bench.later(days=1)
    bench.build(refresh="always")
    bench.later(hours=1)
    return bench


def generation_of(bench: Bench, vmid: int) -> str:
    (found,) = (tag.removeprefix("gen-") for tag in bench.tags(vmid) if tag.startswith("gen-"))
    return found


def unchanged(bench: Bench, **options: Any) -> list[str]:
    """A run that writes nothing; returns its warnings."""
    result = bench.template(**options)
    assert not result.get("failed"), result
    assert result["changed"] is False, result["diff"]
    assert bench.writes() == []
    return warnings_of(result)


def states(bench: Bench) -> dict[int, str]:
    return {vmid: bench.state(vmid) for vmid in sorted(bench.cluster.vms)}


# --- rollback


def test_one_task_makes_the_previous_generation_current(two: Bench) -> None:
    planned = two.call("vm_template_rollback", {"line": "debian-13"}, check=True)
    assert two.writes() == []
    result = two.call("vm_template_rollback", {"line": "debian-13"})
    assert result["changed"]
    assert (
        planned["steps"]
        == result["steps"]
        == [
            "publish VM 9000 as the current line debian-13 on node pve1",
            "withdraw VM 9001 of line debian-13 on node pve1; it is kept",
        ]
    )
    assert len(two.writes()) == 2
    assert states(two) == {9000: "current", 9001: "retired"}
    assert two.cluster.vms[9000].config["name"] == "debian-13"
    assert two.cluster.vms[9001].config["name"].startswith("debian-13-2026")
    assert result["templates"][0]["current"]["vmid"] == 9000
    assert result["diff"]["after"]["debian-13@pve1"]["withdrawn"] == [9001]


def test_what_was_rolled_back_from_is_not_built_again(two: Bench) -> None:
    two.call("vm_template_rollback", {"line": "debian-13"})
    (text,) = unchanged(two, refresh="always", keep=1)
    assert "it was rolled back from that build, VM 9001" in text
    assert states(two) == {9000: "current", 9001: "retired"}


def test_the_vendors_next_image_ends_a_rollback(two: Bench) -> None:
    two.call("vm_template_rollback", {"line": "debian-13"})
    two.publish(two.vendor.files[FILE] + bytes(512))
    two.build(refresh="always", keep=2)
    assert states(two)[9002] == "current"
    unchanged(two, refresh="always", keep=2)


def test_a_changed_recipe_ends_a_rollback(two: Bench) -> None:
    two.call("vm_template_rollback", {"line": "debian-13"})
    two.build(disk={"size": "12G"}, refresh="always")
    assert states(two)[9002] == "current"


def test_a_recipe_that_was_rolled_back_is_not_built_while_the_vendor_is_away(bench: Bench) -> None:
    bench.build()
    bench.later(days=1)
    bench.build(disk={"size": "12G"})
    bench.call("vm_template_rollback", {"line": "debian-13"})
    bench.catalog.write_text(bench.catalog.read_text().replace(bench.vendor.url, "http://127.0.0.1:9"))
    texts = unchanged(bench, disk={"size": "12G"})
    assert any("rolled back" in text for text in texts)


def test_an_interrupted_rollback_is_finished_by_the_same_task(two: Bench) -> None:
    two.cluster.faults.add("status", "PUT", r"^/nodes/pve1/qemu/9001/config$", code=500, reason="no")
    hurt = two.call("vm_template_rollback", {"line": "debian-13"})
    assert hurt["failed"]
    two.cluster.faults.assert_all_fired()
    two.server.call(two.cluster.faults.reset)
    assert "VM 9001 is still tagged as current" in str(hurt)
    again = two.call("vm_template_rollback", {"line": "debian-13"})
    assert not again.get("failed"), again
    assert states(two) == {9000: "current", 9001: "retired"}
    unchanged(two, refresh="always")


def test_a_named_generation_is_idempotent(two: Bench) -> None:
    wanted = {"line": "debian-13", "generation": generation_of(two, 9000)}
    assert two.call("vm_template_rollback", wanted)["changed"]
    assert two.call("vm_template_rollback", wanted)["changed"] is False
    assert two.writes() == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"line": "nope"}, "line='nope': there is no generation of it that these credentials may see"),
        (
            {"line": "debian-13", "generation": "1"},
            "generation='1': there is no complete generation of that name. Name",
        ),
        ({"line": "debian-13", "nodes": ["pve7"]}, "it has no current generation there"),
    ],
    ids=["no such line", "no such generation", "no such node"],
)
def test_what_cannot_be_rolled_back_is_told(two: Bench, options: dict[str, Any], text: str) -> None:
    result = two.call("vm_template_rollback", options)
    assert text in result["msg"]
    assert two.writes() == []


def test_a_line_with_one_generation_has_nothing_to_go_back_to(bench: Bench) -> None:
    bench.build()
    result = bench.call("vm_template_rollback", {"line": "debian-13"})
    assert "there is no generation before the current one, VM 9000" in result["msg"]


def test_a_clone_made_by_hand_is_no_generation_to_go_back_to(two: Bench) -> None:
    clone = two.clone(9000, 120, full=1)
    clone.config["template"] = 1
    before = dict(clone.config)
    two.call("vm_template_rollback", {"line": "debian-13"})
    assert clone.config == before
    assert two.state(9000) == "current"


def test_a_line_is_rolled_back_on_every_node_or_none(fleet: Fleet) -> None:
    fleet.build({"line": "alpha"})
    fleet.bench.publish_newer()
    fleet.bench.later(days=1)
    fleet.build({"line": "alpha", "nodes": ["pve1"], "refresh": "always"})
    fleet.bench.later(hours=1)
    fleet.bench.server.reset_log()
    refused = fleet.bench.call("vm_template_rollback", {"line": "alpha"})
    assert "line alpha on node pve2: line='alpha': there is no generation before the current one" in refused["msg"]
    assert fleet.bench.writes() == []
    assert fleet.bench.call("vm_template_rollback", {"line": "alpha", "nodes": ["pve1"]})["changed"]


# --- pin


def test_a_pin_to_a_generation_goes_back_and_stays(two: Bench) -> None:
    pin = generation_of(two, 9000)
    result = two.template(pin=pin, refresh="always", keep=1)
    assert result["steps"] == [
        "publish VM 9000 as the current line debian-13 on node pve1",
        "retire VM 9001 of line debian-13 on node pve1; it is kept",
    ]
    assert states(two) == {9000: "current", 9001: "retired"}
    (text,) = unchanged(two, pin=pin, refresh="always", keep=1, disk={"size": "12G"})
    assert "pinned at VM 9000, though the recipe changed" in text


def test_without_the_pin_the_newest_is_current_again(two: Bench) -> None:
    two.template(pin=generation_of(two, 9000))
    result = two.template()
    assert result["steps"][0] == "publish VM 9001 as the current line debian-13 on node pve1"
    assert states(two) == {9000: "retired", 9001: "current"}
    unchanged(two)


def test_a_pin_to_the_vendors_digest_rebuilds_from_it(two: Bench) -> None:
    first = two.template(pin=generation_of(two, 9000))["template"]["current"]["source"]
    unchanged(two, pin=first)
    two.publish()
    two.build(pin=first, disk={"size": "12G"})
    assert states(two)[9002] == "current"
    unchanged(two, pin=first, disk={"size": "12G"})


def test_a_pin_that_nobody_has_is_refused_with_what_there_is(two: Bench) -> None:
    result = two.template(pin="20200101000000")
    assert "pin='20200101000000': the line is pinned to 20200101000000" in result["msg"]
    for vmid in (9000, 9001):
        assert generation_of(two, vmid) in result["msg"]
    assert two.writes() == []


def test_a_pinned_line_asks_no_vendor(two: Bench) -> None:
    pin = generation_of(two, 9000)
    two.template(pin=pin)
    two.vendor.asked.clear()
    unchanged(two, pin=pin, refresh="always")
    assert two.vendor.asked == []


def test_a_pin_of_no_form_is_refused(bench: Bench) -> None:
    assert "pin='a b': name a generation" in bench.template(pin="a b")["msg"]


# --- hold


def test_a_held_line_is_not_rebuilt_and_nothing_goes(two: Bench) -> None:
    two.publish(two.vendor.files[FILE] + bytes(512))
    two.vendor.asked.clear()
    (text,) = unchanged(two, hold=True, refresh="always", keep=1, disk={"size": "12G"})
    assert "held at VM 9001, though the recipe changed" in text
    assert two.vendor.asked == []
    assert states(two) == {9000: "retired", 9001: "current"}


def test_settings_of_a_held_line_follow_in_place(two: Bench) -> None:
    result = two.template(hold=True, memory=4096)
    assert result["steps"] == ["change memory of VM 9001 in place"]


def test_a_held_line_gets_its_first_generation(bench: Bench) -> None:
    bench.build(hold=True)
    unchanged(bench, hold=True)
