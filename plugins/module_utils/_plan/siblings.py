# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line on several nodes is one template: whoever gets it later gets the build that the others have.

The build comes from the image that is still stored on the node, or from the vendor where it still offers that build.
Where neither is so, the line is rebuilt on all of its nodes, and the plan says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .._model.image import Digest, ResolvedImage
from .._model.recipe import recipe_digest
from .._model.template import Generation, LineActual, Survey, TemplateLine
from .build import stored_filename
from .decide import Source, SourceProblem, adoptable
from .standing import satisfies, standing, verdict, wants_source

Offers = Callable[[str], bool]
"""Whether a URL can be fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """What each line is built from, by its key, if it is built; C(notes) for the user."""

    sources: Mapping[str, Source]
    notes: tuple[str, ...] = ()


def to_ask(lines: Sequence[TemplateLine], survey: Survey, now: datetime) -> list[TemplateLine]:
    """The lines whose vendors have to be asked. One node's turn to be refreshed is every node's."""
    wanting = {line.key for line in lines if wants_source(line, survey.lines[line.key], now)}
    due = {line.line for line in lines if line.key in wanting and _is_whole(line, survey.lines[line.key])}
    asked = []
    for line in lines:
        actual = survey.lines[line.key]
        fixed = line.absent or adoptable(line, actual) or ((line.hold or line.pin) and _is_whole(line, actual))
        if line.key in wanting or (not fixed and (line.line in due or lags(line, lines, survey))):
            asked.append(line)
    return asked


def lags(line: TemplateLine, lines: Sequence[TemplateLine], survey: Survey) -> bool:
    """Whether another node has a newer build of this line."""
    reference = _reference(line, lines, survey)
    return reference is not None and _is_behind(line, survey.lines[line.key], reference)


def align(lines: Sequence[TemplateLine], survey: Survey, sources: Mapping[str, Source], offers: Offers) -> Aligned:
    """Let lines that lag behind be built from the build of the others, where those stay as they are."""
    found = dict(sources)
    notes: list[str] = []
    for line in lines:
        reference = _reference(line, lines, survey)
        if reference is None or not _is_behind(line, survey.lines[line.key], reference):
            continue
        if _moves_on(line, lines, survey, found):
            continue
        answer = found.get(line.key)
        if isinstance(answer, ResolvedImage) and answer.digest == reference.source:
            continue
        kept = _kept(line, survey, reference, offers)
        if kept is not None:
            found[line.key] = kept
        elif _may_move(line, lines):
            notes.append(_fleet_wide(line, reference))
            found.update({other.key: answer for other in _group(line, lines) if answer is not None})
        else:
            found[line.key] = SourceProblem(
                f"the other nodes stay with build {_build(reference)}, and its image is neither on storage "
                f"{line.place.image_storage} of {line.place.node} nor offered by the vendor any more"
            )
    return Aligned(sources=found, notes=tuple(dict.fromkeys(notes)))


def _group(line: TemplateLine, lines: Sequence[TemplateLine]) -> Iterator[TemplateLine]:
    return (other for other in lines if other.line == line.line and not other.absent)


def _reference(line: TemplateLine, lines: Sequence[TemplateLine], survey: Survey) -> Generation | None:
    """The newest generation that this line's other nodes stay with, of the declared recipe and a known source."""
    if line.absent or line.image.digest is not None or (line.bake is not None and line.bake.ticket):
        return None
    recipe = recipe_digest(line)
    candidates = []
    for other in _group(line, lines):
        stays = standing(other, survey.lines[other.key])
        if other.key == line.key or stays is None or stays.source is None or stays.identity.recipe != recipe:
            continue
        if line.pin is None or satisfies(line, stays):
            candidates.append(stays)
    return max(candidates, key=lambda one: one.identity.generation, default=None)


def _is_behind(line: TemplateLine, actual: LineActual, reference: Generation) -> bool:
    if adoptable(line, actual):
        return False
    stays = standing(line, actual)
    if stays is None:
        return True
    if line.hold or line.pin is not None or line.refresh.policy == "never" or stays.source is None:
        return False
    return stays.source != reference.source and reference.is_newer_than(stays)


def _is_whole(line: TemplateLine, actual: LineActual) -> bool:
    """Whether the line has what it asks for, leaving aside what the vendor has."""
    return standing(line, actual) is not None and not verdict(line, actual, None).reasons


def _moves_on(line: TemplateLine, lines: Sequence[TemplateLine], survey: Survey, sources: Mapping[str, Source]) -> bool:
    """Whether the other nodes get a new build in this run as well."""
    others = [other for other in _group(line, lines) if standing(other, survey.lines[other.key]) is not None]
    return any(
        bool(verdict(other, survey.lines[other.key], sources.get(other.key)).reasons)
        for other in others
        if other.key != line.key and not lags(other, lines, survey)
    )


def _may_move(line: TemplateLine, lines: Sequence[TemplateLine]) -> bool:
    return not any(other.hold or other.pin is not None for other in _group(line, lines))


def _kept(line: TemplateLine, survey: Survey, reference: Generation, offers: Offers) -> ResolvedImage | None:
    """The build of the others, where this node can still have it."""
    identity = reference.identity
    digest = Digest.parse(identity.source)
    stored = {file.filename for file in survey.images.get((line.place.node, line.place.image_storage), ())}
    there = stored_filename(line.image, digest) in stored
    # An address without a date in it gives what is newest.
    dated = bool(identity.source_build) or line.image.url_kind == "dated"
    trusted = not line.require_signature or identity.verification.startswith("signature")
    if not there and not (dated and trusted and identity.url and offers(identity.url)):
        return None
    return ResolvedImage(
        url=identity.url,
        digest=digest,
        verification=identity.verification,
        format=line.image.format,
        compression=line.image.compression,
        build=identity.source_build or None,
    )


def _fleet_wide(line: TemplateLine, reference: Generation) -> str:
    return (
        f"line {line.line} is rebuilt on every node: {line.place.node} does not have build {_build(reference)} of "
        f"node {reference.row.node}, whose image is neither on storage {line.place.image_storage} nor offered by the "
        "vendor any more"
    )


def _build(generation: Generation) -> str:
    return generation.identity.source_build or generation.identity.source[:19]
