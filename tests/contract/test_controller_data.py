# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control node has written is gone when its data shall be gone."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = re.compile(r'\bstate / "([a-z]+)"')


def test_every_folder_of_data_is_removed_with_the_data() -> None:
    sources = [*(ROOT / "plugins/module_utils").glob("_c*/*.py"), *(ROOT / "plugins/module_utils").glob("_a*/*.py")]
    made = {name for source in sources for name in FOLDER.findall(source.read_text(encoding="utf-8"))}
    assert {"runs", "reports", "locks"} <= made
    variables = yaml.safe_load((ROOT / "roles/controller/vars/main.yml").read_text(encoding="utf-8"))
    assert {f"/var/lib/homelab/{name}" for name in made} <= set(variables["__controller_data"])
