# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only writer of VMs: carries a plan out, the VMs side by side, and says what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .._plan.plan import Plan, Step
from .._plan.vm_steps import CloneVm
from .._pve.client import Client
from .._pve.errors import ProxmoxError
from .advice import is_stale
from .clone_vm import Rival
from .outcome import ApplyFailed, Outcome, PartlyFailed
from .removal import Replaced
from .scheduler import Limits, Turns, run_all
from .together import Together
from .vm_advice import vm_advice
from .vm_work import VmWork


def apply_vms(client: Client, plan: Plan, limits: Limits | None = None) -> Outcome:
    """Carry out a plan of VMs, side by side as far as the limits go.

    Raises PartlyFailed with what was done and what is left: a VM that fails does not stop the others. Without limits
    the plan is of one VM, and its own ApplyFailed is raised.
    """
    alone = limits is None
    limits = limits or Limits(workers=1)
    turns = Turns(limits, plan.shared)
    together = Together(client, [step.vmid for step in plan.steps if isinstance(step, CloneVm)])
    vms = plan.result["vms"]

    def carry_out(name: str, steps: Sequence[Step]) -> Outcome | ApplyFailed:
        work = VmWork(client, together, turns)
        try:
            return _carry_out(work, name, vms[name], steps)
        except ApplyFailed as failure:
            return failure

    jobs = [partial(carry_out, name, steps) for name, steps in plan.tracks]
    ended = dict(zip([name for name, _steps in plan.tracks], run_all(jobs, limits.workers), strict=True))
    failures = {name: end for name, end in ended.items() if isinstance(end, ApplyFailed)}
    done = [end for end in ended.values() if isinstance(end, Outcome)]
    results = {**vms}
    for outcome in done:
        results.update(outcome.result)
    if failures and alone:
        raise next(iter(failures.values()))
    if failures:
        finished = [step.describe() for name, steps in plan.tracks if name not in failures for step in steps]
        partly = PartlyFailed(failures, done=tuple(finished), outcome=Outcome(result={"vms": results}))
        partly.plan = plan
        raise partly
    return Outcome(result={"vms": results}, warnings=tuple(text for outcome in done for text in outcome.warnings))


def _carry_out(work: VmWork, name: str, planned: dict[str, object], steps: Sequence[Step]) -> Outcome:
    """The steps of one VM in order, and the VM read back."""
    done: list[str] = []
    step = steps[0]
    try:
        for step in steps:
            work.do(step)
            done.append(step.describe())
        result = work.result(planned, steps)
    except ProxmoxError as cause:
        left = work.clean_up(step, cause)
        raise ApplyFailed(
            cause,
            done=(*done, *(text for text in work.partly if text not in done)),
            left=left,
            advice=vm_advice(step, cause, identity=work.client.identity),
            stale=is_stale(cause) or isinstance(cause, Rival | Replaced),
            step=step,
        ) from cause
    return Outcome(result={name: result}, warnings=tuple(work.vm.warnings))
