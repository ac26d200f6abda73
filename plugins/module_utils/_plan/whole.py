# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of many lines grows from the drafts of each: images are fetched once, VMIDs are given once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .._model.template import Survey, TemplateLine
from .draft import Draft
from .plan import Plan, Refusal, Step
from .retention import deletions_refusal
from .steps import Build, FetchImage
from .views import summary


@dataclass(slots=True)
class Whole:
    """What the lines planned so far come to. C(taken) are VMIDs in use, or given or promised to a line."""

    survey: Survey
    taken: set[int]
    notes: list[str]
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    tracks: list[tuple[str, tuple[Step, ...]]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _fetched: dict[tuple[str, str, str], FetchImage] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Sequence[TemplateLine], survey: Survey, notes: Sequence[str]) -> Whole:
        """Nothing planned yet; fixed VMIDs are promised to their lines."""
        fixed = {line.place.vmid for line in lines if line.place.vmid is not None and not line.absent}
        return cls(survey=survey, taken=set(survey.cluster.guests) | fixed, notes=list(notes))

    def taken_for(self, line: TemplateLine) -> set[int]:
        """The VMIDs that this line may not take."""
        vmid = line.place.vmid
        return self.taken if vmid is None or vmid in self.survey.cluster.guests else self.taken - {vmid}

    def add(self, line: TemplateLine, draft: Draft) -> None:
        """Take over what was planned for a line."""
        track: list[Step] = []
        for step in draft.steps if not draft.refusals else []:
            if isinstance(step, Build):
                self.taken.add(step.identity.vmid)
            shared = self._fetched_once(step)
            track.append(shared)
            if shared is step:
                self.steps.append(step)
        if track:
            self.tracks.append((line.key, tuple(track)))
        if draft.refusals:
            self.refused.append(line.key)
        elif draft.before != draft.after:
            self.before[line.key] = draft.before
            self.after[line.key] = draft.after
        self.refusals += draft.refusals
        self.notes += draft.notes
        self.results[line.key] = {**summary(line, self.survey.lines[line.key]), "kept": draft.kept}

    def plan(self, max_deletions: int) -> Plan:
        """The plan of all that was added."""
        result = {"templates": self.results}
        too_many = deletions_refusal(self.steps, max_deletions)
        if too_many is not None:
            return Plan(refusals=(*self.refusals, too_many), notes=tuple(self.notes), result=result)
        return Plan(
            before=self.before,
            after=self.after,
            steps=tuple(self.steps),
            refusals=tuple(self.refusals),
            notes=tuple(self.notes),
            result=result,
            tracks=tuple(self.tracks),
            refused=tuple(self.refused),
            shared=frozenset(row.storage for row in self.survey.cluster.storages.values() if row.shared),
        )

    def _fetched_once(self, step: Step) -> Step:
        """The step, or the one of an earlier line that fetches the same file onto the same storage."""
        if not isinstance(step, FetchImage):
            return step
        row = self.survey.cluster.storage(step.node, step.storage)
        node = "" if row is not None and row.shared else step.node
        return self._fetched.setdefault((node, step.storage, step.filename), step)
