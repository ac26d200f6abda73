# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a VM, twinned with module_utils/_ansible/vm_spec.py; as such, and as the items of a list."""

from __future__ import annotations


class ModuleDocFragment:
    """C(extends_documentation_fragment: homelab.proxmox.vm), for a list C(homelab.proxmox.vm.listed)."""

    DOCUMENTATION = r"""
options:
  name:
    description:
      - The name of the VM, by which it is found. There may be one of that name that these credentials can see.
    type: str
    required: true
  state:
    description:
      - V(present) makes the VM where there is none, and keeps it as declared.
      - V(absent) destroys it, with its disks and its place in backup jobs, replication and HA. A protected VM is
        refused, and so is a running one without O(force_stop).
    type: str
    choices: [present, absent]
    default: present
  line:
    description:
      - The line to clone from, such as V(debian-13). The newest current generation that the node reaches is taken. A
        generation on another node is reached when all of its disks are on shared storage.
      - Needed, or O(template), where the VM does not exist yet.
    type: str
  template:
    description: A template by VMID or name instead, for what is no line.
    type: str
  full:
    description:
      - Whether the clone is a copy of its own instead of a layer over the template's disks.
      - V(auto) makes a linked clone, unless O(storage) or O(format) is given or the template's disks allow none.
    type: str
    choices: ['auto', 'true', 'false']
    default: auto
  storage:
    description: The storage for the disks of a full clone, and for disks that are added. It has to take disk images.
    type: str
  format:
    description: The file format of a full clone on file storages.
    type: str
    choices: [qcow2, raw, vmdk]
  node:
    description:
      - The node on which a new VM is made. V(any), or nothing, takes the one with most free memory among those that
        reach the template; where these credentials may not see the memory, the one with fewest guests.
      - A VM that exists stays where it is. That it stays elsewhere is a warning.
    type: str
  nodes:
    description: The nodes to choose from, all of them where nothing is given.
    type: list
    elements: str
  spread:
    description:
      - A tag that the VM gets. VMs with the same tag are spread evenly over the nodes when they are made. It comes
        before free memory.
    type: str
  pool:
    description:
      - The resource pool that the VM joins with the clone call. One that exists is moved into it.
      - With the least privileges (see the C(access) role) a pool is needed, since it is what grants them.
    type: str
  vmid:
    description:
      - The VMID of a new VM. One that exists keeps its own, and another one is refused.
      - Where several VMs have the name it says which one is meant.
    type: int
  vmid_range:
    description:
      - The block from which VMIDs are taken. Runs at the same time may share it. A VMID that somebody else takes
        first is replaced by another one.
    type: str
    default: 100-8999
  description:
    description: Text for people, in Markdown. The identity block is put below it. Clones inherit that of their
      template.
    type: str
  tags:
    description:
      - Tags besides those that carry the identity (C(line-…), C(gen-…), C(state-clone)) and the one of O(spread).
      - An empty list removes tags, leaving the option out leaves them alone.
    type: list
    elements: str
  protection:
    description: Whether the VM is protected against removal.
    type: bool
  cores: {description: Cores per socket., type: int}
  sockets: {description: Sockets., type: int}
  cpu: {description: "The CPU type, such as V(host) or V(x86-64-v2-AES).", type: str}
  memory: {description: Memory in MiB., type: int}
  balloon: {description: The least memory in MiB when ballooning; 0 switches ballooning off., type: int}
  machine: {description: "The machine type, such as V(q35).", type: str}
  bios:
    description: The firmware. The template's disk has to be able to boot with it.
    type: str
    choices: [seabios, ovmf]
  scsihw:
    description: The SCSI controller.
    type: str
    choices: [virtio-scsi-single, virtio-scsi-pci, lsi, lsi53c810, megasas, pvscsi]
  ostype: {description: The guest's type., type: str}
  vga: {description: "The display, such as V(serial0) or V(std).", type: str}
  serial0: {description: "The first serial port, such as V(socket).", type: str}
  agent:
    description: The guest agent.
    type: dict
    suboptions:
      enabled: {description: Whether Proxmox VE talks to the agent., type: bool, default: true}
      fstrim_cloned_disks: {description: Trim after a clone., type: bool}
      type: {description: How the agent is reached., type: str, choices: [virtio, isa]}
  net:
    description:
      - All network devices, C(net0) first; others are removed. A device keeps its MAC address unless one is given.
    type: list
    elements: dict
    suboptions:
      model: {description: The device model., type: str, default: virtio}
      bridge: {description: The bridge., type: str, default: vmbr0}
      macaddr: {description: The MAC address., type: str}
      tag: {description: The VLAN., type: int}
      firewall: {description: Whether the firewall applies., type: bool}
      mtu: {description: "The MTU, V(1) for that of the bridge.", type: int}
      queues: {description: The number of queues., type: int}
      rate: {description: The limit in MB/s., type: float}
      link_down: {description: Whether the link is down., type: bool}
      trunks: {description: VLANs to pass., type: list, elements: str}
  disks:
    description:
      - Disks by slot. What is in the slot is grown, moved and changed; where it is free a disk is added. Disks that are
        not named are left alone, and nothing shrinks.
    type: list
    elements: dict
    suboptions:
      slot: {description: "The slot; V(scsi0) is the system disk of our templates.", type: str, default: scsi0}
      size: {description: "The size, such as V(20G).", type: str}
      storage: {description: The storage. A disk that is elsewhere is moved there., type: str}
      format: {description: The file format on file storages., type: str, choices: [qcow2, raw]}
      discard: {description: Pass trimming on., type: bool}
      ssd: {description: Present the disk as an SSD., type: bool}
      iothread: {description: Give the disk an I/O thread of its own., type: bool}
      cache:
        description: The cache mode.
        type: str
        choices: [none, writethrough, writeback, unsafe, directsync]
      aio: {description: The kind of asynchronous I/O., type: str, choices: [native, threads, io_uring]}
      backup: {description: Whether backups hold the disk., type: bool}
  boot:
    description: The boot order, such as V([scsi0, net0]).
    type: list
    elements: str
  onboot: {description: Whether the VM starts with its node., type: bool}
  startup:
    description: Order and delays of starting with the node, such as V(order=1,up=30). It needs Sys.Modify on C(/).
    type: str
  numa: {description: Whether NUMA is emulated., type: bool}
  ha:
    description:
      - How the HA manager keeps the VM. It needs Sys.Console on C(/), which the least privileges do not hold.
    type: dict
    suboptions:
      managed: {description: "V(false) takes the VM out of HA.", type: bool, default: true}
      state:
        description: What the HA manager brings it to.
        type: str
        choices: [started, stopped, disabled, ignored]
      group: {description: The HA group. Proxmox VE 9 has rules instead and refuses it., type: str}
      max_restart: {description: Attempts to start it on its node., type: int}
      max_relocate: {description: Attempts on other nodes., type: int}
      comment: {description: Text for people., type: str}
  ciuser: {description: The user that cloud-init makes. An empty text clears it., type: str}
  cipassword:
    description: The user's password. Proxmox VE stores its hash, and never tells it back.
    type: str
  cipassword_update:
    description:
      - V(on_create) sets it on new VMs and where there is none. V(always) sets it in every run, and reports a change.
    type: str
    choices: [on_create, always]
    default: on_create
  sshkeys:
    description: Public keys for the user. An empty list clears them.
    type: list
    elements: str
  ipconfig:
    description:
      - Addresses by network device, C(ipconfig0) first. A clone inherits those of its template, so a fixed one there
        has to be replaced here.
    type: list
    elements: dict
    suboptions:
      ip: {description: "V(dhcp) or an address with its prefix length.", type: str}
      gw: {description: The gateway., type: str}
      ip6: {description: "V(auto), V(dhcp) or an address with its prefix length.", type: str}
      gw6: {description: The gateway for IPv6., type: str}
  nameserver:
    description: Name servers. Without any, guests get the node's. An empty list clears them.
    type: list
    elements: str
  searchdomain: {description: The search domain. An empty text clears it., type: str}
  ciupgrade: {description: Whether cloud-init upgrades all packages at first boot., type: bool}
  citype:
    description: The format of the cloud-init drive.
    type: str
    choices: [nocloud, configdrive2, opennebula]
  started:
    description:
      - Whether the VM runs after the task. Left out, a new VM stays off and one that exists is left as it is.
      - V(false) shuts it down, or switches it off with O(force_stop).
    type: bool
  reboot:
    description:
      - What waits for the next start of a running VM is returned in any case. V(when_required) reboots it then.
    type: str
    choices: [never, when_required]
    default: never
  force_stop:
    description: Switch the VM off without asking the guest, where it has to stop.
    type: bool
    default: false
  shutdown_timeout:
    description: Seconds that a guest is given to shut down.
    type: int
    default: 180
  replace:
    description:
      - Destroy the VM and make it anew where it would be cloned from another generation today. It keeps its VMID, node
        and MAC addresses, and loses its disks. Without this it is only said that there is a newer generation.
    type: bool
    default: false
  adopt:
    description: Take over a VM of that name that was not made by this collection.
    type: bool
    default: false
  wait_for:
    description:
      - What a started VM has to have come to before the task ends. V(agent) waits for the guest agent and an address,
        V(cloud_init) for the end of cloud-init too, V(ssh) for an SSH server that answers where the module runs.
      - It is not waited for in check mode.
    type: str
    choices: [none, agent, cloud_init, ssh]
    default: none
  wait_timeout:
    description: Seconds to wait, for all VMs of a task together.
    type: int
    default: 600
  ssh_port:
    description: The port for O(wait_for=ssh).
    type: int
    default: 22
"""

    # Names of options are those of the item, which O() would look for elsewhere.
    LISTED = r"""
options:
  vms:
    description: The VMs, each with the options of M(homelab.proxmox.vm).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the VM, by which it is found. There may be one of that name that these credentials can see.
        type: str
        required: true
      state:
        description:
          - V(present) makes the VM where there is none, and keeps it as declared.
          - V(absent) destroys it, with its disks and its place in backup jobs, replication and HA. A protected VM is
            refused, and so is a running one without C(force_stop).
        type: str
        choices: [present, absent]
        default: present
      line:
        description:
          - The line to clone from, such as V(debian-13). The newest current generation that the node reaches is
            taken. A generation on another node is reached when all of its disks are on shared storage.
          - Needed, or C(template), where the VM does not exist yet.
        type: str
      template:
        description: A template by VMID or name instead, for what is no line.
        type: str
      full:
        description:
          - Whether the clone is a copy of its own instead of a layer over the template's disks.
          - V(auto) makes a linked clone, unless C(storage) or C(format) is given or the template's disks allow none.
        type: str
        choices: ['auto', 'true', 'false']
        default: auto
      storage:
        description: The storage for the disks of a full clone, and for disks that are added. It has to take disk
          images.
        type: str
      format:
        description: The file format of a full clone on file storages.
        type: str
        choices: [qcow2, raw, vmdk]
      node:
        description:
          - The node on which a new VM is made. V(any), or nothing, takes the one with most free memory among those that
            reach the template; where these credentials may not see the memory, the one with fewest guests.
          - A VM that exists stays where it is. That it stays elsewhere is a warning.
        type: str
      nodes:
        description: The nodes to choose from, all of them where nothing is given.
        type: list
        elements: str
      spread:
        description:
          - A tag that the VM gets. VMs with the same tag are spread evenly over the nodes when they are made. It
            comes before free memory.
        type: str
      pool:
        description:
          - The resource pool that the VM joins with the clone call. One that exists is moved into it.
          - With the least privileges (see the C(access) role) a pool is needed, since it is what grants them.
        type: str
      vmid:
        description:
          - The VMID of a new VM. One that exists keeps its own, and another one is refused.
          - Where several VMs have the name it says which one is meant.
        type: int
      description:
        description: Text for people, in Markdown. The identity block is put below it. Clones inherit that of their
          template.
        type: str
      tags:
        description:
          - Tags besides those that carry the identity (C(line-…), C(gen-…), C(state-clone)) and the one of C(spread).
          - An empty list removes tags, leaving the option out leaves them alone.
        type: list
        elements: str
      protection:
        description: Whether the VM is protected against removal.
        type: bool
      cores: {description: Cores per socket., type: int}
      sockets: {description: Sockets., type: int}
      cpu: {description: "The CPU type, such as V(host) or V(x86-64-v2-AES).", type: str}
      memory: {description: Memory in MiB., type: int}
      balloon: {description: The least memory in MiB when ballooning; 0 switches ballooning off., type: int}
      machine: {description: "The machine type, such as V(q35).", type: str}
      bios:
        description: The firmware. The template's disk has to be able to boot with it.
        type: str
        choices: [seabios, ovmf]
      scsihw:
        description: The SCSI controller.
        type: str
        choices: [virtio-scsi-single, virtio-scsi-pci, lsi, lsi53c810, megasas, pvscsi]
      ostype: {description: The guest's type., type: str}
      vga: {description: "The display, such as V(serial0) or V(std).", type: str}
      serial0: {description: "The first serial port, such as V(socket).", type: str}
      agent:
        description: The guest agent.
        type: dict
        suboptions:
          enabled: {description: Whether Proxmox VE talks to the agent., type: bool, default: true}
          fstrim_cloned_disks: {description: Trim after a clone., type: bool}
          type: {description: How the agent is reached., type: str, choices: [virtio, isa]}
      net:
        description:
          - All network devices, C(net0) first; others are removed. A device keeps its MAC address unless one is given.
        type: list
        elements: dict
        suboptions:
          model: {description: The device model., type: str, default: virtio}
          bridge: {description: The bridge., type: str, default: vmbr0}
          macaddr: {description: The MAC address., type: str}
          tag: {description: The VLAN., type: int}
          firewall: {description: Whether the firewall applies., type: bool}
          mtu: {description: "The MTU, V(1) for that of the bridge.", type: int}
          queues: {description: The number of queues., type: int}
          rate: {description: The limit in MB/s., type: float}
          link_down: {description: Whether the link is down., type: bool}
          trunks: {description: VLANs to pass., type: list, elements: str}
      disks:
        description:
          - Disks by slot. What is in the slot is grown, moved and changed; where it is free a disk is added. Disks
            that are not named are left alone, and nothing shrinks.
        type: list
        elements: dict
        suboptions:
          slot: {description: "The slot; V(scsi0) is the system disk of our templates.", type: str, default: scsi0}
          size: {description: "The size, such as V(20G).", type: str}
          storage: {description: The storage. A disk that is elsewhere is moved there., type: str}
          format: {description: The file format on file storages., type: str, choices: [qcow2, raw]}
          discard: {description: Pass trimming on., type: bool}
          ssd: {description: Present the disk as an SSD., type: bool}
          iothread: {description: Give the disk an I/O thread of its own., type: bool}
          cache:
            description: The cache mode.
            type: str
            choices: [none, writethrough, writeback, unsafe, directsync]
          aio: {description: The kind of asynchronous I/O., type: str, choices: [native, threads, io_uring]}
          backup: {description: Whether backups hold the disk., type: bool}
      boot:
        description: The boot order, such as V([scsi0, net0]).
        type: list
        elements: str
      onboot: {description: Whether the VM starts with its node., type: bool}
      startup:
        description: Order and delays of starting with the node, such as V(order=1,up=30). It needs Sys.Modify on C(/).
        type: str
      numa: {description: Whether NUMA is emulated., type: bool}
      ha:
        description:
          - How the HA manager keeps the VM. It needs Sys.Console on C(/), which the least privileges do not hold.
        type: dict
        suboptions:
          managed: {description: "V(false) takes the VM out of HA.", type: bool, default: true}
          state:
            description: What the HA manager brings it to.
            type: str
            choices: [started, stopped, disabled, ignored]
          group: {description: The HA group. Proxmox VE 9 has rules instead and refuses it., type: str}
          max_restart: {description: Attempts to start it on its node., type: int}
          max_relocate: {description: Attempts on other nodes., type: int}
          comment: {description: Text for people., type: str}
      ciuser: {description: The user that cloud-init makes. An empty text clears it., type: str}
      cipassword:
        description: The user's password. Proxmox VE stores its hash, and never tells it back.
        type: str
      cipassword_update:
        description:
          - V(on_create) sets it on new VMs and where there is none. V(always) sets it in every run, and reports a
            change.
        type: str
        choices: [on_create, always]
        default: on_create
      sshkeys:
        description: Public keys for the user. An empty list clears them.
        type: list
        elements: str
      ipconfig:
        description:
          - Addresses by network device, C(ipconfig0) first. A clone inherits those of its template, so a fixed one
            there has to be replaced here.
        type: list
        elements: dict
        suboptions:
          ip: {description: "V(dhcp) or an address with its prefix length.", type: str}
          gw: {description: The gateway., type: str}
          ip6: {description: "V(auto), V(dhcp) or an address with its prefix length.", type: str}
          gw6: {description: The gateway for IPv6., type: str}
      nameserver:
        description: Name servers. Without any, guests get the node's. An empty list clears them.
        type: list
        elements: str
      searchdomain: {description: The search domain. An empty text clears it., type: str}
      ciupgrade: {description: Whether cloud-init upgrades all packages at first boot., type: bool}
      citype:
        description: The format of the cloud-init drive.
        type: str
        choices: [nocloud, configdrive2, opennebula]
      started:
        description:
          - Whether the VM runs after the task. Left out, a new VM stays off and one that exists is left as it is.
          - V(false) shuts it down, or switches it off with C(force_stop).
        type: bool
      reboot:
        description:
          - What waits for the next start of a running VM is returned in any case. V(when_required) reboots it then.
        type: str
        choices: [never, when_required]
        default: never
      force_stop:
        description: Switch the VM off without asking the guest, where it has to stop.
        type: bool
        default: false
      shutdown_timeout:
        description: Seconds that a guest is given to shut down.
        type: int
        default: 180
      replace:
        description:
          - Destroy the VM and make it anew where it would be cloned from another generation today. It keeps its VMID,
            node and MAC addresses, and loses its disks. Without this it is only said that there is a newer generation.
        type: bool
        default: false
      adopt:
        description: Take over a VM of that name that was not made by this collection.
        type: bool
        default: false
      wait_for:
        description:
          - What a started VM has to have come to before the task ends. V(agent) waits for the guest agent and an
            address, V(cloud_init) for the end of cloud-init too, V(ssh) for an SSH server that answers where the
            module runs.
          - It is not waited for in check mode.
        type: str
        choices: [none, agent, cloud_init, ssh]
        default: none
      wait_timeout:
        description: Seconds to wait, for all VMs of a task together.
        type: int
        default: 600
      ssh_port:
        description: The port for C(wait_for=ssh).
        type: int
        default: 22
      vmid_range:
        description: The block for this VM, O(vmid_range) where nothing is given.
        type: str
"""
