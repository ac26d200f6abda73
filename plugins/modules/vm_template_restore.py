#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a generation from its backup."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_restore
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Restore a generation of a template line from its backup
version_added: 0.1.0
description:
  - Makes a generation of a backup that M(homelab.proxmox.vm_template_backup) made, as a VM of its own, which may be on
    another node and another storage than before. Nothing that is there is overwritten.
  - Before anything is made, the configuration inside of the archive is read. A backup whose identity block is missing,
    damaged, inherited, or of another line, or that was no whole template, is refused.
  - The restored generation keeps what its block says of image, source, recipe and time, and has the same name of the
    generation, unless the node has a VM of that generation that is no whole template any more. It is retired, and does
    not become current, unless O(publish) is true.
  - Where the node has the generation already, as a whole template, nothing is restored.
  - What an interrupted run leaves is finished or removed by the next one.
options:
  line:
    description: The line.
    type: str
    required: true
  node:
    description: The node.
    type: str
    required: true
  backup:
    description: The volume of the backup, as RV(homelab.proxmox.vm_template_backup#module:backup.volid) says.
    type: str
  backup_storage:
    description: The storage of the backups. It follows from O(backup) where that is given.
    type: str
  generation:
    description: The generation to restore. Without it and O(backup), the backup of the line that was made last.
    type: str
  recipe:
    description: A digest that the recipe of the backup must have. Otherwise it is refused.
    type: str
  source:
    description: A digest that the image of the backup must have. Otherwise it is refused.
    type: str
  storage:
    description: The storage for the disks. Without it they go where they were, if that storage is there.
    type: str
  pool:
    description: The pool of the restored VM.
    type: str
  vmid:
    description: The VMID. Without it, the former one if it is free and in O(vmid_range), else the first that is free.
    type: int
  vmid_range:
    description: Where a free VMID is looked for, both ends included.
    type: str
    default: 9000-9999
  publish:
    description:
      - Whether the generation becomes the current one, restored or there already. The one that was current is kept. If
        it is newer it is withdrawn, as M(homelab.proxmox.vm_template_rollback) does.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.vm_template_backup
  - module: homelab.proxmox.vm_template_rollback
"""

EXAMPLES = r"""
- name: Restore the last backup of a line, beside the current generation
  homelab.proxmox.vm_template_restore:
    line: debian-13
    node: pve1
    backup_storage: backup
    storage: local-lvm

- name: Bring one certain generation back, and make it the current one
  homelab.proxmox.vm_template_restore:
    line: debian-13
    node: pve1
    backup_storage: backup
    generation: "20261023101500"
    publish: true
"""

RETURN = r"""
template:
  description: The generation, restored or there already. In check mode its VMID may be another one in the end.
  returned: success
  type: dict
  contains:
    line: {description: The line., type: str, sample: debian-13}
    node: {description: The node., type: str, sample: pve1}
    vmid: {description: The VMID., type: int, sample: 9000}
    name: {description: The VM's name., type: str, sample: debian-13-20261123203101}
    generation: {description: The generation., type: str, sample: "20261123203101"}
    image: {description: Catalogue id or URL., type: str, sample: debian-13}
    source: {description: The digest of the vendor's file., type: str, sample: "sha512:3c9f6bd9a3d0…"}
    verification: {description: How that digest is trusted., type: str, sample: https}
    recipe: {description: The digest of the recipe., type: str, sample: "sha256:8d1f…"}
    built: {description: When it was built., type: str, sample: "2026-11-23T20:31:01+00:00"}
    state: {description: "V(current) or V(retired).", type: str, sample: retired}
retired:
  description: VMIDs of generations that are no longer current because of O(publish).
  returned: success
  type: list
  elements: int
  sample: []
backup:
  description: The backup.
  returned: success
  type: dict
  contains:
    volid: {description: The volume., type: str, sample: "backup:backup/vzdump-qemu-9000-2026_11_23-20_31_01.vma.zst"}
    node: {description: The node that lists it., type: str, sample: pve1}
    storage: {description: The storage., type: str, sample: backup}
    line: {description: "The line, as its notes say.", type: str, sample: debian-13}
    generation: {description: "The generation, as its notes say.", type: str, sample: "20261123203101"}
    vmid: {description: The VM that it was made of., type: int, sample: 9000}
    size: {description: Bytes., type: int, sample: 412876800}
    created: {description: When it was made (Unix time)., type: int, sample: 1795465861}
    protected: {description: Whether it is protected., type: bool, sample: false}
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample:
    - "restore backup:backup/vzdump-qemu-9000-2026_11_23-20_31_01.vma.zst as VM 9000, generation 20261123203101 of line
      debian-13 on node pve1; it is kept beside the current one"
diff:
  description: What differs, under C(line@node).
  returned: changed
  type: dict
  sample:
    before: {debian-13@pve1: null}
    after: {debian-13@pve1: {vmid: 9000, generation: "20261123203101", state: retired}}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 8, writes: 3, polls: 4}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.restore_door import restore_options, restore_rules, run_vm_template_restore
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_vm_template_restore(
        AnsibleModule(argument_spec=with_connection(restore_options()), supports_check_mode=True, **restore_rules())
    )


if __name__ == "__main__":
    main()
