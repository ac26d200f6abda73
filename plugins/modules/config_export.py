#!/usr/bin/python
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a profile that other sites can take in."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_export
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Keep a profile that other sites can take in
version_added: 0.1.0
description:
  - Writes what all layers but the collection's defaults say into one file, a profile with a digest. Taken in elsewhere
    by M(homelab.proxmox.config_import), it comes to the same configuration.
  - Secrets do not go in. In their place are references to environment variables, which RV(needs) lists. References that
    are there stay, so the other site needs the same files or variables.
  - The file has mode 0600 where it is new.
options:
  dest:
    description: The file, where the module runs. What is there is replaced at once.
    type: path
    required: true
  name:
    description: The name of the profile.
    type: str
    required: true
  profile:
    description: The profile of this site that applies. Without it, the one that applies usually.
    type: str
extends_documentation_fragment:
  - homelab.proxmox.config
  - homelab.proxmox.attributes
  - homelab.proxmox.attributes.declarative
seealso:
  - module: homelab.proxmox.config_import
  - module: homelab.proxmox.config_info
"""

EXAMPLES = r"""
- name: Write the configuration down for the other site
  homelab.proxmox.config_export:
    dest: /root/lab.yml
    name: lab
"""

RETURN = r"""
file: {description: The file., returned: success, type: str, sample: /root/lab.yml}
digest: {description: The digest of the profile., returned: success, type: str, sample: "sha256:8d1f…"}
needs:
  description: The secrets that did not go in, as the environment variable that stands for each option.
  returned: success
  type: dict
  sample: {proxmox.api_token_secret: HOMELAB_SECRET_PROXMOX_API_TOKEN_SECRET}
steps:
  description: What was done, or would be done in check mode.
  returned: changed
  type: list
  elements: str
  sample: ["write /root/lab.yml"]
diff:
  description: What differs, under the file.
  returned: changed
  type: dict
  sample:
    before: {/root/lab.yml: null}
    after: {/root/lab.yml: "sha256:8d1f…"}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._ansible.config_info_door import export_options, run_config_export


def main() -> None:
    run_config_export(AnsibleModule(argument_spec=export_options(), supports_check_mode=True))


if __name__ == "__main__":
    main()
