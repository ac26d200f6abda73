# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""image_info lists stored images by one cluster read and one listing for each file storage."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pve import FakeCluster
from tests.support.pve.cluster import cluster_storages
from tests.support.pve.images import qcow2
from tests.support.workbench import Bench

FILES = {
    ("pve1", "local:import/debian-13-0123456789ab.qcow2"): ("debian-13", "0123456789ab"),
    ("pve1", "local:import/debian-13-ba9876543210.raw"): ("debian-13", "ba9876543210"),
    ("pve1", "fast:import/ubuntu-24.04-0123456789ab.qcow2"): ("ubuntu-24.04", "0123456789ab"),
    ("pve1", "fast:import/by-hand.qcow2"): (None, None),
    ("pve2", "local:import/debian-13-0123456789ab.qcow2"): ("debian-13", "0123456789ab"),
}


def two_nodes() -> FakeCluster:
    cluster = FakeCluster(nodes=["pve1", "pve2"])
    for node, volid in FILES:
        cluster.put_file(volid, qcow2(), node=node)
    cluster.put_file("local:iso/other.iso", bytes(512))
    return cluster


@pytest.mark.parametrize("bench", [two_nodes], indirect=True)
@pytest.mark.parametrize(
    ("asked", "found", "listings"),
    [
        ({}, 5, 4),
        ({"node": "pve2"}, 1, 2),
        ({"storage": "fast"}, 2, 2),
        ({"image": "debian-13"}, 3, 4),
        ({"node": "pve1", "storage": "local", "image": "debian-13"}, 2, 1),
        ({"image": "nosuch"}, 0, 4),
        ({"storage": "local-lvm"}, 0, 0),
        ({"node": "pve9"}, 0, 0),
    ],
)
def test_what_is_listed_and_what_it_costs(bench: Bench, asked: dict[str, Any], found: int, listings: int) -> None:
    result = bench.call("image_info", asked)
    assert result["changed"] is False
    assert "diff" not in result
    assert len(result["images"]) == found
    assert bench.sent()[0] == "GET /cluster/resources"
    assert len(bench.sent()) == 1 + listings
    assert result["requests"] == {"reads": 1 + listings, "writes": 0, "polls": 0}


@pytest.mark.parametrize("bench", [two_nodes], indirect=True)
def test_every_file_with_what_its_name_tells(bench: Bench) -> None:
    images = bench.call("image_info", {})["images"]
    assert [(row["node"], row["storage"], row["volid"]) for row in images] == sorted(
        (node, volid.partition(":")[0], volid) for node, volid in FILES
    )
    for row in images:
        image, digest = FILES[row["node"], row["volid"]]
        assert row == {
            "node": row["node"],
            "storage": row["storage"],
            "volid": row["volid"],
            "filename": row["volid"].rpartition("/")[2],
            "image": image,
            "short_digest": digest,
            "size": len(qcow2()),
            "format": row["volid"].rpartition(".")[2],
        }


def odd_storages() -> FakeCluster:
    cluster = FakeCluster(nodes=["pve1", "pve2"], storages=cluster_storages())
    cluster.storages["fast"]["active"] = 0
    cluster.nodes["pve2"]["online"] = False
    cluster.put_file("nfs:import/debian-13-0123456789ab.qcow2", qcow2())
    return cluster


@pytest.mark.parametrize("bench", [odd_storages], indirect=True)
def test_storages_that_do_not_answer_and_offline_nodes_are_not_asked(bench: Bench) -> None:
    images = bench.call("image_info", {})["images"]
    assert [(row["node"], row["volid"]) for row in images] == [("pve1", "nfs:import/debian-13-0123456789ab.qcow2")]
    assert sorted(bench.sent()[1:]) == [
        "GET /nodes/pve1/storage/local/content",
        "GET /nodes/pve1/storage/nfs/content",
    ]
    assert all(entry.status == 200 for entry in bench.server.requests)


def test_what_the_door_image_stored_is_found(bench: Bench) -> None:
    stored = bench.image()["image"]
    (listed,) = bench.call("image_info", {"image": stored["image"]})["images"]
    assert listed["volid"] == stored["volid"]
    assert listed["short_digest"] == stored["source"].removeprefix("sha256:")[:12]
