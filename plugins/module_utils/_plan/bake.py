# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two calls of a bake: what stops before the seal, what goes on from there, and what is given up."""

from __future__ import annotations

from .._model.bake import Bake
from .._model.identity import short_recipe
from .._model.recipe import recipe_digest
from .._model.template import Generation, LineActual, TemplateLine
from .draft import Draft
from .plan import Refusal
from .standing import Verdict
from .steps import Destroy

GIVEN_UP = "a builder whose bake was given up"
PLAYBOOK = "homelab.proxmox.templates_bake"


def plan_abandoned(line: TemplateLine, actual: LineActual, bake: Bake, draft: Draft) -> None:
    """Remove the builder of a bake, and nothing else; one that is gone is not missed."""
    waiting = actual.waiting(bake.abandon)
    if waiting is None:
        draft.notes.append(f"{line.subject}: no builder of run {bake.abandon} waits here")
        return
    _refuse_busy(line, actual, waiting, "abandon", draft)
    if draft.refusals:
        return
    draft.steps.append(Destroy(generation=waiting, reason=GIVEN_UP))
    draft.before[f"unfinished {waiting.vmid}"] = "building"
    draft.after[f"unfinished {waiting.vmid}"] = "absent"


def refuse_changed(line: TemplateLine, actual: LineActual, waiting: Generation, draft: Draft) -> None:
    """What was begun as one recipe must not be published as another."""
    _refuse_busy(line, actual, waiting, "resume", draft)
    begun, now = waiting.identity.recipe, recipe_digest(line)
    if begun == now or line.bake is None:
        return
    same = waiting.identity.bake == line.bake.version
    draft.refusals.append(
        Refusal(
            subject=line.subject,
            option="resume" if same else "bake_version",
            value=line.bake.resume if same else line.bake.version,
            reason=(
                f"VM {waiting.vmid} was begun with bake_version={waiting.identity.bake!r} and recipe "
                f"{short_recipe(begun)}, and the line has recipe {short_recipe(now)} now"
            ),
            remedy=(
                f"Give the line as it was, or remove the builder with abandon: '{waiting.identity.run}' and begin anew"
            ),
        )
    )


def refuse_unbaked(line: TemplateLine, found: Verdict, draft: Draft) -> None:
    """A new generation is needed, and this call cannot make it: roles are not its business."""
    bake = line.bake
    needed = found.reasons or found.outdated
    if bake is None or bake.stop or not needed:
        return
    if bake.resume:
        draft.refusals.append(
            Refusal(
                subject=line.subject,
                option="resume",
                value=bake.resume,
                reason=(
                    f"no builder of that run waits on node {line.place.node}: it was removed, was taken over after its "
                    "deadline, or never stopped"
                ),
                remedy="Begin anew with stop_before: seal",
            )
        )
    elif found.stays is None:
        draft.refusals.append(
            Refusal(
                subject=line.subject,
                option="bake_version",
                value=bake.version,
                reason=f"{' and '.join(needed)}, and roles have to be baked into one",
                remedy=f"Run the playbook {PLAYBOOK}, or begin with stop_before: seal",
            )
        )


def _refuse_busy(line: TemplateLine, actual: LineActual, waiting: Generation, option: str, draft: Draft) -> None:
    left = next(one for one in actual.unfinished if one.generation is waiting)
    what = f"task {left.running_task} runs on it" if left.running_task else ""
    what = what or (f"it is locked ({waiting.config.lock})" if waiting.config.lock else "")
    if what:
        draft.refusals.append(
            Refusal(
                subject=line.subject,
                option=option,
                value=waiting.identity.run,
                reason=f"VM {waiting.vmid} cannot be gone on with: {what}",
                remedy="Wait for that to end, and run again",
            )
        )
