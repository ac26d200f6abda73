# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hundred clones: in one task, and from two processes that share a block of VMIDs."""

from __future__ import annotations

import importlib
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..lab import NODES, Counts, Lab, Task
from ..play import Played, Player, PlayError
from ..registry import benchmark
from ..report import Row, at_most, in_turns
from .fleet import extrapolated

CLONES = 100
NAMES = [f"web-{number:03}" for number in range(CLONES)]
BLOCK = "200-299"
SAMPLE = (10, 40)
"""Hosts of the peer; FULL=1 gives it all hundred."""
FORKS = "20"
DOOR = "ansible_collections.homelab.proxmox.plugins.module_utils._ansible.vm_fleet_door"
LEAST = 15.0
WHAT = f"{CLONES} linked clones of one template with memory and tags of their own"
BARE = f"peer: proxmox_kvm with clone and a newid that a person chose, one host for each VM, {FORKS} forks"
PEER = f"{BARE}, and a second task for memory and tags, which it does not take with a clone"
Run = tuple[Played, Counts]


@dataclass(frozen=True, slots=True)
class Hundred:
    """All clones in one task, the run after it, and a third one that is asked for a change in check mode."""

    first: Run
    again: Run
    checked: Run
    distinct: int
    orphans: int


def template(lab: Lab) -> int:
    """The VMID of the only line that there is."""
    lab.wipe()
    lab.run(lab.line())[0].expect(["ok"], changed=True)
    (row,) = lab.api("GET", "/cluster/resources", type="vm")
    return int(row["vmid"])


def clear(lab: Lab, keep: int) -> None:
    """Remove the clones."""
    for row in lab.api("GET", "/cluster/resources", type="vm"):
        if row["vmid"] != keep:
            lab.api("DELETE", f"/nodes/{row['node']}/qemu/{row['vmid']}", purge=1)


def stock(lab: Lab, keep: int) -> tuple[int, int]:
    """How many names of ours there are, each once, and how many volumes without a VM."""
    rows = [row for row in lab.api("GET", "/cluster/resources", type="vm") if row["vmid"] != keep]
    names = [row["name"] for row in rows if row["name"] in NAMES]
    ids = {str(row["vmid"]) for row in rows} | {str(keep)}
    listed = [
        volume
        for node in NODES
        for volume in lab.api("GET", f"/nodes/{node}/storage/local-lvm/content", content="images")
    ]
    orphans = sum(str(volume["vmid"]) not in ids for volume in listed) + len(rows) - len(set(names))
    return len(set(names)), orphans


@dataclass(frozen=True, slots=True)
class Sizes:
    """Hosts and seconds of the peer, for clones as they are declared and for clones alone."""

    whole: tuple[tuple[int, float], ...] = ()
    bare: tuple[tuple[int, float], ...] = ()


def hundred(lab: Lab) -> tuple[tuple[Hundred, ...], Sizes]:
    return lab.once("clones", lambda: _hundred(lab))


def _hundred(lab: Lab) -> tuple[tuple[Hundred, ...], Sizes]:
    """Here before, between and after the peer's sizes."""
    keep = template(lab)
    sizes = () if lab.peer.path is None else (CLONES,) if lab.full else SAMPLE
    here, whole, bare = [_once(lab, keep)], [], []
    for size in sizes:
        tasks = lab.clone_tasks(keep, 500)
        whole.append((size, _of_peer(lab, keep, tasks, size)))
        bare.append((size, _of_peer(lab, keep, tasks[:1], size)))
        here.append(_once(lab, keep))
    lab.wipe()
    return tuple(here), Sizes(tuple(whole), tuple(bare))


def _of_peer(lab: Lab, keep: int, tasks: t.Sequence[Task], size: int) -> float:
    """The seconds of the peer's tasks, each for so many hosts."""
    hosts = [f"peer-{number:03}" for number in range(size)]
    played, _counts = lab.run(tasks, "-f", FORKS, hosts=hosts)
    played.expect(["ok"] * size * len(tasks), changed=True)
    clear(lab, keep)
    return played.seconds


def _once(lab: Lab, keep: int) -> Hundred:
    first = lab.run(lab.vms(NAMES, BLOCK))
    first[0].expect(["ok"], changed=True)
    distinct, orphans = stock(lab, keep)
    again = lab.run(lab.vms(NAMES, BLOCK))
    again[0].expect(["ok"], changed=False)
    checked = lab.run(lab.vms(NAMES, BLOCK, memory=2048), "--check", "--diff")
    checked[0].expect(["ok"], changed=True)
    clear(lab, keep)
    return Hundred(first, again, checked, distinct, orphans)


@benchmark("G10")
def clones_in_one_task(lab: Lab) -> t.Iterator[Row]:
    """A hundred clones in one task: each there once, a second run empty, and the time against the peer."""
    here, peer = hundred(lab)
    yield _exactly("distinct VMs, one task", min(one.distinct for one in here), WHAT)
    yield at_most("G10", max(one.orphans for one in here), "orphans, one task", 0, note=WHAT)
    yield at_most("G10", max(one.again[1].writes for one in here), "writes of a second run", 0, note=WHAT)
    yield at_most("G10", here[0].again[1].configs + _pending(here[0].again), "reads of VMs, second run", CLONES)
    yield _beside(here, peer.whole, f"s, {CLONES} clones as declared", PEER, LEAST)
    yield _beside(here, peer.bare, f"s, {CLONES} clones, the peer's without settings", BARE)


