# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_template builds anew: when it does, what it keeps, and what it says of an existing line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.workbench import LINE, Bench, lines_of, warnings_of


@pytest.fixture
def made(bench: Bench) -> Bench:
    """A template that was built an hour ago."""
    bench.build()
    bench.later(hours=1)
    return bench


def rebuilt(bench: Bench, old: int, new: int) -> None:
    """The old generation is kept, renamed and retired; the new one is current."""
    configs = {vmid: vm.config for vmid, vm in bench.cluster.vms.items()}
    assert set(configs) >= {old, new}
    assert (bench.state(old), bench.state(new)) == ("retired", "current")
    assert configs[new]["name"] == LINE
    (generation,) = (tag.removeprefix("gen-") for tag in bench.tags(old) if tag.startswith("gen-"))
    assert configs[old]["name"] == f"{LINE}-{generation}"
    assert configs[old]["template"] == configs[new]["template"] == 1
    assert "base-" in configs[old]["scsi0"]


# --- changes that need a new build


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"disk": {"size": "10G"}}, "the recipe changed"),
        ({"bios": "ovmf"}, "the recipe changed"),
        ({"bios": "seabios"}, "the recipe changed"),
        ({"efi": {}}, "the recipe changed"),
        ({"efi": {"secure_boot": True}}, "the recipe changed"),
        ({"tpm": {"version": "v2.0"}}, "the recipe changed"),
        ({"storage": "fast"}, "the storage changed (local-lvm to fast)"),
    ],
)
def test_a_change_beyond_what_proxmox_allows_builds_beside(made: Bench, options: dict[str, Any], reason: str) -> None:
    planned = made.template(check=True, **options)
    result = made.template(**options)
    assert result["diff"] == planned["diff"]
    assert reason in lines_of(result, "after")["reasons"][0]
    assert lines_of(result, "before")["vmid"] == 9000
    assert lines_of(result, "after")["vmid"] == result["template"]["current"]["vmid"] == 9001
    assert result["template"]["retired"] == [9000]
    assert result["steps"][-1] == f"retire VM 9000 of line {LINE} on node pve1; it is kept"
    rebuilt(made, 9000, 9001)
    again = made.template(**options)
    assert again["changed"] is False, again
    assert again["template"]["retired"] == [9000]
    assert len(made.sent()) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"disk": {"discard": False}},
        {"disk": {"cache": "writeback", "iothread": False, "ssd": False, "aio": "native"}},
        {"disk": {"format": "raw"}},
    ],
)
def test_every_declared_part_of_the_disk_is_part_of_the_recipe(made: Bench, options: dict[str, Any]) -> None:
    """The module says of its option disk: a change needs a new generation."""
    result = made.template(**options)
    assert result["changed"]
    rebuilt(made, 9000, 9001)
    assert made.template(**options)["changed"] is False


def test_another_image_is_another_recipe(made: Bench) -> None:
    digest = made.publish(name="own/appliance.qcow2")
    result = made.template(url=made.url("own/appliance.qcow2"), checksum=f"sha256:{digest}")
    assert "the recipe changed" in lines_of(result, "after")["reasons"][0]
    rebuilt(made, 9000, 9001)


def test_a_changed_pin_builds_anew(bench: Bench) -> None:
    url = bench.url("own/appliance.qcow2")
    first = bench.publish(name="own/appliance.qcow2")
    bench.build(url=url, checksum=f"sha256:{first}")
    second = bench.publish(bytes(1024 * 1024), name="own/appliance.qcow2")
    bench.later(hours=1)
    result = bench.template(url=url, checksum=f"sha256:{second}", image_format="raw")
    reasons = lines_of(result, "after")["reasons"]
    assert f"the pinned checksum changed (sha256:{first} to sha256:{second})" in reasons
    rebuilt(bench, 9000, 9001)


def test_settings_of_the_old_generation_do_not_leak_into_the_new_one(made: Bench) -> None:
    made.build(memory=8192, tags=["web"], protection=True)
    made.later(hours=1)
    made.build(disk={"size": "10G"})
    assert made.cluster.vms[9001].config["memory"] == "2048"
    assert "web" not in made.tags(9001)
    assert "web" in made.tags(9000)
    assert made.cluster.vms[9000].config["protection"] == 1
    assert made.cluster.vms[9001].config.get("protection", 0) == 0


