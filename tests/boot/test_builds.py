# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A template that is customised, sealed, proved by two clones and published: real guests all the way. Three boots."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity

from tests.support.boot.site import BootSite, Result

OPTIONS: dict[str, t.Any] = {
    "line": "web-base",
    "disk": {"size": "3G"},
    "vmid_range": "9300-9399",
    "customize": {
        "timezone": "Europe/Berlin",
        "users": [{"name": "ops", "sudo": ["ALL=(ALL) NOPASSWD:ALL"], "shell": "/bin/bash"}],
        "files": [{"path": "/etc/motd", "content": "Grüße\n", "permissions": "0644"}],
        "scripts": [{"name": "marker", "content": "#!/bin/sh\nset -e\ntest -s /etc/motd\necho made > /etc/made-by\n"}],
    },
    "prove": {
        "services": ["ssh", "qemu-guest-agent"],
        "ports": [22],
        "users": ["ops"],
        "packages": ["openssh-server"],
        "commands": [
            {"command": "cat /etc/made-by", "stdout": "^made$"},
            {"command": "test -e /etc/sudoers.d/90-cloud-init-users || true"},
            {"command": "readlink /etc/localtime", "stdout": "Europe/Berlin"},
            {"command": "test -e /run/homelab", "status": 1},
        ],
    },
}


@pytest.fixture(scope="module")
def built(site: BootSite) -> Result:
    """The whole way, once."""
    return site.call("vm_template", site.line(**OPTIONS))


def test_it_is_published_with_its_proof(site: BootSite, built: Result) -> None:
    assert not built.get("failed"), built["msg"]
    vmid = built["template"]["current"]["vmid"]
    vm = site.lab.vms[vmid]
    assert vm.template
    assert not vm.running
    identity = read_identity(vmid, vm.config["description"])
    assert isinstance(identity, Identity)
    assert identity.proof.startswith("passed "), identity.proof
    assert "2 clones, agent after" in identity.proof


def test_nothing_is_left_of_the_way(site: BootSite, built: Result) -> None:
    vmid = built["template"]["current"]["vmid"]
    assert [other for other in site.lab.vms if 9300 <= other <= 9399] == [vmid]
    assert [volid for volid in site.lab.volumes() if "homelab-seed" in volid] == []
    assert [machine for machine in site.lab.machines if 9300 <= machine <= 9399] == []
    config = site.lab.vms[vmid].config
    assert "scsi2" not in config
    assert "cloudinit" in config["scsi1"]


def test_the_second_run_has_nothing_to_do(site: BootSite, built: Result) -> None:
    assert built["changed"]
    again = site.call("vm_template", site.line(**OPTIONS))
    assert again["changed"] is False, again
    assert site.server.writes() == []
