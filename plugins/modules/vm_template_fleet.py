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
  lines:
    description:
      - The lines, each with the options of M(homelab.proxmox.vm_template) but for those that stand beside it here.
    type: list
    elements: dict
    required: true
    suboptions:
      nodes:
        description: The nodes that get this line, O(nodes) where nothing is given.
        type: list
        elements: str
      storages:
        description: The storage for the line's disks by node, where it is not the same everywhere.
        type: dict
      line:
        description:
          - The name of the line, which is what consumers ask for, such as V(debian-13).
          - It is the catalogue id as well, unless C(image) or C(url) says otherwise.
        type: str
        required: true
      state:
        description:
          - V(present) builds the template, keeps it as declared, and builds a new generation where that is needed.
          - V(absent) destroys every generation of the line on the node. Protected generations, and ones with linked
            clones, are refused.
        type: str
        choices:
          - present
          - absent
        default: present
      image:
        description:
          - The id of a catalogue entry, such as V(debian-13) or V(ubuntu-24.04).
          - M(homelab.proxmox.cloud_image_info) lists them.
          - Excludes C(url).
        type: str
      arch:
        description: The architecture of the guest.
        type: str
        choices:
          - x86_64
          - aarch64
        default: x86_64
      url:
        description:
          - An image of your own instead of a catalogue entry, as V(https://…), V(http://…) or V(file:///…).
          - Needs either C(checksum) or C(checksum_url).
        type: str
      checksum:
        description:
          - The digest of the file at C(url) as it is downloaded, written V(sha256:<hex>) or V(sha512:<hex>).
          - It pins the build. No vendor is asked.
        type: str
      checksum_url:
        description: The sums file that names the file at C(url), in any of the usual forms.
        type: str
      image_format:
        description: The real format of the image at C(url), where its name does not tell it.
        type: str
        choices:
          - qcow2
          - raw
          - vmdk
      compression:
        description: How the file at C(url) is packed, where its name does not tell it.
        type: str
        choices:
          - none
          - xz
          - gz
          - bz2
          - zst
          - tar
          - tar.xz
          - tar.gz
          - tar.bz2
          - tar.zst
      transfer:
        description:
          - With V(download) the node fetches the image itself.
          - With V(upload) this machine fetches, verifies and uploads it.
          - With V(auto) the node does it where it can. Packed images, local files, nodes that do not reach the vendor
            and credentials without C(Sys.AccessNetwork) are served by upload.
        type: str
        choices:
          - auto
          - download
          - upload
        default: auto
      storage:
        description: The storage for the template's disks. Needed with C(state=present).
        type: str
      image_storage:
        description: The storage for image files. It needs content C(import).
        type: str
        default: local
      cloudinit_storage:
        description: The storage for the cloud-init drive, the same as C(storage) where nothing is given.
        type: str
      pool:
        description:
          - The resource pool that every template joins.
          - With the least privileges (see the C(access) role) a pool is needed, since it is what grants them.
        type: str
      vmid:
        description:
          - A fixed VMID. A new generation is made beside the old one, so a line with a fixed VMID cannot be rebuilt
            in place.
        type: int
      vmid_range:
        description: The block from which VMIDs are taken, lowest free one first.
        type: str
        default: 9000-9999
      name:
        description: The VM name of the current generation, the same as C(line) where nothing is given.
        type: str
      description:
        description: Text for people, in Markdown. The identity block is put below it.
        type: str
      tags:
        description:
          - Tags besides those that carry the identity (C(line-…), C(gen-…), C(recipe-…), C(state-…)).
          - An empty list removes tags, leaving the option out leaves them alone.
        type: list
        elements: str
      protection:
        description: Whether the current generation is protected against removal.
        type: bool
      disk:
        description: The system disk. A change needs a new generation.
        type: dict
        suboptions:
          size:
            description: The size to grow to, such as V(10G). New builds have what the image's catalogue entry asks
              for.
            type: str
          format:
            description: The file format on file storages.
            type: str
            choices:
              - qcow2
              - raw
          discard:
            description: Pass trimming on. New builds do.
            type: bool
          ssd:
            description: Present the disk as an SSD. New builds do.
            type: bool
          iothread:
            description: Give the disk an I/O thread of its own. New builds do.
            type: bool
          cache:
            description: The cache mode.
            type: str
            choices:
              - none
              - writethrough
              - writeback
              - unsafe
              - directsync
          aio:
            description: The kind of asynchronous I/O.
            type: str
            choices:
              - native
              - threads
              - io_uring
      cores:
        description: Cores per socket. New builds have 2.
        type: int
      sockets:
        description: Sockets.
        type: int
      cpu:
        description: The CPU type. New builds take V(x86-64-v2-AES), or the level that the image needs.
        type: str
      memory:
        description: Memory in MiB. New builds have 2048, or what the image needs.
        type: int
      balloon:
        description: The least memory in MiB when ballooning; 0 switches ballooning off.
        type: int
      machine:
        description: The machine type. New builds with UEFI have V(q35).
        type: str
      bios:
        description:
          - The firmware. New builds have what the image can boot, SeaBIOS first. A change needs a new generation.
        type: str
        choices:
          - seabios
          - ovmf
      efi:
        description: Asks for UEFI. A change needs a new generation.
        type: dict
        suboptions:
          secure_boot:
            description:
              - Enrol the vendors' keys. Proxmox VE 9.1 and newer is asked for the 2023 certificates, older servers
                decide themselves.
            type: bool
            default: false
          type:
            description: The size of the EFI variables.
            type: str
            choices:
              - 2m
              - 4m
            default: 4m
      tpm:
        description: Asks for a TPM, and with it for UEFI. A change needs a new generation.
        type: dict
        suboptions:
          version:
            description: The TPM's version.
            type: str
            choices:
              - v1.2
              - v2.0
            default: v2.0
      scsihw:
        description: The SCSI controller. New builds have V(virtio-scsi-single).
        type: str
        choices:
          - virtio-scsi-single
          - virtio-scsi-pci
          - lsi
          - lsi53c810
          - megasas
          - pvscsi
      ostype:
        description: The guest's type. New builds have what the catalogue says.
        type: str
      vga:
        description: The display, such as V(serial0) or V(std).
        type: str
      serial0:
        description: The first serial port. New builds have V(socket).
        type: str
      agent:
        description: The guest agent. New builds enable it where the image brings one.
        type: dict
        suboptions:
          enabled:
            description: Whether Proxmox VE talks to the agent.
            type: bool
            default: true
          fstrim_cloned_disks:
            description: Trim after a clone.
            type: bool
          type:
            description: How the agent is reached.
            type: str
            choices:
              - virtio
              - isa
      net:
        description: The network devices, C(net0) first. New builds have one on V(vmbr0).
        type: list
        elements: dict
        suboptions:
          model:
            description: The device model.
            type: str
            default: virtio
          bridge:
            description: The bridge.
            type: str
            default: vmbr0
          tag:
            description: The VLAN.
            type: int
          firewall:
            description: Whether the firewall applies.
            type: bool
          mtu:
            description: The MTU, V(1) for that of the bridge.
            type: int
          queues:
            description: The number of queues.
            type: int
          rate:
            description: The limit in MB/s.
            type: float
          link_down:
            description: Whether the link is down.
            type: bool
          trunks:
            description: VLANs to pass.
            type: list
            elements: str
      ciuser:
        description: The user that cloud-init makes. New builds take the image's default user. An empty text clears
          it.
        type: str
      cipassword:
        description: The user's password. It is never sent in the create call, which would store it in plain text.
        type: str
      cipassword_update:
        description:
          - Proxmox VE never tells a password back. With V(on_create) it is set on new generations and where there
            is none.
          - With V(always) every run sets it, and reports a change.
        type: str
        choices:
          - on_create
          - always
        default: on_create
      sshkeys:
        description: Public keys for the user. An empty list clears them.
        type: list
        elements: str
      ipconfig:
        description: Addresses by network device, C(ipconfig0) first. New builds have DHCP on the first.
        type: list
        elements: dict
        suboptions:
          ip:
            description: V(dhcp) or an address with its prefix length.
            type: str
          gw:
            description: The gateway.
            type: str
          ip6:
            description: V(auto), V(dhcp) or an address with its prefix length.
            type: str
          gw6:
            description: The gateway for IPv6.
            type: str
      nameserver:
        description: Name servers. Without any, guests get the node's. An empty list clears them.
        type: list
        elements: str
      searchdomain:
        description: The search domain. An empty text clears it.
        type: str
      ciupgrade:
        description: Whether cloud-init upgrades all packages at first boot. New builds do not.
        type: bool
      citype:
        description: The format of the cloud-init drive.
        type: str
        choices:
          - nocloud
          - configdrive2
          - opennebula
      refresh:
        description:
          - When the vendor is asked for a newer image. V(max_age) asks when the current generation is older than
            C(max_age).
          - A vendor that does not answer is a warning where a current generation exists.
        type: str
        choices:
          - never
          - max_age
          - always
        default: max_age
      max_age:
        description: Days, for C(refresh=max_age).
        type: int
        default: 30
      keep:
        description:
          - How many complete generations stay, the current one included. Older ones that nothing hangs on are
            destroyed after the new one is published; what stays in spite of it is returned with the reason.
        type: int
      customize:
        description:
          - What the template gets beyond its image. The new VM is booted once with a seed made here, watched through
            its guest agent, sealed, shut down and only then converted. Everything but time-outs belongs to the
            recipe.
          - It needs a storage with content C(iso), a guest agent (installed where the image has none), and
            the privileges of the capability C(customise).
        type: dict
        suboptions:
          packages:
            description: Packages to install, by the names that the guest's package manager knows.
            type: list
            elements: str
            default: []
          package_upgrade:
            description: Upgrade all packages first.
            type: bool
            default: false
          users:
            description: Accounts to make.
            type: list
            elements: dict
            default: []
            suboptions:
              name:
                description: The name.
                type: str
                required: true
              gecos:
                description: The full name.
                type: str
              uid:
                description: The number.
                type: int
              primary_group:
                description: The primary group.
                type: str
              groups:
                description: Further groups.
                type: list
                elements: str
                default: []
              home:
                description: The home directory.
                type: str
              shell:
                description: The login shell.
                type: str
              system:
                description: Whether it is a system account.
                type: bool
              sudo:
                description: Rules for sudo, without the user's name, such as V(ALL=(ALL\) NOPASSWD:ALL).
                type: list
                elements: str
                default: []
              lock_passwd:
                description: Whether logging in with a password is impossible.
                type: bool
              passwd:
                description: A hash as crypt(3) makes it. Plain passwords are refused.
                type: str
              ssh_authorized_keys:
                description: Public keys.
                type: list
                elements: str
                default: []
          ssh_authorized_keys:
            description: Public keys of the image's own user.
            type: list
            elements: str
            default: []
          files:
            description: Files to write.
            type: list
            elements: dict
            default: []
            suboptions:
              path:
                description: Where, in the guest.
                type: str
                required: true
              content:
                description: The text. Give this or C(src).
                type: str
              src:
                description: A file where the module runs.
                type: path
              encoding:
                description: How the content is wrapped, if it is.
                type: str
                choices:
                  - b64
                  - gz
                  - gz+b64
              owner:
                description: V(user) or V(user:group).
                type: str
              permissions:
                description: Octal digits as text, such as V('0644').
                type: str
          scripts:
            description: Scripts that run as root in this order, after the packages.
            type: list
            elements: dict
            default: []
            suboptions:
              name:
                description: By which name it is reported.
                type: str
                required: true
              content:
                description: The text. Give this or C(src).
                type: str
              src:
                description: A file where the module runs.
                type: path
              interpreter:
                description: What runs it, where its first line does not say so.
                type: str
              timeout:
                description: Seconds it may take.
                type: int
                default: 1800
          timezone:
            description: The time zone, such as V(Europe/Berlin).
            type: str
          locale:
            description: The locale, such as V(C.UTF-8).
            type: str
          agent:
            description: V(auto) installs the guest agent where there is none, V(install) always, V(none) never.
            type: str
            choices:
              - auto
              - install
              - none
            default: auto
          agent_packages:
            description: Package files of the agent, where the module runs, which ride on the seed.
            type: list
            elements: path
            default: []
          user_data:
            description: A cloud-config of one's own, merged by cloud-init's rules and checked with cloud-init's schema.
            type: dict
      iso_storage:
        description: Where the seed of a builder lies while it boots. The default is C(image_storage).
        type: str
      bake_version:
        description:
          - What Ansible roles add to this line, by a name of your own such as V(2026.11-1). It belongs to the recipe,
            and is all that the recipe knows of the roles; change it when they change.
          - A line with it gets a new generation in two calls. C(stop_before) begins it, roles work on the builder,
            and C(resume) finishes it. The playbook C(homelab.proxmox.templates_bake) does all of it.
          - A call with neither builds nothing. Where a new generation is needed it warns and keeps the current one,
            and is refused where there is none. Settings still change in place.
        type: str
      bake_keys:
        description:
          - Public keys of those who may log in to the builder over SSH while it waits for its roles, as
            C(homelab-bake), who may use sudo. The account goes when the builder is sealed. The keys are no part of
            the recipe.
          - Without keys roles get in through the guest agent, with the connection C(homelab.proxmox.guest_agent).
        type: list
        elements: str
        default: []
      bake_timeout:
        description:
          - Seconds that a builder may wait for its roles, beyond the C(timeout) of the call that stopped it. Until
            then other runs leave it alone and are refused, afterwards the next run removes it.
        type: int
        default: 7200
      stop_before:
        description:
          - With V(seal) a new generation is created, booted and customised, and left running before it is sealed. How
            to reach it is returned as C(builder).
          - Where no new generation is needed it has no effect, and C(builder) is null. Needs C(bake_version).
        type: str
        choices:
          - seal
      resume:
        description:
          - The C(run) of a builder that C(stop_before) has returned. It is sealed, checked, shut down, converted,
            proved and published. A builder of another recipe is refused.
          - When that was done already, nothing is changed.
        type: str
      abandon:
        description: The C(run) of a builder that C(stop_before) has returned. It is removed, and nothing else is done.
        type: str
      prove:
        description:
          - What a new generation has to prove before it is published. Clones of it are booted; their agents have to
            answer, cloud-init has to end without errors, and what is said here has to hold. They are destroyed
            afterwards.
          - When it does not hold, the generation is given up, the former one stays current, and the task fails with
            everything that was found. Two clones must not have one machine-id or one host key.
          - Guests without an agent get a degraded proof, and are marked so. They run, read their disk and send into
            their network.
          - It is no part of the recipe. Use M(homelab.proxmox.vm_template_prove) for a generation that exists.
        type: dict
        suboptions:
          clones:
            description: How many clones; 1 to 4.
            type: int
            default: 2
          timeout:
            description: Seconds until the agent answers, and again until cloud-init has ended.
            type: int
            default: 900
          commands:
            description: Shell commands that are run in each clone as root.
            type: list
            elements: dict
            default: []
            suboptions:
              command:
                description: The command.
                type: str
                required: true
              status:
                description: The exit status that it has to have.
                type: int
                default: 0
              stdout:
                description: A regular expression that its output has to match somewhere.
                type: str
          packages:
            description: Packages that have to be installed.
            type: list
            elements: str
            default: []
          services:
            description: Units of systemd that have to be active.
            type: list
            elements: str
            default: []
          ports:
            description: TCP ports that something has to listen on.
            type: list
            elements: int
            default: []
          users:
            description: Accounts that have to exist.
            type: list
            elements: str
            default: []
          failed_units:
            description: Put up with failed units of systemd.
            type: bool
            default: false
          keep_failed:
            description: Leave the clones of a failed proof, and the template that they hang on, to be looked at.
            type: bool
            default: false
      hold:
        description:
          - Keep the current generation whatever the recipe, the vendor or C(keep) say; what is held back is said.
            Settings that change in place still follow. A line without a current generation gets its first one.
        type: bool
        default: false
      pin:
        description:
          - The build to stay with, as a generation such as V(20261123203101), as the vendor's name of a build, or as
            the digest of the vendor's file, such as V(sha256:…).
          - With a generation, exactly that one is current, also where the recipe says something else by now. With a
            vendor's build, a changed recipe is built from that build.
        type: str
      adopt:
        description: Take over the hand-made template that C(vmid) names, as the line's current generation.
        type: bool
        default: false
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
