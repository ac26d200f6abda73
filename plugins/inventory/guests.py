# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VMs and containers of Proxmox VE clusters as an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: guests
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: VMs and containers of Proxmox VE as an inventory
version_added: 0.1.0
description:
  - Lists the VMs and containers of one or more Proxmox VE clusters. Names, states, tags, pools, nodes and lines of
    all of them come with one request, whatever the size of the cluster.
  - With O(facts=true) the configuration of each guest is read too, by exactly one request for each guest that the
    filters leave, several at once. Filters are applied before that, so what is filtered out costs nothing.
  - Groups by status, type, node, pool, tag, line and operating system are made without templates, which is many times
    faster than O(keyed_groups). Those can be used besides.
  - The source is a file whose name is C(guests.yml) or ends with C(.guests.yml), with C(.yaml) just as well.
  - What guests and clusters say is never evaluated as a template, whatever their names, tags and descriptions hold.
extends_documentation_fragment:
  - homelab.proxmox.requirements
  - homelab.proxmox.connection
  - constructed
  - inventory_cache
options:
  plugin:
    description:
      - Names this plugin.
    type: str
    required: true
    choices: [homelab.proxmox.guests]
  clusters:
    description:
      - Several clusters in one source. Each entry takes a C(name), C(host_prefix), C(host_suffix), and all options of
        the connection, such as C(api_host) and C(connection_file).
      - What stands beside O(clusters) holds for all of them. Credentials are taken from one place as a whole, and so
        is what says how to trust the certificate.
      - In the environment each named cluster has variables of its own. What E(PROXMOX_HOST) is for a single cluster,
        C(PROXMOX_LAB_HOST) is for the cluster C(lab).
      - The groups of nodes and pools have the cluster in their names then, such as C(proxmox_node_lab_pve1).
    type: list
    elements: dict
    default: []
  unreachable:
    description:
      - What becomes of the source when a cluster cannot be read.
      - With V(fail) it fails, so that a play never runs on a part of its hosts without anybody noticing.
      - With V(warn) the hosts of the other clusters are there. If none could be read, the source fails all the same.
    type: str
    choices: [fail, warn]
    default: fail
  live:
    description:
      - Names and states in the cluster's own list are what each node has told last, and up to ten seconds old. Tags,
        pools and locks are always as they are.
      - With V(true) each node is asked for its VMs and for its containers, by two requests for each node, and answers
        for this moment.
    type: bool
    default: false
  include:
    description:
      - Conditions of which a guest has to fulfil at least one. Without any, all guests are taken.
      - A condition has one or more of the keys C(cluster), C(name), C(vmid), C(type) (C(qemu) or C(lxc)), C(status),
        C(node), C(pool), C(line) and C(tag), each with a value or a list of values. It is fulfilled when each key has
        one of its values.
      - Values are patterns as of a shell, for C(vmid) numbers and ranges such as C(100-199).
    type: list
    elements: dict
    default: []
  exclude:
    description:
      - Conditions of which a guest must not fulfil any, written as in O(include).
    type: list
    elements: dict
    default: []
  templates:
    description:
      - Whether templates are listed too.
    type: bool
    default: false
  filters:
    description:
      - Jinja expressions that all have to be true for a guest, over the variables that are known without facts. They
        are evaluated before facts are read.
      - O(include) and O(exclude) say the same much faster, where they can.
    type: list
    elements: str
    default: []
  facts:
    description:
      - Whether the configuration of each guest is read, by one request for each.
      - Guests on nodes that are offline have no facts.
    type: bool
    default: false
  agent:
    description:
      - Whether running guests are asked for their addresses, by one request more for each. VMs are asked through the
        guest agent, if it is switched on in their configuration. Of containers the node itself knows the addresses.
      - Needs O(facts=true).
      - VMs whose agent the user may not ask are named in a warning, and are not asked.
    type: bool
    default: false
  facts_filters:
    description:
      - Like O(filters), but evaluated after facts were read, over all variables.
    type: list
    elements: str
    default: []
  workers:
    description:
      - How many requests are sent at once, each over a connection of its own.
      - A node answers with three processes as it is installed, so that more than 16 are rarely faster.
    type: int
    default: 16
  duplicates:
    description:
      - What guests of one name are called, as names are not unique in Proxmox VE.
      - With V(vmid), V(node) and V(cluster) this is appended to the names of all of them, such as C(web-101).
      - With V(first) the running one with the lowest VMID keeps the name, and the VMID is appended to the others.
      - With V(error) the source fails and names them.
    type: str
    choices: [vmid, node, cluster, first, error]
    default: vmid
  host_prefix:
    description:
      - What host names begin with, before the names of the guests. Clusters may have their own.
    type: str
    default: ''
  host_suffix:
    description:
      - What host names end with, such as V(.lab.example.org). Clusters may have their own.
    type: str
    default: ''
  var_prefix:
    description:
      - What the names of variables begin with.
    type: str
    default: proxmox_
  group_prefix:
    description:
      - What the names of groups by O(native_groups) begin with.
    type: str
    default: proxmox_
  native_groups:
    description:
      - By what groups are made, such as C(proxmox_status_running), C(proxmox_tag_web) and C(proxmox_line_debian_13).
      - V(os) is the type of the operating system in the configuration, such as C(proxmox_os_l26), and needs
        O(facts=true).
      - Tags by which this collection marks generations make no groups by tag. V(line) does.
    type: list
    elements: str
    choices: [cluster, type, status, node, pool, tag, line, os]
    default: [cluster, type, status, node, pool, tag, line, os]
  address_from:
    description:
      - Where C(ansible_host) comes from, tried in this order. It needs O(facts=true), and is not set without an
        address.
      - V(agent) is what O(agent) finds on interfaces that have the MAC address of a network device of the guest.
        V(config) is a static address in C(ipconfig) of a VM or C(net) of a container.
    type: list
    elements: str
    choices: [agent, config]
    default: [agent, config]
  address_families:
    description:
      - Which addresses are taken, preferred ones first.
    type: list
    elements: str
    choices: [ipv4, ipv6]
    default: [ipv4, ipv6]
  address_networks:
    description:
      - Take addresses in these networks only, such as V(10.0.0.0/8). A guest can say any address of itself, so this
        also bounds where a hostile one can lead a play.
    type: list
    elements: str
    default: []
