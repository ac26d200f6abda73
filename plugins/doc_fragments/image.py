# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say which image is meant, twinned with module_utils/_ansible/image_options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """C(extends_documentation_fragment: homelab.proxmox.image)."""

    DOCUMENTATION = r"""
options:
  image:
    description:
      - The id of a catalogue entry, such as V(debian-13) or V(ubuntu-24.04).
      - M(homelab.proxmox.cloud_image_info) lists them.
      - Excludes O(url).
    type: str
  arch:
    description: The architecture of the guest.
    type: str
    choices: [x86_64, aarch64]
    default: x86_64
  catalog_files:
    description:
      - Catalogue files of your own, where the module runs, laid over the shipped catalogue in this order.
      - A file may name a folder of bundles elsewhere, with the keys that may have signed its index. It is fetched and
        verified then.
    type: list
    elements: path
    default: []
  url:
    description:
      - An image of your own instead of a catalogue entry, as V(https://…), V(http://…) or V(file:///…).
      - Needs either O(checksum) or O(checksum_url).
    type: str
  checksum:
    description:
      - The digest of the file at O(url) as it is downloaded, written V(sha256:<hex>) or V(sha512:<hex>).
      - It pins the build. No vendor is asked.
    type: str
  checksum_url:
    description: The sums file that names the file at O(url), in any of the usual forms.
    type: str
  image_format:
    description: The real format of the image at O(url), where its name does not tell it.
    type: str
    choices: [qcow2, raw, vmdk]
  compression:
    description: How the file at O(url) is packed, where its name does not tell it.
    type: str
    choices: [none, xz, gz, bz2, zst, tar, tar.xz, tar.gz, tar.bz2, tar.zst]
  signature:
    description:
      - With V(if_available) the vendor's signature is checked where there is one and its key is at hand. The result
        says how the checksum is trusted.
      - With V(required) nothing is taken whose signature was not verified.
    type: str
    choices: [required, if_available]
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
  transfer:
    description:
      - With V(download) the node fetches the image itself.
      - With V(upload) this machine fetches, verifies and uploads it.
      - With V(auto) the node does it where it can. Packed images, local files, nodes that do not reach the vendor and
        credentials without C(Sys.AccessNetwork) are served by upload.
    type: str
    choices: [auto, download, upload]
    default: auto
  download_dir:
    description:
      - Where images for upload are fetched and unpacked, on the machine that runs the module.
      - A folder that stays lets an interrupted download resume. The default is a temporary folder.
    type: path
"""
