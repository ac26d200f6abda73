# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the vendor has a newer image than the one that a generation was built from."""

from __future__ import annotations

from .._model.image import ResolvedImage
from .._model.stock import VendorAnswer
from .._model.template import Generation
from .decide import Source, SourceProblem


def vendor_answer(current: Generation | None, source: Source) -> VendorAnswer:
    """What the vendor has, beside the generation that is current, None where there is none."""
    if isinstance(source, SourceProblem):
        return VendorAnswer(problem=source.message)
    newer, problem = (None, "") if current is None else _compare(current, source)
    return VendorAnswer(
        build=source.build or "", digest=str(source.digest), url=source.url, newer=newer, problem=problem
    )


def _compare(current: Generation, source: ResolvedImage) -> tuple[bool | None, str]:
    built = current.source
    if built is None:
        return None, "the image that it was built from is not known"
    if built.algorithm == source.digest.algorithm:
        return built != source.digest, ""
    if source.build and current.identity.source_build:
        return source.build != current.identity.source_build, ""
    return None, f"the vendor publishes {source.digest.algorithm} now, and it was built from a {built.algorithm}"
