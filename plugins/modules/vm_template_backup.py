#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a backup of a template."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template_backup
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep backups of a template line's generations
version_added: 0.1.0
description:
  - Makes a backup (vzdump) of a generation of a template line on a storage with content C(backup), and keeps as many
    backups of the line there as are wanted. M(homelab.proxmox.vm_template_restore) makes generations of them again.
  - A generation that has a complete backup on the storage is not backed up again.
  - Backups are known by their notes, which hold line and generation, since VMIDs are used again. Backups without such
    notes, such as those of a backup job, are neither counted nor deleted. The storage's own retention is not applied.
  - A line is alike on all nodes, so a backup from one of them will do.
options:
  line:
    description: The line.
    type: str
    required: true
  storage:
    description: The storage for the backups. It must have content C(backup).
    type: str
    required: true
  node:
    description:
      - The node whose generation is backed up. Without it, the newest of the nodes' current generations is taken, from
        the first node that has the storage.
    type: str
  generation:
    description: The generation, such as V(20261123203101). Without it, the current one.
    type: str
  compress:
    description: How a new backup is compressed.
    type: str
    choices: [zstd, gzip, lzo, none]
    default: zstd
  protected:
    description:
      - Whether the backup is protected, so that nothing deletes it until it is no longer.
      - Without it, new backups are not protected, and one that is there is left as it is.
    type: bool
  keep:
    description:
      - How many backups of the line stay on the storage, the one that is asked for among them; the last ones made.
        Protected backups stay beside them. Without it all stay.
      - To delete the backup of a VM that is gone, C(VM.Backup) is needed on C(/vms), since the VM is in no pool.
    type: int
  max_deletions:
    description: A run that would delete more backups than this is refused.
    type: int
    default: 5
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.vm_template_restore
  - module: homelab.proxmox.vm_template_bundle
"""

EXAMPLES = r"""
- name: Back up the current generation, and keep the last three
  homelab.proxmox.vm_template_backup:
    line: debian-13
    storage: backup
    keep: 3

- name: Keep one certain generation for good
  homelab.proxmox.vm_template_backup:
    line: debian-13
    generation: "20261023101500"
    storage: backup
    protected: true
"""

RETURN = r"""
backup:
  description: The backup of the generation. In check mode, what is not known yet is null.
  returned: success
  type: dict
  contains: &backup
    volid: {description: The volume., type: str, sample: "backup:backup/vzdump-qemu-9000-2026_11_23-20_31_01.vma.zst"}
    node: {description: The node that made or lists it., type: str, sample: pve1}
    storage: {description: The storage., type: str, sample: backup}
    line: {description: The line., type: str, sample: debian-13}
    generation: {description: The generation., type: str, sample: "20261123203101"}
    vmid: {description: The VM that it was made of., type: int, sample: 9000}
    size: {description: Bytes., type: int, sample: 412876800}
    created: {description: When it was made (Unix time)., type: int, sample: 1795465861}
    protected: {description: Whether it is protected., type: bool, sample: false}
backups:
  description: All backups of the line on the storage after the run, the last one made first.
  returned: success
  type: list
  elements: dict
  contains: *backup
removed:
  description: Backups of the line that were deleted, in check mode those that would be.
  returned: success
  type: list
  elements: dict
  contains: *backup
kept:
  description: Backups that stay beyond O(keep), with the reason.
  returned: success
  type: list
  elements: dict
  contains:
    <<: *backup
    reason: {description: Why it stays., type: str, sample: it is protected}
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["back up VM 9000 on pve1, generation 20261123203101 of line debian-13, to backup"]
diff:
  description: What differs, a new backup under line and generation, others under their volumes.
  returned: changed
  type: dict
  sample:
    before: {debian-13 20261123203101: null}
    after: {debian-13 20261123203101: {vmid: 9000, node: pve1, storage: backup}}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 5, writes: 1, polls: 3}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.backup_door import backup_options, run_vm_template_backup
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_vm_template_backup(AnsibleModule(argument_spec=with_connection(backup_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
