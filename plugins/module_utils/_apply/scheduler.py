# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many lines at once: each is a track of steps in order, and what is heavy waits for its turn on storage and node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from .._plan.steps import FetchImage

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much goes on at once. Two heavy jobs per storage: at three, full clones were reported to run into lock
    time-outs. C(linked) clones of a storage wait for its lock one after the other, each for ten seconds at most."""

    workers: int = 8
    per_storage: int = 2
    per_node: int = 4
    linked: int = 16


class Slots:
    """Turns on storages and nodes. A job holds all of its slots or none, so that no two jobs wait for each other."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: dict[tuple[str, str], int] = {}
        self._free = threading.Condition()

    def hold(self, *, storage: str, node: str) -> AbstractContextManager[None]:
        """Wait for a slot on the storage (shared ones under one name for all nodes) and on the node."""
        return self._hold({("storage", storage): self._limits.per_storage, ("node", node): self._limits.per_node})

    def hold_linked(self, *, storage: str) -> AbstractContextManager[None]:
        """Wait until few enough linked clones are made on the storage."""
        return self._hold({("linked", storage): self._limits.linked})

    @contextmanager
    def _hold(self, wanted: Mapping[tuple[str, str], int]) -> Iterator[None]:
        with self._free:
            self._free.wait_for(lambda: all(self._taken.get(key, 0) < limit for key, limit in wanted.items()))
            for key in wanted:
                self._taken[key] = self._taken.get(key, 0) + 1
        try:
            yield
        finally:
            with self._free:
                for key in wanted:
                    self._taken[key] -= 1
                self._free.notify_all()


class Once:
    """Does what several tracks need once: the first one does it, the others wait, all of them see how it ended."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._begun: dict[object, Future[object]] = {}

    def do(self, key: object, job: Callable[[], T]) -> T | None:
        """The result for the one who did it, None for those who waited. Raises for all what the job raised."""
        with self._guard:
            future = self._begun.get(key)
            mine = future is None
            if future is None:
                future = self._begun[key] = Future()
        if not mine:
            future.result()
            return None
        try:
            result = job()
        except BaseException as error:
            # Whatever ends the job, the others must not wait for ever.
            future.set_exception(error)
            raise
        future.set_result(None)
        return result


class Turns:
    """What the tracks of one run share. C(shared) are the storages that several nodes see."""

    def __init__(self, limits: Limits, shared: frozenset[str] = frozenset()) -> None:
        self._slots = Slots(limits)
        self._once = Once()
        self._shared = shared

    def heavy(self, node: str, storage: str) -> AbstractContextManager[None]:
        """A turn for work that keeps a storage busy."""
        return self._slots.hold(storage=self._name(node, storage), node=node)

    def linked(self, node: str, storage: str) -> AbstractContextManager[None]:
        """A turn for a linked clone: it changes metadata only, but under the lock of its storage."""
        return self._slots.hold_linked(storage=self._name(node, storage))

    def _name(self, node: str, storage: str) -> str:
        return storage if storage in self._shared else f"{node}/{storage}"

    def once(self, step: FetchImage, job: Callable[[], T]) -> T | None:
        """Get an image that several tracks need; None for those who only waited."""
        return self._once.do((step.node, step.storage, step.filename), job)


def run_all(jobs: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """The results of the jobs in their order. One job runs in this thread."""
    if len(jobs) <= 1:
        return [job() for job in jobs]
    with ThreadPoolExecutor(max_workers=min(workers, len(jobs))) as pool:
        return list(pool.map(lambda job: job(), jobs))
