#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep many VMs that are cloned from templates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_fleet
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep many VMs that are cloned from templates
version_added: 0.1.0
description:
  - Keeps a list of VMs with one reading of the cluster, one plan and one process. What M(homelab.proxmox.vm) does for
    one VM is done for all of them side by side.
  - VMIDs and nodes are given in one plan, so that no two VMs get into each other's way. Other runs may take VMIDs from
    the same block at the same time.
  - A VM that is refused, or that fails, does not hinder the others. The module then fails at its end, and says of each
    what is wrong and what was left behind.
  - VMs that are not in the list are left alone.
options:
  vmid_range:
    description: The block from which VMIDs are taken, where a VM says nothing else.
    type: str
    default: 100-8999
  max_deletions:
    description: A run that would destroy more VMs than this, replaced ones included, is refused.
    type: int
    default: 5
  workers:
    description:
      - How many VMs are worked on at once. A node of Proxmox VE answers with three workers.
      - Of them 16 at most are linked clones on one storage, which wait for its lock one after the other.
    type: int
    default: 24
  per_storage:
    description: How many full clones and moves of disks go on at once on a storage.
    type: int
    default: 2
  per_node:
    description: How many full clones and moves of disks go on at once on a node.
    type: int
    default: 4
extends_documentation_fragment:
  - homelab.proxmox.vm.listed
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
    details: With C(cipassword_update=always) every run sets the password, because Proxmox VE never tells it back.
seealso:
  - module: homelab.proxmox.vm
  - module: homelab.proxmox.vm_info
"""

EXAMPLES = r"""
- name: Keep three workers, one on each node as far as that goes
  homelab.proxmox.vm_fleet:
    vmid_range: 300-399
    vms:
      - {name: worker1, line: debian-13, spread: workers, started: true, wait_for: ssh}
      - {name: worker2, line: debian-13, spread: workers, started: true, wait_for: ssh}
      - {name: worker3, line: debian-13, spread: workers, started: true, wait_for: ssh}
  register: fleet

- name: See what a change would do, without doing it
  homelab.proxmox.vm_fleet:
    vms:
      - {name: worker1, line: debian-13, memory: 8192}
      - {name: worker2, line: debian-13, memory: 8192}
  check_mode: true
  diff: true

- name: Remove VMs
  homelab.proxmox.vm_fleet:
    vms:
      - {name: worker2, state: absent, force_stop: true}
      - {name: worker3, state: absent, force_stop: true}
    max_deletions: 2
"""

RETURN = r"""
vms:
  description: The VMs after the run, in the order of the list; in check mode before it.
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
        - The address to reach it by. That is the best one that the agent tells of when it was waited for, else the
          first fixed one of O(vms[].ipconfig).
      type: str
      sample: 192.0.2.11
    addresses: {description: All of them., type: list, elements: str, sample: [192.0.2.11, "2001:db8::11"]}
    pending: {description: Settings that wait for its next start., type: list, elements: str, sample: [memory]}
    reboot_required: {description: Whether there are any., type: bool, sample: true}
    created: {description: Whether this run has made it., type: bool, sample: false}
summary:
  description: What becomes of the VMs, by name.
  returned: success
  type: dict
  contains:
    created: {description: They were made., type: list, elements: str, sample: [web1]}
    replaced: {description: They were destroyed and made anew., type: list, elements: str, sample: []}
    removed: {description: They were destroyed., type: list, elements: str, sample: []}
    changed: {description: They were changed in place., type: list, elements: str, sample: [web2]}
    unchanged: {description: They are as declared., type: list, elements: str, sample: [web3]}
    refused: {description: "They were left alone, see RV(refusals).", type: list, elements: str, sample: []}
    failed: {description: "Work on them failed, see RV(failures).", type: list, elements: str, sample: []}
    reboot_required: {description: Something waits for their next start., type: list, elements: str, sample: []}
    outdated: {description: Their line has a newer generation., type: list, elements: str, sample: []}
diff:
  description:
    - What differs, under the VM's name, in Proxmox VE's config keys and the words of RV(vms).
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
refusals:
  description: Why VMs were left alone.
  returned: failure
  type: list
  elements: str
  sample: []
failures:
  description: What failed of each VM.
  returned: failure
  type: list
  elements: dict
  sample: [{track: web1, msg: "…", left_behind: [], error: {kind: no_space}}]
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
from ..module_utils._ansible.vm_fleet_door import run_vm_fleet, vm_fleet_options


def main() -> None:
    run_vm_fleet(AnsibleModule(argument_spec=with_connection(vm_fleet_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
