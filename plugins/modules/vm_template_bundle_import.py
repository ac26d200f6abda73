#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a bundle of a template line in."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_bundle_import
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Take in a bundle of a template line
version_added: 0.1.0
description:
  - Verifies a bundle that M(homelab.proxmox.vm_template_bundle) wrote, puts its catalogue entry and its image into a
    folder, and returns the line for M(homelab.proxmox.vm_template_fleet). Proxmox VE is not asked.
  - A bundle is refused as a whole where its signature is not of a trusted key, where anything in it is not what its
    signed manifest says, where the manifest has a newer schema, or where the line's recipe would be another one here.
  - Files get names that this module makes. No name out of the bundle becomes a path.
options:
  path:
    description: The bundle, where the module runs.
    type: path
  index:
    description:
      - Instead of O(path), the URL of a folder with an index that M(homelab.proxmox.vm_template_bundle_index) wrote, as
        V(https://…) or V(file:///…). The index is verified, and O(line) chosen from it.
      - The bundle itself is got only where its image is wanted and not there yet.
    type: str
  line:
    description: The line that is meant. A bundle of another one is refused. O(index) needs it.
    type: str
  dest:
    description:
      - The folder for the catalogue file and the image, where the module runs. With it as C(download_dir) of
        M(homelab.proxmox.vm_template_fleet), and V(upload) as C(transfer) of the line, the vendor need not be
        reached.
    type: path
    required: true
  trusted_keys:
    description: The public OpenSSH keys whose bundles are believed, each as the one line of its C(.pub) file.
    type: list
    elements: str
    default: []
  allow_unsigned:
    description:
      - Take a bundle that is not signed. What it says is then nobody's word; the image still has to be what the
        bundle says. A bundle with a signature that does not fit is refused nevertheless.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.vm_template_bundle
  - module: homelab.proxmox.vm_template_bundle_index
  - module: homelab.proxmox.vm_template_fleet
"""

EXAMPLES = r"""
- name: Take a line in from another site
  homelab.proxmox.vm_template_bundle_import:
    path: /srv/bundles/debian-13.tar
    dest: /var/lib/homelab/imported
    trusted_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRXd4PolxJgEknmxum7bMWDQ/Hl2qSp+n6MKO0gUq8G bundles@example
  register: imported

- name: Take it in from a folder on the web
  homelab.proxmox.vm_template_bundle_import:
    index: https://bundles.example/templates
    line: debian-13
    dest: /var/lib/homelab/imported
    trusted_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRXd4PolxJgEknmxum7bMWDQ/Hl2qSp+n6MKO0gUq8G bundles@example
  register: imported

- name: Build it here
  homelab.proxmox.vm_template_fleet:
    lines:
      - "{{ imported.line | combine({'storage': 'local-lvm', 'transfer': 'upload'}) }}"
    nodes: [pve1]
    catalog_files: "{{ imported.catalog_files }}"
    download_dir: "{{ imported.download_dir }}"
"""

RETURN = r"""
line:
  description: The line, as an entry of C(lines) of M(homelab.proxmox.vm_template_fleet). Places are to be added.
  returned: success
  type: dict
  sample: {line: debian-13, image: debian-13, arch: x86_64, disk: {size: 10G}}
recipe:
  description: The digest of the recipe, here and where the bundle was made.
  returned: success
  type: str
  sample: "sha256:8d1f…"
identity:
  description: What the bundle says of the generation that was current where it was made.
  returned: success
  type: dict
  sample: {generation: "20261123203101", source: "sha512:3c9f6bd9a3d0…", built: "2026-11-23T20:31:01+00:00"}
image:
  description: The digest of the image in the bundle, null where it is not in it.
  returned: success
  type: str
  sample: "sha512:3c9f6bd9a3d0…"
signed_by:
  description: The fingerprint of the trusted key that signed, null for an unsigned bundle.
  returned: success
  type: str
  sample: "SHA256:2Jk0V3s6vYj8Q1…"
catalog_files:
  description: The catalogue file with the image's entry, empty for an image that the line names by its URL.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/homelab/imported/debian-13.catalog.yml]
download_dir:
  description: The folder with the image, null where the bundle has none.
  returned: success
  type: str
  sample: /var/lib/homelab/imported
files:
  description: All files that the bundle brings.
  returned: success
  type: list
  elements: str
  sample:
    - /var/lib/homelab/imported/debian-13.catalog.yml
    - /var/lib/homelab/imported/sha512-3c9f6bd9a3d0a7d1b6f5c2e4a8907b1d2c3e4f50.part
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["write /var/lib/homelab/imported/debian-13.catalog.yml (1204 bytes)"]
diff:
  description: The files that were not there, or were others.
  returned: changed
  type: dict
  sample:
    before: {/var/lib/homelab/imported/debian-13.catalog.yml: absent}
    after: {/var/lib/homelab/imported/debian-13.catalog.yml: present}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.bundle_import_door import (
    import_options,
    import_rules,
    run_vm_template_bundle_import,
)


def main() -> None:
    run_vm_template_bundle_import(
        AnsibleModule(argument_spec=import_options(), supports_check_mode=True, **import_rules())
    )


if __name__ == "__main__":
    main()
