# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker in a thread of its own that never runs at the same time as the event loop, except where it says so.

The fake's workers are written as if nothing else happened meanwhile. In the lab some of their steps take seconds (a
disk is copied, a guest shuts down), and the server has to answer other requests then. So loop and worker take turns:
the loop stands still while the worker thinks, and goes on while the worker is inside slow().
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import typing as t

T = t.TypeVar("T")

_own = threading.local()


class _Turn:
    """Who may run: ``worker`` and ``loop`` are the two sides' permissions."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.event_loop = loop
        self.worker = threading.Semaphore(0)
        self.loop = threading.Semaphore(0)
        # Ends when the slow step has ended; None: the worker has ended.
        self.pause: asyncio.Future[None] | None = None
        self.result: t.Any = None
        self.error: BaseException | None = None
        self.left = False


async def in_turns(work: t.Callable[[], T]) -> T:
    """Run ``work`` in a thread, in turns with this event loop; its result, or what it raised."""
    turn = _Turn(asyncio.get_running_loop())
    context = contextvars.copy_context()
    threading.Thread(target=_main, args=(turn, context, work), daemon=True).start()
    while True:
        turn.loop.acquire()
        if turn.pause is None:
            break
        try:
            await turn.pause
        except asyncio.CancelledError:
            turn.left = True
            turn.worker.release()
            raise
        turn.worker.release()
    if turn.error is not None:
        raise turn.error
    return t.cast(T, turn.result)


def slow(step: t.Callable[[], T]) -> T:
    """Run a step that touches no state of the cluster; outside of a worker it is simply called."""
    turn: _Turn | None = getattr(_own, "turn", None)
    if turn is None:
        return step()
    pause = turn.pause = turn.event_loop.create_future()
    turn.loop.release()
    try:
        return step()
    finally:
        _end(turn, pause)


def _end(turn: _Turn, pause: asyncio.Future[None]) -> None:
    def end() -> None:
        if not pause.done():
            pause.set_result(None)

    try:
        turn.event_loop.call_soon_threadsafe(end)
    except RuntimeError:  # the server has ended meanwhile
        turn.left = True
    else:
        turn.worker.acquire()
    if turn.left:
        raise SystemExit


def _main(turn: _Turn, context: contextvars.Context, work: t.Callable[[], t.Any]) -> None:
    _own.turn = turn
    try:
        turn.result = context.run(work)
    except SystemExit:
        if turn.left:
            return
        raise
    except BaseException as exc:  # noqa: BLE001 - raised again where it is awaited
        turn.error = exc
    turn.pause = None
    turn.loop.release()


def finish(coroutine: t.Coroutine[t.Any, t.Any, T]) -> T:
    """Run a coroutine that awaits nothing, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return t.cast(T, stop.value)
    coroutine.close()
    raise RuntimeError("a worker that awaits something cannot run in a thread")
