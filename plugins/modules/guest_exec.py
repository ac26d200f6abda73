#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command in a guest through its agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_exec
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Run a command in a guest through its agent
version_added: 0.1.0
description:
  - Runs a command as root in a VM that has no network, or none yet, through its QEMU guest agent.
  - The command, its input and its environment reach the guest as input of a shell. So nothing of O(cmd), O(stdin),
    O(environment) and O(secrets) shows in the guest's journal or in a list of its processes. O(argv) shows in the list.
  - The exit status, which the agent tells once only, is kept in the guest for a minute. It is not lost with an answer.
  - This is an action. It runs in every run, unless O(creates) or O(removes) say that there is nothing to do.
options:
  guest:
    description: The VM, by name or VMID. Digits are a VMID. A name that several guests have is refused.
    type: str
    required: true
  argv:
    description: The program and its arguments. No shell takes them apart.
    type: list
    elements: str
  cmd:
    description: A command or a script for C(/bin/sh) in the guest.
    type: str
  stdin:
    description: What the command reads.
    type: str
  stdin_add_newline:
    description: Whether O(stdin) gets a line end where it has none.
    type: bool
    default: true
  chdir:
    description: The folder in the guest that the command runs in, V(/) where none is given.
    type: str
  environment:
    description:
      - Variables for the command, beside those of the agent. C(HOME) is V(/root) where the agent has none.
      - Names that begin with C(homelab_) are taken.
    type: dict
    default: {}
  secrets:
    description: Variables as in O(environment), whose values are kept out of logs and results.
    type: dict
    default: {}
  creates:
    description: A path in the guest. Where it exists the command is not run.
    type: str
  removes:
    description: A path in the guest. Where it does not exist the command is not run.
    type: str
  guest_timeout:
    description:
      - Seconds after which the guest ends the command, with C(timeout) where the guest has that. What it started in the
        background stays.
      - O(timeout) is for the whole module.
    type: int
    default: 300
  agent_timeout:
    description: Seconds for which an agent is waited for that does not answer, because the guest boots or is busy.
    type: int
    default: 60
  max_output:
    description:
      - Bytes of RV(stdout) and of RV(stderr) that are returned; 1000000 at most. The module warns when there were more.
      - Write long output to a file, and use M(homelab.proxmox.guest_file_fetch).
    type: int
    default: 65536
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details: With O(creates) and O(removes) a look is taken into the guest, by a command that changes nothing.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: With O(creates) or O(removes) only.
notes:
  - The command with its input and environment may have about 48000 bytes. Put longer input into the guest with
    M(homelab.proxmox.guest_file).
  - The guest needs a POSIX shell with C(base64), C(head) and C(wc).
  - Use C(changed_when) and C(failed_when) as with M(ansible.builtin.command).
seealso:
  - module: homelab.proxmox.guest_file
  - module: homelab.proxmox.vm_power
"""

EXAMPLES = r"""
- name: Give a guest its first address
  homelab.proxmox.guest_exec:
    guest: router-1
    argv: [ip, address, add, 192.0.2.7/24, dev, eth0]

- name: Register it, once, without the key in any log
  homelab.proxmox.guest_exec:
    guest: "101"
    cmd: printf %s "$KEY" | register --key-file /dev/stdin && touch /etc/registered
    secrets:
      KEY: "{{ vault_key }}"
    creates: /etc/registered

- name: Ask something, which changes nothing
  homelab.proxmox.guest_exec:
    guest: web-1
    argv: [systemctl, is-active, nginx]
  register: nginx
  changed_when: false
  failed_when: nginx.rc not in [0, 3]
"""

RETURN = r"""
guest:
  description: The guest.
  returned: success
  type: dict
  sample: {vmid: 101, name: web-1, node: pve1, type: qemu}
rc:
  description: The exit status. A command that a signal ended has 128 and the number of the signal.
  returned: when the command was run, and V(0) when it was needless
  type: int
  sample: 0
stdout:
  description: What it wrote, as far as O(max_output) goes, without line ends at its end.
  returned: when the command was run
  type: str
  sample: active
stderr:
  description: The same of its errors.
  returned: when the command was run
  type: str
  sample: ""
stdout_bytes:
  description: How many bytes it wrote in all.
  returned: when the command was run
  type: int
  sample: 7
stderr_bytes:
  description: The same of its errors.
  returned: when the command was run
  type: int
  sample: 0
stdout_truncated:
  description: Whether RV(stdout) is a part only.
  returned: when the command was run
  type: bool
  sample: false
stderr_truncated:
  description: Whether RV(stderr) is a part only.
  returned: when the command was run
  type: bool
  sample: false
skipped_reason:
  description: Why the command was not run.
  returned: when O(creates) or O(removes) made it needless
  type: str
  sample: "creates: /etc/registered is there already"
steps:
  description: What was run, or would be in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["run in VM 101 (web-1): systemctl is-active nginx"]
diff:
  description: The command, by guest.
  returned: changed
  type: dict
  sample:
    before: {"VM 101 (web-1)": {ran: null}}
    after: {"VM 101 (web-1)": {ran: systemctl is-active nginx}}
requests:
  description: How many requests were sent to Proxmox VE. A look into the guest is a read.
  returned: always
  type: dict
  sample: {reads: 5, writes: 1, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.guest_exec_door import EXEC_RULES, exec_options, run_guest_exec
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    spec = with_connection(exec_options())
    run_guest_exec(AnsibleModule(argument_spec=spec, supports_check_mode=True, **EXEC_RULES))


if __name__ == "__main__":
    main()
