# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/actions.md from the registry of actions; C(--check) only compares."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "actions.md"
sys.path.insert(0, str(ROOT / ".venv" / "collections"))

from ansible_collections.homelab.proxmox.plugins.module_utils._actions.load import load  # noqa: E402
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.page import page  # noqa: E402
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.reference import config_schema  # noqa: E402


def main() -> int:
    """Write or compare. Returns 1 when the page is not what it should be."""
    wanted = page(load(None, config_schema))
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
