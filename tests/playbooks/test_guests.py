# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin guests under Ansible's own commands, with the environment that AWX and Semaphore give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pve import FakeCluster, Server, serve

BIN = Path(sys.executable).parent
EVIL = "{{ lookup('ansible.builtin.pipe', 'touch evil') }}"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(FakeCluster(nodes=("pve1", "pve2"))) as running:
        for vmid, name in ((100, "web"), (101, "db")):
            config = {
                "name": name, "agent": "1", "tags": name, "description": EVIL,
                "net0": f"virtio=BC:24:11:00:00:{vmid:02X},bridge=vmbr0",
            }  # fmt: skip
            vm = running.cluster.add_vm(vmid, name, node="pve1", config=config)
            vm.status = vm.qmpstatus = "running"
            running.cluster.wake_guest(vm)
        yield running


def ansible(folder: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / argv[0]), *argv[1:]],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def credential(server: Server) -> dict[str, str]:
    """What a credential type injects."""
    return {
        "PROXMOX_HOST": f"{server.host}:{server.port}",
        "PROXMOX_TOKEN_ID": server.token_id,
        "PROXMOX_TOKEN_SECRET": server.token_secret,
        "PROXMOX_CA_PATH": server.ca_path,
    }


def plain(value: t.Any) -> t.Any:
    """Ansible marks what it will not take for a template."""
    if isinstance(value, dict):
        return (
            plain(value["__ansible_unsafe"])
            if set(value) == {"__ansible_unsafe"}
            else {k: plain(v) for k, v in value.items()}
        )
    return [plain(one) for one in value] if isinstance(value, list) else value


def test_an_inventory_from_environment_variables(server: Server, tmp_path: Path) -> None:
    (tmp_path / "home.guests.yml").write_text("plugin: homelab.proxmox.guests\nfacts: true\nagent: true\n")
    done = ansible(tmp_path, "ansible-inventory", "-i", "home.guests.yml", "--list", **credential(server))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert plain(found["proxmox_tag_web"]["hosts"]) == ["web"]
    variables = plain(found["_meta"]["hostvars"]["web"])
    assert (variables["proxmox_node"], variables["ansible_host"]) == ("pve1", "10.0.0.100")
    assert variables["proxmox_description"] == EVIL
    assert not (tmp_path / "evil").exists() and server.writes() == []


PLAY = """
- hosts: proxmox_tag_web
  gather_facts: false
  connection: local
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - ansible.builtin.debug: {msg: "{{ inventory_hostname }} says {{ proxmox_description }}"}
    - ansible.builtin.copy: {content: "{{ proxmox_description }}", dest: said}
    - ansible.builtin.meta: refresh_inventory
    - ansible.builtin.debug: {msg: "now {{ groups['proxmox_tag_db'] }}"}
"""


def test_a_play_on_guests_with_a_secret_from_vault(server: Server, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("correct horse")
    sealed = ansible(
        tmp_path, "ansible-vault", "encrypt_string", "--vault-password-file", "key", "--name", "api_token_secret",
        server.token_secret,
    )  # fmt: skip
    assert sealed.returncode == 0, sealed.stderr
    (tmp_path / "guests.yml").write_text(
        "plugin: homelab.proxmox.guests\nfacts: true\n"
        f"api_host: {server.host}:{server.port}\nca_path: {server.ca_path}\n"
        "api_token_id: \"{{ lookup('ansible.builtin.env', 'TOKEN') }}\"\n" + sealed.stdout
    )
    (tmp_path / "play.yml").write_text(PLAY)
    argv = ("ansible-playbook", "-i", "guests.yml", "play.yml", "--vault-password-file", "key")
    done = ansible(tmp_path, *argv, TOKEN=server.token_id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "said").read_text() == EVIL
    assert "web says {{ lookup" in done.stdout and "now ['db']" in done.stdout
    assert not (tmp_path / "evil").exists()
    assert server.token_secret not in done.stdout + done.stderr


def test_what_is_wrong_is_one_message(server: Server, tmp_path: Path) -> None:
    (tmp_path / "guests.yml").write_text("plugin: homelab.proxmox.guests\ninclude: [{tags: web}]\nagent: true\n")
    done = ansible(tmp_path, "ansible-inventory", "-i", "guests.yml", "--list")
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    for text in ("4 problems:", "`api_host` is missing", "credentials are missing", "Did you mean `tag`?"):
        assert text in said
    assert "Traceback" not in said
