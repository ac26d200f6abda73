# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as a whole: what exists, what the caller may do, which version answers."""

from __future__ import annotations

from .._model.cluster import Cluster
from .._model.template import StoredImage
from .._pve.client import api_path
from .reader import Reader, read_permissions

__all__ = ["Reader", "read_cluster", "read_images", "read_permissions", "read_version"]


def read_cluster(reader: Reader) -> Cluster:
    """Nodes, storages and guests of the whole cluster in one request."""
    return Cluster.from_resources(reader.get("/cluster/resources"))


def read_version(reader: Reader) -> str:
    """The version of the node that answers, such as C(8.4.21)."""
    return str(reader.get("/version")["version"])


def read_images(reader: Reader, node: str, storage: str) -> tuple[StoredImage, ...]:
    """The files of content C(import) on a storage. One listing costs a real node 20 ms."""
    rows = reader.get(api_path("nodes", node, "storage", storage, "content"), content="import")
    return tuple(
        StoredImage(
            volid=row["volid"],
            size=int(row.get("size", 0)),
            format=row.get("format", ""),
            stored=int(row.get("ctime", 0)),
        )
        for row in rows
    )
