# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step that proves a template, and what becomes of one that does not hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .._model.identity import Identity, State, describe, human_text, identity_tags, tagged_state, user_tags
from .._model.vm_config import VmConfig
from .._plan.steps import Prove
from .proof import Proof, ProofFailed

if TYPE_CHECKING:
    from .work import Work

_PROOF_LIMIT = 500
"""Characters of a proof that an identity holds: the description has a limit, and errors are long."""


def prove(work: Work, step: Prove) -> None:
    """Prove the template; a new one is a candidate until then. Raises ProofFailed."""
    line = step.line
    if step.generation is not None:
        identity, config = step.generation.identity, step.generation.config
    else:
        identity, config = work.made[line.key]
    if not step.record and tagged_state(config.tags.as_set()) is not State.CANDIDATE:
        tags = identity_tags(identity, State.CANDIDATE) | user_tags(config.tags.as_set())
        work.vm.write(line.place.node, identity.vmid, {"tags": ";".join(sorted(tags))}, digest=config.digest)
        config = work.vm.config(line.place.node, identity.vmid)
    with work.turns.heavy(line.place.node, line.place.storage):
        work.watch.begin()
        try:
            said = Proof(work.vm, step, identity, config, tell=work.watch.note).hold(_now())
        except ProofFailed as failure:
            _give_up(work, step, identity, config, failure)
            raise
    if step.record:
        _record(work, step, identity, config, said)
    else:
        work.made[line.key] = (replace(identity, proof=said), config)
    work.results[line.key]["proof"] = said


def _give_up(work: Work, step: Prove, identity: Identity, config: VmConfig, failure: ProofFailed) -> None:
    """A generation that exists says that its proof failed; a candidate goes, unless its clones shall be seen."""
    work.unproved = failure.left
    if step.record:
        _record(work, step, identity, config, f"failed {_now()}: {failure}")
    elif not failure.left:
        work.made.pop(step.line.key, None)
        work.open = (step.line, identity.vmid, identity)


def _record(work: Work, step: Prove, identity: Identity, config: VmConfig, said: str) -> None:
    """Write into the template what its proof came to."""
    told = replace(identity, proof=said[:_PROOF_LIMIT])
    text = describe(human_text(config.description), told)
    work.vm.write(step.line.place.node, identity.vmid, {"description": text}, digest=config.digest)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
