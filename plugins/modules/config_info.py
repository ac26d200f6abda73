#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the layered configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_info
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Look at the layered configuration
version_added: 0.1.0
description:
  - Reads all layers where the module runs, merges them, checks them against the schema, and says where each value comes
    from.
  - It does not fail on what is wrong with the configuration. RV(valid) and RV(problems) say so.
  - Secrets are hidden. Use the lookup P(homelab.proxmox.config#lookup) to use one.
options:
  keys:
    description: Which options to return in RV(settings), with all that is below them. Without it, all.
    type: list
    elements: str
    default: []
  profile:
    description: The profile that applies. Without it, the one that applies usually.
    type: str
  defaults:
    description: Whether RV(settings) has what nobody but the collection says.
    type: bool
    default: true
extends_documentation_fragment:
  - homelab.proxmox.config
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.info_module
seealso:
  - module: homelab.proxmox.config
  - plugin: homelab.proxmox.config
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Read the configuration
  homelab.proxmox.config_info:
  register: configuration

- name: Stop where it is not sound
  ansible.builtin.assert:
    that: configuration.valid
    fail_msg: "{{ configuration.problems }}"

- name: See who says how many generations of templates stay
  homelab.proxmox.config_info:
    keys: [templates.keep]
"""

RETURN = r"""
valid: {description: Whether it can be used., returned: success, type: bool, sample: true}
problems:
  description: Everything that is wrong.
  returned: success
  type: list
  elements: dict
  contains:
    message: {description: What is wrong., type: str, sample: is not known}
    layer: {description: The layer., type: str, sample: system}
    source: {description: The file or the environment variable., type: str, sample: /etc/homelab/system.yml}
    line: {description: The line., type: int, sample: 12}
    key: {description: The option., type: str, sample: templates.kep}
    suggestion: {description: What would be right., type: str, sample: "Did you mean templates.keep?"}
notes:
  description: Warnings, which are also those of the module.
  returned: success
  type: list
  elements: str
  sample: ["/etc/homelab/system.yml: others may read the secrets in it; run: chmod 600 /etc/homelab/system.yml"]
settings:
  description: Every single value with who had the last word.
  returned: success
  type: list
  elements: dict
  contains:
    key: {description: The option., type: str, sample: templates.keep}
    value: {description: Its value., type: raw, sample: 3}
    layer: {description: The layer that said so., type: str, sample: system}
    source: {description: The file or the environment variable., type: str, sample: /etc/homelab/system.yml}
    line: {description: The line., type: int, sample: 12}
    said:
      description: All that was said, the lowest layer first.
      type: list
      elements: dict
      contains:
        value: {description: The value., type: raw, sample: 2}
        layer: {description: The layer., type: str, sample: default}
        source: {description: The file or the environment variable., type: str, sample: the collection}
        line: {description: The line., type: int, sample: 12}
values:
  description: The whole configuration.
  returned: success
  type: dict
  sample: {templates: {keep: 3}}
layers:
  description: The files, lowest first.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The layer., type: str, sample: system}
    path: {description: The file., type: str, sample: /etc/homelab/system.yml}
    present: {description: Whether it is there., type: bool, sample: true}
profile: {description: The profile that applies., returned: success, type: str, sample: lab}
schema_version: {description: The version of the schema., returned: success, type: int, sample: 2}
backups:
  description: The backups, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    base: {description: Whose files., type: str, sample: system}
    id: {description: Its id., type: str, sample: 20261128T130512.123456Z-8d1f03ab}
    made: {description: When., type: str, sample: "2026-11-28T13:05:12.123456+00:00"}
    reason: {description: What for., type: str, sample: set templates.keep}
    files: {description: Which files., type: list, elements: str, sample: [system.yml]}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.config_info_door import info_options, run_config_info


def main() -> None:
    run_config_info(AnsibleModule(argument_spec=info_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
