# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that are waited for together: one listing for all, and what is left to each task's own status path."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.board import Board, Seat
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.clock import Deadline
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    Kind,
    TaskFailed,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.exchange import Exchange, api_path
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.tasks import Tasks
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.upid import TaskResult, Upid
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply
from ansible_collections.homelab.proxmox.tests.support.scripted import Call, FakeClock, ScriptedTransport, refusal

START = 0x6B0444CB
LIST = "/nodes/pve1/tasks"
PATIENCE = 10.0
"""Real seconds after which a thread that hangs fails its test."""


def upid(vmid: int, *, later: int = 0, node: str = "pve1") -> Upid:
    return Upid.parse(f"UPID:{node}:0000784E:000A5FFE:{START + later:08X}:qmcreate:{vmid}:ops@pve!ci:")


MINE, OTHER, THIRD = upid(101), upid(102, later=5), upid(103, later=9)


def running(task: Upid) -> dict[str, Any]:
    """A row as the list shows a task that runs."""
    return {"upid": task.text, "node": task.node, "status": "RUNNING", "saved": "0", "starttime": task.starttime}


def ended(task: Upid, status: str = "OK") -> dict[str, Any]:
    """A row as the list shows a task that has ended."""
    row = {"upid": task.text, "node": task.node, "status": status, "starttime": task.starttime}
    return {**row, "endtime": task.starttime + 3}


def listing(*rows: dict[str, Any], since: int = START, **more: Any) -> Call:
    return Call("GET", LIST, list(rows), params={"source": "all", "since": since, "limit": 100}, **more)


def status(task: Upid, text: str = "") -> Call:
    """A read of the own status path: running, or ended with C(text)."""
    reply = {"status": "stopped", "exitstatus": text} if text else {"status": "running"}
    return Call("GET", api_path("nodes", task.node, "tasks", task, "status"), reply)


def log(task: Upid, *lines: str) -> Call:
    rows = [{"n": number, "t": line} for number, line in enumerate(lines, start=1)]
    return Call("GET", api_path("nodes", task.node, "tasks", task, "log"), Reply(200, "OK", rows, len(lines)))


def exchange(wire: Any, timeout: float = 1800.0) -> Exchange:
    """Over a wire with a clock of its own."""
    return Exchange(wire, wire.clock, Deadline(wire.clock, timeout), 60.0)


def over(wire: Any, timeout: float = 1800.0) -> Tasks:
    return Tasks(exchange(wire, timeout))


class Waiting:
    """This thread, where others wait as well."""

    def __init__(self, wire: ScriptedTransport) -> None:
        self.wire = wire
        sent = exchange(wire)
        self.requests, self.tasks = sent.requests, Tasks(sent)
        self.board: Board = self.tasks.board("pve1")
        self.others: list[Seat] = []
        self.polls: list[Mapping[str, Any]] = []

    def wait(self, task: Upid = MINE) -> TaskResult:
        return self.tasks.wait(task, self.polls.append)


@contextmanager
def script(*calls: Call, others: tuple[Upid, ...] = (OTHER,)) -> Iterator[Waiting]:
    """A script of requests, while other threads wait for C(others) and never look."""
    site = Waiting(ScriptedTransport(calls))
    with site.wire, ExitStack() as stack:
        site.others = [stack.enter_context(site.board.seat(other)) for other in others]
        yield site


def test_the_list_tells_of_a_task_that_is_waited_for_among_others() -> None:
    with script(listing(running(MINE)), listing(running(OTHER), ended(MINE))) as site:
        assert site.wait().ok
    assert site.polls == [{"status": "running"}, {"status": "stopped", "exitstatus": "OK"}]
    assert site.requests.as_dict() == {"reads": 0, "writes": 0, "polls": 2}
    assert site.wire.clock.monotonic() == pytest.approx(0.1)


def test_a_task_alone_is_asked_itself() -> None:
    with script(status(MINE), status(MINE, "OK"), others=()) as site:
        assert site.wait().ok
    with script(status(MINE, "OK"), others=()) as site, site.tasks.board("pve2").seat(upid(300, node="pve2")):
        assert site.wait().ok


def test_one_listing_is_for_all_who_wait() -> None:
    rows = running(MINE), ended(OTHER), ended(THIRD)
    with script(listing(*rows, since=OTHER.starttime), others=(OTHER, THIRD)) as site:
        other, third = site.others
        seen = other.look("x")
        assert seen is third.look("x")
        assert seen is not None
        assert [seen.told(task) for task in (OTHER, THIRD)] == [{"status": "stopped", "exitstatus": "OK"}] * 2
        assert seen.told(MINE) == {"status": "running"}


