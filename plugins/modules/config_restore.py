#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the configuration as a backup holds it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_restore
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Have the configuration as a backup holds it
version_added: 0.1.0
description:
  - Writes the files that a backup holds, and removes those that were not there when it was made. Other files stay.
  - What is there now goes into a backup too, so that a restore can be taken back.
  - A backup that was changed since it was written is refused.
options:
  backup:
    description: The id of the backup. M(homelab.proxmox.config_info) lists them.
    type: str
    required: true
  base:
    description: Whose files. V(system) has the system's file, modules, profiles and actions, V(user) the user's file.
    type: str
    choices: [system, user]
    default: system
extends_documentation_fragment:
  - homelab.proxmox.config
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.config_backup
  - module: homelab.proxmox.config_info
"""

EXAMPLES = r"""
- name: Take back the last change
  homelab.proxmox.config_restore:
    backup: 20261128T130512.123456Z-8d1f03ab
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
restored:
  description: The id of the backup.
  returned: success
  type: str
  sample: 20261128T130512.123456Z-8d1f03ab
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

from ..module_utils._ansible.config_door import restore_options, run_config_restore


def main() -> None:
    run_config_restore(AnsibleModule(argument_spec=restore_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
