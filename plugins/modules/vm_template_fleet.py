#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a fleet of cloud-init templates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_fleet
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep many template lines on many nodes
version_added: 0.1.0
description:
  - Keeps a list of lines on their nodes with one reading of the cluster, one plan and one process. What
    M(homelab.proxmox.vm_template) does for one line is done for all of them side by side.
  - A line on a storage that several nodes share is kept once, a line on local storage once for each node. An image
    that several lines need is fetched once for each storage.
  - A line that is refused, or that fails, does not hinder the others. The module then fails at its end, and says of
    each what is wrong and what was left behind.
options:
  nodes:
    description: The nodes that get every line that names none itself.
    type: list
    elements: str
    default: []
  keep:
    description: How many complete generations of each line stay, where the line does not say.
    type: int
    default: 2
  max_deletions:
    description: A run that would destroy more generations than this is refused.
    type: int
    default: 5
  workers:
    description: How many lines are worked on at once.
    type: int
    default: 8
  per_storage:
    description: How many images or disks are written to one storage at once.
    type: int
    default: 2
  per_node:
    description: How many images or disks are written by one node at once.
    type: int
    default: 4
  catalog_files:
    description:
      - Catalogue files of your own, where the module runs, laid over the shipped catalogue in this order.
      - A file may name a folder of bundles elsewhere, with the keys that may have signed its index. It is fetched and
        verified then.
    type: list
    elements: path
    default: []
  signature:
    description:
      - With V(if_available) the vendor's signature is checked where there is one and its key is at hand. The result
        says how the checksum is trusted.
      - With V(required) nothing is taken whose signature was not verified.
    type: str
    choices:
      - required
      - if_available
    default: if_available
  keyring:
    description: Files or directories with the vendors' public keys, where the module runs.
    type: list
    elements: path
    default: []
  allow_eol:
    description: Take an image whose vendor no longer maintains it.
    type: bool
    default: false
  allow_unverified:
    description:
      - Take a catalogue entry that is only a lead (low confidence), or a checksum that came over plain HTTP.
      - The checksum itself is always compared.
    type: bool
    default: false
  download_dir:
    description:
      - Where images for upload are fetched and unpacked, on the machine that runs the module.
      - A folder that stays lets an interrupted download resume. The default is a temporary folder.
    type: path
extends_documentation_fragment:
  - homelab.proxmox.fleet
  - homelab.proxmox.progress
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
    details: With C(cipassword_update=always) in a line, every run sets its password.
seealso:
  - module: homelab.proxmox.vm_template
  - module: homelab.proxmox.vm_template_info
"""

EXAMPLES = r"""
- name: Keep three lines on two nodes
  homelab.proxmox.vm_template_fleet:
    nodes: [pve1, pve2]
    lines:
      - line: debian-13
        storage: local-lvm
        disk:
          size: 10G
      - line: ubuntu-24.04
        storage: local-lvm
        memory: 4096
      - line: web-base
        image: debian-13
        nodes: [pve2]
        storage: local-zfs
        tags: [web]

- name: See what a run would do
  homelab.proxmox.vm_template_fleet:
    nodes: [pve1, pve2]
    lines:
      - line: debian-13
        storages:
          pve1: local-lvm
          pve2: local-zfs
  check_mode: true
  diff: true
"""

RETURN = r"""
templates:
  description:
    - Each line on its node after the run, in check mode before it, as M(homelab.proxmox.vm_template) returns it.
  returned: always
  type: list
  elements: dict
  sample:
    - line: debian-13
      node: pve1
      current:
        vmid: 9000
        name: debian-13
        generation: "20261123203101"
        image: debian-13
        source: "sha512:3c9f6bd9a3d0…"
        verification: https
        recipe: "sha256:8d1f…"
        built: "2026-11-23T20:31:01+00:00"
        state: current
      retired: []
      kept: []
      unfinished: []
      builder: null
      foreign: []
summary:
  description: What became of the lines, by C(line@node); of retired and foreign VMs by VMID.
  returned: always
  type: dict
  sample:
    built: [debian-13@pve1]
    changed: []
    waiting: []
    removed: []
    unchanged: [debian-13@pve2]
    retired: [9001]
    destroyed: []
    kept: []
    refused: []
    failed: []
    foreign: []
refusals:
  description: Why lines were refused, with the remedies.
  returned: when lines were refused
  type: list
  elements: str
  sample: ["line debian-13 on node pve3: node='pve3': the node is offline. Start it, or leave it out"]
failures:
  description: What went wrong with lines that failed, each with what it left behind.
  returned: when lines failed
  type: list
  elements: dict
  sample: [{track: debian-13@pve1, msg: "…", left_behind: [], error: {kind: no_space}}]
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["change memory of VM 9000 in place"]
diff:
  description:
    - What differs, under C(line@node), in the words of RV(templates) and in Proxmox VE's config keys.
    - A new generation says its C(reasons). Former ones that go are listed under C(former), those that stay under
      C(retired). Builds that did not end and VMs that go are named by their VMIDs.
  returned: changed
  type: dict
  sample:
    before: {debian-13@pve1: {vmid: 9000, generation: "20261023101500"}}
    after: {debian-13@pve1: {vmid: 9001, generation: "20261123203101", reasons: [the recipe changed (8d1f… to 90ab…)]}}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 6, writes: 5, polls: 4}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.fleet_door import fleet_options, run_vm_template_fleet
from ..module_utils._ansible.progress import progress_options
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    own = {**fleet_options(), **progress_options()}
    run_vm_template_fleet(AnsibleModule(argument_spec=with_connection(own), supports_check_mode=True))


if __name__ == "__main__":
    main()
