# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to a stored image and back: what the doors C(image) and C(image_info) are made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.advice import advice, is_stale
from .._apply.images import put_image, remove_image
from .._apply.leftovers import stays_of_image
from .._apply.outcome import ApplyFailed, Outcome
from .._apply.progress import Progress
from .._apply.watching import Watch, WatchedFetcher
from .._images.errors import ImageError
from .._images.http import RequestsHttp
from .._model.cluster import FILE_STORAGES
from .._plan.decide import Source
from .._plan.image import ImageActual, ImageWish, plan_image, stored_builds, stored_view
from .._plan.plan import OptionProblems, Plan
from .._plan.steps import FetchImage, RemoveImage
from .._pve.client import Client
from .._pve.errors import ProxmoxError
from .._read.cluster import read_cluster, read_images, read_permissions, read_version
from .image_options import Trust, chosen_image, trust_from
from .progress import progress_from
from .run import Door, run
from .sources import fetcher, source_asker


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An image and whom to believe about it."""

    wish: ImageWish
    trust: Trust
    directory: Path
    progress: Progress


def run_image(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(image) through."""
    http = RequestsHttp()
    door: Door[Wanted, ImageActual] = Door(
        desired=lambda params: _wanted(params, Path(module.tmpdir)),
        read=lambda client, wanted: _read(client, wanted, http),
        plan=lambda wanted, actual: plan_image(wanted.wish, actual),
        apply=lambda client, wanted, plan: _apply(
            _watch(client, wanted), plan, fetcher(wanted.directory, wanted.trust, http)
        ),
    )
    run(module, door)


def _wanted(params: Mapping[str, t.Any], tmpdir: Path) -> Wanted:
    problems: list[str] = []
    image = chosen_image(params, None, "removal" if params["state"] == "absent" else "image", problems)
    if problems or image is None:
        raise OptionProblems(tuple(problems))
    return Wanted(
        wish=ImageWish(
            node=params["node"],
            storage=params["storage"],
            image=image,
            own_image=bool(params["url"]),
            transfer=params["transfer"],
            require_signature=params["signature"] == "required",
            refresh=params["refresh"],
            absent=params["state"] == "absent",
        ),
        trust=trust_from(params),
        directory=Path(params["download_dir"]) if params["download_dir"] else tmpdir,
        progress=progress_from(params),
    )


def _read(client: Client, wanted: Wanted, http: RequestsHttp) -> ImageActual:
    wish = wanted.wish
    cluster = read_cluster(client)
    row = cluster.storage(wish.node, wish.storage)
    node = cluster.nodes.get(wish.node)
    usable = row is not None and row.available and node is not None and node.online
    stored = read_images(client, wish.node, wish.storage) if usable and row and "import" in row.content else ()
    return ImageActual(
        cluster=cluster,
        permissions=read_permissions(client),
        auth_id=client.identity,
        version=read_version(client),
        stored=stored,
        source=_source(wanted, stored, http) if usable else None,
    )


def _source(wanted: Wanted, stored: t.Any, http: RequestsHttp) -> Source | None:
    wish = wanted.wish
    if wish.absent or (wish.refresh == "never" and stored_builds(wish.image.id, stored)):
        return None
    return source_asker(wanted.trust, http)(wish.image)


def _watch(client: Client, wanted: Wanted) -> Watch:
    return Watch(client, wanted.progress, f"{wanted.wish.image.id}@{wanted.wish.node}")


def _apply(watch: Watch, plan: Plan, fetch: WatchedFetcher) -> Outcome:
    client = watch.client
    warnings: list[str] = []
    done: list[str] = []
    for step in plan.steps:
        try:
            with watch.step(step):
                watch.begin()
                if isinstance(step, FetchImage):
                    warnings += put_image(client, step, watch.fetching(fetch))
                elif isinstance(step, RemoveImage):
                    warnings += remove_image(client, step)
        except (ProxmoxError, ImageError) as cause:
            raise ApplyFailed(
                cause,
                step=step,
                done=tuple(done),
                left=stays_of_image(step, cause),
                advice=advice(step, cause, identity=client.identity, image_storage="storage"),
                stale=is_stale(cause),
            ) from cause
        done.append(step.describe())
    return Outcome(result=plan.result, warnings=tuple(warnings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which stored images are asked for; None means all."""

    node: str | None
    storage: str | None
    image: str | None


def run_image_info(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(image_info) through."""
    door: Door[Question, list[dict[str, t.Any]]] = Door(
        desired=lambda params: Question(node=params["node"], storage=params["storage"], image=params["image"]),
        read=_list,
        plan=lambda _question, found: Plan(result={"images": found}),
    )
    run(module, door)


def _list(client: Client, question: Question) -> list[dict[str, t.Any]]:
    cluster = read_cluster(client)
    found = []
    for row in sorted(cluster.storages.values(), key=lambda row: (row.node, row.storage)):
        asked = question.node in (None, row.node) and question.storage in (None, row.storage)
        if not asked or not row.available or row.type not in FILE_STORAGES or "import" not in row.content:
            continue
        for file in read_images(client, row.node, row.storage):
            view = {"node": row.node, "storage": row.storage, **stored_view(file)}
            if question.image in (None, view["image"]):
                found.append(view)
    return found
