# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is added later gets the build that the others have, or the line is rebuilt on all of them."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity

from tests.support.fleet import Fleet
from tests.support.workbench import warnings_of

BOTH = {"line": "alpha"}
FIRST = {"line": "alpha", "nodes": ["pve1"]}


def identity(fleet: Fleet, key: str) -> Identity:
    vmid = fleet.current()[key]
    found = read_identity(vmid, fleet.cluster.vms[vmid].config["description"])
    assert isinstance(found, Identity)
    return found


def same(fleet: Fleet) -> None:
    """Both nodes have the same generation of the same image."""
    one, other = identity(fleet, "alpha@pve1"), identity(fleet, "alpha@pve2")
    assert (one.generation, one.source, one.recipe) == (other.generation, other.source, other.recipe)


NEXT = "debian/20261201/debian-13.qcow2"
ISSUED = "debian/20261101/debian-13.qcow2"


@pytest.fixture
def later(fleet: Fleet) -> Fleet:
    """Line alpha was built on pve1 a day ago; since then the vendor has a newer image, under an address of its own."""
    bench = fleet.bench
    bench.publish(name=ISSUED)
    bench.describe(ISSUED, url_kind="dated")
    fleet.build(FIRST)
    bench.publish(bench.vendor.files[ISSUED] + bytes(512), name=NEXT)
    bench.describe(NEXT, url_kind="dated")
    bench.later(days=1)
    return fleet


def test_the_same_build_of_an_unchanged_vendor(fleet: Fleet) -> None:
    fleet.build(FIRST)
    fleet.bench.later(days=1)
    result = fleet.build(BOTH)
    assert result["summary"]["built"] == ["alpha@pve2"]
    same(fleet)
    fleet.settled(BOTH)


def test_the_build_of_the_others_is_fetched_while_the_vendor_offers_it(later: Fleet) -> None:
    result = later.build(BOTH)
    assert result["summary"]["built"] == ["alpha@pve2"]
    assert [request.params["url"] for request in later.bench.writes() if "download-url" in request.path] == [
        later.bench.url(ISSUED)
    ]
    same(later)
    later.settled(BOTH)


def test_a_stored_image_is_built_from_though_the_vendor_has_dropped_it(fleet: Fleet) -> None:
    """Both nodes see the storage on which the image of the first build is kept."""
    kept = {"image_storage": "nfs"}
    fleet.build({**FIRST, **kept})
    fleet.bench.publish_newer()
    fleet.bench.later(days=1)
    result = fleet.build({**BOTH, **kept})
    assert result["summary"]["built"] == ["alpha@pve2"]
    assert fleet.sent("download-url") == []
    same(fleet)
    fleet.settled({**BOTH, **kept})


def test_a_build_that_nobody_has_any_more_is_replaced_everywhere(later: Fleet) -> None:
    del later.bench.vendor.files[ISSUED]
    planned = later.run(BOTH, check=True)
    assert sorted(planned["summary"]["built"]) == ["alpha@pve1", "alpha@pve2"]
    assert any("line alpha is rebuilt on every node: pve2 does not have build" in text for text in warnings_of(planned))
    later.build(BOTH)
    same(later)
    later.settled(BOTH)


def test_an_address_without_a_date_gives_another_image_than_then(fleet: Fleet) -> None:
    fleet.build(FIRST)
    fleet.bench.publish_newer()
    fleet.bench.later(days=1)
    result = fleet.build(BOTH)
    assert sorted(result["summary"]["built"]) == ["alpha@pve1", "alpha@pve2"]
    same(fleet)


def test_a_held_line_refuses_the_node_that_cannot_have_its_build(later: Fleet) -> None:
    del later.bench.vendor.files[ISSUED]
    result = later.run({**BOTH, "hold": True})
    assert result["failed"]
    assert result["summary"]["refused"] == ["alpha@pve2"]
    assert "the other nodes stay with build" in result["msg"]
    assert later.bench.writes() == []


def test_one_nodes_turn_is_every_nodes(fleet: Fleet) -> None:
    """pve2 got the line ten days later; when pve1 is due, both are refreshed."""
    fleet.build(FIRST)
    fleet.bench.later(days=25)
    fleet.build(BOTH)
    fleet.bench.publish_newer()
    fleet.bench.later(days=10)
    result = fleet.build(BOTH)
    assert sorted(result["summary"]["built"]) == ["alpha@pve1", "alpha@pve2"]
    same(fleet)


def test_a_node_that_failed_is_brought_to_the_build_of_the_others(fleet: Fleet) -> None:
    fleet.build(BOTH)
    fleet.bench.publish_newer()
    fleet.bench.later(days=31)
    fleet.add("fail_task", "POST ^/nodes/pve2/qemu$", exitstatus="no space left on device")
    hurt = fleet.run(BOTH)
    assert hurt["summary"]["failed"] == ["alpha@pve2"]
    fleet.heal()
    fleet.bench.later(days=1)
    result = fleet.build(BOTH)
    assert result["summary"]["built"] == ["alpha@pve2"]
    same(fleet)
    fleet.settled(BOTH)


def test_a_pinned_generation_is_built_on_the_new_node(later: Fleet) -> None:
    """The stored image is on the first node only, and the vendor still has it under its address of then."""
    pin = identity(later, "alpha@pve1").generation
    result = later.build({**BOTH, "pin": pin})
    assert result["summary"]["built"] == ["alpha@pve2"]
    same(later)
    later.settled({**BOTH, "pin": pin})


def test_images_that_are_called_alike_are_told_apart(fleet: Fleet) -> None:
    """The id of an image of one's own is the name of its file, and two vendors may use the same."""
    bench = fleet.bench
    content = bench.vendor.files["debian/debian-13.qcow2"]
    first = bench.publish(content + bytes(512), name="alpha/disk.qcow2")
    second = bench.publish(content + bytes(1024), name="beta/disk.qcow2")
    lines = tuple(
        {"line": name, "url": bench.url(f"{name}/disk.qcow2"), "checksum_url": bench.sums(f"{name}/disk.qcow2")}
        for name in ("alpha", "beta")
    )
    fleet.build(*lines, nodes=["pve1"], allow_unverified=True)
    assert identity(fleet, "alpha@pve1").source == f"sha256:{first}"
    assert identity(fleet, "beta@pve1").source == f"sha256:{second}"
