# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogue entries of cloud images, for use in templates and conditions."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cloud_image
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Look up cloud images in the catalogue
version_added: 0.1.0
description:
  - Returns what the catalogue knows of a cloud image, such as its URL, default user, minimum sizes and quirks.
  - Nothing is asked from a vendor or from Proxmox VE.
options:
  _terms:
    description:
      - Ids or aliases of catalogue entries, for example V(debian-13) or V(debian-trixie).
    type: list
    elements: str
    required: true
  arch:
    description:
      - The architecture of the guest.
    type: str
    choices: [x86_64, aarch64]
    default: x86_64
  catalog_files:
    description:
      - Catalogue files of your own on the controller, laid over the shipped catalogue in this order.
      - An entry takes the place of a shipped one only if it says C(replaces=true).
      - Reading them needs the Python libraries PyYAML and jsonschema.
    type: list
    elements: path
    default: []
seealso:
  - module: homelab.proxmox.cloud_image_info
"""

EXAMPLES = r"""
- name: Show where the image comes from
  ansible.builtin.debug:
    msg: "{{ lookup('homelab.proxmox.cloud_image', 'debian-13').url }}"

- name: Take the default users of two images
  ansible.builtin.debug:
    msg: "{{ query('homelab.proxmox.cloud_image', 'debian-13', 'rocky-10') | map(attribute='default_user') }}"

- name: Look into a catalogue of your own
  ansible.builtin.debug:
    msg: "{{ lookup('homelab.proxmox.cloud_image', 'appliance-1', catalog_files=['/etc/homelab/images.yml']) }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary per term, with the keys of RV(homelab.proxmox.cloud_image_info#module:images[]).
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils._images.catalog import CatalogError, load_catalog


class LookupModule(LookupBase):
    """The lookup plugin."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any]]:
        """One dictionary per term. Raises AnsibleLookupError with everything that is wrong."""
        self.set_options(var_options=variables, direct=kwargs)
        arch = self.get_option("arch")
        try:
            catalog = load_catalog(self.get_option("catalog_files"))
            return [catalog.describe(term, arch) for term in terms]
        except CatalogError as exc:
            raise AnsibleLookupError(f"homelab.proxmox.cloud_image: {exc}") from exc
