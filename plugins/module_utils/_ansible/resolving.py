# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From wanted lines to all that their plan needs: what exists, and what the vendors say of what has to be built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .._apply.progress import SILENCE, Progress
from .._apply.scheduler import Limits
from .._images.errors import ImageError
from .._images.http import Http, RequestsHttp
from .._model.image import ResolvedImage
from .._model.template import Generation, Survey, TemplateLine
from .._plan.decide import Source, SourceProblem
from .._plan.fleet import spread
from .._plan.siblings import align, lags, to_ask
from .._plan.standing import pinned_build, standing, verdict
from .._pve.client import Client
from .._read.cluster import read_cluster
from .._read.templates import survey_lines, with_all, with_build_facts, with_former
from .image_options import Trust
from .run_id import is_gone
from .sources import source_asker

RESOLVERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Lines and whom to believe about their images."""

    lines: tuple[TemplateLine, ...]
    trust: Trust
    directory: Path
    seconds: int
    max_deletions: int
    limits: Limits | None = None
    progress: Progress = SILENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The survey together with what the vendors said."""

    lines: tuple[TemplateLine, ...]
    """Those that are wanted, once for each shared storage."""
    survey: Survey
    sources: Mapping[str, Source]
    now: datetime
    notes: tuple[str, ...] = ()


def read_and_resolve(client: Client, wanted: Wanted, http: RequestsHttp) -> Found:
    """Survey the cluster, then ask vendors and storages only for the lines that need it."""
    now = datetime.now(UTC)
    cluster = read_cluster(client)
    lines = spread(wanted.lines, cluster)
    survey = survey_lines(client, lines, cluster, auth_id=client.identity, is_gone=is_gone)
    survey = with_all(client, survey, [line for line in lines if _looks_further(line, survey)])
    asked = to_ask(lines, survey, now)
    sources = resolve_all(asked, survey, wanted.trust, http)
    building = [line for line in asked if verdict(line, survey.lines[line.key], sources.get(line.key)).reasons]
    behind = [line for line in asked if line not in building and lags(line, lines, survey)]
    if building or behind or any(_moves(line, survey) for line in lines):
        survey = with_build_facts(client, survey, (*building, *behind))
    aligned = align(lines, survey, sources, lambda url: _offers(http, url))
    verdicts = {line.key: verdict(line, survey.lines[line.key], aligned.sources.get(line.key)) for line in lines}
    after = {key: None if found.reasons else found.stays for key, found in verdicts.items()}
    survey = with_former(client, survey, lines, after)
    return Found(lines=tuple(lines), survey=survey, sources=aligned.sources, now=now, notes=aligned.notes)


def _looks_further(line: TemplateLine, survey: Survey) -> bool:
    """A pin may ask for a generation that was retired."""
    actual = survey.lines[line.key]
    return line.pin is not None and not line.absent and bool(actual.retired) and standing(line, actual) is None


def _moves(line: TemplateLine, survey: Survey) -> bool:
    """Whether the line's generation is to be cloned to a fixed VMID."""
    stays = None if line.place.vmid is None or line.absent else standing(line, survey.lines[line.key])
    return stays is not None and stays.vmid != line.place.vmid


def _offers(http: Http, url: str) -> bool:
    try:
        return http.head(url).status < 400
    except ImageError:
        return False


def resolve_all(lines: Sequence[TemplateLine], survey: Survey, trust: Trust, http: RequestsHttp) -> dict[str, Source]:
    """Ask the vendors, each image once; a vendor that cannot be asked or believed becomes a SourceProblem."""
    questions = {_question(line): line for line in lines}
    ask = source_asker(trust, http)
    with ThreadPoolExecutor(max_workers=RESOLVERS) as pool:
        jobs = [pool.submit(ask, line.image, pinned_build(line)) for line in questions.values()]
        answers = dict(zip(questions, (job.result() for job in jobs), strict=True))
    return {
        line.key: _checked(answers[_question(line)], line, standing(line, survey.lines[line.key])) for line in lines
    }


def _question(line: TemplateLine) -> tuple[object, ...]:
    """What makes two lines ask the same: images of one's own are called by their file's name, so that is not enough."""
    image = line.image
    return image.id, image.arch, image.url, image.sums and image.sums.url, image.digest, pinned_build(line)


def _checked(answer: Source, line: TemplateLine, current: Generation | None) -> Source:
    """The vendor's answer, unless it is no build that the line can use."""
    if not isinstance(answer, ResolvedImage):
        return answer
    if line.pin is not None and line.pin not in (answer.build, str(answer.digest)):
        return SourceProblem(
            f"the line is pinned to {line.pin}, of which there is no generation on {line.place.node}, and the vendor "
            f"offers build {answer.build or answer.digest}"
        )
    if current is not None and current.source is not None:
        from .._images.resolve import check_unchanged  # noqa: PLC0415

        try:
            check_unchanged(answer, current.source, line.image.url_kind, remembered_url=current.identity.url)
        except ImageError as error:
            return SourceProblem(str(error))
    return answer
