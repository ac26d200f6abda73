# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each module promises about check mode, diff mode and second runs."""

from __future__ import annotations


class ModuleDocFragment:
    """C(homelab.proxmox.attributes) explains the promises; one of its variants makes them."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: In check mode the module sends reads only and reports what it would change.
  diff_mode:
    description: In diff mode the module returns what differs, before and after, also when it changes nothing yet.
  idempotent:
    description: A second run with the same options changes nothing, unless somebody else changed something in between.
"""

    # For modules that reconcile one noun.
    DECLARATIVE = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

    # For modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: The module only reads.
  diff_mode:
    support: N/A
    details: The module only reads.
  idempotent:
    support: full
    details: The module only reads.
"""

    # For every module that talks to Proxmox VE.
    ACTIONGROUP = r"""
options: {}
attributes:
  action_group:
    description: Set connection options once, for C(group/homelab.proxmox.all) in C(module_defaults).
    support: full
    membership:
      - homelab.proxmox.all
"""
