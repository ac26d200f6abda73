# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Third-party libraries, asked for once with one message."""

from __future__ import annotations

import importlib
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

# Twinned with doc_fragments/requirements.py and requirements/runtime.txt.
REQUIRED = {"proxmoxer": "proxmoxer >= 2.3.0", "requests": "requests >= 2.31.0"}
# What a line that is customised needs besides.
CUSTOMIZE = {"pycdlib": "pycdlib >= 1.12.0", "jsonschema": "jsonschema >= 4.20.0"}


def require_libraries(module: AnsibleModule, needed: dict[str, str] | None = None) -> None:
    """End the module with the name of the package to install when a library is missing."""
    for name, requirement in (needed or REQUIRED).items():
        try:
            importlib.import_module(name)
        except ImportError:
            module.fail_json(msg=missing_required_lib(requirement), exception=traceback.format_exc())
