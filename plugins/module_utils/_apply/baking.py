# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ends of a bake: a builder is left to roles, and is taken over again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .._model.bake import SEAL
from .._model.identity import describe, human_text
from .._plan.steps import Pause, Resume

if TYPE_CHECKING:
    from .work import Work


def pause(work: Work, step: Pause) -> None:
    """Leave the builder running, and say in it whose it is and until when."""
    if work.open is None:
        raise TypeError(f"{step.line.subject}: there is nothing to stop")
    line, vmid, identity = work.open
    node = line.place.node
    reach = work.builder(line).reach()
    config = work.vm.config(node, vmid)
    told = replace(identity, paused=SEAL, deadline=step.deadline)
    text = describe(human_text(config.description), told)
    work.vm.write(node, vmid, {"description": text}, digest=config.digest)
    work.open = None
    work.partly.clear()
    result = work.results[line.key]
    result["unfinished"] = [*result["unfinished"], vmid]
    result["builder"] = {
        "vmid": vmid,
        "node": node,
        "generation": identity.generation,
        "run": identity.run,
        "deadline": step.deadline,
        **reach,
    }


def resume(work: Work, step: Resume) -> None:
    """Make the builder this run's own: whoever would remove it for its deadline finds another owner then."""
    generation, line = step.generation, step.line
    identity = replace(generation.identity, run=step.run, deadline=step.deadline, paused="")
    text = describe(human_text(generation.config.description), identity)
    work.vm.write(line.place.node, generation.vmid, {"description": text}, digest=generation.config.digest)
    work.open = (line, generation.vmid, identity)
    work.partly.append(f"took over VM {generation.vmid}")
    work.builder(line).wake()
