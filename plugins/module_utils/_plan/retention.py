# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which former generations go: those beyond what is kept, that nothing hangs on and nobody protects.

Publishing comes first: nothing is destroyed in a plan before the new generation is the current one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .._model.template import Generation, LineActual, TemplateLine
from .draft import Draft
from .plan import Refusal, Step
from .steps import Destroy

OLD = "beyond what is kept"
GONE = "state is absent"
FIXED = "its VMID goes to the new generation"


def plan_retention(
    line: TemplateLine, actual: LineActual, after: Generation | None, draft: Draft, gone: Collection[int] = ()
) -> None:
    """Add what goes to the steps of a line, and what stays in spite of it to C(kept).

    C(after) is the current generation after the plan, None for the one that it builds. C(gone) go for other reasons.
    """
    for generation in actual.excess(line.keep, after):
        if generation.vmid in gone or generation.vmid not in actual.examined:
            continue
        reason = why_it_stays(actual, generation)
        if reason:
            draft.kept.append({"vmid": generation.vmid, "name": generation.config.name, "reason": reason})
            continue
        draft.steps.append(Destroy(generation=generation, reason=f"{OLD} (keep={line.keep})"))
        draft.before.setdefault("former", []).append(generation.vmid)
        draft.after.setdefault("former", [])


def why_it_stays(actual: LineActual, generation: Generation) -> str:
    """What forbids to destroy a generation, empty for nothing."""
    clones = actual.dependants.get(generation.vmid, ())
    if clones:
        return f"clones hang on it: {', '.join(str(vmid) for vmid in clones)}"
    if generation.config.protection:
        return "it is protected"
    return f"it is locked ({generation.config.lock})" if generation.config.lock else ""


def deletions_refusal(steps: Sequence[Step], limit: int) -> Refusal | None:
    """The brake: a plan that would destroy more generations than C(max_deletions) is refused as a whole."""
    doomed = [step for step in steps if isinstance(step, Destroy) and step.reason.startswith((OLD, GONE, FIXED))]
    if len(doomed) <= limit:
        return None
    vmids = ", ".join(str(step.generation.vmid) for step in doomed)
    return Refusal(
        subject="the plan",
        option="max_deletions",
        value=limit,
        reason=f"it would destroy {len(doomed)} generations ({vmids})",
        remedy=f"Look at them, and set max_deletions to {len(doomed)} if they shall go",
    )