def test_a_listing_that_began_before_a_task_says_nothing_of_it() -> None:
    with script(listing(since=OTHER.starttime), listing(ended(MINE)), others=(OTHER, THIRD)) as site:
        site.others[0].look("x")
        assert site.wait().ok
    assert len(site.polls) == 1


def test_what_another_thread_has_read_is_used_at_the_next_look() -> None:
    """The end of a task may be known without a request of its own."""
    with script(listing(ended(MINE))) as site, site.board.seat(MINE) as mine:
        site.others[0].look("x")
        seen = mine.look("x")
        assert seen is not None
        assert seen.told(MINE) == {"status": "stopped", "exitstatus": "OK"}


def test_the_list_is_of_all_tasks_since_the_oldest_that_is_waited_for() -> None:
    with script(listing(ended(THIRD), since=OTHER.starttime), listing(ended(MINE)), others=(OTHER,)) as site:
        site.wait(THIRD)
        site.wait(MINE)


def test_a_task_that_is_listed_twice_has_ended() -> None:
    """It ended between the server's reading of the running and of the ended ones."""
    for rows in ([running(MINE), ended(MINE)], [ended(MINE), running(MINE)]):
        with script(listing(*rows)) as site:
            assert site.wait().ok


@pytest.mark.parametrize("text", ["unable to create VM 101", "", "unexpected status"])
def test_an_end_that_is_not_plainly_ok_is_asked_for(text: str) -> None:
    told = "unable to create VM 101 - and in full"
    with (
        script(listing(ended(MINE, text)), status(MINE, told), log(MINE, f"TASK ERROR: {told}")) as site,
        pytest.raises(TaskFailed) as caught,
    ):
        site.wait()
    assert (caught.value.exit_status, caught.value.log_tail) == (told, (f"TASK ERROR: {told}",))
    assert caught.value.kind is Kind.OTHER


def test_a_failure_is_reported_within_a_second() -> None:
    wire = ScriptedTransport([])
    listings: list[float] = []

    def request(method: str, path: str, params: Any = None, **_more: Any) -> Reply:
        over_now = wire.clock.monotonic() >= 30.0
        if path == LIST:
            listings.append(wire.clock.monotonic())
            return Reply(200, "OK", [ended(MINE, "broke") if over_now else running(MINE)])
        if path.endswith("/log"):
            return Reply(200, "OK", [{"n": 1, "t": "TASK ERROR: broke"}], 1)
        return Reply(200, "OK", {"status": "stopped", "exitstatus": "broke"} if over_now else {"status": "running"})

    wire.request = request  # type: ignore[method-assign]
    tasks = over(wire)
    with tasks.board("pve1").seat(OTHER), pytest.raises(TaskFailed, match="broke") as caught:
        tasks.wait(MINE)
    assert wire.clock.monotonic() - 30.0 <= 1.0
    assert caught.value.log_tail == ("TASK ERROR: broke",)
    assert len(listings) > 50


def test_warnings_are_read_from_the_log() -> None:
    calls = (listing(ended(MINE, "WARNINGS: 1")), status(MINE, "WARNINGS: 1"), log(MINE, "WARN: old disk"))
    with script(*calls) as site:
        assert site.wait().warnings == ("old disk",)


def test_a_task_that_is_not_listed_is_asked_itself_from_then_on() -> None:
    not_yet = Call("GET", status(MINE).path, refusal(400, "Parameter verification failed.", {"upid": "no such task"}))
    with script(listing(running(OTHER)), not_yet, status(MINE), status(MINE, "OK")) as site:
        assert site.wait().ok
        first, second = site.others[0].look("x"), site.others[0].look("x")
    assert first is not None
    assert second is None, "whoever is left is alone"
    assert site.requests.polls == 4


def test_a_list_that_is_refused_is_not_asked_for_again() -> None:
    with script(Call("GET", LIST, refusal(500, "x")), status(MINE), status(MINE, "OK"), status(THIRD, "OK")) as site:
        assert site.wait().ok
        assert site.wait(THIRD).ok


def test_whoever_is_left_alone_is_asked_itself() -> None:
    with script(listing(running(MINE), running(OTHER)), status(MINE, "OK")) as site:

        def end_the_other(_status: Any) -> None:
            site.others[0].leave()

        assert site.tasks.wait(MINE, end_the_other).ok


def test_running_is_believed_for_ten_seconds() -> None:
    """The list depends on a daemon that may be gone; a task's own status path looks at its process."""
    wire = ScriptedTransport([])
    own: list[float] = []

    def request(method: str, path: str, params: Any = None, **_more: Any) -> Reply:
        if path == LIST:
            return Reply(200, "OK", [running(MINE)])
        own.append(wire.clock.monotonic())
        over_now = len(own) == 3
        return Reply(200, "OK", {"status": "stopped", "exitstatus": "OK"} if over_now else {"status": "running"})

    wire.request = request  # type: ignore[method-assign]
    tasks = over(wire)
    with tasks.board("pve1").seat(OTHER):
        assert tasks.wait(MINE).ok
    assert all(10 <= after - before <= 11 for before, after in itertools.pairwise([0.0, *own]))


