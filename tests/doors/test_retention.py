# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Former generations: published before anything goes, and nothing goes that somebody hangs on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.workbench import Bench


def generations(bench: Bench, count: int, **options: Any) -> None:
    """So many generations, each of a newer image of the vendor's; the last one is current."""
    bench.build(**options)
    for _number in range(count - 1):
        bench.publish_newer() if _number % 2 == 0 else bench.publish()
        bench.later(minutes=5)
        bench.build(**options, refresh="always")


def vmids(bench: Bench) -> list[int]:
    return sorted(bench.cluster.vms)


def test_everything_stays_where_nothing_is_said(bench: Bench) -> None:
    generations(bench, 4)
    assert vmids(bench) == [9000, 9001, 9002, 9003]


@pytest.mark.parametrize(("keep", "left"), [(1, [9001]), (2, [9000, 9001]), (3, [9000, 9001])])
def test_with_a_new_generation_the_oldest_one_goes(bench: Bench, keep: int, left: list[int]) -> None:
    generations(bench, 2, keep=keep)
    assert vmids(bench) == left
    assert bench.state(9001) == "current"
    assert bench.template(keep=keep)["changed"] is False


def test_the_new_one_is_current_before_the_old_one_goes(bench: Bench) -> None:
    bench.build()
    bench.publish_newer()
    bench.later(minutes=5)
    bench.server.reset_log()
    bench.build(keep=1, refresh="always")
    sent = [(entry.method, entry.path) for entry in bench.writes()]
    assert sent.index(("PUT", "/nodes/pve1/qemu/9001/config")) < sent.index(("DELETE", "/nodes/pve1/qemu/9000"))


def test_check_mode_shows_what_would_go(bench: Bench) -> None:
    generations(bench, 3)
    bench.server.reset_log()
    planned = bench.template(keep=1, check=True)
    assert bench.writes() == []
    assert [step for step in planned["steps"] if step.startswith("destroy VM")] == [
        "destroy VM 9001 on pve1: beyond what is kept (keep=1)",
        "destroy VM 9000 on pve1: beyond what is kept (keep=1)",
    ]
    assert planned["diff"]["before"]["debian-13@pve1"] == {"former": [9001, 9000]}
    done = bench.template(keep=1)
    assert done["steps"] == planned["steps"]
    assert vmids(bench) == [9002]
    assert bench.template(keep=1)["changed"] is False


@pytest.mark.parametrize("storage", ["local-lvm", "fast"])
def test_what_clones_hang_on_stays_and_is_told(bench: Bench, storage: str) -> None:
    """LVM-thin would let the base go: its clones are known by the tag that they inherited."""
    bench.build(storage=storage)
    bench.clone(9000, 120)
    bench.publish_newer()
    bench.later(minutes=5)
    result = bench.template(storage=storage, keep=1, refresh="always")
    assert result["template"]["kept"] == [
        {"vmid": 9000, "name": "debian-13", "reason": "clones hang on it: 120"},
    ]
    assert vmids(bench) == [120, 9000, 9001]
    again = bench.template(storage=storage, keep=1)
    assert again["changed"] is False
    assert [found["vmid"] for found in again["template"]["kept"]] == [9000]
    bench.cluster.remove_vm(120)
    assert bench.template(storage=storage, keep=1)["changed"]
    assert vmids(bench) == [9001]


def test_what_is_protected_stays(bench: Bench) -> None:
    generations(bench, 2)
    bench.cluster.vms[9000].config["protection"] = 1
    result = bench.template(keep=1)
    assert result["changed"] is False
    assert result["template"]["kept"][0]["reason"] == "it is protected"


def test_a_clone_made_by_hand_and_converted_survives(bench: Bench) -> None:
    generations(bench, 2)
    clone = bench.clone(9000, 120, full=1, name="mine")
    clone.config["template"] = 1
    clone.config["scsi0"] = clone.config["scsi0"].replace("vm-", "base-")
    kept = dict(clone.config)
    bench.template(keep=1)
    assert bench.cluster.vms[120].config == kept


def test_the_brake(bench: Bench) -> None:
    generations(bench, 4)
    bench.server.reset_log()
    result = bench.template(keep=1, max_deletions=2)
    assert "max_deletions=2: it would destroy 3 generations (9002, 9001, 9000)" in result["msg"]
    assert "set max_deletions to 3" in result["msg"]
    assert bench.writes() == []
    assert vmids(bench) == [9000, 9001, 9002, 9003]
    assert bench.template(keep=1, max_deletions=3)["changed"]
    assert vmids(bench) == [9003]


def test_within_what_is_kept_no_config_is_read(bench: Bench) -> None:
    generations(bench, 2, keep=2)
    bench.server.reset_log()
    bench.template(keep=2)
    assert [entry.path for entry in bench.server.requests] == [
        "/cluster/resources",
        "/access/permissions",
        "/nodes/pve1/qemu/9001/config",
    ]


def test_an_impossible_keep_is_refused(bench: Bench) -> None:
    assert "keep=0: the current generation always stays" in bench.template(keep=0)["msg"]
