#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove templates that no line names any more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_prune
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Remove templates that no line names any more
version_added: 0.1.0
description:
  - Takes the lines that M(homelab.proxmox.vm_template_fleet) keeps, and removes the generations of all other lines, and
    those of the same lines on other nodes. What a declared line has on its declared nodes is never touched. Lines with
    C(state=absent) count as not declared. Lines that only M(homelab.proxmox.vm_template) keeps have to be named too.
  - Only what is proven to be made by this collection goes, which is a template whose identity block names its own VMID
    and whose disks are all base volumes, or an unfinished build whose run is gone. Clones made by hand inherit the
    block, and are left alone, converted to a template or not.
  - What clones hang on, what is protected or locked, and what another run may still build stays, and is returned with
    the reason. So does the current generation of a declared line that has none on its declared nodes yet.
  - A VM or image that cannot be removed does not hinder the others. The module then fails at its end.
options:
  nodes:
    description: The nodes of every line that names none itself.
    type: list
    elements: str
    default: []
  catalog_files:
    description: Catalogue files of your own, where the module runs, laid over the shipped catalogue in this order.
    type: list
    elements: path
    default: []
  allow_no_lines:
    description: Take an O(lines) that names nothing that stays as it is meant, which is that all templates go.
    type: bool
    default: false
  images:
    description:
      - Remove stored image files as well, on every storage with content C(import) of every node that is online.
      - Only files named by this collection go (C(<image id>-<12 hex digits>.<format>)), of images that are in the
        catalogue or were recorded by a template. Files that any remaining template was built from stay, and so does the
        newest file of each declared line's image on each storage, from which a node that is added later is served.
    type: bool
    default: false
  max_deletions:
    description: A run that would destroy more VMs than this is refused.
    type: int
    default: 5
  max_image_deletions:
    description: A run that would remove more image files than this is refused. An image can be fetched again.
    type: int
    default: 10
  confirm:
    description:
      - Whether what is found may go. Without it a run that has something to remove fails, says what, and touches
        nothing.
      - Check mode shows the same without it.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.proxmox.fleet
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.vm_template_fleet
  - module: homelab.proxmox.vm_template_info
"""

EXAMPLES = r"""
- name: Show what is there beside the declared lines
  homelab.proxmox.vm_template_prune:
    lines:
      - line: debian-13
        storage: local-lvm
      - line: ubuntu-24.04
        storage: local-lvm
        nodes: [pve2]
    nodes: [pve1, pve2]
    images: true
  check_mode: true
  diff: true

- name: Remove everything but one line on two nodes
  homelab.proxmox.vm_template_prune:
    lines:
      - line: debian-13
        storage: local-lvm
    nodes: [pve1, pve2]
    confirm: true

- name: Remove all templates of this collection, and their images
  homelab.proxmox.vm_template_prune:
    lines: []
    allow_no_lines: true
    images: true
    max_deletions: 20
    confirm: true
"""

RETURN = r"""
destroyed:
  description: The VMs that were destroyed, in check mode those that would be.
  returned: success
  type: list
  elements: dict
  contains:
    line: {description: The line., type: str, sample: debian-12}
    node: {description: The node., type: str, sample: pve1}
    vmid: {description: The VMID., type: int, sample: 9000}
    name: {description: The VM's name., type: str, sample: debian-12}
    generation: {description: The generation., type: str, sample: "20261123203101"}
    state: {description: "V(building), V(candidate), V(current) or V(retired).", type: str, sample: current}
    image: {description: Catalogue id or URL., type: str, sample: debian-12}
    source: {description: The digest of the vendor's file., type: str, sample: "sha512:3c9f6bd9a3d0…"}
    verification: {description: How that digest is trusted., type: str, sample: https}
    recipe: {description: The digest of the recipe., type: str, sample: "sha256:8d1f…"}
    built: {description: When it was built., type: str, sample: "2026-11-23T20:31:01+00:00"}
    reason: {description: Why it goes., type: str, sample: no line debian-12 is declared}
removed_images:
  description: The image files that were removed, in check mode those that would be.
  returned: success
  type: list
  elements: dict
  contains:
    node: {description: The node., type: str, sample: pve1}
    storage: {description: The storage., type: str, sample: local}
    volid: {description: The volume., type: str, sample: "local:import/debian-12-3c9f6bd9a3d0.qcow2"}
    filename: {description: The stored name., type: str, sample: debian-12-3c9f6bd9a3d0.qcow2}
    image: {description: The id of the image., type: str, sample: debian-12}
    short_digest: {description: The part of the digest that the name holds., type: str, sample: 3c9f6bd9a3d0}
    size: {description: Bytes., type: int, sample: 345309184}
    format: {description: The format., type: str, sample: qcow2}
kept:
  description: VMs that no line names and that stay, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{line: debian-12, vmid: 9001, name: debian-12, node: pve1, reason: "clones hang on it: 120"}]
kept_images:
  description: Image files that stay because nobody can tell whether they are in use, as O(images) would remove them.
  returned: success
  type: list
  elements: dict
  sample:
    - node: pve1
      storage: local
      volid: "local:import/debian-12-3c9f6bd9a3d0.qcow2"
      reason: what the VMs on pve3 were built from is not known
foreign:
  description: VMs that carry a line's tags and are not ours, with the reason. They are left alone.
  returned: success
  type: list
  elements: dict
  sample: [{vmid: 120, name: web, node: pve1, reason: its identity block was inherited from VM 9000}]
unknown:
  description: VMs with a line's tags on nodes that are offline. What they are cannot be known, so they stay.
  returned: success
  type: list
  elements: dict
  sample: [{vmid: 9003, name: debian-12, node: pve2, reason: its node is offline}]
failures:
  description: What could not be removed, each with the reason and what it left half-done.
  returned: when something could not be removed
  type: list
  elements: dict
  sample: [{track: VM 9000 on pve1, msg: "…", left_behind: [], error: {kind: task}}]
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["destroy VM 9000 on pve1: no line debian-12 is declared"]
diff:
  description: What goes, VMs under their VMIDs, images under their volumes.
  returned: changed
  type: dict
  sample:
    before: {vm 9000: {vmid: 9000, line: debian-12, node: pve1, generation: "20261123203101"}}
    after: {vm 9000: null}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 6, writes: 1, polls: 1}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.prune_door import prune_options, run_vm_template_prune
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_vm_template_prune(AnsibleModule(argument_spec=with_connection(prune_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
