# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers of the boot lab take turns with the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support.boot.turns import finish, in_turns, slow


def test_the_loop_goes_on_during_a_slow_step_only() -> None:
    events: list[str] = []
    inside, let_go = threading.Event(), threading.Event()

    def step() -> int:
        inside.set()
        assert let_go.wait(30)
        return 7

    def work() -> int:
        events.append("begins")
        result = slow(step)
        events.append("ends")
        return result

    async def other() -> None:
        await asyncio.to_thread(inside.wait, 30)
        events.append("another request")
        let_go.set()

    async def both() -> int:
        asked = asyncio.ensure_future(other())
        await asyncio.sleep(0)
        result = await in_turns(work)
        await asked
        return result

    assert asyncio.run(both()) == 7
    assert events == ["begins", "another request", "ends"]


def test_the_loop_stands_still_while_a_worker_thinks() -> None:
    seen: list[int] = []
    ticks = [0]

    async def tick() -> None:
        while True:
            ticks[0] += 1
            await asyncio.sleep(0)

    def work() -> None:
        seen.append(ticks[0])
        for _number in range(1000):
            threading.Event().wait(0)
        seen.append(ticks[0])

    async def both() -> None:
        ticking = asyncio.ensure_future(tick())
        await asyncio.sleep(0)
        await in_turns(work)
        ticking.cancel()

    asyncio.run(both())
    assert seen[0] == seen[1]


@pytest.mark.parametrize("where", ["plain", "slow"])
def test_what_a_worker_raises_arrives(where: str) -> None:
    def fail() -> None:
        raise KeyError(where)

    with pytest.raises(KeyError, match=where):
        asyncio.run(in_turns(fail if where == "plain" else lambda: slow(fail)))


def test_a_worker_whose_request_is_given_up_ends_after_its_step() -> None:
    inside, let_go, after = threading.Event(), threading.Event(), threading.Event()
    ended = threading.Event()

    def step() -> None:
        inside.set()
        let_go.wait(30)

    def work() -> None:
        try:
            slow(step)
            after.set()
        finally:
            ended.set()

    async def run() -> None:
        task = asyncio.ensure_future(in_turns(work))
        await asyncio.to_thread(inside.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    let_go.set()
    assert ended.wait(30)
    assert not after.is_set()


def test_outside_of_a_worker_a_step_is_called() -> None:
    assert slow(lambda: 3) == 3


def test_a_coroutine_that_awaits_cannot_be_finished() -> None:
    async def quick() -> int:
        return 5

    async def waits() -> None:
        await asyncio.sleep(0)

    assert finish(quick()) == 5
    with pytest.raises(RuntimeError, match="awaits"):
        finish(waits())