notes:
  - The variables of a host are C(proxmox_vmid), C(proxmox_name), C(proxmox_type), C(proxmox_node), C(proxmox_status),
    C(proxmox_template), C(proxmox_tags), C(proxmox_pool) and C(proxmox_line), and where they are known
    C(proxmox_generation), C(proxmox_lock), C(proxmox_ha_state), C(proxmox_cluster), C(proxmox_cpus),
    C(proxmox_memory), C(proxmox_disk) and C(proxmox_uptime).
  - With facts there are C(proxmox_os), C(proxmox_agent), C(proxmox_description), C(proxmox_nets) by the names of the
    network devices with C(mac), C(bridge), C(vlan) and C(addresses), and C(proxmox_config) with the rest of the
    configuration. Guests that were asked for their addresses have C(proxmox_interfaces).
  - The options of the connection may be templates, for example C({{ lookup('ansible.builtin.env', 'LAB_TOKEN') }}),
    or be encrypted by Ansible Vault.
  - The guests that the user may not see (C(VM.Audit)) are not in the list, and a pool is known with C(Pool.Audit) only.
  - A guest on a node that is offline has the status C(unknown), and, as the cluster does not know its name, is called
    C(vm-) or C(ct-) and its VMID.
seealso:
  - module: homelab.proxmox.vm_template_fleet
"""

EXAMPLES = r"""
---
# guests.yml: everything that runs, with the connection from PROXMOX_HOST, PROXMOX_TOKEN_ID and so on
plugin: homelab.proxmox.guests
include:
  - status: running

---
# web.guests.yml: addresses of web servers and databases, and groups of your own
plugin: homelab.proxmox.guests
connection_file: ~/.config/homelab/connections/home.yml
include:
  - tag: web
  - {pool: production, name: "db-*"}
exclude:
  - tag: no-ansible
facts: true
agent: true
address_networks: [10.0.0.0/8]
compose:
  ansible_user: "'root' if proxmox_type == 'lxc' else proxmox_config.ciuser | default('debian')"
groups:
  large: proxmox_memory | default(0) >= 16 * 1024 ** 3
keyed_groups:
  - {key: proxmox_config.machine | default('i440fx'), prefix: machine}

---
# all.guests.yml: two clusters, cached for ten minutes
plugin: homelab.proxmox.guests
clusters:
  - {name: home, connection_file: ~/.config/homelab/connections/home.yml}
  - {name: lab, connection_file: ~/.config/homelab/connections/lab.yml, host_prefix: lab-}
