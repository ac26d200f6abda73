# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook C(homelab.proxmox.access) against the fake server, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.auth import connection_from
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.client import Client
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import ApiError, Kind
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.transport import ProxmoxerTransport

from tests.support.pve import FakeCluster, Server, serve


class Site:
    """A controller with one inventory, and the server it speaks to."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.home = folder
        self.file = folder / "secrets" / "connections" / "lab.yml"
        variables = {
            "proxmox_api_host": server.host,
            "proxmox_api_port": server.port,
            "proxmox_ca_path": server.ca_path,
            "proxmox_connection_file": str(self.file),
            "access_storages": ["local-lvm"],
            "access_image_storages": ["local"],
            "access_nodes": ["pve1"],
            "access_bridges": ["vmbr0"],
        }
        hosts = {"proxmox_clusters": {"hosts": {"lab": variables}}}
        (folder / "hosts.json").write_text(json.dumps(hosts), encoding="utf-8")

    def run(self, *arguments: str, **extra: Any) -> subprocess.CompletedProcess[str]:
        """Run the playbook; the administrator's password comes from the environment only."""
        self.server.reset_log()
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.home / "hosts.json")]
        command += ["homelab.proxmox.access", "-e", json.dumps(extra), *arguments]
        environment = {**os.environ, "HOME": str(self.home), "PROXMOX_PASSWORD": self.server.password}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)

    def client(self) -> Client:
        return Client(ProxmoxerTransport(connection_from({"connection_file": str(self.file)}, {})))


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with serve(FakeCluster(version=getattr(request, "param", "9.1.2"), password="correct-horse-7")) as running:
        running.cluster.auth_delay = 0
        yield Site(running, tmp_path)


def recap(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout[done.stdout.rindex("PLAY RECAP") :]


@pytest.mark.slow
@pytest.mark.parametrize("site", ["8.4.21", "9.1.2"], indirect=True)
def test_from_nothing_to_a_token_that_works_and_back(site: Site) -> None:
    planned = site.run("--check", "--diff")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "HomelabPool" in planned.stdout
    assert "changed=0" not in recap(planned)
    assert site.server.writes() == []
    assert not site.file.exists()

    first = site.run("--diff", "-vvv")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "changed=0" not in recap(first)
    secret = site.server.cluster.access.secrets["homelab@pve!ansible"]
    for output in (first.stdout, first.stderr):
        assert secret not in output
        assert site.server.password not in output
    assert site.file.stat().st_mode & 0o777 == 0o600
    assert site.file.parent.stat().st_mode & 0o777 == 0o700
    assert secret in site.file.read_text(encoding="utf-8")

    client = site.client()
    assert client.get("/access/permissions")["/pool/templates"]["VM.Allocate"] == 1
    with pytest.raises(ApiError) as refused:
        client.post("/access/users", {"userid": "more@pve"})
    assert refused.value.kind is Kind.PERMISSION

    second = site.run("--diff")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "changed=0" in recap(second)
    assert site.server.writes() == []

    gone = site.run(access_state="absent")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert not site.file.exists()
    assert "homelab@pve" not in site.server.cluster.access.users


@pytest.mark.slow
def test_a_lost_file_is_named_and_replaced_when_asked(site: Site) -> None:
    assert site.run().returncode == 0
    old = site.file.read_text(encoding="utf-8")
    site.file.unlink()
    lost = site.run()
    assert lost.returncode != 0
    assert "access_regenerate_token=true" in " ".join(lost.stdout.split())
    assert site.server.writes() == []
    again = site.run(access_regenerate_token=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert site.file.read_text(encoding="utf-8") != old


@pytest.mark.slow
def test_a_refusal_can_be_read(site: Site) -> None:
    refused = site.run(access_storages=["nosuch"])
    assert refused.returncode != 0
    assert "storages=['nosuch']" in refused.stdout
    assert site.server.writes() == []
