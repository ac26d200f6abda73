#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a backup of the configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_backup
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep a backup of the configuration
version_added: 0.1.0
description:
  - Makes sure that there is a backup of the configuration as it is now. Where there is one, nothing is written.
  - A backup is one file, readable by its owner only. It holds the files as they are, so a secret that is written in one
    of them is in the backup too. Connection files are not backed up.
  - The newest ones stay, as many as the option C(config.keep_backups) says.
options:
  base:
    description: Whose files. V(system) has the system's file, modules, profiles and actions, V(user) the user's file.
    type: str
    choices: [system, user]
    default: system
  reason:
    description: What it is for, to be told apart from others.
    type: str
    default: asked for
extends_documentation_fragment:
  - homelab.proxmox.config
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.config_restore
  - module: homelab.proxmox.config_info
"""

EXAMPLES = r"""
- name: Back up before an update
  homelab.proxmox.config_backup:
    reason: before the update
"""

RETURN = r"""
backup:
  description: The backup, null in check mode where there is none yet.
  returned: success
  type: dict
  contains:
    id: {description: Its id., type: str, sample: 20261128T130512.123456Z-8d1f03ab}
    made: {description: When., type: str, sample: "2026-11-28T13:05:12.123456+00:00"}
    reason: {description: What for., type: str, sample: before the update}
    files: {description: Which files., type: list, elements: str, sample: [system.yml]}
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["write a backup below /var/lib/homelab/backups"]
diff:
  description: What differs, under the folder of the backups.
  returned: changed
  type: dict
  sample:
    before: {/var/lib/homelab/backups: no backup of what is there}
    after: {/var/lib/homelab/backups: [system.yml]}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.config_info_door import backup_options, run_config_backup


def main() -> None:
    run_config_backup(AnsibleModule(argument_spec=backup_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
