# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module that talks to Proxmox VE needs; twinned with module_utils/_ansible/deps.py."""

from __future__ import annotations


class ModuleDocFragment:
    """C(extends_documentation_fragment: homelab.proxmox.requirements), for some modules C(.images) or C(.customize)."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - "python >= 3.11"
  - "proxmoxer >= 2.3.0"
  - "requests >= 2.31.0"
  - "requests_toolbelt >= 1.0.0 (for uploads over 2 GiB)"
"""

    CUSTOMIZE = r"""
options: {}
requirements:
  - "pycdlib >= 1.12.0 (for customised templates)"
  - "jsonschema >= 4.20.0 (for customised templates)"
"""

    IMAGES = r"""
options: {}
requirements:
  - "python >= 3.11"
  - "requests >= 2.31.0"
  - "PyYAML >= 6.0 and jsonschema >= 4.20.0 (for catalogue files of your own)"
  - "zstandard >= 0.22.0 (for images packed with zstd)"
  - "gpgv (for vendors that sign their checksums)"
"""
