# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook C(homelab.proxmox.templates_prune) against the fake server, with the variables of the role."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.door import call
from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.images import GIB, qcow2
from tests.support.vendor import serve_vendor


def play(server: Server, folder: Path, variables: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the playbook; the journal of the server begins anew."""
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
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
    command += ["homelab.proxmox.templates_prune", *arguments]
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.mark.slow
def test_the_variables_of_the_role_say_what_stays(tmp_path: Path) -> None:
    with serve_vendor() as vendor, serve(FakeCluster(nodes=("pve1", "pve2"))) as server:
        vendor.publish("cloud/debian-13.qcow2", qcow2(3 * GIB))
        lines = [
            {
                "line": name,
                "url": f"{vendor.url}/cloud/debian-13.qcow2",
                "checksum_url": f"{vendor.url}/cloud/SHA256SUMS",
            }
            for name in ("debian-13", "web")
        ]
        whole = {"nodes": ["pve1", "pve2"], "allow_unverified": True}
        stored = [{**line, "storage": "local-lvm"} for line in lines]
        built = call("vm_template_fleet", server, {"lines": stored, **whole})
        assert not built.get("failed"), built["msg"]
        variables = {
            "templates_nodes": ["pve1", "pve2"],
            "templates_defaults": {"storage": "local-lvm"},
            "templates_lines": lines[:1],
            "templates_prune_images": True,
        }

        planned = play(server, tmp_path, variables, "--check", "--diff")
        assert planned.returncode == 0, planned.stdout + planned.stderr
        assert "no line web is declared" in planned.stdout
        unconfirmed = play(server, tmp_path, variables)
        assert unconfirmed.returncode == 2, unconfirmed.stdout + unconfirmed.stderr
        assert "confirm=False: 2 VMs and 0 stored images would go" in " ".join(unconfirmed.stdout.split())
        assert server.writes() == []

        done = play(server, tmp_path, variables, "-e", "templates_prune_confirm=true")
        assert done.returncode == 0, done.stdout + done.stderr
        assert sorted((vm.node, vm.name) for vm in server.cluster.vms.values()) == [
            ("pve1", "debian-13"),
            ("pve2", "debian-13"),
        ]
        nothing = play(server, tmp_path, {"templates_lines": []}, "-e", "templates_prune_confirm=true")
        assert "every template of this collection would go" in " ".join(nothing.stdout.split())
        assert server.writes() == []
