#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch a file from a guest through its agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_file_fetch
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Fetch a file from a guest through its agent
version_added: 0.1.0
description:
  - A copy of a file in a VM exists on the machine where the module runs. It is fetched through the QEMU guest agent,
    which gives 16 MiB at most.
  - Files are compared by checksum first. The copy is put into place as a whole.
options:
  guest:
    description: The VM, by name or VMID. Digits are a VMID. A name that several guests have is refused.
    type: str
    required: true
  src:
    description: The whole path of the file in the guest. It may not be a symbolic link.
    type: str
    required: true
  dest:
    description: The file on the machine where the module runs. Its folder has to be there.
    type: path
    required: true
  mode:
    description: The mode of O(dest), four octal digits in quotes.
    type: str
    default: "0600"
  agent_timeout:
    description: Seconds for which an agent is waited for that does not answer, because the guest boots or is busy.
    type: int
    default: 60
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
  - homelab.proxmox.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details: A look is taken into the guest, by a command that changes nothing.
notes:
  - The guest needs a POSIX shell with C(base64), C(sha256sum) and C(stat), as GNU and busybox bring them.
seealso:
  - module: homelab.proxmox.guest_file
  - module: homelab.proxmox.guest_exec
"""

EXAMPLES = r"""
- name: See why cloud-init failed in a guest that nobody reaches
  homelab.proxmox.guest_file_fetch:
    guest: web-1
    src: /var/log/cloud-init-output.log
    dest: /tmp/web-1-cloud-init.log
"""

RETURN = r"""
guest:
  description: The guest.
  returned: success
  type: dict
  sample: {vmid: 101, name: web-1, node: pve1, type: qemu}
file:
  description: The file in the guest.
  returned: success
  type: dict
  contains:
    path:
      description: Its path in the guest.
      type: str
      sample: /var/log/app.log
    state:
      description: It is V(present).
      type: str
      sample: present
    size:
      description: Its bytes.
      type: int
      sample: 120
    checksum:
      description: Its SHA-256.
      type: str
      sample: 3c9f6bd9a3d0…
    owner:
      description: Who owns it.
      type: str
      sample: root
    group:
      description: Its group.
      type: str
      sample: root
    mode:
      description: Its mode in the guest.
      type: str
      sample: "0644"
copy:
  description: Where the copy is.
  returned: success
  type: str
  sample: /tmp/app.log
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["fetch /var/log/app.log in VM 101 (web-1) to /tmp/app.log (120 bytes)"]
diff:
  description: What differs, under the path of the copy.
  returned: changed
  type: dict
  sample:
    before: {/tmp/app.log: {checksum: null, mode: null}}
    after: {/tmp/app.log: {checksum: 3c9f…, mode: "0600"}}
requests:
  description: How many requests were sent to Proxmox VE. A look into the guest is a read.
  returned: always
  type: dict
  sample: {reads: 6, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.guest_file_door import fetch_options, run_guest_file_fetch
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_guest_file_fetch(AnsibleModule(argument_spec=with_connection(fetch_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
