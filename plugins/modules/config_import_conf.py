#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take in files of shell assignments."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_import_conf
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Take in files of shell assignments
version_added: 0.1.0
description:
  - Takes C(*.conf) files with lines such as C(TEMPLATES_KEEP=3) into the layered configuration. They are read and never
    run. What would need a shell, such as C($HOME) or a command, is refused with its line.
  - A variable is for the option of the same name. C(KEEP) in C(templates.conf) is for C(templates.keep) too.
options:
  src:
    description: The files, where the module runs. Of two assignments the later one counts.
    type: list
    elements: path
    required: true
  layer:
    description: Where it goes. V(system), V(user), V(profile:NAME) or V(module:SECTION).
    type: str
    default: system
  skip_unknown:
    description: Leave out variables that are no options, and return them, instead of refusing.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.proxmox.config
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.config
  - module: homelab.proxmox.config_info
"""

EXAMPLES = r"""
- name: Take over the settings of the shell scripts
  homelab.proxmox.config_import_conf:
    src: [/etc/homelab/homelab.conf, /etc/homelab/templates.conf]
    skip_unknown: true
"""

RETURN = r"""
files:
  description: The files that were written or removed, or would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/homelab/system.yml]
backup:
  description: The id of the backup of what was there, null where nothing was written.
  returned: success
  type: str
  sample: 20261128T130512.123456Z-8d1f03ab
layer:
  description: The layer.
  returned: success
  type: str
  sample: system
skipped:
  description: Variables that are no options, with file and line.
  returned: success
  type: list
  elements: str
  sample: ["/etc/homelab/homelab.conf:12: MENU_COLOR"]
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["write /etc/homelab/system.yml"]
diff:
  description: What differs, under the file and the option. Secrets are hidden.
  returned: changed
  type: dict
  sample:
    before: {"system.yml: templates.keep": 2}
    after: {"system.yml: templates.keep": 3}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.config_door import import_conf_options, run_config_import_conf


def main() -> None:
    run_config_import_conf(AnsibleModule(argument_spec=import_conf_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
