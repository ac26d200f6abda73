# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines and generations in the one vocabulary of results and diffs."""

from __future__ import annotations

from typing import Any

from .._model.identity import Identity
from .._model.template import Generation, LineActual, TemplateLine


def summary(line: TemplateLine, actual: LineActual) -> dict[str, Any]:
    """What a door returns of a line: the current generation and what hangs beside it."""
    current = actual.current
    return {
        "line": line.line,
        "node": line.place.node,
        "current": generation_view(current) if current else None,
        "retired": sorted({g.vmid for g in actual.generations if g is not current} | {r.vmid for r in actual.retired}),
        "unfinished": [u.generation.vmid for u in actual.unfinished],
        "builder": None,
        "foreign": [{"vmid": f.row.vmid, "name": f.row.name, "reason": f.reason} for f in actual.foreign],
    }


def generation_view(generation: Generation) -> dict[str, Any]:
    """A generation in the vocabulary of results and diffs."""
    state = generation.state.value if generation.state else None
    return {**identity_view(generation.identity), "name": generation.config.name, "state": state}


def identity_view(identity: Identity) -> dict[str, Any]:
    """What an identity says, in the vocabulary of results and diffs."""
    return {
        "vmid": identity.vmid,
        "generation": identity.generation,
        "image": identity.image or identity.url,
        "source": identity.source,
        "verification": identity.verification,
        "recipe": identity.recipe,
        "built": identity.built,
    }
