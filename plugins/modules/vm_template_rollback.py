#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll a template line back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_rollback
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Roll a template line back to an earlier generation
version_added: 0.1.0
description:
  - Makes the generation before the current one current again, on every node that has the line, and withdraws the one
    that was current. Nothing is built and nothing is removed.
  - A generation that was withdrawn stays. As long as recipe and vendor's image are the same as its own, runs of
    M(homelab.proxmox.vm_template) and M(homelab.proxmox.vm_template_fleet) do not build the line anew; the next image
    of the vendor, or a changed recipe, is built as always.
  - This is an action. Without O(generation) a second run goes back one more generation.
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
    description: The generation that shall be current, such as V(20261123203101). The default is the previous one.
    type: str
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
    details: With O(generation) only.
seealso:
  - module: homelab.proxmox.vm_template_fleet
  - module: homelab.proxmox.vm_template_info
"""

EXAMPLES = r"""
- name: Go back to the template before the current one
  homelab.proxmox.vm_template_rollback:
    line: debian-13

- name: Go back to a certain one
  homelab.proxmox.vm_template_rollback:
    line: debian-13
    generation: "20261023101500"
"""

RETURN = r"""
templates:
  description: The line on each node after the run, in check mode before it.
  returned: success
  type: list
  elements: dict
  sample:
    - line: debian-13
      node: pve1
      current:
        vmid: 9000
        name: debian-13
        generation: "20261023101500"
        image: debian-13
        source: "sha512:3c9f6bd9a3d0…"
        verification: https
        recipe: "sha256:8d1f…"
        built: "2026-10-23T10:15:00+00:00"
        state: current
      retired: [9001]
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["publish VM 9000 as the current line debian-13 on node pve1"]
diff:
  description: What differs, under C(line@node).
  returned: changed
  type: dict
  sample:
    before: {debian-13@pve1: {vmid: 9001, generation: "20261123203101"}}
    after: {debian-13@pve1: {vmid: 9000, generation: "20261023101500", withdrawn: [9001]}}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 4, writes: 2, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.rollback_door import rollback_options, run_vm_template_rollback
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_vm_template_rollback(AnsibleModule(argument_spec=with_connection(rollback_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
