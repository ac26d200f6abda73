# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a preflight asks, what was answered, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from .cluster import Cluster


class Level(StrEnum):
    """How a finding is to be taken. C(unknown): these credentials may not see it, or nobody answered."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence about one thing; C(remedy) is empty where nothing is to be done."""

    check: str
    level: Level
    subject: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.subject}: {self.message}"
        return f"{text}. {self.remedy}" if self.remedy else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a network card is put on. C(iface) is empty for a zone that is meant as a whole."""

    name: str
    """As the user wrote it."""
    iface: str
    zone_path: str
    """The part of the access path after C(/sdn/zones/): C(localnetwork/vmbr0/20), C(lab/vnet1), C(lab)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """What is fetched of one image: the image and its sums file; None where the vendor has none."""

    id: str
    url: str | None
    sums_url: str | None = None
    packed: bool = False
    """Packed images are fetched and unpacked by the controller, never by a node."""

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(url for url in (self.url, self.sums_url) if url))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightWish:
    """What shall be possible, and where. Names that are left out stand for all that can be seen."""

    capabilities: tuple[str, ...] = ("templates",)
    nodes: tuple[str, ...] = ()
    storages: tuple[str, ...] = ()
    image_storages: tuple[str, ...] = ()
    backup_storages: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    pool: str = ""
    vmid_range: tuple[int, int] = (9000, 9999)
    min_free: int = 0
    """Bytes."""
    images: tuple[ImageSource, ...] = ()
    fail_on: Literal["error", "warning", "never"] = "error"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that was asked and got no answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reached:
    """A URL that answered, with which HTTP status."""

    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeQuestions:
    """What the credentials may ask of one node."""

    bridges: bool = False
    audit: bool = False
    """Packages and clock, which need Sys.Audit on the node."""
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What may be asked without being refused. C(status): of the cluster, which needs Sys.Audit on C(/)."""

    status: bool
    nodes: Mapping[str, NodeQuestions]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What one node answered; None where it was not asked."""

    version: str | Unanswered
    bridges: frozenset[str] | Unanswered | None = None
    firmware: str | Unanswered | None = None
    """The installed version of pve-edk2-firmware; empty where the list does not have it."""
    clock: float | Unanswered | None = None
    """Seconds by which the node is ahead of the controller."""
    urls: Mapping[str, Reached | Unanswered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFacts:
    """Everything that was answered."""

    cluster: Cluster
    permissions: Mapping[str, Mapping[str, int]]
    auth_id: str
    options: Mapping[str, Any] | Unanswered
    """The datacenter's options; without Sys.Audit on C(/) only C(tag-style) and C(console) of them."""
    quorate: bool | Unanswered | None = None
    """None where it was not asked; a node without a cluster has its quorum."""
    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    vendors: Mapping[str, Reached | Unanswered] = field(default_factory=dict)
    """What the controller got, by URL."""
