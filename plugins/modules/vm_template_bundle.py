#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a bundle of a template line."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_bundle
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep a bundle of a template line, for other sites
version_added: 0.1.0
description:
  - Writes one of the lines that M(homelab.proxmox.vm_template_fleet) keeps to a file, with what its current generation
    was built from. M(homelab.proxmox.vm_template_bundle_import) takes it in elsewhere, where the same line has the same
    recipe and is built from the same image.
  - The bundle holds what is true of the line anywhere, which is image, disk, hardware and customisation. Nodes,
    storages, VMIDs, names, tags, networks, users, keys and passwords are a site's own and do not go in.
  - The catalogue entry of the image goes in, fixed to the build that was used.
  - Nothing is changed on Proxmox VE. Disks of templates do not go in, since the API of Proxmox VE gives no disk and no
    backup away.
options:
  line:
    description: Which of O(lines) goes into the bundle.
    type: str
    required: true
  path:
    description: The file, where the module runs.
    type: path
    required: true
  nodes:
    description: The nodes of every line that names none itself. The newest of their current generations counts.
    type: list
    elements: str
    default: []
  catalog_files:
    description: Catalogue files of your own, where the module runs, laid over the shipped catalogue in this order.
    type: list
    elements: path
    default: []
  include_image:
    description:
      - Whether the vendor's image goes in, as the vendor gives it. It is fetched where the module runs, and verified by
        the digest that the generation was built from.
    type: bool
    default: false
  download_dir:
    description: Where the image is fetched to, and kept. Without it, the module's temporary folder.
    type: path
  signing_key:
    description:
      - The OpenSSH key that signs, a private one without a passphrase, or the public one (C(.pub)) of a key that
        C(ssh-agent) holds. Without it the bundle is not signed.
    type: path
extends_documentation_fragment:
  - homelab.proxmox.fleet
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.vm_template_bundle_import
  - module: homelab.proxmox.vm_template_backup
"""

EXAMPLES = r"""
- name: Write a signed bundle of one line, with its image
  homelab.proxmox.vm_template_bundle:
    line: debian-13
    lines:
      - line: debian-13
        storage: local-lvm
        disk:
          size: 10G
    nodes: [pve1]
    path: /srv/bundles/debian-13.tar
    include_image: true
    signing_key: /etc/homelab/keys/bundle
"""

RETURN = r"""
bundle:
  description: The file.
  returned: success
  type: str
  sample: /srv/bundles/debian-13.tar
line:
  description: What the bundle says of the line.
  returned: success
  type: dict
  sample: {line: debian-13, image: debian-13, arch: x86_64, disk: {size: 10G}}
recipe:
  description: The digest of the recipe.
  returned: success
  type: str
  sample: "sha256:8d1f…"
identity:
  description: What the bundle says of the generation.
  returned: success
  type: dict
  sample: {generation: "20261123203101", source: "sha512:3c9f6bd9a3d0…", built: "2026-11-23T20:31:01+00:00"}
image:
  description: The digest of the image in the bundle, null where it is not in it.
  returned: success
  type: str
  sample: "sha512:3c9f6bd9a3d0…"
signed:
  description: Whether it is signed.
  returned: success
  type: bool
  sample: true
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["write /srv/bundles/debian-13.tar: line debian-13 with its image, signed"]
diff:
  description: What differs, under the file's path.
  returned: changed
  type: dict
  sample:
    before: {/srv/bundles/debian-13.tar: null}
    after: {/srv/bundles/debian-13.tar: {recipe: "sha256:8d1f…", signed: true}}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 2, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.bundle_door import bundle_options, run_vm_template_bundle
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_vm_template_bundle(AnsibleModule(argument_spec=with_connection(bundle_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
