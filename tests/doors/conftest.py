# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the modules stand on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pve import FakeCluster
from tests.support.vendor import Vendor, serve_vendor
from tests.support.workbench import Bench, open_bench


@pytest.fixture(scope="session")
def bench_vendor() -> Iterator[Vendor]:
    """One vendor for all; each bench clears it."""
    with serve_vendor() as vendor:
        yield vendor


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, bench_vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A bench with one node pve1; by indirect parametrisation a test chooses the version, or a cluster of its own."""
    wanted = getattr(request, "param", "8.4.21")
    cluster = FakeCluster(version=wanted) if isinstance(wanted, str) else wanted()
    with open_bench(bench_vendor, tmp_path, monkeypatch, cluster) as laid:
        yield laid
