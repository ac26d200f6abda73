# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook C(homelab.proxmox.templates) against the fake server, as a person runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.images import GIB, qcow2
from tests.support.vendor import Vendor, serve_vendor

PASSWORD = "correct-horse-battery-7"
TOKEN_SECRET = "5ecre7ed-0000-4000-8000-0123456789ab"


class Site:
    """A controller with one inventory of two lines on two nodes, and the server and the vendor that it speaks to."""

    def __init__(self, server: Server, vendor: Vendor, folder: Path) -> None:
        self.server = server
        self.home = folder
        vendor.publish("cloud/debian-13.qcow2", qcow2(3 * GIB))
        own = {
            "url": f"{vendor.url}/cloud/debian-13.qcow2",
            "checksum_url": f"{vendor.url}/cloud/SHA256SUMS",
        }
        self.lines: list[dict[str, Any]] = [
            {"line": "debian-13", **own, "cipassword": PASSWORD, "memory": 2048},
            {"line": "web", **own, "tags": ["web"], "disk": {"size": "8G"}},
        ]

    def variables(self) -> dict[str, Any]:
        return {
            "proxmox_api_host": self.server.host,
            "proxmox_api_port": self.server.port,
            "proxmox_api_token_id": self.server.token_id,
            "proxmox_api_token_secret": self.server.token_secret,
            "proxmox_ca_path": self.server.ca_path,
            "templates_nodes": ["pve1", "pve2"],
            "templates_defaults": {"storage": "local-lvm"},
            "templates_lines": self.lines,
        }

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the playbook; the journal of the server begins anew."""
        self.server.reset_log()
        inventory = self.home / "hosts.json"
        inventory.write_text(json.dumps({"proxmox_clusters": {"hosts": {"home": self.variables()}}}), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
        command += ["homelab.proxmox.templates", *arguments]
        environment = {**os.environ, "HOME": str(self.home)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
        for output in (done.stdout, done.stderr):
            assert PASSWORD not in output
            assert TOKEN_SECRET not in output
        return done

    def writes(self) -> list[str]:
        return [f"{entry.method} {entry.path}" for entry in self.server.writes()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, subprocess.CompletedProcess[str]]]:
    """The site after its first run, and what that run said."""
    cluster = FakeCluster(nodes=("pve1", "pve2"))
    cluster.ensure_token("root@pam!test", TOKEN_SECRET)
    with serve_vendor() as vendor, serve(cluster) as server:
        site = Site(server, vendor, tmp_path_factory.mktemp("controller"))
        yield site, site.play("--diff", "-vvv")


@pytest.fixture
def site(built: tuple[Site, subprocess.CompletedProcess[str]]) -> Iterator[Site]:
    """The site with its lines as they were built; a test may declare others."""
    found, _first = built
    before = found.lines
    found.lines = [dict(line) for line in before]
    yield found
    found.lines = before


def recap(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    last = done.stdout[done.stdout.rindex("PLAY RECAP") :]
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", last)}


@pytest.mark.slow
def test_the_first_run_builds_every_line_on_every_node(built: tuple[Site, subprocess.CompletedProcess[str]]) -> None:
    site, first = built
    assert first.returncode == 0, first.stdout + first.stderr
    assert recap(first)["changed"] == 1
    templates = [vm for vm in site.server.cluster.vms.values() if vm.template]
    assert sorted((vm.node, vm.name) for vm in templates) == [
        (node, line) for node in ("pve1", "pve2") for line in ("debian-13", "web")
    ]
    assert not [vm for vm in site.server.cluster.vms.values() if not vm.template]
    for label in ("debian-13@pve1", "debian-13@pve2", "web@pve1", "web@pve2"):
        assert label in first.stdout


@pytest.mark.slow
def test_the_second_run_has_nothing_to_do(site: Site) -> None:
    second = site.play("--diff")
    assert second.returncode == 0, second.stdout + second.stderr
    assert recap(second)["changed"] == 0
    assert site.writes() == []


@pytest.mark.slow
def test_a_changed_line_shows_its_plan_and_reads_only(site: Site) -> None:
    site.lines[0] |= {"memory": 4096}
    site.lines[1] |= {"disk": {"size": "9G"}}
    planned = site.play("--check", "--diff", "-vvv")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert recap(planned)["changed"] == 1
    assert site.writes() == []
    assert re.search(r'^-\s+"memory": "2048"', planned.stdout, re.MULTILINE), planned.stdout
    assert re.search(r'^\+\s+"memory": "4096"', planned.stdout, re.MULTILINE)
    assert "the recipe changed" in planned.stdout
    assert len(site.server.cluster.vms) == 4


@pytest.mark.slow
def test_a_failing_line_can_be_read_and_the_others_are_kept(site: Site) -> None:
    site.lines.insert(0, {**site.lines[1], "line": "odd", "storage": "nosuch"})
    failed = site.play("-vvv")
    assert failed.returncode == 2
    assert recap(failed)["failed"] == 1
    text = " ".join(failed.stdout.split())
    assert "line odd on node pve1: storage='nosuch': the node has no such storage" in text
    assert "Name one of: fast, local, local-lvm" in text
    assert "Traceback" not in failed.stdout + failed.stderr
    assert site.writes() == []
