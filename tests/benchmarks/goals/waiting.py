# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for tasks: how late an end is noticed, and how late a failure is reported."""

from __future__ import annotations

import importlib
import statistics
import sys
import time
import typing as t
from dataclasses import replace
from types import SimpleNamespace

from ..lab import LATENCY, NODE, Lab
from ..play import PlayError
from ..registry import benchmark
from ..report import Row, at_most

UTILS = "ansible_collections.homelab.proxmox.plugins.module_utils._pve"
VMID = 700
SHORT = [0.3 + 0.1 * step for step in range(10)]
LONGER = [2.0 + 0.1 * step for step in range(10)]
LONG = [10.0 + 0.1 * step for step in range(10)]
Waiter = t.Callable[[], tuple[str, float]]
"""Begins a task and waits for its end: its UPID, and the moment at which the caller goes on."""


class Lost(t.NamedTuple):
    """Seconds between a task's end and the caller's knowing, for a task of C(length) seconds."""

    length: float
    here: float
    peer: float | None

    @property
    def share(self) -> float:
        """Of what is allowed at most: 150 ms + 6 % of the length."""
        return self.here / (0.150 + 0.06 * self.length)


@benchmark("G8b")
def lost_time(lab: Lab) -> t.Iterator[Row]:
    """Time lost per task, measured on the client itself."""
    lab.wipe()
    lab.api("POST", f"/nodes/{NODE}/qemu", vmid=VMID, name="waiting")
    here, peer = _our_waiter(lab), _peer_waiter(lab)
    # The peer loses more than a second per task: every third task is enough to see it.
    bands = {"0.3-1.2 s": SHORT, "2-2.9 s": LONGER} | ({"10-10.9 s": LONG} if lab.full else {})
    lost = {
        band: [_lost(lab, here, peer if number % 3 == 0 else None, length) for number, length in enumerate(lengths)]
        for band, lengths in bands.items()
    }
    lab.wipe()
    everything = [one for band in lost.values() for one in band]
    usual = [one for one in everything if one.length < 3]
    medians = ", ".join(f"{band}: {_milliseconds(one.here for one in found):g}" for band, found in lost.items())
    limit = 60 + LATENCY * 1000
    yield _with_ratio(
        at_most(
            "G8b",
            _milliseconds(one.here for one in usual),
            "ms lost per task, median",
            limit,
            budget=f"<= {limit:g} (60 + one latency)",
            note=f"{len(usual)} tasks below 3 s; medians by length: {medians}; peer: the wait of its proxmox_kvm",
        ),
        usual,
    )
    worst = max(everything, key=lambda one: one.share)
    allowed = round(150 + 60 * worst.length)
    yield at_most(
        "G8b",
        round(worst.here * 1000),
        "ms lost, worst task",
        allowed,
        peer=max((round(one.peer * 1000) for one in everything if one.peer is not None), default=None),
        budget=f"<= {allowed} (150 + 6 %)",
        note=f"of {len(everything)} tasks, the one nearest to its limit, {worst.length:.1f} s long",
    )


def _with_ratio(row: Row, lost: t.Sequence[Lost]) -> Row:
    both = [one for one in lost if one.peer is not None]
    if not both:
        return row
    ratio = statistics.median((one.peer or 0) / max(one.here, 0.001) for one in both)
    return replace(row, peer=_milliseconds(one.peer or 0 for one in both), ratio=round(ratio, 1))


def _milliseconds(values: t.Iterable[float]) -> float:
    return round(statistics.median(values) * 1000)


def _lost(lab: Lab, here: Waiter, peer: Waiter | None, length: float) -> Lost:
    def measure(waiter: Waiter) -> float:
        lab.server.ask("durations", seconds={"*": length})
        upid, known = waiter()
        return known - t.cast(float, lab.server.ask("ended")[upid])

    return Lost(length, measure(here), None if peer is None else measure(peer))


