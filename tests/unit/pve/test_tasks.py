# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for tasks: outcome, pace, logs and the deadline, on a clock that does not run."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.client import Client, api_path
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import (
    ApiError,
    ConnectionFailed,
    DeadlineExceeded,
    Kind,
    TaskFailed,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.pace import Pace
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.upid import Upid
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply, Upload
from ansible_collections.homelab.proxmox.tests.support.scripted import Call, FakeClock, ScriptedTransport, refusal

# The node in the UPID differs from the one that a caller may have asked.
UPID = Upid.parse("UPID:pve2:0000784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam!lab:")
STATUS = api_path("nodes", "pve2", "tasks", UPID, "status")
LOG = api_path("nodes", "pve2", "tasks", UPID, "log")
RUNNING = {"status": "running"}
NOT_YET = refusal(400, "Parameter verification failed.", {"upid": "no such task"})


def poll(reply: Any) -> Call:
    return Call("GET", STATUS, reply)


def stopped(text: str) -> Call:
    return poll({"status": "stopped", "exitstatus": text})


def log(lines: list[str], start: int = 0, total: int | None = None) -> Call:
    rows = [{"n": start + n, "t": line} for n, line in enumerate(lines, start=1)]
    reply = Reply(200, "OK", rows, len(lines) if total is None else total)
    return Call("GET", LOG, reply, params={"start": start, "limit": 500})


def client(*calls: Call, **options: Any) -> tuple[Client, ScriptedTransport]:
    wire = ScriptedTransport(calls)
    return Client(wire, clock=wire.clock, **options), wire


def test_a_task_that_ends_well() -> None:
    api, wire = client(poll(RUNNING), poll(RUNNING), stopped("OK"))
    polls: list[Any] = []
    with wire:
        result = api.wait(UPID, on_poll=polls.append)
    assert (result.ok, result.exit_status, result.warnings) == (True, "OK", ())
    assert polls == [RUNNING, RUNNING, {"status": "stopped", "exitstatus": "OK"}]
    assert api.counts() == {"reads": 0, "writes": 0, "polls": 3}


def test_warnings_are_taken_from_the_whole_log() -> None:
    first = ["WARN: first", *["line"] * 499]
    second = ["line", "WARN: second", "TASK WARNINGS: 2"]
    api, wire = client(stopped("WARNINGS: 2"), log(first, total=503), log(second, start=500, total=503))
    with wire:
        result = api.wait(UPID)
    assert result.ok
    assert result.warnings == ("first", "second")
    assert result.log_tail[-1] == "TASK WARNINGS: 2"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("unable to create VM 9200 - failed to stat '/x'", Kind.NOT_FOUND),
        ("unexpected status", Kind.OTHER),
        ("VM is locked (backup)", Kind.LOCKED),
        ("can't lock file '/var/lock/x' - got timeout", Kind.BUSY),
    ],
)
def test_anything_else_is_a_failure(text: str, kind: Kind) -> None:
    api, wire = client(stopped(text), log(["start", f"TASK ERROR: {text}"]))
    with wire, pytest.raises(TaskFailed) as caught:
        api.wait(UPID)
    error = caught.value
    assert (error.kind, error.exit_status, error.upid) == (kind, text, UPID)
    assert error.log_tail == ("start", f"TASK ERROR: {text}")
    assert text in str(error)


def test_stopped_without_an_exit_status_is_a_failure() -> None:
    api, wire = client(poll({"status": "stopped"}), log([]))
    with wire, pytest.raises(TaskFailed, match="no exit status"):
        api.wait(UPID)


def test_the_tail_of_a_long_log() -> None:
    tail = [f"line {n}" for n in range(1230, 1250)]
    api, wire = client(stopped("job errors"), log(["old"] * 500, total=1250), log(tail, start=1230, total=1250))
    with wire, pytest.raises(TaskFailed) as caught:
        api.wait(UPID)
    assert caught.value.log_tail == tuple(tail)


def test_a_log_that_cannot_be_read_does_not_hide_the_failure() -> None:
    api, wire = client(stopped("job errors"), Call("GET", LOG, refusal(403, "Permission check failed")))
    with wire, pytest.raises(TaskFailed, match="job errors") as caught:
        api.wait(UPID)
    assert "could not be read" in caught.value.log_tail[0]


@pytest.mark.parametrize(
    "hiccup",
    [NOT_YET, refusal(599, "x"), refusal(596, "Connection timed out"), ConnectionFailed("reset", sent=True)],
    ids=["400 at first", "599", "596", "cut"],
)
def test_hiccups_do_not_end_the_waiting(hiccup: Any) -> None:
    api, wire = client(poll(hiccup), stopped("OK"))
    with wire:
        assert api.wait(UPID).ok


