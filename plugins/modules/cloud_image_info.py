#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List cloud images of the catalogue."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_image_info
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: List the cloud images of the catalogue
version_added: 0.1.0
description:
  - Lists what the catalogue knows of cloud images; the filters are combined, an image has to satisfy all of them.
  - Neither a vendor nor Proxmox VE is asked; no connection is needed.
options:
  ids:
    description:
      - Only these entries, by id or alias.
      - An unknown id is an error.
    type: list
    elements: str
  family:
    description:
      - Only images of this vendor, for example V(debian) or V(almalinux).
      - A family without any image is an error.
    type: str
  os_family:
    description:
      - Only images of this family of systems, for example V(debian) for Debian, Ubuntu and Kali, or V(rhel).
    type: str
    choices: [alpine, alt, amazon, arch, bsd, buildroot, debian, fedora, gentoo, illumos, other, photon, rhel, suse]
  arch:
    description:
      - The architecture of the guest; images that do not exist for it are left out.
    type: str
    choices: [x86_64, aarch64]
    default: x86_64
  cloud_init:
    description:
      - Only images in which cloud-init works in this way.
      - Images with V(none) can be stored, but not made into templates.
    type: str
    choices: [full, partial, none, unknown]
  lifecycle:
    description:
      - Only images in this state today. An image whose announced last day is over counts as V(eol).
    type: str
    choices: [supported, preview, eol, unknown]
  catalog_files:
    description:
      - Catalogue files of your own on the host that runs the module, laid over the shipped catalogue in this order.
      - An entry takes the place of a shipped one only if it says C(replaces=true).
      - Reading them needs the Python libraries PyYAML and jsonschema.
    type: list
    elements: path
    default: []
extends_documentation_fragment:
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.info_module
requirements:
  - python >= 3.11
seealso:
  - plugin: homelab.proxmox.cloud_image
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: List everything that is supported and runs cloud-init
  homelab.proxmox.cloud_image_info:
    lifecycle: supported
    cloud_init: full
  register: catalogue

- name: Show two entries
  homelab.proxmox.cloud_image_info:
    ids: [debian-13, ubuntu-24.04]

- name: List images of the Red Hat family for 64-bit ARM
  homelab.proxmox.cloud_image_info:
    os_family: rhel
    arch: aarch64

- name: Check a catalogue file of your own
  homelab.proxmox.cloud_image_info:
    catalog_files:
      - /etc/homelab/images.yml
"""

RETURN = r"""
images:
  description:
    - The images that satisfy all filters, in the order of the catalogue.
  returned: success
  type: list
  elements: dict
  contains:
    id: {description: What to write as image., type: str, sample: debian-13}
    aliases: {description: Other names of the same entry., type: list, elements: str, sample: [debian-trixie]}
    name: {description: The name for people., type: str, sample: Debian 13 (trixie) genericcloud}
    family: {description: The vendor., type: str, sample: debian}
    os_family: {description: The family of systems., type: str, sample: debian}
    release: {description: The release., type: str, sample: "13"}
    codename: {description: The release's name., type: str, sample: trixie}
    variant: {description: The vendor's variant., type: str, sample: genericcloud}
    arch: {description: The architecture of this description., type: str, sample: x86_64}
    architectures: {description: All architectures of the entry., type: list, elements: str, sample: [x86_64, aarch64]}
    url:
      description: The image, possibly by a moving alias; null where only discovery finds it or none is public.
      type: str
      sample: https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2
    url_kind: {description: "V(latest) for a moving alias, V(dated), or V(none).", type: str, sample: latest}
    discovery: {description: How the newest dated build is found., type: dict, sample: {kind: debian-json}}
    known_builds: {description: Dated builds whose digest is on record., type: list, elements: dict, sample: []}
    mirrors: {description: Other places of the same file., type: list, elements: str, sample: []}
    file_name: {description: "The vendor's file name, where no URL is public.", type: str, sample: null}
    format: {description: The format of the disk., type: str, sample: qcow2}
    compression: {description: How the file is packed., type: str, sample: none}
    sums:
      description: The vendor's sums file, or null.
      type: dict
      sample: {url: "https://cloud.debian.org/images/cloud/trixie/latest/SHA512SUMS", format: gnu, algorithm: sha512}
    signature: {description: "What the vendor signs and with which key, or null.", type: dict, sample: null}
    digest: {description: A digest pinned in the entry itself., type: str, sample: null}
    default_user: {description: "The image's own user, null if not known.", type: str, sample: debian}
    cloud_init: {description: How far cloud-init works., type: str, sample: full}
    provisioner: {description: What configures the guest., type: str, sample: cloud-init}
    datasources: {description: Where it reads its configuration., type: list, elements: str, sample: [NoCloud]}
    guest_agent: {description: "Whether the guest agent is in it: V(yes), V(no), V(unknown).", type: str, sample: "no"}
    serial_console: {description: "Whether a serial port speaks: V(yes), V(no), V(unknown).", type: str, sample: "yes"}
    firmware: {description: How the image boots., type: dict, sample: {bios: true, uefi: true, secure_boot: true}}
    virtual_disk_gib: {description: Size of the disk as delivered., type: float, sample: 3}
    min_disk_gib: {description: Smallest sensible disk., type: float, sample: 8}
    min_ram_mib: {description: Smallest sensible memory., type: int, sample: 512}
    cpu_level: {description: The processor that the image needs., type: str, sample: x86-64-v1}
    ostype: {description: The guest type for Proxmox VE., type: str, sample: l26}
    selinux: {description: "Whether SELinux is on: V(yes), V(no) or V(unknown).", type: str, sample: "no"}
    package_manager: {description: The package manager., type: str, sample: apt}
    init_system: {description: The init system., type: str, sample: systemd}
    network_renderer: {description: What configures the network., type: str, sample: netplan to systemd-networkd}
    confidence: {description: How well the facts are attested., type: str, sample: high}
    unverified: {description: Keys filled in from general knowledge., type: list, elements: str, sample: [cpu_level]}
    lifecycle:
      description: The state today, the vendor's phase, and dates where they are known.
      type: dict
      sample:
        {state: supported, phase: supported, released: "2025-08-09", eol: "2028-08-09", extended_eol: "2030-06-30"}
    quirks: {description: Codes that building a template obeys., type: list, elements: str, sample: [ipconfig-required]}
    notes: {description: Sentences for people., type: list, elements: str, sample: []}
    origin: {description: "V(shipped), or the file the entry comes from.", type: str, sample: shipped}
    problems:
      description:
        - What stands against using the image without further options, for C(image) and for C(template).
      type: dict
      sample: {image: [], template: []}
problems:
  description:
    - Everything that is wrong with the catalogue files or the ids.
  returned: failure
  type: list
  elements: str
  sample: ["image: 'debain-13' is not in the catalogue; did you mean debian-13?"]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.catalog_door import catalog_options, run_cloud_image_info


def main() -> None:
    """Entry point of the module."""
    run_cloud_image_info(AnsibleModule(argument_spec=catalog_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
