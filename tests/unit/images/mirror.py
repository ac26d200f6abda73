# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vendor as a mapping of URLs to contents, and entries that point to it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from ansible_collections.homelab.proxmox.plugins.module_utils._images import errors
from ansible_collections.homelab.proxmox.plugins.module_utils._images.http import SUMS_LIMIT, Head, Stream
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import (
    CloudImage,
    SumsFile,
)

A, B = "a" * 64, "b" * 64
SITE = "https://example.org/img"


class Mirror:
    """Http over a mapping; a list of contents is given out one after the other, the last one for ever."""

    def __init__(self, files: Mapping[str, str | bytes | list[str]]) -> None:
        self.files: dict[str, list[bytes]] = {}
        self.asked: list[str] = []
        for url, content in files.items():
            contents = content if isinstance(content, list) else [content]
            self.files[url] = [item.encode() if isinstance(item, str) else item for item in contents]

    def get_bytes(self, url: str, limit: int = SUMS_LIMIT) -> bytes:
        self.asked.append(url)
        if url not in self.files:
            raise errors.HttpStatus(f"{url}: HTTP 404", 404)
        contents = self.files[url]
        return contents.pop(0) if len(contents) > 1 else contents[0]

    def head(self, url: str) -> Head:
        raise AssertionError(url)

    def stream(self, url: str, offset: int = 0, *, validator: str | None = None) -> AbstractContextManager[Stream]:
        raise AssertionError(url)


def image(
    url: str | None = f"{SITE}/latest/a.qcow2", sums: str | SumsFile | None = f"{SITE}/latest/SHA256SUMS", **facts: Any
) -> CloudImage:
    file = SumsFile(url=sums, format="gnu", algorithm="sha256") if isinstance(sums, str) else sums
    known: dict[str, Any] = {"id": "test", "name": "Test", "family": "test", "os_family": "test", "release": "1"}
    known |= {"variant": "", "arch": "x86_64", "url_kind": "latest", **facts}
    return CloudImage(url=url, sums=file, **known)
