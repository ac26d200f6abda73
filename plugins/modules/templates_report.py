#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a page on how template lines stand."""

from __future__ import annotations

DOCUMENTATION = r"""
module: templates_report
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Write a page on how template lines stand
version_added: 0.1.0
description:
  - Writes one HTML page on lines and nodes, where the module runs. It shows which generation is current and how old it
    is, beside what the vendor has now, with its size, its clones and its last proof. What needs attention comes first.
  - The page is one file. It opens without a network, loads nothing and runs no script.
  - It is dated by the UTC day, and ages are in days. As long as nothing else changes, a second run on the same day
    writes nothing.
  - Nothing is changed in Proxmox VE.
options:
  path:
    description:
      - The absolute path of the page. Its directory must be there.
      - What is there is replaced at once. Where it is a symbolic link, the file that it names is.
    type: path
    required: true
  json_path:
    description: The absolute path of the same report as JSON, where that is wanted.
    type: path
  mode:
    description:
      - The mode of the files, as text of four octal digits.
      - The report names lines, nodes, VMs and vendors' builds, and no secret. So everybody may read it by default.
    type: str
    default: "0644"
  title:
    description: The heading of the page.
    type: str
    default: Template fleet
  lines:
    description:
      - The lines as M(homelab.proxmox.vm_template_fleet) takes them. Then the page also shows which of them are
        missing, held or pinned, and what is there although nobody declares it.
      - Without it the page shows what is there.
    required: false
  nodes:
    description: The nodes of every line that names none itself.
    type: list
    elements: str
    default: []
  max_age:
    description:
      - How many days old a generation may be where nobody can tell whether the vendor has a newer image.
      - For declared lines their own C(max_age) counts, and with C(refresh=never) none.
    type: int
    default: 30
  gather:
    description:
      - What to find out besides the VMs' configurations. Leave out what takes too long.
      - V(vendor) asks the vendor of each image once, from this machine.
      - V(clones) and V(sizes) list the disks on each storage once.
    type: list
    elements: str
    choices: [vendor, clones, sizes]
    default: [vendor, clones, sizes]
  catalog_files:
    description: Catalogue files of your own, where the module runs, laid over the shipped catalogue in this order.
    type: list
    elements: path
    default: []
  signature:
    description: Whether a vendor is believed whose signature was not verified.
    type: str
    choices: [required, if_available]
    default: if_available
  keyring:
    description: Files or directories with the vendors' public keys, where the module runs.
    type: list
    elements: path
    default: []
  allow_unverified:
    description: Take catalogue entries that are only leads (low confidence), and checksums that came over plain HTTP.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.proxmox.fleet
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The difference is that of the counts and digests, not of the whole page.
  idempotent:
    support: full
    details: Until the UTC day ends, or a vendor or somebody else changes something.
seealso:
  - module: homelab.proxmox.vm_template_fleet
  - module: homelab.proxmox.vm_template_info
"""

EXAMPLES = r"""
- name: Report on what is there
  homelab.proxmox.templates_report:
    path: /var/www/html/templates.html

- name: Report on what was declared, for people and for a dashboard
  homelab.proxmox.templates_report:
    path: /var/www/html/templates.html
    json_path: /var/www/html/templates.json
    title: Templates of the lab
    nodes: [pve1, pve2, pve3]
    lines:
      - line: debian-13
        storage: local-lvm
      - line: ubuntu-24.04
        storage: local-lvm
        hold: true
  register: report

- name: Fail where a line has no current generation
  ansible.builtin.assert:
    that: report.summary.missing is not defined
"""

RETURN = r"""
page:
  description: The page.
  returned: success
  type: dict
  contains:
    path: {description: Where it is., type: str, sample: /var/www/html/templates.html}
    checksum: {description: Its digest., type: str, sample: "sha256:4bf5…"}
json:
  description: The same as JSON.
  returned: success, with O(json_path)
  type: dict
  contains:
    path: {description: Where it is., type: str, sample: /var/www/html/templates.json}
    checksum: {description: Its digest., type: str, sample: "sha256:0a9c…"}
mode: {description: The mode of the files., returned: success, type: str, sample: "0644"}
day: {description: The UTC day of the report., returned: success, type: str, sample: "2026-11-23"}
summary:
  description:
    - How many places, each a line on a node, have each status; those with none are left out.
    - The statuses are V(failed) (the last proof), V(missing), V(unfinished), V(stale), V(held), V(pinned),
      V(undeclared), V(unknown) (the node is offline), V(foreign), V(current), and V(elsewhere) (on a storage that the
      nodes share).
  returned: success
  type: dict
  sample: {missing: 1, stale: 9, held: 3, current: 137}
attention:
  description:
    - What somebody should look at, worst first. Without nodes it is all that have the line.
    - An offline node comes once, without a line.
  returned: success
  type: list
  elements: dict
  contains:
    status: {description: A status that is worse than V(foreign)., type: str, sample: stale}
    line: {description: The line., type: str, sample: debian-13}
    nodes: {description: The nodes., type: list, elements: str, sample: [pve1]}
    reason: {description: Why., type: str, sample: "45 d, vendor has 20261120-2301"}
steps:
  description: What was done, or would be done.
  returned: changed
  type: list
  elements: str
  sample: ["write /var/www/html/templates.html (48210 bytes)"]
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 160, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.report_door import report_options, run_templates_report
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_templates_report(AnsibleModule(argument_spec=with_connection(report_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
