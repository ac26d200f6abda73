#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the configuration in the words of another schema version."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_migrate
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Write the configuration in the words of another schema version
version_added: 0.1.0
description:
  - Rewrites files that were written for another version of the schema. Nothing is lost on the way up or down, but for
    comments, which the backup has.
  - Files of older versions are understood without it.
options:
  version:
    description: The version of the schema. An older one is for going back to an older release.
    type: int
    default: 2
  base:
    description: Whose files. V(system) has the system's file, modules and profiles, V(user) the user's file.
    type: str
    choices: [system, user]
    default: system
extends_documentation_fragment:
  - homelab.proxmox.config
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.config_info
  - module: homelab.proxmox.config_restore
"""

EXAMPLES = r"""
- name: Bring the configuration up to this release
  homelab.proxmox.config_migrate:
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
version:
  description: The version of the schema.
  returned: success
  type: int
  sample: 2
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

from ..module_utils._ansible.config_door import migrate_options, run_config_migrate


def main() -> None:
    run_config_migrate(AnsibleModule(argument_spec=migrate_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
