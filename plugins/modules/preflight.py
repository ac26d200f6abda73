#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report what stands in the way of templates, before anything is built."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Report what stands in the way of templates
version_added: 0.1.0
description:
  - Reports, per node and storage, what the collection needs and what is there. Every finding that is not in order names
    its remedy, for a missing privilege the line that grants it.
  - It looks at the version of Proxmox VE, privileges, quorum and offline nodes, content types, base images and free
    space of storages, bridges, firmware, clocks, the block of VMIDs, the datacenter's rules for tags, and whether
    vendors are reached from the controller and from the nodes.
  - What the credentials may not see is reported as V(unknown) with the privilege that would show it, never as in order.
  - Only reads are sent, and none that is known to be refused.
options:
  capabilities:
    description: What shall be possible. The privileges for it are checked.
    type: list
    elements: str
    choices: [templates, customise, prove, clones, backup, guests, nodes, updates]
    default: [templates]
  nodes:
    description: The nodes to look at. Without it all of them; then an offline one is a warning instead of an error.
    type: list
    elements: str
    default: []
  storages:
    description:
      - Storages for the disks of virtual machines.
      - Without it every storage that holds such content and that can be seen; what is wrong with one of those is a
        warning, as long as each node has one.
    type: list
    elements: str
    default: []
  image_storages:
    description: Storages for images, with content C(import). Without it as for O(storages).
    type: list
    elements: str
    default: []
  backup_storages:
    description: Storages for backups. Without it as for O(storages).
    type: list
    elements: str
    default: []
  bridges:
    description:
      - Bridges that network cards use, such as V(vmbr0).
      - Name the VLAN of a card with a tag, such as V(vmbr0/20); it has privileges of its own.
    type: list
    elements: str
    default: [vmbr0]
  zones:
    description: SDN zones, such as V(lab), or single networks in one, such as V(lab/vnet1).
    type: list
    elements: str
    default: []
  pool:
    description: The pool that templates and clones are put into. Its privileges count for them.
    type: str
  vmid_range:
    description: The block from which VMIDs are taken.
    type: str
    default: 9000-9999
  min_free:
    description: How much shall be free on each storage that is looked at, such as V(10G).
    type: str
    default: 10G
  images:
    description: Catalogue ids of images whose vendors shall be reached.
    type: list
    elements: str
    default: []
  arch:
    description: The architecture of O(images).
    type: str
    choices: [x86_64, aarch64]
    default: x86_64
  catalog_files:
    description: Catalogue files of one's own. Their entries win over the shipped ones.
    type: list
    elements: path
    default: []
  fail_on:
    description:
      - From which level of finding on the module fails. The report is complete all the same.
      - V(unknown) findings never make it fail.
    type: str
    choices: [error, warning, never]
    default: error
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details: The module only reads.
  diff_mode:
    support: N/A
    details: The module only reads.
  idempotent:
    support: full
    details: The module only reads.
seealso:
  - module: homelab.proxmox.access
  - module: homelab.proxmox.vm_template
"""

EXAMPLES = r"""
- name: Report on everything that these credentials may see
  homelab.proxmox.preflight:
    fail_on: never
  register: report

- name: Show the report
  ansible.builtin.debug:
    var: report.table

- name: Fail unless templates can be built on these places
  homelab.proxmox.preflight:
    capabilities: [templates, customise]
    nodes: [pve1, pve2]
    storages: [local-lvm]
    image_storages: [local]
    pool: templates
    bridges: [vmbr0, vmbr0/20]
    vmid_range: 9000-9099
    min_free: 20G
    images: [debian-13, ubuntu-24.04]
"""

RETURN = r"""
findings:
  description: What was found, by subject.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description:
        - What was looked at, one of V(base), V(bridge), V(clock), V(content), V(firmware), V(node), V(privileges),
          V(quorum), V(space), V(tag_style), V(tags), V(vendor), V(version) and V(vmids).
      type: str
      sample: content
    level: {description: "V(ok), V(warning), V(error) or V(unknown).", type: str, sample: error}
    subject:
      description: A node, a storage or bridge of a node, an access path, an image, a capability, or V(cluster).
      type: str
      sample: pve1/local
    message: {description: What is so., type: str, sample: "its content has no 'import' (content: images, iso)"}
    remedy:
      description: What would put it right; null where nothing is to be done.
      type: str
      sample: "Run: pvesm set local --content images,import,iso"
summary:
  description: How many findings there are of each level.
  returned: success
  type: dict
  sample: {ok: 31, warning: 1, error: 0, unknown: 2}
ok:
  description: Whether no finding is an error.
  returned: success
  type: bool
  sample: true
table:
  description: Lines for people; what is not in order with its remedy, and the rest counted.
  returned: success
  type: list
  elements: str
  sample:
    - "warning  pve1/local-lvm  space  4.2 of 100.0 GiB are free, min_free asks for 10"
    - "0 errors, 1 warning, 0 unknown, 31 in order"
msg:
  description: What O(fail_on) makes the module fail for.
  returned: failure
  type: str
  sample: "1 error, 0 warnings, 0 unknown:\n- cluster: all VMIDs 9000-9009 are taken. Widen vmid_range"
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 8, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.preflight_door import preflight_options, run_preflight
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_preflight(AnsibleModule(argument_spec=with_connection(preflight_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
