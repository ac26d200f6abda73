# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Docker daemon for all scenarios of a run.

Without root, or without the programs, the tests are skipped; under CI=true that is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.collections import unpack
from tests.support.hosts import Daemon, missing, serve

ROOT = Path(__file__).resolve().parents[2]


def refuse(reason: str) -> None:
    """Skip, or fail where nothing may be skipped."""
    pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@pytest.fixture(scope="session")
def collections() -> list[Path]:
    """Where this collection is, and the others that hosts and roles need."""
    folder = ROOT / ".venv" / "cache" / "collections"
    if reason := unpack(folder, ("community/docker", "community/library_inventory_filtering_v1", "community/crypto")):
        refuse(reason)
    return [ROOT / ".venv" / "collections", folder]


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    """The daemon."""
    if reason := missing():
        refuse(reason)
    with serve() as running:
        yield running
