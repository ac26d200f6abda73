#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives one user and its token the least that this collection needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: access
short_description: A user and an API token with the least privileges
version_added: 0.1.0
description:
  - Keeps roles, a pool, a user, an API token and the entries of the access control list that let this collection work
    on exactly the places that are named, and on nothing else.
  - Run it once with an administrator's login; everything else then works with the token.
  - The privileges follow the version of Proxmox VE that is found. PVE 9 replaced C(VM.Monitor) by C(VM.GuestAgent.*).
  - Roles are given exactly the privileges of their kind of path. Entries that other users have on the same paths are
    never touched.
notes:
  - Proxmox VE tells a token's secret once, when the token is made. Keep RV(token.secret) out of the output with
    C(no_log=true) on the task. From ansible-core 2.22 on it is masked by itself.
  - Nothing is granted on C(/) or C(/vms). Virtual machines get their rights as members of O(pool), so everything this
    collection creates must be put into it.
  - The entries do not propagate, but for the one on the pool and on zones that are named as a whole.
extends_documentation_fragment:
  - homelab.proxmox.requirements
  - homelab.proxmox.connection
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The token's secret is shown as V(kept) or V(new) only.
  idempotent:
    support: partial
    details: With O(regenerate_token=true) every run makes a new secret.
options:
  state:
    description:
      - V(present) keeps everything as declared.
      - V(absent) removes the entries, the token, the user, the roles that nobody else was given, and the pool if it is
        empty. It refuses when the user has other tokens or was given other roles.
    type: str
    choices: [present, absent]
    default: present
  user:
    description: User and realm. A user of the realm C(pve) needs no account on the nodes. It gets no password.
    type: str
    default: homelab@pve
  token:
    description: The token's name, two characters or more.
    type: str
    default: ansible
  privsep:
    description:
      - Whether the token has privileges of its own. It may then do only what both the token and its user were granted,
        so both are.
      - With V(false) the token may do all that its user may.
    type: bool
    default: true
  pool:
    description: The pool that templates and clones are put into. It is created when it is missing.
    type: str
    default: templates
  storages:
    description: Storages for the disks of virtual machines and their cloud-init drives.
    type: list
    elements: str
    default: []
  image_storages:
    description: Storages that images and ISO files are downloaded or uploaded to, and deleted from.
    type: list
    elements: str
    default: []
  backup_storages:
    description: Storages for backups.
    type: list
    elements: str
    default: []
  nodes:
    description:
      - Nodes that may download from a URL. Without it images are uploaded.
      - Also the nodes that V(nodes) and V(updates) in O(capabilities) are about.
    type: list
    elements: str
    default: []
  bridges:
    description:
      - Bridges that network cards may use, such as V(vmbr0).
      - A card with a VLAN tag needs that VLAN, such as V(vmbr0/20); the bridge alone does not allow it.
    type: list
    elements: str
    default: []
  zones:
    description: SDN zones, such as V(lab), or single networks in one, such as V(lab/vnet1).
    type: list
    elements: str
    default: []
  capabilities:
    description:
      - What the token is for. The roles hold the union of what the calls of these need.
      - V(nodes) and V(updates) let M(homelab.proxmox.node_info) read the services and the pending packages of O(nodes),
        with C(Sys.Audit) and C(Sys.Modify) on them. Proxmox VE shows packages only to who may also change the node,
        its network and its services; grant V(updates) only where that is acceptable.
    type: list
    elements: str
    choices: [templates, customise, prove, clones, backup, guests, nodes, updates]
    default: [templates, customise, prove, clones, backup, guests]
  roles:
    description: Names and privileges of the roles, one for each kind of path.
    type: dict
    default: {}
    suboptions:
      pool:
        description: The role on O(pool).
        type: dict
        default: {}
        suboptions:
          name:
            description: The role's name. It must not begin with C(PVE), unless it is a built-in role.
            type: str
            default: HomelabPool
          privileges:
            description: Exactly these, instead of what O(capabilities) need.
            type: list
            elements: str
      image_storage:
        description: The role on each of O(image_storages).
        type: dict
        default: {}
        suboptions:
          name:
            description: The role's name.
            type: str
            default: HomelabImages
          privileges: &privileges
            description: Exactly these, instead of what O(capabilities) need.
            type: list
            elements: str
      disk_storage:
        description: The role on each of O(storages).
        type: dict
        default: {}
        suboptions:
          name:
            description: The role's name.
            type: str
            default: HomelabDisks
          privileges: *privileges
      backup_storage:
        description: The role on each of O(backup_storages).
        type: dict
        default: {}
        suboptions:
          name:
            description: The role's name.
            type: str
            default: HomelabBackups
          privileges: *privileges
      node:
        description: The role on each of O(nodes).
        type: dict
        default: {}
        suboptions:
          name:
            description: The role's name.
            type: str
            default: HomelabNode
          privileges: *privileges
      bridge:
        description: The role on each of O(bridges) and O(zones).
        type: dict
        default: {}
        suboptions:
          name:
            description: The role's name.
            type: str
            default: HomelabBridge
          privileges: *privileges
  comment:
    description:
      - The comment of the user and the token.
      - Unset, what exists is left alone and what is created says that this collection manages it.
    type: str
  regenerate_token:
    description:
      - Makes the token anew, with a new secret. The old one stops working at once.
      - All entries of the token are given again, also those this module did not declare.
    type: bool
    default: false
  exclusive:
    description:
      - Takes away what the user and the token were given besides, on paths that are not declared or with the roles of
        this module.
      - Without it such entries are only reported, as RV(extra_acl).
    type: bool
    default: false
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
"""

EXAMPLES = r"""
- name: Let an automation user build templates on one node
  homelab.proxmox.access:
    api_host: pve1.example.org
    api_user: root@pam
    api_password: "{{ vault_pve_root_password }}"
    user: homelab@pve
    token: ansible
    pool: templates
    storages: [local-lvm]
    image_storages: [local]
    nodes: [pve1]
    bridges: [vmbr0, vmbr0/20]
  register: result
  no_log: true

