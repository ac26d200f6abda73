# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode: the plan that a real run carries out, and nothing but reads."""

from __future__ import annotations

import re
import typing as t

from ..lab import Lab, Task
from ..play import PlayError
from ..registry import benchmark
from ..report import Row, at_most

CHECK = ("--check", "--diff")
# A generation is named after its time in UTC.
MOMENT = re.compile(r"\b20\d{12}\b")


@benchmark("G12")
def check_mode(lab: Lab) -> t.Iterator[Row]:
    """--check --diff shows the real plan, with reads only."""
    lab.wipe(images=True)
    cases = {"first build": lab.line(), "changed line": lab.line(disk={"size": "12G"}, memory=4096)}
    writes, planned, same = 0, [], []
    for case, tasks in cases.items():
        checked, counts = lab.run(tasks, *CHECK)
        writes += counts.writes
        done, _counts = lab.run(tasks)
        shown, real = _steps(case, checked), _steps(case, done)
        planned.append(len(shown))
        same.append(shown == real)
        if not (checked.tasks[0].result.get("diff") or {}):
            raise PlayError(f"{case}: no diff")
    peer_writes, peer_steps = _peer(lab)
    note = "--check --diff of a first build and of a changed line; the peer skips its tasks in check mode"
    yield at_most("G12", writes, "writes in check mode", 0, peer=peer_writes, note=note)
    yield Row(
        goal="G12",
        value=min(planned),
        unit="steps shown in check mode",
        peer=peer_steps,
        met=min(planned) > 0 and all(same),
        budget=">= 1, as in the real run",
        note=f"steps planned: {', '.join(f'{case} {n}' for case, n in zip(cases, planned, strict=True))}; "
        + ("a real run afterwards did the same steps" if all(same) else "a real run afterwards did OTHER steps"),
    )
    lab.wipe()


def _steps(case: str, played: t.Any) -> list[str]:
    played.expect(["ok"], changed=True)
    return [MOMENT.sub("<generation>", step) for step in played.tasks[0].result.get("steps") or []]


def _peer(lab: Lab) -> tuple[int | None, int | None]:
    """Writes that the peer sent, and tasks of its that told what they would do."""
    if lab.peer.path is None:
        return None, None
    lab.wipe()
    tasks: list[Task] = lab.two_tasks(lab.images()[0])
    played, counts = lab.run(tasks, *CHECK)
    return counts.writes, sum(task.status != "skipped" for task in played.tasks)
