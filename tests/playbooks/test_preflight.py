# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook C(homelab.proxmox.preflight) against the fake server, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.preflight_lab import PreflightCluster
from tests.support.pve import Server, serve


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(PreflightCluster(version="9.1.2")) as running:
        yield running


def play(server: Server, folder: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the playbook for one cluster; the journal of the server begins anew."""
    server.reset_log()
    connection = {
        "proxmox_api_host": server.host,
        "proxmox_api_port": server.port,
        "proxmox_api_token_id": server.token_id,
        "proxmox_api_token_secret": server.token_secret,
        "proxmox_ca_path": server.ca_path,
    }
    inventory = folder / "hosts.json"
    hosts = {"home": {**connection, **variables}}
    inventory.write_text(json.dumps({"proxmox_clusters": {"hosts": hosts}}), encoding="utf-8")
    return subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), "homelab.proxmox.preflight"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", "HOME": str(folder)},
    )


PLACES = {
    "templates_nodes": ["pve1", "pve2"],
    "templates_lines": [{"line": "own", "url": "https://192.0.2.1/x.qcow2"}, {"line": "gone", "state": "absent"}],
    "access_storages": ["local-lvm"],
    "access_image_storages": ["local"],
}


def test_a_good_site(server: Server, tmp_path: Path) -> None:
    done = play(server, tmp_path, **PLACES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors, 0 warnings, 0 unknown" in done.stdout
    assert server.writes() == []


def test_the_table_is_shown_though_the_play_fails(server: Server, tmp_path: Path) -> None:
    server.cluster.storages["local"]["content"] = "iso"
    done = play(server, tmp_path, **PLACES)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "-> Run: pvesm set local --content import,iso" in done.stdout
    assert "2 errors, 0 warnings, 0 unknown" in done.stdout
    assert play(server, tmp_path, **PLACES, preflight_fail_on="never").returncode == 0


def test_nothing_declared_looks_at_everything(server: Server, tmp_path: Path) -> None:
    done = play(server, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pve1/thick" in done.stdout
