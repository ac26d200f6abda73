# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook C(homelab.proxmox.templates_report) against the fake server, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.pve import FakeCluster, Server, serve
from tests.support.report_lab import hashed, plant


def play(server: Server, folder: Path, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the playbook in a folder, for one cluster."""
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
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "0", "HOME": str(folder), "PWD": str(folder)}
    return subprocess.run(
        [*command, "homelab.proxmox.templates_report", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )


@pytest.mark.slow
def test_the_page_of_what_the_inventory_declares(tmp_path: Path) -> None:
    cluster = FakeCluster(nodes=("pve1", "pve2"))
    plant(cluster, "web", 9001, datetime.now(UTC) - timedelta(days=2), image="")
    own = {"url": "https://192.0.2.1/x.qcow2", "checksum": hashed("web")}
    variables = {
        "templates_nodes": ["pve1", "pve2"],
        "templates_defaults": {"storage": "fast", "hold": True},
        "templates_lines": [{"line": "web", **own}],
    }
    with serve(cluster) as server:
        planned = play(server, tmp_path, "--check", **variables)
        assert planned.returncode == 0, planned.stdout + planned.stderr
        assert "changed=1" in planned.stdout
        assert not (tmp_path / "templates-home.html").exists()
        done = play(server, tmp_path, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "changed=1" in done.stdout
        assert "not built yet" in done.stdout
        page = (tmp_path / "templates-home.html").read_text(encoding="utf-8")
        assert "Templates of home" in page
        assert "Held" in page
        assert server.writes() == []


@pytest.mark.slow
def test_without_declared_lines_it_reports_what_is_there(tmp_path: Path) -> None:
    cluster = FakeCluster()
    plant(cluster, "web", 9001, datetime.now(UTC), image="")
    path = tmp_path / "there.html"
    with serve(cluster) as server:
        done = play(server, tmp_path, templates_report_path=str(path), templates_report_gather=["sizes"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "vendors not asked" in path.read_text(encoding="utf-8")
    assert '"current": 1' in done.stdout
