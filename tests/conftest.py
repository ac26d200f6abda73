# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests: nothing of the person's own Proxmox, Ansible or Docker settings may reach a test."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / ".venv" / "collections"

_STRANGERS = ("PROXMOX_", "HOMELAB_", "ANSIBLE_", "DOCKER_")

# Before Ansible is imported anywhere: it reads its settings once.
for _name in [name for name in os.environ if name.startswith(_STRANGERS)]:
    del os.environ[_name]
for _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(_name, None)
os.environ |= {
    "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
    "ANSIBLE_CONFIG": str(ROOT / "tests" / "ansible.cfg"),
    "ANSIBLE_HOME": str(ROOT / "build" / "ansible"),
    "ANSIBLE_NOCOLOR": "1",
    # For the processes that tests start; this one has its path from pyproject.toml.
    "PYTHONPATH": str(COLLECTIONS),
    "NO_PROXY": "127.0.0.1,localhost,::1",
    "no_proxy": "127.0.0.1,localhost,::1",
}

# A busy machine is ten times slower, so no deadline; the same examples on every run, so that a failure can be repeated.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
