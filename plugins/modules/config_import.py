#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take in an exported profile."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_import
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Take in an exported profile
version_added: 0.1.0
description:
  - Takes in a profile that M(homelab.proxmox.config_export) wrote. A file that was changed since is refused.
  - It is checked against the schema and against what is here, and shown as a difference before it is written.
options:
  src:
    description: The exported file, where the module runs.
    type: path
    required: true
  name:
    description: The profile's name here. Without it, the one it was exported as.
    type: str
  activate:
    description: Make it the profile that applies, in the system's file.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.proxmox.config
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.config_export
  - module: homelab.proxmox.config
"""

EXAMPLES = r"""
- name: Use the profile of the other site
  homelab.proxmox.config_import:
    src: /root/lab.yml
    activate: true
  register: imported

- name: Say which secrets have to be supplied
  ansible.builtin.debug:
    msg: "{{ imported.needs }}"
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
profile:
  description: The profile's name.
  returned: success
  type: str
  sample: lab
needs:
  description: The secrets that this site has to supply, as the environment variable for each option.
  returned: success
  type: dict
  sample: {proxmox.api_token_secret: HOMELAB_SECRET_PROXMOX_API_TOKEN_SECRET}
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

from ..module_utils._ansible.config_door import import_options, run_config_import


def main() -> None:
    run_config_import(AnsibleModule(argument_spec=import_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
