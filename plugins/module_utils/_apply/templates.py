# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only writer of templates: carries a plan out, its tracks side by side, and says what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .._images.errors import ImageError
from .._plan.plan import Plan, Step
from .._pve.client import Client
from .._pve.errors import ProxmoxError
from .advice import advice, is_stale
from .outcome import ApplyFailed, Outcome, PartlyFailed
from .progress import SILENCE, Progress
from .removal import Replaced
from .scheduler import Limits, Turns, run_all
from .watching import Watch, WatchedFetcher
from .work import Overtaken, Work


def apply_templates(
    client: Client, plan: Plan, fetch: WatchedFetcher, limits: Limits | None = None, progress: Progress = SILENCE
) -> Outcome:
    """Carry out a template plan, its tracks side by side as far as the limits go.

    Raises PartlyFailed with what was done and what is left: a track that fails does not stop the others. Without
    limits the plan is of one line, and its own ApplyFailed is raised.
    """
    alone = limits is None
    limits = limits or Limits(workers=1)
    turns = Turns(limits, plan.shared)
    templates = plan.result["templates"]

    def carry_out(key: str, steps: Sequence[Step]) -> Outcome | ApplyFailed:
        work = Work(Watch(client, progress, key), fetch, turns, {key: templates[key]})
        try:
            return _carry_out(work, steps)
        except ApplyFailed as failure:
            return failure

    jobs = [partial(carry_out, key, steps) for key, steps in plan.tracks]
    ended = dict(zip([key for key, _steps in plan.tracks], run_all(jobs, limits.workers), strict=True))
    failures = {key: end for key, end in ended.items() if isinstance(end, ApplyFailed)}
    done = [end for end in ended.values() if isinstance(end, Outcome)]
    results = dict(templates)
    for outcome in done:
        results.update(outcome.result["templates"])
    warnings = tuple(text for outcome in done for text in outcome.warnings)
    if failures and alone:
        raise next(iter(failures.values()))
    if failures:
        finished = [step.describe() for key, steps in plan.tracks if key not in failures for step in steps]
        partly = PartlyFailed(failures, done=tuple(finished), outcome=Outcome(result={"templates": results}))
        partly.plan = plan
        raise partly
    return Outcome(result={"templates": results}, warnings=warnings)


def _carry_out(work: Work, steps: Sequence[Step]) -> Outcome:
    """The steps of one track in order."""
    done: list[str] = []
    for number, step in enumerate(steps):
        try:
            with work.watch.step(step):
                work.do(step)
        except (ProxmoxError, ImageError) as cause:
            raise ApplyFailed(
                cause,
                done=(*done, *work.partly),
                left=work.clean_up(steps[number:], cause),
                advice=advice(step, cause, identity=work.client.identity, vmid=work.vm.at),
                stale=is_stale(cause) or isinstance(cause, Overtaken | Replaced),
                step=step,
            ) from cause
        done.append(step.describe())
    return Outcome(result={"templates": work.results}, warnings=tuple(work.vm.warnings))
