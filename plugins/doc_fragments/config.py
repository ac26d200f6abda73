# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option and the needs of every module of the layered configuration, twinned with _ansible/config_door.py."""

from __future__ import annotations


class ModuleDocFragment:
    """C(extends_documentation_fragment: homelab.proxmox.config)."""

    DOCUMENTATION = r"""
options:
  root:
    description:
      - Have all files of the configuration below this folder, instead of below C(/) and the user's home.
      - Falls back to E(HOMELAB_ROOT).
    type: path
requirements:
  - python >= 3.11
  - PyYAML >= 6.0
  - jsonschema >= 4.20.0
"""
