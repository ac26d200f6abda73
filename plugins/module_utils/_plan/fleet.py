# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet adds to lines: shared storage holds a line once, and one summary says what becomes of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._model.cluster import Cluster
from .._model.identity import TAG_LINE, State, tagged_state
from .._model.template import TemplateLine
from .plan import Plan
from .retention import GONE
from .steps import Build, Destroy, Pause, Resume, Retire


def spread(lines: Sequence[TemplateLine], cluster: Cluster) -> list[TemplateLine]:
    """The lines without those that share a storage with another node of the same line.

    A template on shared storage can be cloned from every node that has the storage, so one is enough: it stays where
    it is, else it goes to the first node that is online.
    """
    kept: list[TemplateLine] = []
    seen: set[tuple[str, str]] = set()
    for line in lines:
        key = (line.line, line.place.storage)
        if not _is_shared(line, cluster):
            kept.append(line)
        elif key not in seen:
            seen.add(key)
            same = [other for other in lines if (other.line, other.place.storage) == key and _is_shared(other, cluster)]
            kept.append(_home(same, cluster))
    return kept


def _is_shared(line: TemplateLine, cluster: Cluster) -> bool:
    row = cluster.storage(line.place.node, line.place.storage)
    return row is not None and row.shared


def _home(same: Sequence[TemplateLine], cluster: Cluster) -> TemplateLine:
    tag = TAG_LINE + same[0].line
    current = [row for row in cluster.guests.values() if tag in row.tags and tagged_state(row.tags) is State.CURRENT]
    # The template flag lags by up to ten seconds, and clones by hand carry the tags as well: where nobody has the flag
    # yet, the tags have to do.
    nodes = {row.node for row in current if row.template} or {row.node for row in current}
    there = [line for line in same if line.place.node in nodes]
    online = [line for line in same if (node := cluster.nodes.get(line.place.node)) is not None and node.online]
    return (there or online or list(same))[0]


def summarise(plan: Plan, failed: Iterable[str] = ()) -> dict[str, Any]:
    """What becomes of the lines, by C(line@node); lines whose work failed are listed as failed only."""
    broken = set(failed)
    templates: Mapping[str, Mapping[str, Any]] = plan.result["templates"]
    refused = set(plan.refused)
    kinds = {
        key: {type(step) for step in steps} for key, steps in plan.tracks if key not in broken and key not in refused
    }
    waiting = [key for key, found in kinds.items() if Pause in found]
    built = [key for key, found in kinds.items() if found & {Build, Resume} and key not in waiting]
    gone = [
        key
        for key, steps in plan.tracks
        if key in kinds and all(isinstance(step, Destroy) and step.reason == GONE for step in steps)
    ]
    return {
        "built": built,
        "changed": [key for key in kinds if key not in (*built, *gone, *waiting)],
        "waiting": waiting,
        "removed": gone,
        "unchanged": [key for key in templates if key not in kinds and key not in broken and key not in refused],
        "retired": sorted(
            step.generation.vmid
            for key, steps in plan.tracks
            if key in kinds
            for step in steps
            if isinstance(step, Retire)
        ),
        "destroyed": sorted(
            step.generation.vmid
            for key, steps in plan.tracks
            if key in kinds
            for step in steps
            if isinstance(step, Destroy)
        ),
        "kept": [{"line": key, **found} for key, one in templates.items() for found in one.get("kept", ())],
        "refused": sorted(refused),
        "failed": sorted(broken),
        "foreign": sorted({found["vmid"] for one in templates.values() for found in one["foreign"]}),
    }
