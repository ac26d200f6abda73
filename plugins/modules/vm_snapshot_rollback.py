#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take VMs back to a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_snapshot_rollback
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Take VMs back to a snapshot
version_added: 0.1.0
description:
  - Takes many VMs back to their snapshot of one name, side by side. What has been written since then is lost, and a VM
    that runs is stopped for it.
  - What stands in the way of one of them is told before any of them is touched.
  - The snapshots stay as they are.
  - This is an action. Each run goes back anew.
options:
  guests:
    description: The VMs, by name or VMID. Digits are a VMID. A name that several guests have is refused.
    type: list
    elements: str
    required: true
  name:
    description: The snapshot. On ZFS it has to be the newest one.
    type: str
    required: true
  start:
    description: Start the VMs afterwards. Those whose snapshot has their memory run anyway.
    type: bool
    default: false
  confirm:
    description: The word without which nothing is touched. Check mode shows without it what would be done.
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
  - homelab.proxmox.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: none
    details: Each run goes back anew.
seealso:
  - module: homelab.proxmox.vm_snapshot
"""

EXAMPLES = r"""
- name: The upgrade went wrong
  homelab.proxmox.vm_snapshot_rollback:
    guests: [web-1, web-2]
    name: before-upgrade
    start: true
    confirm: true
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
  sample: ["roll VM 101 (web-1) back to snapshot before-upgrade, and start it"]
diff:
  description: What differs, by VM.
  returned: changed
  type: dict
  sample:
    before: {"VM 101 (web-1)": {state: what is there now, status: running}}
    after: {"VM 101 (web-1)": {state: snapshot before-upgrade, status: stopped}}
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

from ..module_utils._ansible.snapshot_door import rollback_to_options, run_vm_snapshot_rollback
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    spec = with_connection(rollback_to_options())
    run_vm_snapshot_rollback(AnsibleModule(argument_spec=spec, supports_check_mode=True))


if __name__ == "__main__":
    main()
