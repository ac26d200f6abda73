# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long work is followed, twinned with module_utils/_ansible/progress.py."""

from __future__ import annotations


class ModuleDocFragment:
    """C(homelab.proxmox.progress)."""

    DOCUMENTATION = r"""
options:
  progress_file:
    description:
      - A file on the machine that runs the module. What begins, goes on and ends is appended to it while the module
        runs, one JSON object a line, with C(time), C(track), C(event) (V(begin), V(progress), V(end) or V(failed)),
        C(step) and C(text), and C(percent), C(bytes) and C(total) where they are known. Follow it with C(tail -f).
      - A file that does not exist yet is made with the first line, readable for its owner only. A run that changes
        nothing writes nothing.
      - There is no need to give it in order to see progress, for Ansible shows these lines by itself when the
        module runs on the controller. It shows none for tasks with C(async), C(become) or C(no_log), nor where the
        environment of the controller holds E(HOMELAB_PROXMOX_PROGRESS=0).
    type: path
"""
