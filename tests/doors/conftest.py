# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doors are tested against a site of their own, with a clock on which nobody waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.homelab.proxmox.tests.unit.images.conftest import signer

from tests.support.fleet import fleet
from tests.support.site import Site, open_site
from tests.support.vendor import Vendor
from tests.support.vms import lab
from tests.support.workbench import bench, bench_vendor

__all__ = ["bench", "bench_vendor", "fleet", "lab", "signer", "site"]


@pytest.fixture
def site(bench_vendor: Vendor) -> Iterator[Site]:
    with open_site(bench_vendor) as opened:
        yield opened
