#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a cloud-init template of a line on a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_template
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep a cloud-init template on a node
version_added: 0.1.0
description:
  - Takes a line from a catalogue id, or from an image of your own, to a converted template on one node in one task. The
    image is downloaded and verified, imported, grown, given a cloud-init drive and defaults, and converted.
  - What Proxmox VE allows in place on a template is changed in place, namely name, description, tags, protection,
    hardware and cloud-init defaults. Everything else makes a new generation beside the old one, which is kept and
    marked as retired. The diff says which.
  - Options that are left out are not compared with a template that exists, apart from the name.
  - Each generation carries an identity block in its description, and tags that mirror it. Clones inherit both, so a VM
    counts as ours only when the block names the VM's own VMID. Nothing else is ever changed or removed.
options:
  max_deletions:
    description: A run that would destroy more generations than this is refused.
    type: int
    default: 5
extends_documentation_fragment:
  - homelab.proxmox.template
  - homelab.proxmox.progress
  - homelab.proxmox.image
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
    details: With O(cipassword_update=always) every run sets the password, because Proxmox VE never tells it back.
seealso:
  - module: homelab.proxmox.vm_template_info
  - module: homelab.proxmox.image
"""

EXAMPLES = r"""
- name: Keep a Debian 13 template on a node
  homelab.proxmox.vm_template:
    line: debian-13
    node: pve1
    storage: local-lvm

- name: Declare hardware, cloud-init defaults and a bigger disk
  homelab.proxmox.vm_template:
    line: web-base
    image: ubuntu-24.04
    node: pve1
    storage: local-lvm
    pool: templates
    vmid_range: 9100-9199
    disk:
      size: 20G
    cores: 4
    memory: 4096
    net:
      - bridge: vmbr0
        tag: 20
    ciuser: ops
    sshkeys:
      - "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
    nameserver: [192.0.2.53]
    tags: [linux, web]
    protection: true

- name: See what a change would do, without doing it
  homelab.proxmox.vm_template:
    line: debian-13
    node: pve1
    storage: local-lvm
    disk:
      size: 32G
  check_mode: true
  diff: true

- name: Build with secure boot and a TPM
  homelab.proxmox.vm_template:
    line: debian-13-secure
    image: debian-13
    node: pve1
    storage: local-lvm
    efi:
      secure_boot: true
    tpm: {}

- name: Begin a generation that roles are baked into
  homelab.proxmox.vm_template:
    line: web
    image: debian-13
    node: pve1
    storage: local-lvm
    bake_version: 2026.11-1
    stop_before: seal
  register: begun

- name: Finish it, when the roles are done
  homelab.proxmox.vm_template:
    line: web
    image: debian-13
    node: pve1
    storage: local-lvm
    bake_version: 2026.11-1
    resume: "{{ begun.template.builder.run }}"
  when: begun.template.builder is not none

- name: Take over a template that was made by hand
  homelab.proxmox.vm_template:
    line: debian-12
    node: pve1
    storage: local-lvm
    vmid: 9000
    adopt: true

- name: Remove a line from a node
  homelab.proxmox.vm_template:
    line: debian-11
    node: pve1
    state: absent
"""

RETURN = r"""
template:
  description: The line on its node, after the run; in check mode before it.
  returned: success
  type: dict
  contains:
    line: {description: The line., type: str, sample: debian-13}
    node: {description: The node., type: str, sample: pve1}
    current:
      description: The current generation, or null.
      type: dict
      sample:
        vmid: 9000
        name: debian-13
        generation: "20261123203101"
        image: debian-13
        source: "sha512:3c9f6bd9a3d0…"
        verification: https
        recipe: "sha256:8d1f…"
        built: "2026-11-23T20:31:01+00:00"
        state: current
    retired: {description: VMIDs of older generations that are kept., type: list, elements: int, sample: [9001]}
    kept:
      description: Generations that stay although they are beyond O(keep), with the reason.
      type: list
      elements: dict
      sample: [{vmid: 9001, name: debian-13-20261101120000, reason: "clones hang on it: 120, 121"}]
    unfinished: {description: VMIDs of builds that did not end., type: list, elements: int, sample: []}
    builder:
      description:
        - The builder that O(stop_before) has left to its roles, null where none was made. C(user) is null without
          O(bake_keys), C(host_keys) are those of its SSH server, and C(run) is what O(resume) and O(abandon) take.
      type: dict
      sample:
        vmid: 9001
        node: pve1
        generation: "20261123203101"
        run: 3f0c9a71b2d4-4711-880123
        deadline: "2026-11-23T23:02:01+00:00"
        addresses: [192.0.2.17, "2001:db8::17"]
        host: 192.0.2.17
        user: homelab-bake
        host_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"]
    foreign:
      description: VMs that carry the line's tags and are not ours, with the reason. They are left alone.
      type: list
      elements: dict
      sample: [{vmid: 120, name: web, reason: it is a clone that inherited the tags of its template}]
diff:
  description:
    - What differs, under C(line@node), in the words of RV(template.current) and in Proxmox VE's config keys.
    - A new generation says its C(reasons). Builds that did not end and VMs that go are named by their VMIDs.
  returned: changed
  type: dict
  sample:
    before: {debian-13@pve1: {vmid: 9000, generation: "20261023101500"}}
    after: {debian-13@pve1: {vmid: 9001, generation: "20261123203101", reasons: [the recipe changed (8d1f… to 90ab…)]}}
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["change memory of VM 9000 in place"]
done:
  description: The steps that were done before a failure.
  returned: failure
  type: list
  elements: str
  sample: []
left_behind:
  description: What a failure left on the cluster.
  returned: failure
  type: list
  elements: str
  sample: []
error:
  description: What failed, for machines.
  returned: failure
  type: dict
  sample: {kind: no_space, task: {upid: "UPID:pve1:…", exit_status: "…", log_tail: ["…"]}}
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 6, writes: 5, polls: 4}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.progress import progress_options
from ..module_utils._ansible.spec import with_connection
from ..module_utils._ansible.template_door import run_vm_template
from ..module_utils._ansible.template_spec import line_options


def main() -> None:
    own = {**line_options(), **progress_options(), "max_deletions": {"type": "int", "default": 5}}
    run_vm_template(AnsibleModule(argument_spec=with_connection(own), supports_check_mode=True))


if __name__ == "__main__":
    main()
