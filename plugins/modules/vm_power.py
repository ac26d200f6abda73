#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, stop and suspend guests."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_power
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Start, shut down, stop, reboot, reset, suspend or resume guests
version_added: 0.1.0
description:
  - Does one thing with many guests, side by side, and waits until each is what was asked for by its own node's word.
  - A guest that is so already is left alone. What cannot be done with one of them is told before anything is touched.
  - A guest that does not become what it should does not hinder the others. The module fails at its end, with the log of
    each task that failed.
  - This is an action. V(reboot) and V(reset) act in every run, the others only where there is something to do.
options:
  guests:
    description:
      - The guests, by name or VMID. Digits are a VMID.
      - A name that several guests have is refused with their VMIDs.
    type: list
    elements: str
    required: true
  action:
    description:
      - V(start) also wakes a VM that was suspended on disk.
      - V(shutdown) asks the guest to end, by its agent or by the power button. V(stop) pulls the plug.
      - V(reboot) shuts the guest down and starts it again, which applies pending changes of its config. V(reset)
        presses the reset button.
      - V(suspend) halts a VM in memory, and V(resume) lets it go on, also from disk.
      - Containers take V(start), V(shutdown), V(stop) and V(reboot).
    type: str
    required: true
    choices: [start, shutdown, stop, reboot, reset, suspend, resume]
  force:
    description:
      - With O(action=shutdown) and O(action=reboot), stop what has not ended after O(guest_timeout).
      - Also stops a paused VM, which cannot shut down.
      - Proxmox VE always ends a container that does not reboot in time.
    type: bool
    default: false
  guest_timeout:
    description:
      - Seconds that each guest may take to shut down. O(timeout) is for the whole module.
      - When the config says that a guest agent runs and none does, waiting for it takes a part of this time. The module
        warns of such guests.
    type: int
    default: 180
  containers:
    description: Whether O(guests) may name containers. Otherwise one among them is refused.
    type: bool
    default: false
  workers:
    description: How many guests are switched side by side.
    type: int
    default: 8
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
    support: partial
    details: V(reboot) and V(reset) act in every run.
notes:
  - Guests that high availability manages are switched by it, on request. That takes ten seconds more, and the request
    is what high availability wants of them from then on.
seealso:
  - module: homelab.proxmox.vm_snapshot
  - module: homelab.proxmox.guest_exec
"""

EXAMPLES = r"""
- name: Shut two guests down, by force after five minutes
  homelab.proxmox.vm_power:
    guests: [web-1, web-2]
    action: shutdown
    guest_timeout: 300
    force: true

- name: Start them again, and a container with them
  homelab.proxmox.vm_power:
    guests: [web-1, web-2, "120"]
    action: start
    containers: true

- name: Apply pending changes
  homelab.proxmox.vm_power:
    guests: ["101"]
    action: reboot
"""

RETURN = r"""
guests:
  description: Every guest that was named, and how it was before and after. In check mode C(after) is what is expected.
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
    type:
      description: V(qemu) for a VM, V(lxc) for a container.
      type: str
      sample: qemu
    before:
      description: V(running), V(stopped), V(paused) in memory or V(suspended) on disk.
      type: str
      sample: running
    after:
      description: The same, afterwards.
      type: str
      sample: stopped
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["shutdown VM 101 (web-1) on node pve1, by force after 300 s"]
diff:
  description: What differs, by guest. A reboot or reset shows under C(boot), as its status is the same afterwards.
  returned: changed
  type: dict
  sample:
    before: {"VM 101 (web-1)": {status: running, boot: null}}
    after: {"VM 101 (web-1)": {status: running, boot: <anew>}}
failures:
  description: What went wrong, for each guest that did not become what it should.
  returned: when a guest failed
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

from ..module_utils._ansible.power_door import power_options, run_vm_power
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_vm_power(AnsibleModule(argument_spec=with_connection(power_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
