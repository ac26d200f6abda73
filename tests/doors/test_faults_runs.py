# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that hang, are killed, or meet another run: who may take over, and what everybody is told."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.another_run import another_run, result_of
from tests.support.ordeal import Ordeal, listed, on, recover, suffer
from tests.support.site import Result, Site, plain

ROOT = Path(__file__).resolve().parents[2]
DOWNLOAD, CREATE, RESIZE, CONVERT = "POST /download-url$", "POST /qemu$", "PUT /resize$", "POST /template$"
SHORT = {"timeout": 20}


def refuses(site: Site, _result: Result) -> None:
    """While the task runs, another run keeps away from its VM and says why."""
    (upid,) = site.cluster.running_tasks()
    before = site.stock()
    second = site.keep()
    assert second["failed"]
    message = plain(second["msg"])
    assert f"VM 9000 is being built by run here-1-1, task {upid} runs on it" in message
    assert "line='debian-13'" in message
    assert "Wait for that run to end" in message
    assert site.writes() == []
    assert site.stock() == before


def builds_beside(site: Site, _result: Result) -> None:
    """A VM whose worker has not yet written its config bears no sign of whose it is."""
    second = site.keep()
    assert not second.get("failed"), second["msg"]
    assert second["template"]["current"]["vmid"] == 9001
    warnings = plain(" ".join(str(warning) for warning in second["warnings"]))
    assert "VM 9000" in warnings
    assert "qm unlock 9000" in warnings


def goes_on(site: Site, _result: Result) -> None:
    """A download of somebody else stands in nobody's way."""
    second = site.keep()
    assert not second.get("failed"), second["msg"]


HANGING = [
    Ordeal(
        name="download",
        faults=(on("hang_task", DOWNLOAD),),
        only=SHORT,
        says=("still waiting for the task download", "UPID:pve1:", "Raise `timeout`", "the file may yet be stored"),
        left=("task download debian-13-{digest}.qcow2",),
        meanwhile=goes_on,
    ),
    Ordeal(
        name="create",
        faults=(on("hang_task", CREATE),),
        only=SHORT,
        says=("still waiting for the task qmcreate 9000", "UPID:pve1:", "Left behind: VM 9000 on pve1, unfinished"),
        left=("image", "VM 9000 ?", "lock 9000 create", "task qmcreate 9000"),
        meanwhile=builds_beside,
    ),
    Ordeal(
        name="resize",
        faults=(on("hang_task", RESIZE),),
        only=SHORT,
        says=("still waiting for the task resize 9000", "UPID:pve1:", "Left behind: VM 9000 on pve1, unfinished"),
        left=("image", "building 9000", "task resize 9000"),
        meanwhile=refuses,
    ),
    Ordeal(
        name="convert",
        faults=(on("hang_task", CONVERT),),
        only=SHORT,
        says=("still waiting for the task qmtemplate 9000", "UPID:pve1:", "Left behind: VM 9000 on pve1, unfinished"),
        left=("image", "building 9000", "task qmtemplate 9000"),
        meanwhile=refuses,
    ),
    Ordeal(
        name="image",
        door="image",
        faults=(on("hang_task", DOWNLOAD),),
        only=SHORT,
        says=("still waiting for the task download", "UPID:pve1:", "Raise `timeout`", "the file may yet be stored"),
        left=("task download debian-13-{digest}.qcow2",),
    ),
]


@pytest.mark.parametrize("ordeal", HANGING, ids=str)
def test_a_task_that_hangs(site: Site, ordeal: Ordeal) -> None:
    left = tuple(token.format(digest=site.digest[:12]) for token in ordeal.left or ())
    result = suffer(site, Ordeal(**{**vars(ordeal), "left": left}))
    assert result["error"]["task"]["upid"].startswith("UPID:pve1:")
    assert result["error"]["task"]["upid"] in " ".join(result["left_behind"])


@pytest.mark.parametrize(("request_", "left"), [(RESIZE, "building 9000"), (CONVERT, "unpublished 9000")])
def test_a_build_of_another_machine_is_taken_over_after_its_deadline(site: Site, request_: str, left: str) -> None:
    site.elsewhere = True
    site.faults.add("hang_task", *request_.split())
    first = site.keep(**SHORT)
    assert first["failed"]
    site.heal()
    assert site.stock() == listed(site, ("image", left))
    second = site.keep()
    assert second["failed"]
    message = plain(second["msg"])
    assert "VM 9000 is being built by run elsewhere-1-1" in message
    assert "it may be taken over after 2" in message
    assert site.writes() == []
    site.clock.skipped += 3600
    recover(site, Ordeal(name="take over"))


def test_an_unfinished_build_that_is_locked_is_left_alone(site: Site) -> None:
    site.faults.add("lock", *RESIZE.split())
    assert site.keep()["failed"]
    second = site.keep()
    message = plain(second["msg"])
    assert "VM 9000, an unfinished build of run here-1-1, is locked (backup)" in message
    assert "qm unlock 9000" in message
    assert site.writes() == []
    site.heal()
    recover(site, Ordeal(name="unlocked"))


@pytest.mark.parametrize("request_", [DOWNLOAD, CREATE, RESIZE, CONVERT])
def test_a_killed_run_is_taken_over_by_the_next_one(site: Site, request_: str) -> None:
    with another_run(site, request_) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    site.heal()
    recover(site, Ordeal(name="killed"))


@pytest.mark.parametrize("request_", [RESIZE, CONVERT])
def test_of_two_runs_at_once_the_second_refuses(site: Site, request_: str) -> None:
    with another_run(site, request_) as process:
        (upid,) = site.cluster.running_tasks()
        second = site.keep()
        assert second["failed"]
        message = plain(second["msg"])
        assert "VM 9000 is being built by run " in message
        assert str(process.pid) in message
        assert upid in message
        assert site.writes() == []
        site.heal()
        first = result_of(process)
    assert not first.get("failed"), first["msg"]
    assert site.stock() == listed(site, ("image", "current 9000"))
    recover(site, Ordeal(name="two", repairs=0))


def test_of_two_runs_in_their_create_calls_one_steps_back(site: Site) -> None:
    """Neither can see the other's VM at first; whoever ends later finds the line built."""
    with another_run(site, CREATE) as process:
        second = site.keep()
        assert not second.get("failed"), second["msg"]
        assert second["template"]["current"]["vmid"] == 9001
        site.heal()
        first = result_of(process)
    assert not first.get("failed"), first["msg"]
    assert first["template"]["current"]["vmid"] == 9001
    assert site.stock() == listed(site, ("image", "current 9001"))
    recover(site, Ordeal(name="two", repairs=0))


def test_a_run_that_steps_back_from_one_under_way_names_it(site: Site) -> None:
    """The other one is still building when this one has created its VM."""
    with another_run(site, CREATE) as process:
        release_first = site.next_gate()
        hanging = site.faults.add("hang_task", *CONVERT.split())
        site.elsewhere = True
        third = site.keep(**SHORT)
        assert third["failed"], "this one waits for its own conversion"
        assert hanging.fired
        (upid,) = [upid for upid in site.cluster.running_tasks() if ":qmtemplate:" in upid]
        release_first()
        first = result_of(process)
        message = plain(first["msg"])
        assert first["failed"]
        assert f"VM 9001 is being built by run elsewhere-1-1, task {upid} runs on it" in message
        assert first["left_behind"] == []
    assert site.stock() == listed(site, ("image", "building 9001", "task qmtemplate 9001"))
    site.heal()
    site.clock.skipped += 3600
    recover(site, Ordeal(name="stepped back"))
