#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a verified cloud image on a storage."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep a verified cloud image on a storage
version_added: 0.1.0
description:
  - Puts the newest build of a cloud image on a storage, as content C(import), from which disks are imported.
  - The vendor's own sums file is fetched and its signature checked where there is one. The digest is part of the
    stored name, so a second run recognises the build without downloading it.
  - Packed images are downloaded, verified and unpacked on the machine that runs the module, then uploaded.
options:
  node:
    description: The node.
    type: str
    required: true
  storage:
    description: A storage of the node that holds files and has content C(import).
    type: str
    default: local
  state:
    description:
      - V(present) stores the newest build, older builds stay.
      - V(absent) deletes every stored build of the image.
    type: str
    choices: [present, absent]
    default: present
  refresh:
    description: With V(never) any stored build will do, and its vendor is not asked.
    type: str
    choices: [never, always]
    default: always
extends_documentation_fragment:
  - homelab.proxmox.image
  - homelab.proxmox.progress
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.image_info
  - module: homelab.proxmox.vm_template
"""

EXAMPLES = r"""
- name: Keep the newest Debian 13 image on a node
  homelab.proxmox.image:
    image: debian-13
    node: pve1
    storage: local

- name: Keep an image of your own, pinned
  homelab.proxmox.image:
    url: https://images.example.com/appliance-7.qcow2
    checksum: sha256:9f2b1f0c3f5a4e7d8c6b5a49382716050f1e2d3c4b5a69788796a5b4c3d2e1f0
    node: pve1

- name: Show what would be fetched, with the vendor's signature required
  homelab.proxmox.image:
    image: ubuntu-24.04
    signature: required
    keyring: [/etc/homelab/keys]
    node: pve1
  check_mode: true
  diff: true

- name: Delete every stored build of an image
  homelab.proxmox.image:
    image: debian-12
    node: pve1
    state: absent
"""

RETURN = r"""
image:
  description: The stored image; null with O(state=absent).
  returned: success
  type: dict
  contains:
    volid: {description: The volume., type: str, sample: "local:import/debian-13-3c9f6bd9a3d0.qcow2"}
    filename: {description: The stored name., type: str, sample: debian-13-3c9f6bd9a3d0.qcow2}
    image: {description: The id of the image., type: str, sample: debian-13}
    short_digest: {description: The part of the digest that the name holds., type: str, sample: 3c9f6bd9a3d0}
    size: {description: "Bytes, where they are known.", type: int, sample: 345309184}
    format: {description: The format., type: str, sample: qcow2}
    source: {description: The digest of the vendor's file., type: str, sample: "sha512:3c9f6bd9a3d0…"}
    url: {description: Where it came from., type: str, sample: "https://cloud.debian.org/images/cloud/trixie/…"}
    build: {description: "The vendor's name of the build.", type: str, sample: 20261012-2262}
    verification:
      description: "How the digest is trusted: V(signature), V(https), V(pinned) or V(unverified: …) with the reason."
      type: str
      sample: https
removed:
  description: The volumes that are deleted.
  returned: O(state=absent)
  type: list
  elements: str
  sample: ["local:import/debian-12-08587a350322.qcow2"]
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["download by the node https://… as local:import/debian-13-3c9f6bd9a3d0.qcow2 on pve1 (https)"]
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 4, writes: 1, polls: 2}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.image_door import run_image
from ..module_utils._ansible.image_options import image_options
from ..module_utils._ansible.progress import progress_options
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    own = {
        **image_options(),
        **progress_options(),
        "node": {"type": "str", "required": True},
        "storage": {"type": "str", "default": "local"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "refresh": {"type": "str", "choices": ["never", "always"], "default": "always"},
    }
    run_image(AnsibleModule(argument_spec=with_connection(own), supports_check_mode=True))


if __name__ == "__main__":
    main()
