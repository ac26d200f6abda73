# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduler: turns on storages and nodes, work that is done once, and jobs side by side."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._apply import scheduler
from ansible_collections.homelab.proxmox.plugins.module_utils._apply.scheduler import (
    Limits,
    Once,
    Slots,
    Turns,
    run_all,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import CloudImage, Digest, ResolvedImage
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.steps import FetchImage

PATIENCE = 10
"""Seconds until something that must happen counts as not happening; nobody waits that long for success."""


class Gauge:
    """How many are inside at once, by key."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.passed = 0

    def enter(self, *keys: str) -> None:
        with self._guard:
            for key in keys:
                self._now[key] += 1
                self.most[key] = max(self.most[key], self._now[key])

    def leave(self, *keys: str) -> None:
        with self._guard:
            self.passed += 1
            for key in keys:
                self._now[key] -= 1


def together(jobs: Iterable[Callable[[], Any]]) -> list[Any]:
    """Start all jobs at the same moment in threads of their own; their results in order."""
    jobs = list(jobs)
    start = threading.Barrier(len(jobs))

    def begin(job: Callable[[], Any]) -> Any:
        start.wait(PATIENCE)
        return job()

    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        futures = [pool.submit(begin, job) for job in jobs]
        return [future.result(PATIENCE) for future in futures]


def fetch(node: str = "pve1", storage: str = "local", filename: str = "a.qcow2") -> FetchImage:
    image = CloudImage(
        id="a", name="A", family="", os_family="", release="", variant="", arch="x86_64", url=None, url_kind="none"
    )
    url = "https://vendor.example/a.qcow2"
    source = ResolvedImage(url=url, digest=Digest("sha256", "0" * 64), verification="pinned")
    return FetchImage(
        node=node, storage=storage, filename=filename, image=image, source=source, via="download", may_upload=False
    )


# --- turns


@pytest.mark.parametrize(
    ("limits", "where", "most"),
    [
        (Limits(per_storage=2, per_node=9), "storage", 2),
        (Limits(per_storage=9, per_node=3), "node", 3),
        (Limits(per_storage=1, per_node=1), "storage", 1),
    ],
    ids=["storage", "node", "one"],
)
def test_no_more_than_the_limit_hold_a_slot_and_no_fewer(limits: Limits, where: str, most: int) -> None:
    slots, gauge = Slots(limits), Gauge()
    full = threading.Barrier(most)

    def job() -> None:
        with slots.hold(storage="lvm", node="pve1"):
            gauge.enter("storage", "node")
            # As many as are allowed meet inside; with fewer the barrier breaks.
            full.wait(PATIENCE)
            gauge.leave("storage", "node")

    together([job] * (most * 4))
    assert gauge.most[where] == most
    assert gauge.passed == most * 4


def test_linked_clones_of_a_storage_have_a_limit_of_their_own() -> None:
    turns, gauge = Turns(Limits(linked=3, per_storage=1, per_node=1)), Gauge()
    full = threading.Barrier(3)

    def job() -> None:
        with turns.linked("pve1", "lvm"):
            gauge.enter("storage")
            full.wait(PATIENCE)
            gauge.leave("storage")

    with turns.heavy("pve1", "lvm"):
        together([job] * 12)
    assert gauge.most["storage"] == 3
    assert gauge.passed == 12


def test_a_full_storage_keeps_the_next_one_out_and_others_may_go_on() -> None:
    slots = Slots(Limits(per_storage=1, per_node=9))
    entered = threading.Event()

    def waits() -> None:
        with slots.hold(storage="lvm", node="pve1"):
            entered.set()

    with slots.hold(storage="lvm", node="pve1"):
        thread = threading.Thread(target=waits, daemon=True)
        thread.start()
        with slots.hold(storage="zfs", node="pve1"), slots.hold(storage="other", node="pve2"):
            assert not entered.is_set()
    thread.join(PATIENCE)
    assert entered.is_set()


def test_a_slot_is_free_again_after_a_failure() -> None:
    slots = Slots(Limits(per_storage=1, per_node=1))
    for _time in range(3):
        with pytest.raises(RuntimeError, match="broken"), slots.hold(storage="lvm", node="pve1"):
            raise RuntimeError("broken")
    with slots.hold(storage="lvm", node="pve1"):
        pass


def test_crossing_claims_do_not_wait_for_one_another_for_ever() -> None:
    slots, gauge = Slots(Limits(per_storage=1, per_node=1)), Gauge()

    def job(storage: str, node: str) -> Callable[[], None]:
        def run() -> None:
            for _time in range(20):
                with slots.hold(storage=storage, node=node):
                    gauge.enter(storage, node)
                    gauge.leave(storage, node)

        return run

    pairs = [(storage, node) for storage in ("a", "b", "c") for node in ("x", "y", "z")]
    together(job(*pair) for pair in pairs)
    assert gauge.passed == len(pairs) * 20
    assert set(gauge.most.values()) == {1}


def test_a_shared_storage_counts_across_nodes() -> None:
    turns, gauge = Turns(Limits(per_storage=2, per_node=9), frozenset({"nfs"})), Gauge()
    full = threading.Barrier(2)

    def job(node: str) -> Callable[[], None]:
        def run() -> None:
            with turns.heavy(node, "nfs"):
                gauge.enter("nfs")
                full.wait(PATIENCE)
                gauge.leave("nfs")

        return run

    together(job(f"pve{number % 4}") for number in range(8))
    assert gauge.most["nfs"] == 2


def test_a_local_storage_counts_for_each_node() -> None:
    turns = Turns(Limits(per_storage=1, per_node=9), frozenset({"nfs"}))
    meet = threading.Barrier(3)

    def job(node: str) -> Callable[[], None]:
        def run() -> None:
            with turns.heavy(node, "local-lvm"):
                meet.wait(PATIENCE)

        return run

    together(job(f"pve{number}") for number in range(3))


def test_a_node_counts_across_its_storages() -> None:
    turns, gauge = Turns(Limits(per_storage=9, per_node=2)), Gauge()
    full = threading.Barrier(2)

    def job(storage: str) -> Callable[[], None]:
        def run() -> None:
            with turns.heavy("pve1", storage):
                gauge.enter("pve1")
                full.wait(PATIENCE)
                gauge.leave("pve1")

        return run

    together(job(f"s{number}") for number in range(6))
    assert gauge.most["pve1"] == 2


# --- once


class WatchedFuture(Future[object]):
    """Tells when somebody begins to wait."""

    waiting = threading.Semaphore(0)

    def result(self, timeout: float | None = None) -> object:
        self.waiting.release()
        return super().result(timeout)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released once for everybody who begins to wait for what another one does."""
    WatchedFuture.waiting = threading.Semaphore(0)
    monkeypatch.setattr(scheduler, "Future", WatchedFuture)
    return WatchedFuture.waiting


def test_a_job_runs_once_and_the_others_wait_for_its_end(waiting: threading.Semaphore) -> None:
    once, done = Once(), []

    def job() -> str:
        assert all(waiting.acquire(timeout=PATIENCE) for _waiter in range(3))
        done.append("done")
        return "mine"

    def ask() -> tuple[str | None, list[str]]:
        return once.do("image", job), list(done)

    found = together([ask] * 4)
    assert sorted(str(result) for result, _seen in found) == ["None", "None", "None", "mine"]
    assert all(seen == ["done"] for _result, seen in found)
    assert done == ["done"]
    assert once.do("image", job) is None, "and whoever comes later does not do it again"


def test_all_see_the_same_failure(waiting: threading.Semaphore) -> None:
    once, runs = Once(), []
    trouble = RuntimeError("404 Not Found")

    def job() -> str:
        runs.append(1)
        assert all(waiting.acquire(timeout=PATIENCE) for _waiter in range(3))
        raise trouble

    def ask() -> BaseException | None:
        try:
            once.do("image", job)
        except RuntimeError as error:
            return error
        return None

    assert together([ask] * 4) == [trouble] * 4
    assert ask() is trouble
    assert runs == [1]


def test_even_an_interrupt_lets_the_others_go() -> None:
    once = Once()

    def interrupted() -> None:
        raise KeyboardInterrupt

    for _who in range(2):
        with pytest.raises(KeyboardInterrupt):
            once.do("image", interrupted)


def test_different_keys_do_not_wait_for_one_another() -> None:
    once, meet = Once(), threading.Barrier(3)

    def job() -> int:
        meet.wait(PATIENCE)
        return 1

    assert together(lambda key=key: once.do(key, job) for key in "abc") == [1, 1, 1]


def test_an_image_is_put_once_for_each_node_storage_and_name() -> None:
    turns, put = Turns(Limits()), []
    steps = [
        fetch(),
        fetch(),
        fetch(node="pve2"),
        fetch(storage="other"),
        fetch(filename="b.qcow2"),
        fetch(node="pve2"),
    ]
    for step in steps:
        turns.once(step, lambda step=step: put.append(step))
    assert put == [steps[0], *steps[2:5]]


# --- jobs


def test_results_come_in_the_order_of_the_jobs() -> None:
    later = threading.Event()

    def first() -> str:
        assert later.wait(PATIENCE)
        return "first"

    def second() -> str:
        later.set()
        return "second"

    assert run_all([first, second], workers=2) == ["first", "second"]


def test_one_job_runs_in_the_calling_thread_and_none_is_no_trouble() -> None:
    assert run_all([threading.get_ident], workers=8) == [threading.get_ident()]
    assert run_all([], workers=8) == []


def test_no_more_jobs_than_workers_run_at_once() -> None:
    gauge, full = Gauge(), threading.Barrier(2)

    def job() -> None:
        gauge.enter("job")
        full.wait(PATIENCE)
        gauge.leave("job")

    run_all([job] * 8, workers=2)
    assert gauge.most["job"] == 2
    assert gauge.passed == 8


def test_one_worker_does_everything_in_order() -> None:
    done: list[int] = []
    run_all([lambda number=number: done.append(number) for number in range(5)], workers=1)
    assert done == list(range(5))


def test_a_failure_that_nobody_foresaw_comes_out_when_the_jobs_under_way_have_ended() -> None:
    begun, ended = threading.Barrier(2), threading.Event()

    def broken() -> None:
        begun.wait(PATIENCE)
        raise ZeroDivisionError

    def goes_on() -> None:
        begun.wait(PATIENCE)
        ended.set()

    with pytest.raises(ZeroDivisionError):
        run_all([broken, goes_on], workers=2)
    assert ended.is_set()
