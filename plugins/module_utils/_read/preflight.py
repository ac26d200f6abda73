# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers to a preflight's questions: cheap GETs only, eight at a time, a failed one is an answer too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from .._model.cluster import Cluster
from .._model.preflight import NodeFacts, NodeQuestions, PreflightFacts, Questions, Reached, Unanswered
from .._pve.client import api_path
from .._pve.errors import ApiError
from .cluster import Reader

READERS = 8
"""Requests in flight; a real node answers with three workers (MAX_WORKERS of pveproxy)."""

FIRMWARE = "pve-edk2-firmware"

_T = TypeVar("_T")
_Ask = Callable[[], Any]


def read_facts(
    reader: Reader,
    questions: Questions,
    *,
    cluster: Cluster,
    permissions: Mapping[str, Mapping[str, int]],
    auth_id: str,
    now: Callable[[], float],
) -> PreflightFacts:
    """Ask everything at once. C(now) is the controller's clock in seconds since 1970."""
    asks: dict[tuple[str, str], _Ask] = {("", "options"): lambda: reader.get("/cluster/options")}
    if questions.status:
        asks["", "status"] = lambda: _quorate(reader)
    for node, about in questions.nodes.items():
        for name, ask in _of_node(reader, node, about, now).items():
            asks[node, name] = ask
    with ThreadPoolExecutor(max_workers=min(READERS, len(asks))) as pool:
        answers = dict(zip(asks, pool.map(answered, asks.values()), strict=True))
    return PreflightFacts(
        cluster=cluster,
        permissions=permissions,
        auth_id=auth_id,
        options=answers["", "options"],
        quorate=answers.get(("", "status")),
        nodes={node: _facts(node, about, answers) for node, about in questions.nodes.items()},
    )


def answered(ask: Callable[[], _T]) -> _T | Unanswered:
    """What a read comes to; a refusal of the API is an answer too, with its reason."""
    try:
        return ask()
    except ApiError as error:
        return Unanswered(error.message.strip() or str(error))


def _of_node(reader: Reader, node: str, about: NodeQuestions, now: Callable[[], float]) -> dict[str, _Ask]:
    asks: dict[str, _Ask] = {"version": lambda: str(reader.get(api_path("nodes", node, "version"))["version"])}
    if about.bridges:
        asks["bridges"] = lambda: _bridges(reader, node)
    if about.audit:
        asks["firmware"] = lambda: _firmware(reader, node)
        asks["clock"] = lambda: _ahead(reader, node, now)
    for url in about.urls:
        asks[f"url {url}"] = partial(_metadata, reader, node, url)
    return asks


def _facts(node: str, about: NodeQuestions, answers: Mapping[tuple[str, str], Any]) -> NodeFacts:
    return NodeFacts(
        version=answers[node, "version"],
        bridges=answers.get((node, "bridges")),
        firmware=answers.get((node, "firmware")),
        clock=answers.get((node, "clock")),
        urls={url: answers[node, f"url {url}"] for url in about.urls},
    )


def _quorate(reader: Reader) -> bool:
    """Recorded on 8.4: a node without a cluster has no row of type C(cluster)."""
    rows = reader.get("/cluster/status")
    return all(bool(int(row.get("quorate", 0))) for row in rows if row.get("type") == "cluster")


def _bridges(reader: Reader, node: str) -> frozenset[str]:
    """Bridges and SDN networks of a node, as far as the caller may use or see them."""
    rows = reader.get(api_path("nodes", node, "network"), type="any_bridge")
    return frozenset(row["iface"] for row in rows)


def _firmware(reader: Reader, node: str) -> str:
    """C(Version) is what could be installed, C(OldVersion) what is (PVE::API2::APT assemble_pkginfo)."""
    for row in reader.get(api_path("nodes", node, "apt", "versions")):
        if row.get("Package") == FIRMWARE and row.get("CurrentState") == "Installed":
            return str(row.get("OldVersion") or row.get("Version") or "")
    return ""


def _ahead(reader: Reader, node: str, now: Callable[[], float]) -> float:
    """The node tells whole seconds; the middle of the exchange is taken for the moment it was told."""
    before = now()
    told = int(reader.get(api_path("nodes", node, "time"))["time"])
    return told - (before + now()) / 2


def _metadata(reader: Reader, node: str, url: str) -> Reached:
    reader.get(api_path("nodes", node, "query-url-metadata"), url=url)
    return Reached()
