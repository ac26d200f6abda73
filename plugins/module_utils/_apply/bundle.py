# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only writer of bundles, and of what is taken out of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .._images.bundle_file import extract_image, write_bundle
from .._images.errors import ImageError
from .._model.image import Digest
from .._plan.bundle import TakeImage, WriteBundle
from .._plan.files import WriteFile
from .._plan.plan import Plan
from .files import write_file
from .outcome import ApplyFailed, Outcome

Signer = Callable[[bytes], bytes]
Fetch = Callable[[str, Digest], Path]
"""Gets the file behind a URL to this machine, verified by its digest."""


def apply_bundle(plan: Plan, sign: Signer | None, fetch: Fetch) -> Outcome:
    """Write the bundle. Raises ApplyFailed; the old one is there then, or none."""
    for step in plan.steps:
        if not isinstance(step, WriteBundle):
            raise TypeError(f"no way to do {step!r}")
        try:
            raw = step.manifest.render()
            signature = sign(raw) if sign is not None else b""
            image = fetch(step.url, Digest.parse(step.manifest.image)) if step.url else None
            write_bundle(Path(step.path), raw, signature, image)
        except ImageError as cause:
            raise ApplyFailed(cause, step=step) from cause
    return Outcome(result=plan.result)


def apply_import(plan: Plan, fetch: Fetch) -> Outcome:
    """Write what the bundle holds, the image last. Raises ApplyFailed."""
    done: list[str] = []
    for step in plan.steps:
        try:
            match step:
                case WriteFile():
                    write_file(step)
                case TakeImage():
                    bundle = Path(step.bundle) if step.whole is None else fetch(step.bundle, step.whole)
                    extract_image(bundle, step.digest, Path(step.path))
                case _:
                    raise TypeError(f"no way to do {step!r}")
        except (OSError, ImageError) as cause:
            raise ApplyFailed(cause, step=step, done=tuple(done)) from cause
        done.append(step.describe())
    return Outcome(result=plan.result)
