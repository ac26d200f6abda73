#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List stored images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_info
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: List stored images
version_added: 0.1.0
description:
  - Lists the files of content C(import) on the storages of a cluster, and which catalogue image and build each holds.
options:
  node:
    description: Only this node.
    type: str
  storage:
    description: Only this storage.
    type: str
  image:
    description: Only builds of this image.
    type: str
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.info_module
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.image
"""

EXAMPLES = r"""
- name: List all stored images
  homelab.proxmox.image_info:
  register: stored

- name: List the builds of one image on one node
  homelab.proxmox.image_info:
    node: pve1
    image: debian-13
"""

RETURN = r"""
images:
  description: The files, by node, storage and name.
  returned: success
  type: list
  elements: dict
  contains:
    node: {description: The node that was asked., type: str, sample: pve1}
    storage: {description: The storage., type: str, sample: local}
    volid: {description: The volume., type: str, sample: "local:import/debian-13-3c9f6bd9a3d0.qcow2"}
    filename: {description: The stored name., type: str, sample: debian-13-3c9f6bd9a3d0.qcow2}
    image: {description: The id of the image; null for files of other makers., type: str, sample: debian-13}
    short_digest: {description: The start of the digest., type: str, sample: 3c9f6bd9a3d0}
    size: {description: Bytes., type: int, sample: 345309184}
    format: {description: The format., type: str, sample: qcow2}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 3, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.image_door import run_image_info
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    own = {"node": {"type": "str"}, "storage": {"type": "str"}, "image": {"type": "str"}}
    run_image_info(AnsibleModule(argument_spec=with_connection(own), supports_check_mode=True))


if __name__ == "__main__":
    main()
