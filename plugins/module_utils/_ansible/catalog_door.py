# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From filters to catalogue entries: what the door C(cloud_image_info) is made of."""

from __future__ import annotations

import datetime
import typing as t
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from .._images.catalog import Catalog, CatalogError, lifecycle_state, load_catalog, problems_for

# As in the schema of catalogue files; a test holds the two together.
OS_FAMILIES = (
    "alpine",
    "alt",
    "amazon",
    "arch",
    "bsd",
    "buildroot",
    "debian",
    "fedora",
    "gentoo",
    "illumos",
    "other",
    "photon",
    "rhel",
    "suse",
)
ARGUMENT_SPEC: dict[str, Any] = {
    "ids": {"type": "list", "elements": "str"},
    "family": {"type": "str"},
    "os_family": {"type": "str", "choices": list(OS_FAMILIES)},
    "arch": {"type": "str", "choices": ["x86_64", "aarch64"], "default": "x86_64"},
    "cloud_init": {"type": "str", "choices": ["full", "partial", "none", "unknown"]},
    "lifecycle": {"type": "str", "choices": ["supported", "preview", "eol", "unknown"]},
    "catalog_files": {"type": "list", "elements": "path", "default": []},
}
FILTERS = ("family", "os_family", "cloud_init")


def describe(catalog: Catalog, image_id: str, arch: str, today: datetime.date) -> dict[str, Any]:
    """The entry as returned: its state on the day and what stands against using it."""
    image = catalog.get(image_id, arch)
    found = catalog.describe(image_id, arch)
    found["lifecycle"]["state"] = lifecycle_state(image, today)
    found["problems"] = {
        "image": problems_for(image, purpose="image", today=today),
        "template": problems_for(image, purpose="template", today=today),
    }
    return found


def select(params: dict[str, Any], today: datetime.date) -> list[dict[str, Any]]:
    """The images that satisfy all filters. Raises CatalogError."""
    catalog = load_catalog(params["catalog_files"])
    families = sorted({entry["family"] for entry in catalog.entries()})
    if params["family"] not in (None, *families):
        raise CatalogError(f"family: {params['family']!r} has no image; known are {', '.join(families)}")
    names = catalog.ids()
    if params["ids"] is not None:
        names = tuple(dict.fromkeys(catalog.canonical(name) for name in params["ids"]))
    arch = params["arch"]
    images = [describe(catalog, name, arch, today) for name in names if arch in catalog.architectures(name)]
    wanted = {key: params[key] for key in FILTERS if params[key] is not None}
    state = params["lifecycle"]
    return [
        image
        for image in images
        if all(image[key] == value for key, value in wanted.items()) and state in (None, image["lifecycle"]["state"])
    ]


def catalog_options() -> dict[str, Any]:
    """The argument spec of C(cloud_image_info)."""
    return ARGUMENT_SPEC


def run_cloud_image_info(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(cloud_image_info) through; it talks to nobody."""
    try:
        images = select(module.params, datetime.datetime.now(tz=datetime.UTC).date())
    except CatalogError as exc:
        module.fail_json(msg=str(exc), problems=list(exc.problems))
    module.exit_json(changed=False, images=images)
    raise AssertionError("unreachable: the module has ended")
