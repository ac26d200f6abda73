#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what a layer of the configuration says."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep what a layer of the configuration says
version_added: 0.1.0
description:
  - Sets and removes options in one file of the layered configuration, where the module runs. Comments and order of the
    file stay.
  - Everything is checked against the schema before anything is written. A file that others write at the same time is
    waited for. What was there goes into a backup.
  - Values are data. They are no templates once they are written.
options:
  layer:
    description:
      - Which file. V(system), V(user), V(profile:NAME) or V(module:SECTION).
      - Each layer wins over the ones before it in this order. A warning says when another one wins over what was set.
    type: str
    default: system
  values:
    description:
      - What the layer shall say, as sections with options. The option C(keep) of the section C(templates) is the role
        variable C(templates_keep).
      - Texts become what the schema wants, so that values of surveys can be given as they come.
      - Mappings are merged with what the layer says, lists replace it.
      - A secret is a reference here, a mapping with C(ref), as in the examples.
    type: dict
    default: {}
  secret_values:
    description: The same for secrets that are written into the file as they are. They are not logged.
    type: dict
    default: {}
  absent:
    description: Options that the layer shall say nothing of. What lower layers say holds again.
    type: list
    elements: str
    default: []
  reset:
    description: Options that the layer takes back to the default of the collection, whatever lower layers say.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - homelab.proxmox.config
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.config_info
  - module: homelab.proxmox.config_restore
"""

EXAMPLES = r"""
- name: Keep three generations of templates, and let hardening know about Docker
  homelab.proxmox.config:
    values:
      templates:
        keep: 3
      hardening:
        workloads: [docker]

- name: Reach the API with a token that is in the environment of each run
  homelab.proxmox.config:
    layer: user
    values:
      proxmox:
        api_host: pve1.example.org
        api_token_id: homelab@pve!ansible
        api_token_secret: {ref: env, name: PVE_TOKEN}

- name: Leave the number of generations to the collection again
  homelab.proxmox.config:
    absent: [templates.keep]
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

from ..module_utils._ansible.config_door import config_options, run_config


def main() -> None:
    run_config(AnsibleModule(argument_spec=config_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
