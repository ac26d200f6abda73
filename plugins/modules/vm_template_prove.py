#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove that clones of a template boot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_prove
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Prove that clones of a template boot
version_added: 0.1.0
description:
  - Clones the current generation of a line, linked where the storage has linked clones, boots the clones, waits for
    their guest agents and for C(cloud-init status), looks at what is declared, and destroys them.
  - The result is written into the template's identity and shown by M(homelab.proxmox.vm_template_info) and
    M(homelab.proxmox.templates_report), also when the proof does not hold.
  - Guests without an agent get a degraded proof, and are marked so. They run, read their disk and send into their
    network.
  - This is an action. Each run proves anew.
options:
  line:
    description: The line.
    type: str
    required: true
  nodes:
    description: The nodes; all that have the line where none is named.
    type: list
    elements: str
    default: []
  generation:
    description: The generation. The default is the current one.
    type: str
  prove:
    description: What has to hold, besides agents that answer, cloud-init without errors, and clones that are no twins.
    type: dict
    suboptions:
      clones:
        description: How many clones; 1 to 4.
        type: int
        default: 2
      timeout:
        description: Seconds until the agent answers, and again until cloud-init has ended.
        type: int
        default: 900
      commands:
        description: Shell commands that are run in each clone as root.
        type: list
        elements: dict
        default: []
        suboptions:
          command:
            description: The command.
            type: str
            required: true
          status:
            description: The exit status that it has to have.
            type: int
            default: 0
          stdout:
            description: A regular expression that its output has to match somewhere.
            type: str
      packages:
        description: Packages that have to be installed.
        type: list
        elements: str
        default: []
      services:
        description: Units of systemd that have to be active.
        type: list
        elements: str
        default: []
      ports:
        description: TCP ports that something has to listen on.
        type: list
        elements: int
        default: []
      users:
        description: Accounts that have to exist.
        type: list
        elements: str
        default: []
      failed_units:
        description: Put up with failed units of systemd.
        type: bool
        default: false
      keep_failed:
        description: Leave the clones of a failed proof, and the template that they hang on, to be looked at.
        type: bool
        default: false
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.progress
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
    details: Each run proves anew.
seealso:
  - module: homelab.proxmox.vm_template_fleet
  - module: homelab.proxmox.vm_template_info
"""

EXAMPLES = r"""
- name: Prove that the template of a line boots on every node
  homelab.proxmox.vm_template_prove:
    line: debian-13

- name: Prove what it shall be
  homelab.proxmox.vm_template_prove:
    line: web-base
    nodes: [pve1]
    prove:
      clones: 1
      services: [nginx]
      ports: [80]
      commands:
        - command: nginx -v 2>&1
          stdout: nginx/1
"""

RETURN = r"""
proofs:
  description: What was proved, for each node.
  returned: success
  type: list
  elements: dict
  sample:
    - line: debian-13
      node: pve1
      vmid: 9000
      generation: "20261123203101"
      proof: "passed 2026-11-24T00:40:00+00:00: 2 clones, agent after 31 s, cloud-init after 44 s"
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["prove that 2 clones of VM 9000 of line debian-13 on node pve1 boot"]
diff:
  description: The proofs that are made anew, under C(line@node).
  returned: changed
  type: dict
  sample:
    before: {debian-13@pve1: {proof: null}}
    after: {debian-13@pve1: {proof: <anew>}}
failures:
  description: What did not hold, for each node.
  returned: when a proof does not hold
  type: list
  elements: dict
  sample: [{track: debian-13@pve1, msg: "…", left_behind: []}]
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 12, writes: 9, polls: 8}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.progress import progress_options
from ..module_utils._ansible.prove_door import prove_options, run_vm_template_prove
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    spec = with_connection({**prove_options(), **progress_options()})
    run_vm_template_prove(AnsibleModule(argument_spec=spec, supports_check_mode=True))


if __name__ == "__main__":
    main()
