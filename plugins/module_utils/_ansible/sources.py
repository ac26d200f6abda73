# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking vendors about images, and fetching images to this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .._images.errors import ImageError, SourceError
from .._images.http import Http
from .._model.image import CloudImage, ResolvedImage
from .._plan.decide import Source, SourceProblem
from .image_options import Trust

# What asks vendors and what unpacks images is loaded with the first question and the first image. Most runs have
# neither, and modules are compiled anew in each run.
if TYPE_CHECKING:
    from .._apply.watching import OnBytes
    from .._images.unpack import LocalImage


class Asker(Protocol):
    """Asks a vendor for its newest build of an image, or for C(build)."""

    def __call__(self, image: CloudImage, build: str | None = None) -> Source: ...


def source_asker(trust: Trust, http: Http) -> Asker:
    """Asks one vendor for its newest build, or for one that is named.

    A vendor that cannot be asked or believed becomes a SourceProblem.
    """

    def ask(image: CloudImage, build: str | None = None) -> Source:
        from .._images.keys import Keyring  # noqa: PLC0415
        from .._images.resolve import resolve  # noqa: PLC0415

        try:
            keyring = Keyring.from_paths(trust.keyring) if trust.keyring else None
            return resolve(
                image,
                http,
                signature=trust.signature,
                keyring=keyring,
                build=build,
                allow_plain_http=trust.allow_unverified,
            )
        except ImageError as error:
            return SourceProblem(str(error), unreachable=isinstance(error, SourceError))

    return ask


def fetcher(directory: Path, trust: Trust, http: Http) -> Callable[[ResolvedImage, CloudImage, OnBytes], LocalImage]:
    """Fetches, verifies and unpacks images into a directory of this machine."""

    def get(source: ResolvedImage, image: CloudImage, progress: OnBytes) -> LocalImage:
        from .._images.unpack import fetch  # noqa: PLC0415

        verifier = None
        if source.needs_image_signature:
            from .._images.keys import Keyring  # noqa: PLC0415
            from .._images.signature import Verifier  # noqa: PLC0415

            verifier = Verifier(http, trust.signature, Keyring.from_paths(trust.keyring))
        return fetch(source, http, directory, progress=progress, image_signature=verifier)

    return get
