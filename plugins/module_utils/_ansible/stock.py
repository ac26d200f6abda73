# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what there is of template lines, and what was asked for beside it."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from .._images.catalog import Catalog, CatalogError, load_catalog
from .._images.errors import ImageError
from .._images.http import Http
from .._images.resolve import check_unchanged
from .._model.image import CloudImage, ResolvedImage
from .._model.stock import Stock, VendorAnswer, current_of
from .._model.template import ForeignVm, Generation
from .._plan.decide import Source, SourceProblem
from .._plan.plan import OptionProblems
from .._plan.vendor import vendor_answer
from .._pve.client import Client
from .._read.cluster import read_cluster
from .._read.templates import read_lines
from .._read.volumes import clones, list_volumes, sizes
from .image_options import Trust, trust_from
from .sources import source_asker

GATHER = ("vendor", "clones", "sizes")
ASKERS = 4
"""Vendors asked at a time."""
TRUST = ("catalog_files", "signature", "keyring", "allow_unverified")
"""Options of C(image_options) that say whom to believe about an image."""

ImageName: t.TypeAlias = "tuple[str | None, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which lines are asked for, None means all, and what is gathered about them."""

    line: str | None = None
    node: str | None = None
    gather: frozenset[str] = frozenset()
    trust: Trust
    catalog: Catalog | None = None
    """None unless vendors are asked."""
    images: Mapping[str, CloudImage] = field(default_factory=dict)
    """The images of declared lines by C(line@node); they win over what a generation says of its own."""


def question_from(params: Mapping[str, t.Any], **more: t.Any) -> Question:
    """The options as a question. Raises OptionProblems for a catalogue that cannot be read."""
    gather = frozenset(params["gather"])
    catalog = None
    if "vendor" in gather:
        try:
            catalog = load_catalog([Path(path) for path in params["catalog_files"]])
        except CatalogError as error:
            raise OptionProblems((str(error),)) from error
    return Question(gather=gather, trust=trust_from(params), catalog=catalog, **more)


def read_stock(client: Client, question: Question, http: Http) -> Stock:
    """One read of the cluster and one of each config, then what is to be gathered."""
    cluster = read_cluster(client)
    found, unknown = read_lines(client, cluster, line=question.line, node=question.node)
    stock = Stock(
        cluster=cluster,
        generations=tuple(one for one in found if isinstance(one, Generation)),
        foreign=tuple(one for one in found if isinstance(one, ForeignVm)),
        unknown=tuple(unknown),
    )
    hanging, sized, problems = _volumes_of(client, stock, question.gather)
    return replace(
        stock,
        vendors=ask_vendors(stock, question, http) if "vendor" in question.gather else None,
        clones=hanging,
        sizes=sized,
        problems=problems,
    )


def _volumes_of(
    client: Client, stock: Stock, gather: frozenset[str]
) -> tuple[dict[int, tuple[int, ...]] | None, dict[int, int] | None, tuple[str, ...]]:
    if not gather & {"clones", "sizes"}:
        return None, None, ()
    volumes = list_volumes(client, stock.generations, stock.cluster, thin="sizes" in gather)
    problems = tuple(
        f"storage {storage}{f' of node {node}' if node else ''} could not be listed: {why.rstrip('.')}"
        for (node, storage), why in sorted(volumes.silent.items())
    )
    return (
        clones(volumes, stock.generations) if "clones" in gather else None,
        sizes(volumes, stock.generations) if "sizes" in gather else None,
        problems,
    )


def ask_vendors(stock: Stock, question: Question, http: Http) -> dict[str, VendorAnswer]:
    """What the vendors have, by C(line@node), for declared lines and current generations; each image is asked once."""
    current = {key: current_of(generations) for key, generations in stock.by_line().items()}
    images: dict[str, CloudImage | SourceProblem] = dict(question.images)
    for key, generation in current.items():
        if generation is not None and key not in images:
            images[key] = _image_of(generation, question.catalog)
    answers = _ask(images.values(), question.trust, http)
    found = {}
    for key, image in images.items():
        if isinstance(image, SourceProblem):
            found[key] = VendorAnswer(problem=image.message)
        else:
            answer = _unchanged(answers[_name(image)], image, current.get(key))
            found[key] = vendor_answer(current.get(key), answer)
    return found


def _image_of(generation: Generation, catalog: Catalog | None) -> CloudImage | SourceProblem:
    """The catalogue's entry behind a generation."""
    if not generation.identity.image or catalog is None:
        return SourceProblem("it was built from an image of one's own, whose sums file is not kept")
    try:
        return catalog.get(generation.identity.image, generation.config.text("arch") or "x86_64")
    except CatalogError as error:
        return SourceProblem(str(error))


def _name(image: CloudImage) -> ImageName:
    """Two images of one id differ by architecture, two own images of one file name by their address."""
    sums = image.sums.url if image.sums else None
    return (image.id, image.arch, image.url, sums, str(image.digest))


def _ask(images: Iterable[CloudImage | SourceProblem], trust: Trust, http: Http) -> dict[ImageName, Source]:
    wanted = {_name(image): image for image in images if isinstance(image, CloudImage)}
    with ThreadPoolExecutor(max_workers=ASKERS) as pool:
        return dict(zip(wanted, pool.map(source_asker(trust, http), wanted.values()), strict=True))


def _unchanged(answer: Source, image: CloudImage, current: Generation | None) -> Source:
    """The vendor's answer, unless a dated build is now another file than the one that was built from."""
    if isinstance(answer, ResolvedImage) and current is not None and current.source is not None:
        try:
            check_unchanged(answer, current.source, image.url_kind, remembered_url=current.identity.url)
        except ImageError as error:
            return SourceProblem(str(error))
    return answer
