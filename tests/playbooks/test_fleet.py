# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook C(homelab.proxmox.fleet) against the fake server: hosts that do not exist yet are reached afterwards."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.pve import Server, serve
from tests.support.vms import LINE, VmLab, add_line, new_cluster

PASSWORD = "correct-horse-battery-7"
TOKEN_SECRET = "5ecre7ed-0000-4000-8000-0123456789ab"
PLAY = """
- ansible.builtin.import_playbook: homelab.proxmox.fleet
- name: Use the hosts
  hosts: proxmox_vms:&fleet_up
  gather_facts: false
  tasks:
    - name: Say where a host is found
      ansible.builtin.debug:
        msg: "reached {{ inventory_hostname }} at {{ ansible_host }}"
"""


@contextmanager
def ssh_servers(*addresses: str) -> Iterator[int]:
    """Something that greets like an SSH server on one port of these addresses of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listeners = [socket.create_server((address, port)) for address in addresses]

    def greet(listener: socket.socket) -> None:
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"SSH-2.0-test\r\n")

    for listener in listeners:
        threading.Thread(target=greet, args=(listener,), daemon=True).start()
    try:
        yield port
    finally:
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


class Site:
    """A controller with an inventory of VMs."""

    def __init__(self, server: Server, folder: Path, port: int) -> None:
        self.lab = VmLab(server)
        self.home = folder
        self.port = port
        self.hosts: dict[str, dict[str, t.Any]] = {
            f"web{number}": {"fleet_vm": {"ipconfig": [{"ip": f"127.0.1.{number}/8"}], "cipassword": PASSWORD}}
            for number in (1, 2)
        }

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        server = self.lab.server
        server.reset_log()
        cluster = {
            "proxmox_api_host": server.host,
            "proxmox_api_port": server.port,
            "proxmox_api_token_id": server.token_id,
            "proxmox_api_token_secret": server.token_secret,
            "proxmox_ca_path": server.ca_path,
        }
        whole = {"fleet_defaults": {"line": LINE, "spread": "web", "ssh_port": self.port}, "fleet_wait_timeout": 20}
        groups = {"proxmox_clusters": {"hosts": {"home": cluster}}, "proxmox_vms": {"hosts": self.hosts, "vars": whole}}
        (self.home / "hosts.json").write_text(json.dumps(groups), encoding="utf-8")
        (self.home / "play.yml").write_text(PLAY, encoding="utf-8")
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.json", "play.yml", *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, "HOME": str(self.home)},
            cwd=self.home,
            timeout=300,
            check=False,
        )
        for output in (done.stdout, done.stderr):
            assert PASSWORD not in output
            assert TOKEN_SECRET not in output
        return done


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    cluster = new_cluster()
    cluster.ensure_token("root@pam!test", TOKEN_SECRET)
    for number, node in enumerate(("pve1", "pve2", "pve3")):
        add_line(cluster, 9000 + number, node=node)
    with ssh_servers("127.0.1.1", "127.0.1.2") as port, serve(cluster) as server:
        yield Site(server, tmp_path_factory.mktemp("controller"), port)


def recap(done: subprocess.CompletedProcess[str], host: str) -> dict[str, int]:
    line = re.search(rf"^{host} .*$", done.stdout[done.stdout.rindex("PLAY RECAP") :], re.MULTILINE)
    assert line, done.stdout
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line[0])}


@pytest.mark.slow
def test_a_group_comes_to_life_changes_and_goes(site: Site) -> None:
    planned = site.play("--check", "--diff")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert site.lab.writes() == []
    assert "reached" not in planned.stdout

    first = site.play("--diff", "-vvv")
    assert first.returncode == 0, first.stdout + first.stderr
    for number in (1, 2):
        assert f"reached web{number} at 127.0.1.{number}" in first.stdout
    site.lab.assert_whole("web1", "web2")
    assert {vm.node for vm in site.lab.guests()} != {"pve1"}
    assert all(vm.status == "running" for vm in site.lab.guests())

    second = site.play()
    assert second.returncode == 0, second.stdout + second.stderr
    assert site.lab.writes() == []
    assert (recap(second, "web1")["changed"], recap(second, "web2")["changed"]) == (0, 0)
    assert "reached web1 at 127.0.1.1" in second.stdout

    site.hosts["web1"]["fleet_vm"] |= {"memory": 4096, "disks": [{"size": "1G"}]}
    site.hosts["web2"]["fleet_vm"] = {"state": "absent", "force_stop": True}
    many = site.play("--check", "-e", "fleet_max_deletions=0")
    assert many.returncode == 2, many.stdout + many.stderr
    assert "this run would destroy 1 VMs: 101 (web2)" in many.stdout
    third = site.play()
    assert third.returncode == 2, third.stdout + third.stderr
    assert (recap(third, "web1")["failed"], recap(third, "web2")["failed"]) == (1, 0)
    assert "scsi0 has 3G, and disks only grow" in third.stdout
    assert "reached" not in third.stdout
    site.lab.assert_whole("web1")
