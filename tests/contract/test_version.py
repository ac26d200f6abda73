# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version that templates carry is the collection's."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.template_door import BUILDER


def test_the_builder_is_this_collection(root: Path) -> None:
    galaxy = yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))
    assert f"{galaxy['namespace']}.{galaxy['name']} {galaxy['version']}" == BUILDER
