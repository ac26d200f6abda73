# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to a template and back: what the door C(vm_template) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import Outcome
from .._apply.scheduler import Limits
from .._apply.templates import apply_templates
from .._images.errors import ImageError
from .._images.http import RequestsHttp
from .._images.resolve import check_unchanged
from .._model.cluster import GuestRow
from .._model.image import ResolvedImage
from .._model.template import ForeignVm, Generation, Survey, TemplateLine
from .._plan.decide import Source, SourceProblem, build_reasons, wants_source
from .._plan.fleet import spread
from .._plan.plan import Plan
from .._plan.template import Run, plan_templates
from .._plan.views import generation_view
from .._pve.client import Client
from .._read.cluster import read_cluster
from .._read.templates import read_lines, survey_lines, with_build_facts, with_former
from .image_options import Trust, trust_from
from .run import Door, run
from .run_id import is_gone, run_id
from .sources import fetcher, source_asker
from .template_options import desired_line

BUILDER = "homelab.proxmox 0.1.0"
RESOLVERS = 4
MARGIN = 60
"""Seconds after its own time-out until another run may take an unfinished build over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Lines and whom to believe about their images."""

    lines: tuple[TemplateLine, ...]
    trust: Trust
    directory: Path
    seconds: int
    max_deletions: int
    limits: Limits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The survey together with what the vendors said."""

    lines: tuple[TemplateLine, ...]
    """Those that are wanted, once for each shared storage."""
    survey: Survey
    sources: Mapping[str, Source]
    now: datetime


def run_vm_template(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template) through."""
    http = RequestsHttp()
    door: Door[Wanted, Found] = Door(
        desired=lambda params: wanted_from(params, [desired_line(params)], Path(module.tmpdir)),
        read=lambda client, wanted: read_and_resolve(client, wanted, http),
        plan=plan_found,
        apply=lambda client, wanted, plan: apply_wanted(client, wanted, plan, http),
        result=_single,
    )
    run(module, door)


def wanted_from(
    params: Mapping[str, t.Any], lines: Sequence[TemplateLine], tmpdir: Path, limits: Limits | None = None
) -> Wanted:
    directory = params["download_dir"]
    return Wanted(
        lines=tuple(lines),
        trust=trust_from(params),
        directory=Path(directory) if directory else tmpdir,
        seconds=int(params["timeout"] or 1800) + MARGIN,
        max_deletions=params["max_deletions"],
        limits=limits,
    )


def read_and_resolve(client: Client, wanted: Wanted, http: RequestsHttp) -> Found:
    """Survey the cluster, then ask vendors and storages only for the lines that need it."""
    now = datetime.now(UTC)
    cluster = read_cluster(client)
    lines = spread(wanted.lines, cluster)
    survey = survey_lines(client, lines, cluster, auth_id=client.identity, is_gone=is_gone)
    asked = [line for line in lines if wants_source(line, survey.lines[line.key], now)]
    answers = resolve_all(asked, wanted.trust, http)
    sources = {line.key: unchanged(answers[line.key], line, survey.lines[line.key].current) for line in asked}
    building = [line for line in asked if build_reasons(line, survey.lines[line.key].current, sources.get(line.key))]
    if building:
        survey = with_build_facts(client, survey, building)
    survey = with_former(client, survey, lines, {line.key for line in building})
    return Found(lines=tuple(lines), survey=survey, sources=sources, now=now)


def resolve_all(lines: Sequence[TemplateLine], trust: Trust, http: RequestsHttp) -> dict[str, Source]:
    """Ask the vendors, each image once; a vendor that cannot be asked or believed becomes a SourceProblem."""
    images = {line.image.id or line.image.url: line.image for line in lines}
    ask = source_asker(trust, http)
    with ThreadPoolExecutor(max_workers=RESOLVERS) as pool:
        answers = dict(zip(images, pool.map(ask, images.values()), strict=True))
    return {line.key: answers[line.image.id or line.image.url] for line in lines}


def unchanged(answer: Source, line: TemplateLine, current: Generation | None) -> Source:
    """The vendor's answer, unless a dated build is now another file than the one that was built from."""
    if isinstance(answer, ResolvedImage) and current is not None and current.source is not None:
        try:
            check_unchanged(answer, current.source, line.image.url_kind, remembered_url=current.identity.url)
        except ImageError as error:
            return SourceProblem(str(error))
    return answer


def plan_found(wanted: Wanted, found: Found) -> Plan:
    run = Run(
        id=run_id(),
        now=found.now,
        builder=BUILDER,
        seconds=wanted.seconds,
        max_deletions=wanted.max_deletions,
    )
    return plan_templates(found.lines, found.survey, found.sources, run)


def apply_wanted(client: Client, wanted: Wanted, plan: Plan, http: RequestsHttp) -> Outcome:
    return apply_templates(client, plan, fetcher(wanted.directory, wanted.trust, http), wanted.limits)


def _single(_plan: Plan, result: Mapping[str, t.Any], _failed: tuple[str, ...]) -> dict[str, t.Any]:
    """The one line that C(vm_template) was asked for."""
    (template,) = result["templates"].values()
    return {"template": template}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which lines are asked for; None means all."""

    line: str | None
    node: str | None


def run_vm_template_info(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_info) through."""
    door: Door[Question, Plan] = Door(
        desired=lambda params: Question(line=params["line"], node=params["node"]),
        read=lambda client, question: _answer(*read_lines(client, line=question.line, node=question.node)),
        plan=lambda _question, answer: answer,
    )
    run(module, door)


def _answer(found: Sequence[Generation | ForeignVm], unknown: Sequence[GuestRow]) -> Plan:
    offline = sorted({row.node for row in unknown})
    notes = [f"node {node} is offline: what the VMs on it are cannot be known" for node in offline]
    rows = [{"vmid": row.vmid, "name": row.name, "node": row.node, "reason": "its node is offline"} for row in unknown]
    return Plan(result={**describe_lines(found), "unknown": rows}, notes=tuple(notes))


def describe_lines(found: Sequence[Generation | ForeignVm]) -> dict[str, t.Any]:
    """Generations newest first, and the VMs that only look like some."""
    generations = [one for one in found if isinstance(one, Generation)]
    foreign = [one for one in found if isinstance(one, ForeignVm)]
    return {
        "templates": [
            {
                "line": one.identity.line,
                "node": one.row.node,
                **generation_view(one),
                "complete": not one.incomplete,
                "problems": list(one.incomplete),
                "pool": one.row.pool or None,
                "tags": sorted(one.config.tags.as_set()),
                "age_days": _age_days(one.identity.built),
            }
            for one in generations
        ],
        "foreign": [
            {"vmid": one.row.vmid, "name": one.row.name, "node": one.row.node, "reason": one.reason} for one in foreign
        ],
    }


def _age_days(built: str) -> int | None:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(built)).days
    except ValueError:
        return None
