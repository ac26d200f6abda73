#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a file in a guest through its agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_file
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep a file in a guest through its agent
version_added: 0.1.0
description:
  - A file exists in a VM that has no network, or none yet, with its content, owner, group and mode. It is written
    through the QEMU guest agent.
  - What is there is compared by its checksum first. A file is written beside its place and moved there as a whole, so
    that nobody sees a part of it.
  - What is not said stays as it is. A new file is root's alone.
options:
  guest:
    description: The VM, by name or VMID. Digits are a VMID. A name that several guests have is refused.
    type: str
    required: true
  dest:
    description: The whole path of the file in the guest. Its folder has to be there. It may not be a symbolic link.
    type: str
    required: true
  state:
    description: Whether the file exists.
    type: str
    choices: [present, absent]
    default: present
  content:
    description: What is in the file.
    type: str
  secret_content:
    description: The same, kept out of logs, differences and results, and its checksum too.
    type: str
  src:
    description: A file on the machine where the module runs, whose content is written. It may be binary.
    type: path
  show_diff:
    description: Whether differences show text of up to 64 KiB.
    type: bool
    default: true
  owner:
    description: Who owns the file, by name or number.
    type: str
  group:
    description: Its group, by name or number.
    type: str
  mode:
    description: Its mode, four octal digits in quotes such as V('0644'). A new file is V('0600') where nothing is said.
    type: str
  max_size:
    description:
      - Bytes that a file may have. The agent takes 45 kB at once, so a megabyte takes some 25 commands in the guest.
    type: int
    default: 4194304
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
  - The guest needs a POSIX shell with C(base64), C(sha256sum), C(stat) and C(find), as GNU and busybox bring them.
  - A run that is cut off may leave a file that begins with a dot and holds C(.homelab-) beside the place of the file. A
    run an hour later removes it.
seealso:
  - module: homelab.proxmox.guest_file_fetch
  - module: homelab.proxmox.guest_exec
"""

EXAMPLES = r"""
- name: Give a guest its network
  homelab.proxmox.guest_file:
    guest: router-1
    dest: /etc/netplan/60-lan.yaml
    src: files/lan.yaml
    owner: root
    group: root
    mode: "0600"

- name: A key, which no log shows
  homelab.proxmox.guest_file:
    guest: "101"
    dest: /etc/app/key
    secret_content: "{{ vault_key }}"
    owner: app
    mode: "0400"

- name: No leftover
  homelab.proxmox.guest_file:
    guest: web-1
    dest: /etc/app/old.conf
    state: absent
"""

RETURN = r"""
guest:
  description: The guest.
  returned: success
  type: dict
  sample: {vmid: 101, name: web-1, node: pve1, type: qemu}
file:
  description: The file after the run, in check mode before it.
  returned: success
  type: dict
  contains:
    path:
      description: Its path in the guest.
      type: str
      sample: /etc/app.conf
    state:
      description: V(present) or V(absent).
      type: str
      sample: present
    size:
      description: Its bytes.
      type: int
      sample: 120
    checksum:
      description: Its SHA-256; null with O(secret_content).
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
      description: Its mode.
      type: str
      sample: "0644"
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["write /etc/app.conf in VM 101 (web-1) (120 bytes)"]
diff:
  description: What differs. Text is shown unless O(show_diff) or O(secret_content) say otherwise.
  returned: changed
  type: dict
  sample:
    before: {"/etc/app.conf in VM 101 (web-1)": {checksum: null, content: null, mode: null}}
    after: {"/etc/app.conf in VM 101 (web-1)": {checksum: 3c9f…, content: "a = 1", mode: "0600"}}
requests:
  description: How many requests were sent to Proxmox VE. A look into the guest is a read.
  returned: always
  type: dict
  sample: {reads: 6, writes: 1, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.guest_file_door import FILE_RULES, file_options, run_guest_file
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    spec = with_connection(file_options())
    run_guest_file(AnsibleModule(argument_spec=spec, supports_check_mode=True, **FILE_RULES))


if __name__ == "__main__":
    main()
