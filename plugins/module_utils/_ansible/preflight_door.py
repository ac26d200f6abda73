# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to a report: what the door C(preflight) is made of."""

from __future__ import annotations

import re
import time
import typing as t
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._images.catalog import CatalogError, load_catalog
from .._images.errors import ImageError
from .._images.http import Http, RequestsHttp
from .._model.image import CloudImage
from .._model.preflight import ImageSource, Network, PreflightFacts, PreflightWish, Reached, Unanswered
from .._model.size import parse_size
from .._plan.plan import OptionProblems
from .._plan.preflight import plan_preflight, what_to_ask
from .._plan.privilege_table import CAPABILITIES
from .._plan.privileges import zone_bridge
from .._pve.client import Client
from .._read.cluster import read_cluster, read_permissions
from .._read.preflight import read_facts
from .run import Door, run

ASKERS = 8
"""Vendors asked at a time."""

_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_VMID_MIN, _VMID_MAX = 100, 999_999_999
_BRIDGE = re.compile(r"([A-Za-z][\w.-]*)(?:/(\d+))?")
_ZONE = re.compile(r"([A-Za-z]\w*)(?:/([A-Za-z]\w*)(?:/(\d+))?)?")


def preflight_options() -> dict[str, dict[str, t.Any]]:
    """What shall be possible, and where."""
    names: dict[str, t.Any] = {"type": "list", "elements": "str", "default": []}
    return {
        "capabilities": {
            "type": "list",
            "elements": "str",
            "choices": list(CAPABILITIES),
            "default": ["templates"],
        },
        "nodes": names,
        "storages": names,
        "image_storages": names,
        "backup_storages": names,
        "bridges": {**names, "default": ["vmbr0"]},
        "zones": names,
        "pool": {"type": "str"},
        "vmid_range": {"type": "str", "default": "9000-9999"},
        "min_free": {"type": "str", "default": "10G"},
        "images": names,
        "arch": {"type": "str", "choices": ["x86_64", "aarch64"], "default": "x86_64"},
        "catalog_files": {"type": "list", "elements": "path", "default": []},
        "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
    }


def run_preflight(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(preflight) through."""
    # A vendor that does not answer is a finding, not a reason to wait.
    http = RequestsHttp(connect_timeout=5.0, read_timeout=15.0, total_timeout=20.0, retries=1)
    door: Door[PreflightWish, PreflightFacts] = Door(
        desired=wish_from,
        read=lambda client, wish: _read(client, wish, http),
        plan=plan_preflight,
    )
    run(module, door)


def wish_from(params: Mapping[str, t.Any]) -> PreflightWish:
    """The options as a value. Raises OptionProblems with all that cannot be meant."""
    problems: list[str] = []
    wish = PreflightWish(
        capabilities=_unique(params["capabilities"]),
        nodes=_unique(params["nodes"]),
        storages=_unique(params["storages"]),
        image_storages=_unique(params["image_storages"]),
        backup_storages=_unique(params["backup_storages"]),
        networks=(*_bridges(params["bridges"], problems), *_zones(params["zones"], problems)),
        pool=params["pool"] or "",
        vmid_range=_vmid_range(params["vmid_range"], problems),
        min_free=_size(params["min_free"], problems),
        images=tuple(_images(params, problems)),
        fail_on=params["fail_on"],
    )
    if problems:
        raise OptionProblems(tuple(problems))
    return wish


def _unique(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _bridges(names: list[str], problems: list[str]) -> Iterator[Network]:
    for name in _unique(names):
        match = _BRIDGE.fullmatch(name)
        if match is None:
            problems.append(f"bridges={name!r}: write a bridge, with a VLAN tag if wanted: vmbr0, vmbr0/20")
            continue
        tag = int(match[2]) if match[2] else None
        yield Network(name=name, iface=match[1], zone_path=zone_bridge(match[1], tag))


def _zones(names: list[str], problems: list[str]) -> Iterator[Network]:
    for name in _unique(names):
        match = _ZONE.fullmatch(name)
        if match is None:
            problems.append(f"zones={name!r}: write an SDN zone, or a network in one: lab, lab/vnet1, lab/vnet1/20")
            continue
        yield Network(name=name, iface=match[2] or "", zone_path=name)


def _vmid_range(text: str, problems: list[str]) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not _VMID_MIN <= first <= last <= _VMID_MAX:
        problems.append(f"vmid_range={text!r}: write first-last within {_VMID_MIN}-{_VMID_MAX}, such as 9000-9099")
    return first, last


def _size(text: str, problems: list[str]) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        problems.append(f"min_free={text!r}: {error}")
        return 0


def _images(params: Mapping[str, t.Any], problems: list[str]) -> Iterator[ImageSource]:
    if not params["images"]:
        return
    try:
        catalog = load_catalog([Path(path) for path in params["catalog_files"]])
    except CatalogError as error:
        problems.append(str(error))
        return
    for name in _unique(params["images"]):
        try:
            yield source_of(catalog.get(name, params["arch"]))
        except CatalogError as error:
            problems.append(f"images={name!r}: {error}")


def source_of(image: CloudImage) -> ImageSource:
    """What is fetched of a catalogue image."""
    return ImageSource(
        id=image.id,
        url=image.url,
        sums_url=image.sums.url if image.sums else None,
        packed=image.compression != "none",
    )


def _read(client: Client, wish: PreflightWish, http: Http) -> PreflightFacts:
    cluster = read_cluster(client)
    permissions = read_permissions(client)
    facts = read_facts(
        client,
        what_to_ask(wish, cluster, permissions),
        cluster=cluster,
        permissions=permissions,
        auth_id=client.identity,
        now=time.time,
    )
    return replace(facts, vendors=ask_vendors(wish.images, http))


def ask_vendors(images: tuple[ImageSource, ...], http: Http) -> dict[str, Reached | Unanswered]:
    """A HEAD request for each URL, from this machine."""
    urls = tuple(dict.fromkeys(url for image in images for url in image.urls))
    if not urls:
        return {}
    with ThreadPoolExecutor(max_workers=min(ASKERS, len(urls))) as pool:
        return dict(zip(urls, pool.map(lambda url: _ask(url, http), urls), strict=True))


def _ask(url: str, http: Http) -> Reached | Unanswered:
    try:
        return Reached(http.head(url).status)
    except ImageError as error:
        return Unanswered(str(error))