def _our_waiter(lab: Lab) -> Waiter:
    client_of = importlib.import_module(f"{UTILS}.client").Client
    transport = importlib.import_module(f"{UTILS}.transport").ProxmoxerTransport
    connection = importlib.import_module(f"{UTILS}.auth").from_options(lab.line()[0]["homelab.proxmox.vm_template"])
    client = client_of(transport(connection))

    def wait() -> tuple[str, float]:
        path = f"/nodes/{NODE}/qemu/{VMID}/config"
        upid = client.submit("POST", path, {"description": str(time.monotonic())}, node=NODE, type="qmconfig", id=VMID)
        client.wait(upid)
        return str(upid), time.monotonic()

    return wait


def _peer_waiter(lab: Lab) -> Waiter | None:
    """proxmox_kvm's own wait, driven as its create does."""
    if lab.peer.path is None:
        return None
    if str(lab.peer.path) not in sys.path:
        sys.path.append(str(lab.peer.path))
    kvm = importlib.import_module("ansible_collections.community.proxmox.plugins.modules.proxmox_kvm")
    options = lab.two_tasks("unused")[0]["community.proxmox.proxmox_kvm"]
    params = {"api_otp": None, "api_password": None, "api_timeout": 30, **options, "state": "present", "timeout": 60}

    def fail(msg: str, **_more: t.Any) -> t.NoReturn:
        raise PlayError(msg)

    peer = kvm.ProxmoxKvmAnsible(SimpleNamespace(params=params, fail_json=fail))

    def wait() -> tuple[str, float]:
        upid = peer.proxmox_api.nodes(NODE).qemu(VMID).config.post(description=str(time.monotonic()))
        if not peer.wait_for_task(NODE, upid):
            raise PlayError("the peer's wait ran into its time-out")
        return upid, time.monotonic()

    return wait


FAILURE = "unable to create VM - copy failed: qemu-img: error while writing at byte 0: No space left on device"
LOG = ["create full clone of drive (local:import/debian-13.qcow2)", "transferred 0.0 B of 3.0 GiB (0.00%)"]
FAILS_AFTER = 1.5


@benchmark("G11")
def failed_task(lab: Lab) -> t.Iterator[Row]:
    """A failed task is reported soon after its end, with its log."""
    lab.wipe()
    if not lab.images():
        lab.run(lab.line())[0].expect(["ok"])
        lab.wipe()
    ours = [_failure(lab, lab.line(), "No space left") for _unused in range(3)]
    # Without it the peer waits for 30 polls of a second each.
    patience = {} if lab.full else {"timeout": 5}
    peer = [_failure(lab, lab.two_tasks(lab.images()[0], **patience))] if lab.peer.path else []
    late, logged = [one[0] for one in ours], [one[1] for one in ours]
    peer_late = round(peer[0][0], 2) if peer else None
    waits = "its default of 30 polls" if lab.full else "timeout=5, not its default of 30 (FULL=1), and waits it out"
    yield at_most(
        "G11",
        round(statistics.median(late), 2),
        "s from a task's end to its report",
        1.0,
        peer=peer_late,
        note=f"median of 3, to the moment at which Ansible has the result; the peer got {waits}",
    )
    lines = min(len(LOG) if found else 0 for found in logged)
    yield Row(
        goal="G11",
        value=lines,
        unit="lines of its log in the result",
        peer=len(LOG) if peer and peer[0][1] else 0 if peer else None,
        met=lines >= len(LOG),
        budget=f">= {len(LOG)}",
    )


def _failure(lab: Lab, tasks: t.Sequence[dict[str, t.Any]], text: str = "") -> tuple[float, bool]:
    """Seconds from the end of the failed task to Ansible's having the result, and whether that holds the task's log."""
    lab.wipe()
    lab.server.ask("reset")
    lab.server.ask("durations", seconds={"qmcreate": FAILS_AFTER})
    lab.server.ask("fail_task", method="POST", path=f"^/nodes/{NODE}/qemu$", exitstatus=FAILURE, log=LOG)
    played = lab.player.play(tasks)
    played.expect(["failed"])
    (ended,) = [at for upid, at in lab.server.ask("ended").items() if ":qmcreate:" in upid]
    result = str(played.tasks[0].result)
    if text not in result:
        raise PlayError(f"the failure was not the planned one: {result[:600]}")
    return played.tasks[0].at - ended, all(line in result for line in LOG)