@pytest.mark.parametrize("length", [0.02, 0.2, 1.0, 3.0, 10.0, 60.0, 300.0])
def test_little_time_is_lost_after_the_end(length: float) -> None:
    wire = ScriptedTransport([])

    def request(method: str, path: str, params: Any = None, **_more: Any) -> Reply:
        wire.clock.advance(0.02)
        over = wire.clock.monotonic() >= length
        if path != LIST:
            return Reply(200, "OK", {"status": "stopped", "exitstatus": "OK"} if over else {"status": "running"})
        return Reply(200, "OK", [ended(MINE) if over else running(MINE)])

    wire.request = request  # type: ignore[method-assign]
    tasks = over(wire)
    with tasks.board("pve1").seat(OTHER):
        tasks.wait(MINE)
    assert wire.clock.monotonic() - length <= 0.15 + 0.06 * length


@pytest.mark.parametrize(
    "hiccup",
    [refusal(599, "x"), refusal(596, "Connection timed out"), ConnectionFailed("reset", sent=True)],
    ids=["599", "596", "cut"],
)
def test_hiccups_do_not_end_the_waiting(hiccup: Any) -> None:
    with script(Call("GET", LIST, hiccup), listing(ended(MINE))) as site:
        assert site.wait().ok


def test_the_deadline_names_the_task() -> None:
    site = ScriptedTransport([listing(running(MINE))] * 200)
    tasks = over(site, timeout=5)
    with tasks.board("pve1").seat(OTHER), pytest.raises(DeadlineExceeded, match="qmcreate 101") as caught:
        tasks.wait(MINE)
    assert caught.value.upid == MINE
    assert site.clock.monotonic() == pytest.approx(5)


def test_listings_and_status_reads_share_one_pace() -> None:
    """Two nodes with several tasks, and one with one: twenty requests a second in all."""
    wire = ScriptedTransport([])
    times: list[float] = []

    def request(method: str, path: str, params: Any = None, **_more: Any) -> Reply:
        times.append(wire.clock.monotonic())
        return Reply(200, "OK", [running(MINE)])

    wire.request = request  # type: ignore[method-assign]
    tasks = over(wire)
    first, second = tasks.board("pve1"), tasks.board("pve2")
    with first.seat(MINE) as one, first.seat(OTHER), second.seat(upid(300, node="pve2")) as two, second.seat(THIRD):
        for _count in range(30):
            one.look("x")
            two.look("x")
    for start in times:
        assert sum(start <= time < start + 0.999 for time in times) <= 20
    assert len(times) == 60


class Gate:
    """A wire whose listings wait for a sign."""

    def __init__(self, reply: Reply) -> None:
        self.clock = FakeClock()
        self.reply = reply
        self.asked = threading.Event()
        self.open = threading.Event()
        self.paths: list[str] = []

    def request(self, method: str, path: str, params: Any = None, **_more: Any) -> Reply:
        self.paths.append(path)
        if path != LIST:
            return Reply(200, "OK", {"status": "stopped", "exitstatus": "OK"})
        self.asked.set()
        assert self.open.wait(PATIENCE)
        return self.reply


def in_threads(wire: Gate, jobs: list[Callable[[], Any]]) -> list[Any]:
    """What the jobs return, in the order of their ends; the list answers once it has been asked for."""
    results: list[Any] = []
    threads = [threading.Thread(target=lambda job=job: results.append(job()), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    assert wire.asked.wait(PATIENCE)
    wire.open.set()
    for thread in threads:
        thread.join(PATIENCE)
    return results


MANY = [upid(200 + number, later=number) for number in range(8)]


def test_threads_wait_for_the_listing_that_is_under_way() -> None:
    wire = Gate(Reply(200, "OK", [ended(task) for task in MANY]))
    board = over(wire).board("pve1")
    with ExitStack() as seats:
        taken = [seats.enter_context(board.seat(task)) for task in MANY]
        seen = in_threads(wire, [partial(seat.look, "x") for seat in taken])
    assert [listing.number for listing in seen] == [1] * 8
    assert wire.paths == [LIST]


def test_a_refusal_sends_all_threads_to_their_own_tasks() -> None:
    wire = Gate(refusal(500, "x"))
    tasks = over(wire)
    with tasks.board("pve1").seat(OTHER):
        results = in_threads(wire, [partial(tasks.wait, task) for task in MANY])
    assert {result.upid for result in results} == set(MANY)
    assert wire.paths.count(LIST) == 1
    assert len(wire.paths) == 9
