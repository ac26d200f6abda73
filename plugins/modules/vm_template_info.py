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
options:
  line:
    description: Only this line.
    type: str
  node:
    description: Only this node.
    type: str
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.info_module
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.vm_template
"""

EXAMPLES = r"""
- name: List all generations
  homelab.proxmox.vm_template_info:
  register: found

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
    recipe: {description: The digest of the recipe., type: str, sample: "sha256:8d1f…"}
    built: {description: When it was built., type: str, sample: "2026-11-23T20:31:01+00:00"}
    age_days: {description: How old that is., type: int, sample: 12}
    complete: {description: Whether it is a whole template., type: bool, sample: true}
    problems: {description: "What is missing, where it is not.", type: list, elements: str, sample: []}
    pool: {description: Its pool., type: str, sample: templates}
    tags: {description: Its tags., type: list, elements: str, sample: [line-debian-13, state-current]}
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
from ..module_utils._ansible.template_door import run_vm_template_info


def main() -> None:
    own = {"line": {"type": "str"}, "node": {"type": "str"}}
    run_vm_template_info(AnsibleModule(argument_spec=with_connection(own), supports_check_mode=True))


if __name__ == "__main__":
    main()
