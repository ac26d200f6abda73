# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions on guests in real plays: the guide's own example, and what the log of a play shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.shell import Shell

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "guests.md"
SECRET = "Correct-Horse-77"


@contextmanager
def guests(folder: Path, *names: str) -> Iterator[tuple[Server, dict[str, Shell]]]:
    """VMs that run, with real shells, on a fake server."""
    with serve(FakeCluster()) as server:
        shells = {}
        for vmid, name in enumerate(names, start=101):
            disk = server.cluster.allocate("pve1", "local-lvm", vmid, 1024**3)
            vm = server.cluster.add_vm(vmid, name, config={"scsi0": f"{disk},size=1G", "agent": "1", "memory": 512})
            server.call(server.cluster.boot, vm)
            shells[name] = vm.inside.shell = Shell(folder / name)
        try:
            yield server, shells
        finally:
            for shell in shells.values():
                shell.close()


def program(shell: Shell, name: str, script: str) -> None:
    """A program of the guest's own."""
    file = shell.home / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(0o755)


def play(server: Server, folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook against the server, named by the environment."""
    file = folder / "play.yml"
    file.write_text(text, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(file), *arguments]
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PROXMOX_HOST": f"{server.host}:{server.port}",
        "PROXMOX_CA_PATH": server.ca_path,
        "PROXMOX_TOKEN_ID": server.token_id,
        "PROXMOX_TOKEN_SECRET": server.token_secret,
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.mark.slow
def test_the_guides_upgrade_goes_back_where_it_fails(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    example = f"---\n{example}".replace("  hosts: localhost\n", "  hosts: localhost\n  connection: local\n")
    with guests(tmp_path, "web-1", "web-2") as (server, shells):
        log = tmp_path / "log"
        for name, shell in shells.items():
            program(shell, "apt-get", f'echo "{name} $* $DEBIAN_FRONTEND" >>{log}')
        program(shells["web-2"], "apt-get", 'case "$*" in *upgrade*) echo "E: broken" >&2; exit 100 ;; esac')
        vms = [server.cluster.vms[vmid] for vmid in (101, 102)]
        done = play(server, tmp_path, example)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the command ended with status 100: E: broken" in done.stdout
        assert "rescued=1" in done.stdout
        assert log.read_text() == "web-1 -q update noninteractive\nweb-1 -qy dist-upgrade noninteractive\n"
        kinds = [task["type"] for task in server.cluster.tasks.values()]
        assert sorted(kinds) == ["qmrollback", "qmrollback", "qmsnapshot", "qmsnapshot"]
        assert [(vm.status, sorted(vm.snapshots)) for vm in vms] == [("running", ["before-upgrade"])] * 2


SECRETS = f"""
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - homelab.proxmox.guest_exec:
        guest: web-1
        cmd: printf %s "$KEY" | wc -c; exit 3
        secrets: {{KEY: {SECRET}}}
      register: told
      changed_when: told.rc == 0
      failed_when: told.rc not in [0, 3]
    - homelab.proxmox.guest_file:
        guest: web-1
        dest: "{{{{ folder }}}}/key"
        secret_content: {SECRET}
    - ansible.builtin.assert:
        that: [told.rc == 3, "told.stdout_lines == ['16']", not told.changed, not told.failed]
"""


@pytest.mark.slow
def test_a_plays_log_shows_no_secret_and_results_are_those_of_a_command(tmp_path: Path) -> None:
    with guests(tmp_path, "web-1") as (server, shells):
        folder = shells["web-1"].home
        done = play(server, tmp_path, SECRETS, "-vvv", "--diff", "-e", f"folder={folder}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "<the secret>" in done.stdout
        assert SECRET not in done.stdout + done.stderr
        assert (folder / "key").read_text() == SECRET
