# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe digest: a canonical form of the declared fields that need a new build.

What Proxmox changes in place and where a template lives are left out: the first never needs a build, and the same
recipe elsewhere has the same digest. Fields that are not declared are left out as well, so that a new field or a new
default of this collection changes no digest. RECIPE_SCHEMA changes only when the meaning of a field does.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .customize import customize_fields
from .template import TemplateLine

RECIPE_SCHEMA = 1


def recipe_fields(line: TemplateLine) -> dict[str, Any]:
    """The declared build fields, in the form that is hashed. Sizes are bytes."""
    fields: dict[str, Any] = {"arch": line.image.arch}
    if line.own_image:
        fields["url"] = line.image.url
    else:
        fields["image"] = line.image.id
    if line.disk.size is not None:
        fields["disk_size"] = line.disk.size
    if line.disk.format is not None:
        fields["disk_format"] = line.disk.format
    if line.disk.options:
        fields["disk_options"] = dict(line.disk.options)
    if line.bios is not None:
        fields["bios"] = line.bios
    if line.efi is not None:
        fields["efi"] = {"secure_boot": line.efi.secure_boot, "type": line.efi.type}
    if line.tpm is not None:
        fields["tpm"] = line.tpm
    customized = customize_fields(line.customize) if line.customize is not None else {}
    if customized:
        fields["customize"] = customized
    if line.bake is not None:
        fields["bake"] = line.bake.version
    return fields


def recipe_digest(line: TemplateLine) -> str:
    """C(sha256:<hex>) over the canonical JSON of the recipe."""
    canonical = json.dumps(
        {"recipe_schema": RECIPE_SCHEMA, **recipe_fields(line)},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