def test_a_400_means_not_yet_only_at_first() -> None:
    api, wire = client(*[poll(NOT_YET)] * 200)
    with pytest.raises(ApiError) as caught:
        api.wait(UPID)
    assert caught.value.http_status == 400
    assert 5 <= wire.clock.monotonic() < 6


def test_the_pace_follows_the_age() -> None:
    api, wire = client(*[poll(RUNNING)] * 2000, timeout=120)
    with pytest.raises(DeadlineExceeded):
        api.wait(UPID)
    times = list(itertools.accumulate(wire.clock.sleeps))
    assert times[0] == pytest.approx(0.05)
    gaps = [(start, end - start) for start, end in itertools.pairwise(times)]
    for age, gap in gaps[:-1]:
        assert gap == pytest.approx(min(max(0.05, 0.05 * age), 1.0)), age
    assert len(wire.sent) < 20 + 60 + 110


@pytest.mark.parametrize("length", [0.2, 1.0, 3.0, 10.0, 60.0, 300.0])
def test_little_time_is_lost_after_the_end(length: float) -> None:
    wire = ScriptedTransport([])
    api = Client(wire, clock=wire.clock)

    def request(*args: Any, **more: Any) -> Reply:
        over = wire.clock.monotonic() >= length
        return Reply(200, "OK", {"status": "stopped", "exitstatus": "OK"} if over else RUNNING)

    wire.request = request  # type: ignore[method-assign]
    api.wait(UPID)
    lost = wire.clock.monotonic() - length
    assert lost <= min(1.0, 0.05 + 0.06 * length)


def test_all_threads_together_keep_to_twenty_a_second() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    slots = []
    for _n in range(100):
        slots.append(clock.monotonic() + pace.reserve())
        if len(slots) % 10 == 0:
            clock.advance(0.1)
    for start in slots:
        assert sum(start <= slot < start + 0.999 for slot in slots) <= 20
    assert slots[-1] < 5.0


def test_the_deadline_names_the_task_which_goes_on() -> None:
    api, wire = client(*[poll(RUNNING)] * 500, timeout=60)
    with pytest.raises(DeadlineExceeded) as caught:
        api.wait(UPID)
    assert caught.value.upid == UPID
    text = str(caught.value)
    for part in ("60 s", "task qmcreate 9200 on node pve2", str(UPID), "goes on", "`timeout`"):
        assert part in text
    assert wire.clock.monotonic() == pytest.approx(60)


def test_an_outage_during_a_task_is_no_failure_of_it() -> None:
    down = ConnectionFailed("refused", sent=False)
    api, wire = client(poll(RUNNING), *[poll(down)] * 20, stopped("OK"))
    with wire:
        assert api.wait(UPID).ok
    api, wire = client(poll(RUNNING), *[poll(down)] * 50, timeout=100)
    with pytest.raises(DeadlineExceeded, match="last: refused") as caught:
        api.wait(UPID)
    assert caught.value.upid == UPID


def test_a_node_that_is_silent_for_long_is_no_failure_of_its_task() -> None:
    api, wire = client(*[poll(refusal(596, "Connection timed out"))] * 40, stopped("OK"))
    with wire:
        assert api.wait(UPID).ok


def test_run_is_submit_and_wait() -> None:
    api, wire = client(Call("POST", "/nodes/pve1/qemu", str(UPID), params={"vmid": 9200}), stopped("OK"))
    with wire:
        result = api.run("POST", "/nodes/pve1/qemu", {"vmid": 9200}, node="pve1", type="qmcreate", id=9200)
    assert result.upid == UPID


def test_an_answer_without_a_upid_is_an_error() -> None:
    api, wire = client(Call("POST", "/x", None))
    with wire, pytest.raises(ApiError, match="not the UPID"):
        api.submit("POST", "/x", node="pve1", type="qmcreate", id=9200)


def test_uploads_carry_the_digest_and_have_time(tmp_path: Any) -> None:
    path = tmp_path / "a.qcow2"
    path.write_bytes(b"")
    with path.open("r+b") as stream:
        stream.truncate(600 * 1024 * 1024)
    upid = "UPID:pve1:0000784E:000A5FFE:6B0444CB:imgcopy::root@pam!lab:"
    expected = {"content": "import", "checksum": "ab", "checksum-algorithm": "sha256"}
    url = "/nodes/pve1/storage/local/upload"
    api, wire = client(Call("POST", url, upid, params=expected, filename="b.qcow2"))
    with wire:
        sent = api.upload("pve1", "local", content="import", path=path, filename="b.qcow2", digest="sha256:ab")
    assert sent.type == "imgcopy"
    assert wire.sent[0].timeout == 660
    assert wire.sent[0].upload == Upload(path, "b.qcow2")
    with pytest.raises(ValueError, match="algorithm:hex"):
        api.upload("pve1", "local", content="import", path=path, filename="b.qcow2", digest="ab")