def _beside(
    here: t.Sequence[Hundred], peer: t.Sequence[tuple[int, float]], unit: str, how: str, least: float | None = None
) -> Row:
    """The time of the one task here and what the peer takes for as many, by its sizes."""
    text = f"{WHAT}; {how}; median of {len(here)} runs here, before and after the peer's"
    measured = ", ".join(f"{size} hosts {seconds:.1f} s" for size, seconds in peer)
    text += f"; the peer's time is extrapolated linearly from {measured}" if len(peer) > 1 else ""
    seconds = extrapolated(peer, CLONES)
    return in_turns("G10", unit, [(one.first[0].seconds, seconds) for one in here], least=least, note=text)


@benchmark("G10")
def clones_of_two_processes(lab: Lab) -> t.Iterator[Row]:
    """Two processes with fifty clones each, into one block of a hundred VMIDs."""
    keep = template(lab)
    lab.server.ask("durations", seconds={"qmclone": 0.05})
    lab.server.ask("reset")
    halves = NAMES[:50], NAMES[50:]
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [pool.submit(_apart, lab, number, half) for number, half in enumerate(halves)]
        played = [job.result() for job in jobs]
    for one in played:
        one.expect(["ok"], changed=True)
    clashes = len(lab.counts().refused)
    distinct, orphans = stock(lab, keep)
    again = lab.run(lab.vms(NAMES, BLOCK))
    again[0].expect(["ok"], changed=False)
    note = f"2 processes x 50 on one block of {CLONES} VMIDs, clones take 50 ms; {clashes} were refused as taken"
    yield _exactly("distinct VMs, two processes", distinct, note)
    yield at_most("G10", orphans, "orphans, two processes", 0, note=note)
    yield at_most("G10", again[1].writes, "writes of a run after both", 0, note=note)
    lab.wipe()


def _apart(lab: Lab, number: int, names: t.Sequence[str]) -> Played:
    folder = Path(lab.player.folder) / f"half-{number}"
    folder.mkdir(exist_ok=True)
    return Player(folder, lab.player.collections).play(lab.vms(names, BLOCK))


def _exactly(unit: str, value: int, note: str) -> Row:
    return Row(goal="G10", value=value, unit=unit, met=value == CLONES, budget=f"= {CLONES}", note=note)


def _pending(run: Run) -> int:
    return sum(path == "/nodes/{node}/qemu/{vmid}/pending" for _method, path, _status in run[1].requests)


@benchmark("G11")
def failed_clone(lab: Lab) -> t.Iterator[Row]:
    """A clone that fails is reported soon after the end of its task, with its log, beside the others."""
    template(lab)
    lab.server.ask("reset")
    lab.server.ask("durations", seconds={"qmclone": 0.5})
    why, log = "clone failed: copy failed: No space left on device", ["create linked clone of drive scsi0"]
    lab.server.ask("fail_task", method="POST", path="/clone$", exitstatus=why, log=log)
    played = lab.player.play(lab.vms(NAMES[:1], BLOCK))
    played.expect(["failed"])
    (ended,) = [at for upid, at in lab.server.ask("ended").items() if ":qmclone:" in upid]
    result = str(played.tasks[0].result)
    if why not in result or log[0] not in result:
        raise PlayError(f"the failure was not the planned one: {result[:600]}")
    yield at_most("G11", round(played.tasks[0].at - ended, 2), "s from a failed clone to its report", 1.0)
    lab.wipe()


@benchmark("G12")
def checked_clones(lab: Lab) -> t.Iterator[Row]:
    """--check --diff of a change of a hundred VMs shows each of them, with reads only."""
    here, _peer = hundred(lab)
    checked = here[0].checked
    shown = len(checked[0].tasks[0].result.get("steps") or [])
    yield at_most("G12", checked[1].writes, f"writes in check mode, {CLONES} VMs", 0)
    row = {"unit": f"steps shown in check mode, {CLONES} VMs", "budget": f"= {CLONES}"}
    yield Row(goal="G12", value=shown, met=shown == CLONES, **row)


@benchmark("G14")
def connections_of_clones(lab: Lab) -> t.Iterator[Row]:
    """As many connections as threads, and no request that is known to be refused."""
    here, _peer = hundred(lab)
    first, again = here[0].first[1], here[0].again[1]
    workers = importlib.import_module(DOOR).vm_fleet_options()["workers"]["default"]
    note = f"{workers} workers, the default, and the thread that plans"
    yield at_most("G14", first.connections, f"connections, {CLONES} clones", workers + 1, note=note)
    note = "threads + 1"
    yield at_most("G14", again.connections, f"connections, {CLONES} VMs, no change", again.in_flight + 2, note=note)
    refused = [*first.refused, *again.refused]
    yield at_most("G14", len(refused), f"answers >= 400, {CLONES} clones", 0, note="; ".join(refused[:3]))
