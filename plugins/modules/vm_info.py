#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List VMs that are cloned from templates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_info
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: List VMs that are cloned from templates
version_added: 0.1.0
description:
  - Lists VMs with what they were cloned from, whether there is a newer generation of their line, what waits for their
    next start, and with O(addresses) where they are reached.
  - It takes one request for the cluster and one for each VM. Names and states in that list lag by up to ten seconds.
    With O(name), nodes that have VMs without a name yet are asked themselves.
options:
  name:
    description: Only VMs of these names.
    type: list
    elements: str
    default: []
  vmid:
    description: Only these.
    type: list
    elements: int
    default: []
  line:
    description: Only clones of this line.
    type: str
  tags:
    description: Only VMs that have all of these tags.
    type: list
    elements: str
    default: []
  ours:
    description: Only VMs that this collection keeps. Templates are never listed.
    type: bool
    default: true
  addresses:
    description: Ask the guest agents of running VMs for their addresses. That is one more request for each.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.info_module
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.vm
  - module: homelab.proxmox.vm_fleet
"""

EXAMPLES = r"""
- name: List the VMs that are kept
  homelab.proxmox.vm_info:
  register: found

- name: Show those whose line has a newer generation
  ansible.builtin.debug:
    msg: "{{ found.vms | selectattr('newest') | map(attribute='name') }}"

- name: Ask where two VMs are reached
  homelab.proxmox.vm_info:
    name: [web1, web2]
    addresses: true
"""

RETURN = r"""
vms:
  description: The VMs by VMID.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The name., type: str, sample: web1}
    vmid: {description: "The VMID, null for a VM that is not there.", type: int, sample: 120}
    node: {description: The node., type: str, sample: pve1}
    status: {description: "V(running), V(stopped) or V(absent).", type: str, sample: running}
    ours: {description: Whether its identity block says that this collection keeps it., type: bool, sample: true}
    line: {description: The line that it was cloned from., type: str, sample: debian-13}
    generation: {description: The generation that it was cloned from., type: str, sample: "20261123203101"}
    template: {description: The VMID of the template that it was cloned from., type: int, sample: 9000}
    newest: {description: "The newest current generation of the line, where that is newer.", type: str, sample: null}
    pool: {description: The pool., type: str, sample: web}
    tags: {description: All tags., type: list, elements: str, sample: [line-debian-13, state-clone, web]}
    macs: {description: MAC addresses by network device., type: dict, sample: {net0: "BC:24:11:00:94:00"}}
    address:
      description:
        - The address to reach it by. That is the best one that the agent tells of, else the first fixed one of
          cloud-init.
      type: str
      sample: 192.0.2.11
    addresses: {description: All of them., type: list, elements: str, sample: [192.0.2.11, "2001:db8::11"]}
    pending: {description: Settings that wait for its next start., type: list, elements: str, sample: [memory]}
    reboot_required: {description: Whether there are any., type: bool, sample: true}
    reason: {description: "Why it is not ours, where it is not.", type: str, sample: null}
unknown:
  description: VMs on nodes that are offline.
  returned: success
  type: list
  elements: dict
  sample: [{vmid: 121, name: web2, node: pve2}]
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 3, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.spec import with_connection
from ..module_utils._ansible.vm_info_door import info_options, run_vm_info


def main() -> None:
    run_vm_info(AnsibleModule(argument_spec=with_connection(info_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
