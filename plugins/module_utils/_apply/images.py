# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting a verified image onto a storage: by the node, or fetched here and uploaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from .._model.image import CloudImage, ResolvedImage
from .._plan.steps import FetchImage, RemoveImage
from .._pve.client import Client, api_path
from .._pve.errors import Kind, TaskFailed


class Local(Protocol):
    """A verified, unpacked image on this machine; C(digest_unpacked) is the file's own."""

    @property
    def path(self) -> Path: ...

    @property
    def format(self) -> str: ...

    @property
    def digest_unpacked(self) -> object: ...


Fetcher = Callable[[ResolvedImage, CloudImage], Local]
"""Fetches, verifies and unpacks an image on this machine. Raises ImageError."""


def put_image(client: Client, step: FetchImage, fetch: Fetcher) -> tuple[str, ...]:
    """Carry out one FetchImage; returns warnings.

    A file that is listed is complete: Proxmox VE moves it in place at the end.
    """
    if step.via == "upload":
        return upload_image(client, step, fetch)
    try:
        return download_image(client, step)
    except TaskFailed as failure:
        if not step.may_upload or failure.kind is not Kind.DOWNLOAD:
            raise
        return (
            f"{step.node} could not download {step.source.url} ({failure.exit_status}); it was uploaded from here",
            *upload_image(client, step, fetch),
        )


def download_image(client: Client, step: FetchImage) -> tuple[str, ...]:
    """Let the node download the file and check its digest."""
    result = client.retry_locked(
        lambda: client.run(
            "POST",
            api_path("nodes", step.node, "storage", step.storage, "download-url"),
            {
                "content": "import",
                "url": step.source.url,
                "filename": step.filename,
                "checksum": step.source.digest.value,
                "checksum-algorithm": step.source.digest.algorithm,
            },
            node=step.node,
            type="download",
            id=step.filename,
        )
    )
    return result.warnings


def upload_image(client: Client, step: FetchImage, fetch: Fetcher) -> tuple[str, ...]:
    """Fetch the file here, upload it, and let the node check that it arrived whole."""
    local = fetch(step.source, step.image)
    upid = client.upload(
        step.node, step.storage, content="import", path=local.path, filename=step.filename, digest=local.digest_unpacked
    )
    return client.wait(upid).warnings


def remove_image(client: Client, step: RemoveImage) -> tuple[str, ...]:
    """Delete a stored image."""
    result = client.retry_locked(
        lambda: client.run(
            "DELETE",
            api_path("nodes", step.node, "storage", step.storage, "content", step.volid),
            node=step.node,
            type="imgdel",
            # Recorded: the id of an imgdel task is the storage, not the volume.
            id=step.storage,
        )
    )
    return result.warnings