def test_a_third_generation_leaves_the_first_alone(made: Bench) -> None:
    made.build(disk={"size": "10G"})
    first = dict(made.cluster.vms[9000].config)
    made.later(hours=1)
    result = made.template(disk={"size": "12G"})
    assert result["template"]["retired"] == [9000, 9001]
    assert made.cluster.vms[9000].config == first
    rebuilt(made, 9001, 9002)


def test_what_neither_builds_nor_writes(made: Bench) -> None:
    """Where it lives next time, and how the image is fetched, change nothing that exists."""
    for options in ({"vmid_range": "200-210"}, {"image_storage": "fast"}, {"transfer": "upload"}, {"max_age": 400}):
        assert made.template(**options)["changed"] is False, options


@pytest.mark.parametrize("options", [{"pool": "templates"}, {"cloudinit_storage": "fast"}], ids=str)
def test_a_place_that_is_declared_later_is_followed_or_said_to_be_not(made: Bench, options: dict[str, Any]) -> None:
    made.cluster.pools["templates"] = set()
    result = made.template(**options)
    assert result["changed"] or any(next(iter(options)) in text for text in warnings_of(result))


# --- refresh


@pytest.mark.parametrize(
    ("refresh", "days", "asked"),
    [
        ({"refresh": "never"}, 400, False),
        ({}, 29, False),
        ({}, 31, True),
        ({"refresh": "max_age", "max_age": 7}, 6, False),
        ({"refresh": "max_age", "max_age": 7}, 8, True),
        ({"refresh": "always"}, 0, True),
    ],
)
@pytest.mark.parametrize("newer", [True, False], ids=["newer", "same"])
def test_when_the_vendor_is_asked(bench: Bench, refresh: dict[str, Any], days: int, asked: bool, newer: bool) -> None:
    bench.build()
    digest = bench.publish_newer() if newer else ""
    bench.later(days=days, minutes=1)
    bench.vendor.asked.clear()
    result = bench.template(**refresh)
    assert bool(bench.vendor.asked) is asked
    assert result["changed"] is (asked and newer)
    if result["changed"]:
        assert lines_of(result, "after")["reasons"] == [f"the vendor has a newer image (sha256:{digest})"]
        rebuilt(bench, 9000, 9001)
        assert len(bench.imports()) == 2
        assert bench.template(**refresh)["changed"] is False
    else:
        assert bench.writes() == []


def test_an_unreachable_vendor_is_a_warning_where_a_generation_exists(made: Bench) -> None:
    made.unreachable()
    result = made.template(refresh="always")
    assert result["changed"] is False
    (warning,) = warnings_of(result)
    assert warning.startswith(f"line {LINE} on node pve1: not refreshed, the current generation stays: ")
    assert made.url("debian/SHA256SUMS") in warning


def test_an_unreachable_vendor_does_not_hinder_a_change_in_place(made: Bench) -> None:
    made.unreachable()
    result = made.template(refresh="always", memory=4096)
    assert result["changed"]
    assert warnings_of(result)
    assert made.put()["memory"] == "4096"


def test_an_unreachable_vendor_is_a_failure_where_something_must_be_built(bench: Bench) -> None:
    bench.unreachable()
    result = bench.template()
    assert result["failed"]
    assert f"line {LINE} on node pve1: image='lab-13': " in result["msg"]
    assert "Nothing was changed; run again when the vendor answers, or pin a checksum" in result["msg"]
    assert bench.writes() == []


def test_an_unreachable_vendor_is_a_failure_for_a_rebuild_and_keeps_the_line(made: Bench) -> None:
    before = made.snapshot()
    made.unreachable()
    result = made.template(disk={"size": "10G"})
    assert result["failed"]
    assert made.writes() == []
    assert made.snapshot() == before


def test_a_vendor_whose_sums_lie_is_no_reason_to_delete(made: Bench) -> None:
    made.publish_newer()
    made.vendor.files["debian/debian-13.qcow2"] = b"something else"
    before = made.snapshot()
    result = made.template(refresh="always")
    assert result["failed"]
    assert "checksum" in result["msg"]
    assert made.snapshot() == before
    assert made.state(9000) == "current"
