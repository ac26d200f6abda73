#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep snapshots of VMs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_snapshot
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep snapshots of VMs
version_added: 0.1.0
description:
  - A snapshot of one name exists, or does not, for many VMs side by side. How many of one kind stay can be said too.
  - Only the snapshot of this name, and with O(keep) those of O(prefix), are ever deleted.
  - A VM whose disks cannot have snapshots is refused with the disk, the reason and what would help.
  - A snapshot that is not whole, since its task died, is taken anew.
options:
  guests:
    description: The VMs, by name or VMID. Digits are a VMID. A name that several guests have is refused.
    type: list
    elements: str
    required: true
  name:
    description:
      - The snapshot, 2 to 40 letters, digits, dashes and underscores, a letter first.
      - It may be left out with O(keep), which then only tidies up.
    type: str
  state:
    description: Whether the snapshot exists. Without it, its children hang on its parent.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: What is written to the snapshot. Without it what is there stays.
    type: str
  vmstate:
    description: Keep the memory of a running VM too. This is decided when the snapshot is taken.
    type: bool
    default: false
  keep:
    description:
      - How many snapshots whose names begin with O(prefix) stay of each VM, the newest ones. O(name) is one of them if
        it begins so.
      - Snapshots that are not whole do not count, and stay.
    type: int
  prefix:
    description: What the names begin with that O(keep) counts.
    type: str
  confirm:
    description: The word without which O(keep) deletes nothing. Check mode shows without it what would go.
    type: bool
    default: false
  workers:
    description: How many VMs are worked on side by side.
    type: int
    default: 4
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.vm_snapshot_rollback
  - module: homelab.proxmox.vm_template_backup
"""

EXAMPLES = r"""
- name: Two VMs can go back to before the upgrade
  homelab.proxmox.vm_snapshot:
    guests: [web-1, web-2]
    name: before-upgrade
    description: Before the upgrade to Debian 13

- name: One snapshot a day, and the last seven stay
  homelab.proxmox.vm_snapshot:
    guests: ["101"]
    name: "auto-{{ now(fmt='%Y%m%d') }}"
    prefix: auto-
    keep: 7
    confirm: true

- name: The upgrade went well
  homelab.proxmox.vm_snapshot:
    guests: [web-1, web-2]
    name: before-upgrade
    state: absent
"""

RETURN = r"""
guests:
  description: The VMs and their snapshots after the run, in check mode before it.
  returned: success
  type: list
  elements: dict
  contains:
    vmid:
      description: Its VMID.
      type: int
      sample: 101
    name:
      description: Its name.
      type: str
      sample: web-1
    node:
      description: The node it is on.
      type: str
      sample: pve1
    chain:
      description: The snapshots that its present state comes from, oldest first.
      type: list
      elements: str
      sample: [installed, before-upgrade]
    snapshots:
      description: All of them, oldest first.
      type: list
      elements: dict
      sample:
        - name: before-upgrade
          description: Before the upgrade to Debian 13
          taken: "2026-11-28T12:00:00+00:00"
          vmstate: false
          parent: installed
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["take snapshot before-upgrade of VM 101 (web-1)"]
diff:
  description: What differs, by VM. C(state) is what was being done to a snapshot that is not whole.
  returned: changed
  type: dict
  sample:
    before: {"VM 101 (web-1)": {names: [installed], description: null, state: prepare}}
    after: {"VM 101 (web-1)": {names: [installed, before-upgrade], description: Before the upgrade, state: null}}
failures:
  description: What went wrong, for each VM.
  returned: when a VM failed
  type: list
  elements: dict
  sample: [{track: "VM 102 (web-2)", msg: "…", left_behind: []}]
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 6, writes: 2, polls: 4}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.snapshot_door import run_vm_snapshot, snapshot_options
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_vm_snapshot(AnsibleModule(argument_spec=with_connection(snapshot_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
