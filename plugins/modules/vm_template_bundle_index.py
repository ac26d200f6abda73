#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the index of a folder of bundles."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_bundle_index
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep the signed index of a folder of bundles
version_added: 0.1.0
description:
  - Writes C(index.json) for all bundles (C(*.tar)) of a folder, and its signature. Served over HTTPS as it is, the
    folder is a catalogue of lines, from which M(homelab.proxmox.vm_template_bundle_import) takes one by its name.
  - The index holds what every bundle says, and the digest of its file. Signatures of the bundles themselves are not
    looked at; whoever signs the index answers for all of it.
options:
  folder:
    description: The folder, where the module runs.
    type: path
    required: true
  signing_key:
    description:
      - The OpenSSH key that signs, a private one without a passphrase, or the public one (C(.pub)) of a key that
        C(ssh-agent) holds. Without it the index is not signed.
    type: path
extends_documentation_fragment:
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.vm_template_bundle
  - module: homelab.proxmox.vm_template_bundle_import
"""

EXAMPLES = r"""
- name: Publish the bundles of a folder
  homelab.proxmox.vm_template_bundle_index:
    folder: /srv/bundles
    signing_key: /etc/homelab/keys/bundle
"""

RETURN = r"""
index:
  description: The index.
  returned: success
  type: str
  sample: /srv/bundles/index.json
bundles:
  description: The bundles in it.
  returned: success
  type: list
  elements: dict
  contains:
    file: {description: The file., type: str, sample: debian-13.tar}
    digest: {description: Its digest., type: str, sample: "sha256:5f2b…"}
    line: {description: What it says of the line., type: dict, sample: {line: debian-13, image: debian-13}}
    recipe: {description: The digest of the recipe., type: str, sample: "sha256:8d1f…"}
    identity: {description: What it says of the generation., type: dict, sample: {generation: "20261123203101"}}
    image: {description: "The digest of the image in it, null for none.", type: str, sample: "sha512:3c9f6bd9a3d0…"}
signed:
  description: Whether the index is signed.
  returned: success
  type: bool
  sample: true
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["write /srv/bundles/index.json (4312 bytes)"]
diff:
  description: The files that were not there, or were others.
  returned: changed
  type: dict
  sample:
    before: {/srv/bundles/index.json: absent}
    after: {/srv/bundles/index.json: present}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.bundle_index_door import index_options, run_vm_template_bundle_index


def main() -> None:
    run_vm_template_bundle_index(AnsibleModule(argument_spec=index_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
