#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a VM that is cloned from a template."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep a VM that is cloned from a template
version_added: 0.1.0
description:
  - Clones a VM from a line of templates by the line's name, and keeps its hardware, disks, network devices, cloud-init
    settings, tags, pool, HA and power as declared. What differs is changed in place, and what needs a reboot is said.
  - Options that are left out are not compared with a VM that exists.
  - Each VM carries an identity block in its description. A VM without one that names its own VMID is never changed or
    removed, unless O(adopt) says so.
  - Use M(homelab.proxmox.vm_fleet) for many VMs.
extends_documentation_fragment:
  - homelab.proxmox.vm
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: With O(cipassword_update=always) every run sets the password, because Proxmox VE never tells it back.
seealso:
  - module: homelab.proxmox.vm_fleet
  - module: homelab.proxmox.vm_info
  - module: homelab.proxmox.vm_template
"""

EXAMPLES = r"""
- name: Keep a VM, and wait until it can be logged into
  homelab.proxmox.vm:
    name: web1
    line: debian-13
    node: pve1
    cores: 2
    memory: 4096
    disks:
      - size: 20G
    ciuser: ops
    sshkeys:
      - "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
    ipconfig:
      - ip: 192.0.2.11/24
        gw: 192.0.2.1
    started: true
    wait_for: ssh
  register: web1

- name: Let the cluster choose the node, and take the address from the guest agent
  homelab.proxmox.vm:
    name: worker7
    line: debian-13
    spread: workers
    pool: workers
    vmid_range: 300-399
    ipconfig:
      - ip: dhcp
    started: true
    wait_for: cloud_init

- name: Add a disk, and reboot for what needs it
  homelab.proxmox.vm:
    name: db1
    memory: 16384
    disks:
      - slot: scsi2
        size: 100G
        storage: local-lvm
    reboot: when_required

- name: Make a VM anew when its line has a newer generation
  homelab.proxmox.vm:
    name: runner1
    line: debian-13
    replace: true
    force_stop: true
    started: true

- name: Take over a VM that was made by hand
  homelab.proxmox.vm:
    name: legacy1
    adopt: true

- name: Remove a VM
  homelab.proxmox.vm:
    name: web1
    state: absent
    force_stop: true
"""

RETURN = r"""
vm:
  description: The VM after the run; in check mode before it.
  returned: success
  type: dict
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
        - The address to reach it by. That is the best one that the agent tells of when it was waited for, else the
          first fixed one of O(ipconfig).
      type: str
      sample: 192.0.2.11
    addresses: {description: All of them., type: list, elements: str, sample: [192.0.2.11, "2001:db8::11"]}
    pending: {description: Settings that wait for its next start., type: list, elements: str, sample: [memory]}
    reboot_required: {description: Whether there are any., type: bool, sample: true}
    created: {description: Whether this run has made it., type: bool, sample: false}
diff:
  description:
    - What differs, under the VM's name, in Proxmox VE's config keys and the words of RV(vm).
    - Of a new VM, C(full) says which kind of clone it is; of disks, their size, storage and options.
  returned: changed
  type: dict
  sample:
    before: {web1: {memory: "2048", state: present, ha: null}}
    after: {web1: {memory: "4096", state: present, full: false}}
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["change memory of VM 120 (web1)"]
done:
  description: The steps that were done before a failure.
  returned: failure
  type: list
  elements: str
  sample: []
left_behind:
  description: What a failure left on the cluster.
  returned: failure
  type: list
  elements: str
  sample: ["VM 120 on pve1 was made, but is not all that is declared; the next run completes it"]
error:
  description: What failed, for machines.
  returned: failure
  type: dict
  sample: {kind: no_space, task: {upid: "UPID:pve1:…", exit_status: "…", log_tail: ["…"]}}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 2, writes: 3, polls: 2}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.spec import with_connection
from ..module_utils._ansible.vm_door import run_vm
from ..module_utils._ansible.vm_spec import vm_options


def main() -> None:
    run_vm(AnsibleModule(argument_spec=with_connection(vm_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
