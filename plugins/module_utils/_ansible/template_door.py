# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to a template and back: what the door C(vm_template) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.outcome import Outcome
from .._apply.templates import apply_templates
from .._images.errors import ImageError
from .._images.http import RequestsHttp
from .._images.keys import Keyring
from .._images.resolve import resolve
from .._images.unpack import LocalImage, fetch
from .._model.image import CloudImage, ResolvedImage
from .._model.template import Survey, TemplateLine
from .._plan.decide import Source, SourceProblem, build_reasons, wants_source
from .._plan.plan import Plan
from .._plan.template import Run, plan_templates
from .._pve.client import Client
from .._read.templates import survey_lines, with_build_facts
from .image_options import Trust, trust_from
from .run import Door, run
from .run_id import is_gone, run_id
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The survey together with what the vendors said."""

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


def wanted_from(params: Mapping[str, t.Any], lines: Sequence[TemplateLine], tmpdir: Path) -> Wanted:
    directory = params["download_dir"]
    return Wanted(
        lines=tuple(lines),
        trust=trust_from(params),
        directory=Path(directory) if directory else tmpdir,
        seconds=int(params["timeout"] or 1800) + MARGIN,
    )


def read_and_resolve(client: Client, wanted: Wanted, http: RequestsHttp) -> Found:
    """Survey the cluster, then ask vendors and storages only for the lines that need it."""
    now = datetime.now(UTC)
    survey = survey_lines(client, wanted.lines, auth_id=client.identity, is_gone=is_gone)
    asked = [line for line in wanted.lines if wants_source(line, survey.lines[line.key], now)]
    sources = resolve_all(asked, wanted.trust, http)
    building = [line for line in asked if build_reasons(line, survey.lines[line.key].current, sources.get(line.key))]
    if building:
        survey = with_build_facts(client, survey, building)
    return Found(survey=survey, sources=sources, now=now)


def resolve_all(lines: Sequence[TemplateLine], trust: Trust, http: RequestsHttp) -> dict[str, Source]:
    """Ask the vendors, each image once; a vendor that cannot be asked or believed becomes a SourceProblem."""
    images = {line.image.id or line.image.url: line.image for line in lines}
    ask = source_asker(trust, http)
    with ThreadPoolExecutor(max_workers=RESOLVERS) as pool:
        answers = dict(zip(images, pool.map(ask, images.values()), strict=True))
    return {line.key: answers[line.image.id or line.image.url] for line in lines}


def source_asker(trust: Trust, http: RequestsHttp) -> Callable[[CloudImage], Source]:
    keyring = Keyring.from_paths(trust.keyring) if trust.keyring else None

    def ask(image: CloudImage) -> Source:
        try:
            return resolve(
                image,
                http,
                signature=trust.signature,
                keyring=keyring,
                allow_plain_http=trust.allow_unverified,
            )
        except ImageError as error:
            return SourceProblem(str(error))

    return ask


def plan_found(wanted: Wanted, found: Found) -> Plan:
    run = Run(id=run_id(), now=found.now, builder=BUILDER, seconds=wanted.seconds)
    return plan_templates(wanted.lines, found.survey, found.sources, run)


def apply_wanted(client: Client, wanted: Wanted, plan: Plan, http: RequestsHttp) -> Outcome:
    return apply_templates(client, plan, fetcher(wanted.directory, wanted.trust, http))


def fetcher(directory: Path, trust: Trust, http: RequestsHttp) -> Callable[[ResolvedImage, CloudImage], LocalImage]:
    """Fetches images into a directory of this machine."""

    def get(source: ResolvedImage, image: CloudImage) -> LocalImage:
        return fetch(source, http, directory)

    return get


def _single(result: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The one line that C(vm_template) was asked for."""
    (template,) = result["templates"].values()
    return {"template": template}
