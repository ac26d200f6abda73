# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh fake cluster of two nodes with every kind of storage, and a client of it."""

from __future__ import annotations

import typing as t

import pytest

from tests.support.pve import FakeCluster, serve
from tests.support.pve.cluster import cluster_storages
from tests.support.pve.images import qcow2
from tests.support.pve_client import Api


@pytest.fixture
def api() -> t.Iterator[Api]:
    with serve(FakeCluster(nodes=("pve1", "pve2"), storages=cluster_storages())) as server:
        server.cluster.put_file("local:import/empty.qcow2", qcow2())
        yield Api(server)