- name: Show what would change
  homelab.proxmox.access:
    connection_file: ~/.config/homelab/root.yml
    storages: [local-lvm, fast]
    image_storages: [local]
    nodes: [pve1, pve2]
    bridges: [vmbr0]
  check_mode: true
  diff: true

- name: A token that may build templates, and neither clone nor back up
  homelab.proxmox.access:
    connection_file: ~/.config/homelab/root.yml
    capabilities: [templates]
    storages: [local-lvm]
    image_storages: [local]
    bridges: [vmbr0]
  no_log: true

- name: A new secret for a token whose secret was lost
  homelab.proxmox.access:
    connection_file: ~/.config/homelab/root.yml
    storages: [local-lvm]
    image_storages: [local]
    bridges: [vmbr0]
    regenerate_token: true
  register: result
  no_log: true

- name: Remove the user, its token and its roles
  homelab.proxmox.access:
    connection_file: ~/.config/homelab/root.yml
    state: absent
"""

RETURN = r"""
token:
  description: The token.
  returned: always
  type: dict
  contains:
    id:
      description: Its full id, as O(api_token_id) takes it.
      type: str
      sample: homelab@pve!ansible
    privsep:
      description: Whether it has privileges of its own.
      type: bool
      sample: true
    secret:
      description: Its secret. Proxmox VE never tells it again.
      returned: when the token was created or made anew
      type: str
      sample: 7d8c6a34-0e5b-4c7f-9a44-1c6f0d1d2e3f
user:
  description: The user.
  returned: always
  type: str
  sample: homelab@pve
pool:
  description: The pool.
  returned: always
  type: str
  sample: templates
pve_version:
  description: The version of Proxmox VE that answered.
  returned: always
  type: str
  sample: 8.4.1
roles:
  description: The roles and their privileges.
  returned: when O(state=present)
  type: dict
  sample: {HomelabBridge: [SDN.Use], HomelabNode: [Sys.AccessNetwork]}
acl:
  description: The declared entries of the access control list.
  returned: when O(state=present)
  type: list
  elements: dict
  sample: [{path: /storage/local, role: HomelabImages, type: user, id: homelab@pve, propagate: false}]
extra_acl:
  description: What user and token were given besides.
  returned: when O(state=present)
  type: list
  elements: dict
  sample: []
kept:
  description: What was not removed, and why.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: ["pool templates, which has 3 members,"]
steps:
  description: What was done, or in check mode would be.
  returned: when anything differs
  type: list
  elements: str
  sample: ["create user homelab@pve", "grant HomelabImages on /storage/local to homelab@pve, homelab@pve!ansible"]
requests:
  description: How many requests were sent.
  returned: always
  type: dict
  sample: {reads: 7, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.access_door import access_door, access_options
from ..module_utils._ansible.run import run


def main() -> None:
    """Open the door."""
    run(AnsibleModule(argument_spec=access_options(), supports_check_mode=True), access_door())


if __name__ == "__main__":
    main()
