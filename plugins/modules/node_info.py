#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the nodes of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: List the nodes of a cluster
version_added: 0.1.0
description:
  - Lists nodes with their state, version and load. With O(gather) it also says which services do not run that should,
    and which packages wait to be updated.
  - It takes one request for the cluster and one for each node that is online. With O(gather) it takes one more for the
    privileges, and one for each node and thing that is gathered.
  - A node that is offline is listed, and not asked.
  - What the credentials may not see is named in RV(nodes[].unknown) with the privilege that would show it. It is not
    asked for, and the module does not fail.
options:
  nodes:
    description: Only these nodes. Those that the cluster does not have are in RV(absent).
    type: list
    elements: str
    default: []
  gather:
    description:
      - What else to find out.
      - V(services) needs C(Sys.Audit) on C(/nodes/NODE).
      - V(updates) needs C(Sys.Modify) on C(/nodes/NODE), although nothing is changed. That privilege also allows to
        change the network of the node and to stop its services. Nodes look for new packages once a day by themselves,
        and this tells what they found then. Where the list is older than the node's packages, the node makes it anew,
        which takes it some seconds.
    type: list
    elements: str
    choices: [services, updates]
    default: []
extends_documentation_fragment:
  - homelab.proxmox.connection
  - homelab.proxmox.requirements
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.info_module
  - homelab.proxmox.attributes.actiongroup
seealso:
  - module: homelab.proxmox.preflight
  - module: homelab.proxmox.access
"""

EXAMPLES = r"""
- name: List the nodes
  homelab.proxmox.node_info:
  register: found

- name: Find services that should run and do not
  homelab.proxmox.node_info:
    gather: [services]
  register: looked

- name: Show them by node
  ansible.builtin.debug:
    msg: "{{ item.services | map(attribute='service') }}"
  loop: "{{ looked.nodes | selectattr('services') }}"
  loop_control:
    label: "{{ item.node }}"

- name: Count the packages that wait on two nodes
  homelab.proxmox.node_info:
    nodes: [pve1, pve2]
    gather: [updates]
  register: pending

- name: Show how many there are
  ansible.builtin.debug:
    msg: "{{ item.updates | length }}, {{ item.updates | selectattr('origin', 'eq', 'Proxmox') | length }} of Proxmox"
  loop: "{{ pending.nodes | selectattr('updates') }}"
  loop_control:
    label: "{{ item.node }}"
"""

RETURN = r"""
nodes:
  description: The nodes by name.
  returned: success
  type: list
  elements: dict
  contains:
    node: {description: The node., type: str, sample: pve1}
    status:
      description: V(online), V(offline), or V(unknown) where the cluster has not heard of it yet.
      type: str
      sample: online
    version: {description: The version of Proxmox VE that it runs., type: str, sample: 8.4.21}
    uptime:
      description: Seconds since it was started. This and the other figures are null without C(Sys.Audit) on the node.
      type: int
      sample: 6732
    cpu: {description: The share of its processors that is in use., type: float, sample: 0.0119}
    cpus: {description: How many processors it has., type: int, sample: 2}
    memory: {description: The share of its memory that is in use., type: float, sample: 0.0494}
    memory_total: {description: Bytes of memory., type: int, sample: 25276502016}
    services:
      description:
        - The services that are enabled and do not run, or have failed, among those that Proxmox VE knows of.
        - Null without V(services) in O(gather), and where that is not known.
      type: list
      elements: dict
      contains:
        service: {description: The name., type: str, sample: pvestatd}
        description: {description: What it is., type: str, sample: PVE Status Daemon}
        state: {description: "The state of its process, in systemd's words.", type: str, sample: failed}
        active_state: {description: The state of its unit., type: str, sample: failed}
        unit_state: {description: Whether it is started with the node., type: str, sample: enabled}
    updates:
      description:
        - The packages for which there is another version, by name.
        - Proxmox VE tells whose packages they are, and not whether they come from a security archive. Debian has the
          same origin for both.
        - Null without V(updates) in O(gather), and where that is not known.
      type: list
      elements: dict
      contains:
        package: {description: The name., type: str, sample: openssl}
        title: {description: What it is., type: str, sample: Secure Sockets Layer toolkit}
        installed:
          description: The version that is there, null for a package that others have come to need.
          type: str
          sample: 3.0.17-1~deb12u2
        version: {description: The version that there is., type: str, sample: 3.0.17-1~deb12u3}
        origin: {description: "Who makes it, V(unknown) where the archive does not say so.", type: str, sample: Debian}
        section: {description: The section of the archive., type: str, sample: utils}
        priority: {description: The priority of the package., type: str, sample: optional}
        arch: {description: The architecture., type: str, sample: amd64}
    unknown:
      description:
        - What is not known of the node, with the reason. For a missing privilege that is the one that would show it.
        - Its keys are V(version), V(figures), V(services) and V(updates).
      type: dict
      sample: {updates: Sys.Modify on /nodes/pve1 would show it}
absent:
  description: Those of O(nodes) that the cluster does not have.
  returned: success
  type: list
  elements: str
  sample: []
requests:
  description: How many requests were sent to Proxmox VE.
  returned: always
  type: dict
  sample: {reads: 4, writes: 0, polls: 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.node_info_door import info_options, run_node_info
from ..module_utils._ansible.spec import with_connection


def main() -> None:
    run_node_info(AnsibleModule(argument_spec=with_connection(info_options()), supports_check_mode=True))


if __name__ == "__main__":
    main()