duplicates: cluster
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/homelab-inventory
cache_timeout: 600
"""

import os
import typing as t
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.vars import combine_vars

from ..module_utils._ansible.guests_door import Host, Reading, hosts_of, read_source
from ..module_utils._ansible.guests_options import CONNECTION, Source, source_from
from ..module_utils._plan.guests import Member
from ..module_utils._plan.plan import OptionProblems

_ENDINGS = tuple(f"guests.{extension}" for extension in ("yml", "yaml"))
Variables = Mapping[str, t.Any]


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """The inventory plugin."""

    NAME = "homelab.proxmox.guests"

    def verify_file(self, path: str) -> bool:
        name = os.path.basename(path)
        ours = name in _ENDINGS or name.endswith(tuple(f".{ending}" for ending in _ENDINGS))
        return bool(ours and super().verify_file(path))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Fill the inventory. Raises AnsibleParserError with everything that is wrong."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            source = source_from(self._given(), os.environ)
            reading = self._cached(source, path, cache)
            for host in hosts_of(source, reading.members):
                self._add(host)
        except OptionProblems as problem:
            raise AnsibleParserError(_together(problem.problems)) from problem

    def _given(self) -> dict[str, t.Any]:
        """The options, with templates in those of the connection evaluated."""
        options = dict(self.get_options())
        templar = self.templar
        templar.available_variables = self._vars or {}
        for name in CONNECTION:
            options[name] = templar.template(options.get(name))
        options["clusters"] = templar.template(options.get("clusters"))
        if options["use_extra_vars"] and options["filters"]:
            options["extra_vars"] = self._vars
        return options

    # --- reading

    def _cached(self, source: Source, path: str, cache: bool) -> Reading:
        wanted = bool(self.get_option("cache"))
        key = f"{self.get_cache_key(path)}_{source.reading}"
        if wanted and cache:
            try:
                return Reading.from_data(self._cache[key])
            except (KeyError, TypeError, ValueError):
                self.display.vvv(f"{self.NAME}: nothing usable is cached")
        reading = read_source(source, self._keep)
        self._judge(source, reading)
        if wanted and not reading.failed:
            self._cache[key] = reading.to_data()
        return reading

    def _judge(self, source: Source, reading: Reading) -> None:
        """Say what was noticed, and end where a cluster is missing that must not."""
        for note in reading.notes:
            self.display.warning(note)
        if not reading.failed:
            return
        if self.get_option("unreachable") == "fail" or len(reading.failed) == len(source.clusters):
            raise AnsibleParserError(_together(reading.failed))
        for text in reading.failed:
            self.display.warning(f"{text} Its guests are missing in the inventory.")

    # --- filters

    def _keep(self, source: Source, members: Sequence[Member]) -> list[Member]:
        if not self.get_option("filters"):
            return list(members)
        return [
            member
            for member in members
            if self._passes("filters", source.variables(member), f"guest {member.guest.vmid}")
        ]

    def _passes(self, option: str, variables: Variables, what: str) -> bool:
        """Whether all expressions of an option are true; one that fails is false, or an error with C(strict)."""
        self.templar.available_variables = self._with_extra(variables)
        for expression in self.get_option(option):
            try:
                if not self.templar.evaluate_conditional(expression):
                    return False
            except AnsibleError as error:
                if self.get_option("strict"):
                    raise AnsibleParserError(f"`{option}`: {expression!r} fails for {what}: {error}") from error
                return False
        return True

    def _with_extra(self, variables: Variables) -> dict[str, t.Any]:
        return combine_vars(variables, self._vars) if self.get_option("use_extra_vars") else dict(variables)

    # --- the inventory

    def _add(self, host: Host) -> None:
        variables = dict(host.variables)
        if self.get_option("facts_filters") and not self._passes("facts_filters", variables, host.name):
            return
        inventory, strict = self.inventory, self.get_option("strict")
        inventory.add_host(host.name)
        for name, value in variables.items():
            inventory.set_variable(host.name, name, value)
        for group in host.groups:
            inventory.add_child(inventory.add_group(group), host.name)
        self._set_composite_vars(self.get_option("compose"), variables, host.name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host.name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host.name, strict=strict)


def _together(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems:\n" + "\n".join(f"- {problem}" for problem in problems)
