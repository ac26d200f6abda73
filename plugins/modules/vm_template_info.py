#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List template generations."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_info
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: List template generations
version_added: 0.1.0
description:
  - Lists every generation of template lines with its identity, and the VMs that only look like one.
  - It says which generation is current, which one a rollback would go back to, and how old each one is. With O(gather)
    it also says whether the vendor has a newer image, which clones hang on a generation, and how large it is.
options:
  line:
    description: Only this line.
    type: str
  node:
    description: Only this node.
    type: str
  gather:
    description:
      - What else to find out. Without it one configuration is read for each VM of a line, and nothing more.
      - V(vendor) asks the vendor of each image of a current generation once, from this machine.
      - V(clones) and V(sizes) list the disks on each storage once.
    type: list
    elements: str
    choices: [vendor, clones, sizes]
    default: []
  catalog_files:
    description: Catalogue files of your own, where the module runs, laid over the shipped catalogue in this order.
    type: list
    elements: path
    default: []
  signature:
    description: Whether a vendor is believed whose signature was not verified.
    type: str
    choices: [required, if_available]
    default: if_available
  keyring:
    description: Files or directories with the vendors' public keys, where the module runs.
    type: list
    elements: path
    default: []
  allow_unverified:
    description: Believe a checksum that came over plain HTTP.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.info_module
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.vm_template
  - module: homelab.proxmox.templates_report
"""

EXAMPLES = r"""
- name: List all generations
  homelab.proxmox.vm_template_info:
  register: found

- name: Find lines whose vendor has a newer image
  homelab.proxmox.vm_template_info:
    gather: [vendor]
  register: asked

- name: Show them
  ansible.builtin.debug:
    msg: "{{ asked.templates | selectattr('vendor') | selectattr('vendor.newer') | map(attribute='line') | unique }}"

- name: Show the current generation of a line
  ansible.builtin.debug:
    msg: "{{ found.templates | selectattr('line', 'eq', 'debian-13') | selectattr('state', 'eq', 'current') | first }}"
"""

RETURN = r"""
templates:
  description: The generations by line and node, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    line: {description: The line., type: str, sample: debian-13}
    node: {description: The node., type: str, sample: pve1}
    vmid: {description: The VMID., type: int, sample: 9000}
    name: {description: The VM's name., type: str, sample: debian-13}
    generation: {description: The generation., type: str, sample: "20261123203101"}
    state: {description: "V(building), V(candidate), V(current) or V(retired).", type: str, sample: current}
    image: {description: Catalogue id or URL., type: str, sample: debian-13}
    source: {description: The digest of the vendor's file., type: str, sample: "sha512:3c9f6bd9a3d0…"}
    verification: {description: How that digest is trusted., type: str, sample: https}
    build: {description: "The vendor's own name of that build, where it tells one.", type: str, sample: 20261112}
    url: {description: Where that build came from., type: str, sample: "https://cloud.debian.org/…/debian-13.qcow2"}
    recipe: {description: The digest of the recipe., type: str, sample: "sha256:8d1f…"}
    built: {description: When it was built., type: str, sample: "2026-11-23T20:31:01+00:00"}
    age_days: {description: How old that is., type: int, sample: 12}
    complete: {description: Whether it is a whole template., type: bool, sample: true}
    usable:
      description: Whether it can be cloned, or rolled back to. It is whole, and V(current) or V(retired).
      type: bool
      sample: true
    problems: {description: "What is missing, where it is not.", type: list, elements: str, sample: []}
    proof: {description: "What the last proof of boot came to, where there was one.", type: str, sample: null}
    bake: {description: "The C(bake_version) of what roles have added, null where none have.", type: str, sample: null}
    waiting:
      description:
        - Of a builder that waits for its roles, the C(run) that C(resume) and C(abandon) of
          M(homelab.proxmox.vm_template) take, and the C(deadline) until which others leave it alone. Null otherwise.
      type: dict
      sample: null
    pool: {description: Its pool., type: str, sample: templates}
    tags: {description: Its tags., type: list, elements: str, sample: [line-debian-13, state-current]}
    vendor:
      description:
        - What the vendor has now; null without V(vendor) in O(gather), and for what is not current.
        - An image of your own that is not in O(catalog_files) cannot be asked for, as its sums file is not kept.
      type: dict
      contains:
        build: {description: "The vendor's own name of its build, where it tells one.", type: str, sample: 20261120}
        digest: {description: The digest of the vendor's file., type: str, sample: "sha512:77ab01…"}
        url: {description: Where that build is., type: str, sample: "https://cloud.debian.org/…/debian-13.qcow2"}
        newer:
          description: Whether that is another image than the one that was built from; null where nobody can tell.
          type: bool
          sample: true
        problem: {description: "Why it is not known, where it is not.", type: str, sample: null}
    clones:
      description:
        - The VMIDs of what hangs on the generation. Null without V(clones) in O(gather), and where nobody can tell.
        - Names of volumes tell of linked clones. On LVM-thin, which forgets them, every guest counts that inherited
          the generation's tags.
        - Guests that the credentials may not see are missing.
      type: list
      elements: int
      sample: [120, 121]
    size:
      description: Bytes of its disks as a guest sees them. Null without V(sizes) in O(gather).
      type: int
      sample: 3221225472
lines:
  description: The generations that matter, by line and node.
  returned: success
  type: list
  elements: dict
  contains:
    line: {description: The line., type: str, sample: debian-13}
    node: {description: The node., type: str, sample: pve1}
    current: {description: "The VMID that consumers get, null where there is none.", type: int, sample: 9001}
    previous: {description: "The VMID that a rollback goes back to, null where there is none.", type: int, sample: 9000}
    newest: {description: "The VMID of the newest generation, whatever its state.", type: int, sample: 9001}
    generations: {description: How many there are., type: int, sample: 2}
foreign:
  description: VMs that carry a line's tags and are not ours, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{vmid: 120, name: web, node: pve1, reason: its identity block was inherited from VM 9000}]
unknown:
  description: VMs with a line's tags on nodes that are offline. What they are cannot be known.
  returned: success
  type: list
  elements: dict
  sample: [{vmid: 9003, name: debian-13, node: pve2, reason: its node is offline}]
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 3, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.spec import with_connection
from ..module_utils._ansible.template_info_door import info_options, run_vm_template_info


def main() -> None:
    run_vm_template_info(AnsibleModule(argument_spec=with_connection(info_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
