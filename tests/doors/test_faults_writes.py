# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every write request of every kind of run goes wrong in every way that a connection or a server knows."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from tests.support.ordeal import Effect, Ordeal, on, suffer
from tests.support.site import Site


def newer(site: Site) -> None:
    """A current generation is there, and the vendor has a newer build."""
    assert not site.keep().get("failed")
    site.new_image()


def settled(site: Site) -> None:
    """A current generation is there."""
    assert not site.keep().get("failed")


def unfinished(site: Site) -> None:
    """A build that another run left, complete but for its conversion."""
    site.faults.add("status", "POST", "/template$", code=500, message="interrupted")
    site.faults.add("status", "DELETE", "/9000$", code=500, message="interrupted")
    assert "VM 9000" in site.keep()["left_behind"][0]
    site.heal()


class Write(t.NamedTuple):
    """A request, and what stock() lists when it is refused: C(left) after a cleaning, C(stuck) without one."""

    request: str
    left: tuple[str, ...]
    stuck: tuple[str, ...] = ()


def stored(site: Site) -> None:
    """The image is there."""
    assert not site.run("image", site.image()).get("failed")


def hand_made(site: Site) -> None:
    """A template that bears no identity is there."""
    assert not site.keep().get("failed")
    config = site.cluster.vms[9000].config
    config.update(name="by-hand", description="made by hand")
    del config["tags"]


@dataclass(frozen=True)
class Scenario:
    """A run, and the write requests that it makes when nothing goes wrong."""

    name: str
    writes: tuple[Write, ...]
    start: Callable[[Site], None] | None = None
    options: Mapping[str, t.Any] | None = None
    door: t.Literal["vm_template", "image"] = "vm_template"

    def ordeal(self, *faults: Effect, **more: t.Any) -> Ordeal:
        options = self.options or {}
        return Ordeal(name=self.name, faults=faults, start=self.start, options=options, door=self.door, **more)


OLD = ("old image", "current 9000")
BOTH = (*OLD, "image")
SCENARIOS = (
    Scenario(
        "rebuild",
        (
            Write("POST /storage/local/download-url", OLD),
            Write("POST /qemu", BOTH),
            Write("PUT /qemu/9001/resize", BOTH, (*BOTH, "building 9001")),
            Write("POST /qemu/9001/template", BOTH, (*BOTH, "building 9001")),
            Write("PUT /qemu/9001/config", (*BOTH, "unpublished 9001")),
            Write("PUT /qemu/9000/config", (*BOTH, "current 9001")),
        ),
        newer,
    ),
    Scenario(
        "in place",
        (Write("PUT /qemu/9000/config", ("image", "current 9000")),),
        settled,
        {"memory": 4096, "description": "new", "tags": ["a"]},
    ),
    Scenario(
        "take over",
        (
            Write("DELETE /qemu/9000", ("image", "building 9000")),
            Write("POST /qemu", ("image",)),
            Write("PUT /qemu/9001/resize", ("image",), ("image", "building 9001")),
            Write("POST /qemu/9001/template", ("image",), ("image", "building 9001")),
            Write("PUT /qemu/9001/config", ("image", "unpublished 9001")),
        ),
        unfinished,
    ),
    Scenario("remove", (Write("DELETE /qemu/9000", ("image", "current 9000")),), settled, {"state": "absent"}),
    Scenario(
        "adopt",
        (
            Write(
                "PUT /qemu/9000/config",
                ("image", "VM 9000 by-hand", "local-lvm:base-9000-disk-0", "local-lvm:vm-9000-cloudinit"),
            ),
        ),
        hand_made,
        {"vmid": 9000, "adopt": True, "refresh": "never"},
    ),
    Scenario("upload", (Write("POST /storage/local/upload", ()),), None, {"transfer": "upload"}, "image"),
    Scenario("download", (Write("POST /storage/local/download-url", ()),), None, {}, "image"),
    Scenario(
        "remove image",
        (Write("DELETE /storage/local/content/local:import/debian-13-DIGEST.qcow2", ("image",)),),
        stored,
        {"state": "absent"},
        "image",
    ),
)
WRITES = [
    pytest.param(scenario, write, id=f"{scenario.name}-{write.request.replace('/', '_')}")
    for scenario in SCENARIOS
    for write in scenario.writes
]
EACH_WRITE = pytest.mark.parametrize(("scenario", "write"), WRITES)


def hit(effect: str, write: Write, **options: t.Any) -> Effect:
    method, _blank, path = write.request.partition(" ")
    return on(effect, f"{method} ^/nodes/pve1{path.replace('DIGEST', '[0-9a-f]+')}$", **options)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_writes_that_are_swept_are_all_there_are(site: Site, scenario: Scenario) -> None:
    if scenario.start is not None:
        scenario.start(site)
    make = site.line if scenario.door == "vm_template" else site.image
    result = site.run(scenario.door, make(**(scenario.options or {})))
    assert not result.get("failed"), result["msg"]
    sent = [write.replace("/nodes/pve1", "").replace(site.digest[:12], "DIGEST") for write in site.writes()]
    assert sent == [write.request for write in scenario.writes]


@EACH_WRITE
@pytest.mark.parametrize("effect", ["cut_before", "cut_after"])
def test_a_cut_connection_is_survived(site: Site, scenario: Scenario, write: Write, effect: str) -> None:
    suffer(site, scenario.ordeal(hit(effect, write), survives=True))


@EACH_WRITE
@pytest.mark.parametrize(
    ("code", "message"),
    [(500, "something broke"), (403, "Permission check failed (/somewhere, Some.Right)")],
    ids=["500", "403"],
)
def test_a_refused_write(site: Site, scenario: Scenario, write: Write, code: int, message: str) -> None:
    suffer(site, scenario.ordeal(hit("status", write, code=code, message=message), says=(message,), left=write.left))


@EACH_WRITE
def test_a_refused_write_and_a_refused_cleaning(site: Site, scenario: Scenario, write: Write) -> None:
    told = {"code": 500, "message": "something broke"}
    faults = [hit("status", write, **told)]
    if write.stuck:
        faults.append(on("status", "DELETE /qemu/9001$", **told))
    suffer(site, scenario.ordeal(*faults, says=("something broke",), left=write.stuck or write.left))


@EACH_WRITE
def test_a_write_without_answer_from_the_other_node(site: Site, scenario: Scenario, write: Write) -> None:
    """596: the node that was asked gave up on the one that the request is for; nobody knows what that one did."""
    suffer(site, scenario.ordeal(hit("status", write, code=596, reason="Broken pipe"), survives=True))
