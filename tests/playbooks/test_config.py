# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays fed from the layered configuration: the vars plugin and the lookup, as people and AWX use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.support.preflight_lab import PreflightCluster
from tests.support.pve import Server, serve

ENABLED = {"ANSIBLE_VARS_ENABLED": "host_group_vars,homelab.proxmox.config"}
SHOW = """\
- hosts: all
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - ansible.builtin.copy:
        content: "{{ wanted | dict2items | items2dict | to_json }}"
        dest: "{{ into }}"
        mode: "0600"
      vars:
        wanted:
          keep: "{{ templates_keep | default('nothing') }}"
          workers: "{{ templates_workers | default('nothing') }}"
          umask: "{{ hardening_umask | default('nothing') }}"
          per_node: "{{ templates_per_node | default('nothing') }}"
          nodes: "{{ templates_nodes | default('nothing') }}"
          password: "{{ proxmox_api_password | default('nothing') }}"
          token: "{{ proxmox_api_token_secret | default('nothing') }}"
          line: "{{ (templates_lines | default([{}], true))[0].cipassword | default('nothing') }}"
          quoted: "{{ (templates_defaults | default({'x': 'nothing'})).values() | first }}"
          runs: "{{ runs_keep | default('nothing') }}"
      no_log: true
"""


class Site:
    """A folder with a configuration, an inventory and a playbook."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "root/etc/homelab"
        self.inventory = folder / "inventory"
        self.write("inventory/hosts.yml", "lab: {hosts: {one: {ansible_connection: local}}}\n")
        self.write("play/show.yml", SHOW)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def configure(self, text: str) -> None:
        self.write("root/etc/homelab/system.yml", text)

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name(command[0])), *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                **ENABLED,
                "HOMELAB_ROOT": str(self.folder / "root"),
                "HOME": str(self.folder),
                **environ,
            },
        )

    def shown(self, *options: str, **environ: str) -> Mapping[str, Any]:
        """What the hosts of a play have."""
        into = self.folder / "shown.json"
        into.unlink(missing_ok=True)
        playbook = str(self.folder / "play/show.yml")
        done = self.run("ansible-playbook", *options, playbook, "-e", f"into={into}", **environ)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(into.read_text(encoding="utf-8"))
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


CONFIG = """\
templates:
  keep: 3
  workers: 4
  per_node: 3
  nodes: ["{{ lookup('ansible.builtin.pipe', 'id') }}"]
  lines: [{line: a, cipassword: plain-secret}]
  defaults: {'it''s a "token"': plain-secret-2}
hardening: {umask: "077"}
proxmox:
  api_password: {ref: env, name: PVE_PASSWORD}
  api_token_secret: {ref: vault, path: VAULT, key: pve.token}
runs: {keep: 5}
"""


def test_what_was_said_reaches_hosts_and_everything_in_ansible_wins(site: Site) -> None:
    secret = VaultSecret(b"open sesame")
    cipher = VaultLib([("default", secret)]).encrypt("pve: {token: from-the-vault}\n", secret).decode()
    vault = site.write("vault.yml", cipher)
    password = site.write("vault.password", "open sesame\n")
    site.configure(CONFIG.replace("VAULT", str(vault)))
    site.write("inventory/group_vars/all.yml", "templates_workers: 11\n")
    site.write("inventory/host_vars/one.yml", "templates_per_node: 12\n")
    site.write("play/group_vars/all.yml", "hardening_umask: '022'\n")
    opened = {"PVE_PASSWORD": "from-the-environment", "ANSIBLE_VAULT_PASSWORD_FILE": str(password)}
    assert site.shown("-i", str(site.inventory), **opened) == {
        "keep": 3,
        "workers": 11,
        "umask": "022",
        "per_node": 12,
        "nodes": ["{{ lookup('ansible.builtin.pipe', 'id') }}"],
        "password": "from-the-environment",
        "token": "from-the-vault",
        "line": "plain-secret",
        "quoted": "plain-secret-2",
        "runs": "nothing",
    }
    # The group_vars/all of a second inventory wins too, also where variables are read when the inventory is.
    site.write("second/hosts.yml", "lab: {hosts: {one: {}}}\n")
    site.write("second/group_vars/all.yml", "templates_keep: 22\n")
    both = ("-i", str(site.folder / "second"), "-i", str(site.inventory))
    found = site.shown(*both, ANSIBLE_RUN_VARS_PLUGINS="start", **opened)
    assert {name: found[name] for name in ("keep", "workers", "password")} == {
        "keep": 22,
        "workers": 11,
        "password": "from-the-environment",
    }
    # Without an inventory's folder, over extra variables, and with a text from the vault.
    text = VaultLib([("default", secret)]).encrypt("a text", secret).decode()
    site.configure(yaml.safe_dump({"proxmox": {"api_token_secret": {"ref": "vault", "text": text}}}))
    found = site.shown(
        "-i", "localhost,", "-c", "local", "-e", "templates_keep=9", HOMELAB__TEMPLATES__WORKERS="7", **opened
    )
    assert {name: found[name] for name in ("keep", "workers", "token")} == {
        "keep": "9",
        "workers": 7,
        "token": "a text",
    }


def test_nothing_configured_is_as_without_the_plugin(site: Site) -> None:
    listed = ("ansible-inventory", "-i", str(site.inventory), "--list")
    without, with_it = site.run(*listed, ANSIBLE_VARS_ENABLED="host_group_vars"), site.run(*listed)
    assert with_it.returncode == 0
    assert (with_it.stdout, with_it.stderr) == (without.stdout, without.stderr)


def test_an_inventory_shows_what_was_said_and_no_secret(site: Site) -> None:
    site.configure(CONFIG)
    done = site.run("ansible-inventory", "-i", str(site.inventory), "--list", PVE_PASSWORD="from-the-environment")
    assert done.returncode == 0, done.stderr
    host = json.loads(done.stdout)["_meta"]["hostvars"]["one"]
    assert host["templates_keep"] == 3
    assert "lookup('homelab.proxmox.config'" in host["proxmox_api_password"]
    for secret in ("plain-secret", "from-the-environment"):
        assert secret not in done.stdout + done.stderr


def test_what_is_wrong_ends_the_run_with_all_of_it(site: Site) -> None:
    site.configure("templates:\n  kepe: 3\n  workers: 0\n")
    done = site.run("ansible-playbook", "-i", str(site.inventory), str(site.folder / "play/show.yml"), "-e", "into=x")
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert f"{site.etc}/system.yml:2: system layer: templates.kepe: is not known. Did you mean templates.keep?" in said
    assert f"{site.etc}/system.yml:3: system layer: templates.workers: is 0; the least is 1." in said


LOOKUPS = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.assert:
        that:
          - lookup('homelab.proxmox.config', 'templates.keep') == 3
          - query('homelab.proxmox.config', 'templates.workers', 'templates.per_storage') == [8, 2]
          - lookup('homelab.proxmox.config', 'proxmox').api_token_secret == 'from-a-file'
          - lookup('homelab.proxmox.config', 'proxmox.api_host', default='nobody') == 'nobody'
    - ansible.builtin.debug:
        msg: "{{ lookup('homelab.proxmox.config', item) }}"
      loop: [templates.kep, proxmox.api_host, {ref: env, name: MISSING}, 3]
      ignore_errors: true
"""


def test_the_lookup_answers_without_the_plugin(site: Site) -> None:
    secret = site.write("token", "from-a-file\n")
    site.configure(f"templates: {{keep: 3}}\nproxmox: {{api_token_secret: {{ref: file, path: {secret}}}}}\n")
    playbook = str(site.write("play/lookups.yml", LOOKUPS))
    done = site.run("ansible-playbook", "-i", str(site.inventory), playbook, ANSIBLE_VARS_ENABLED="host_group_vars")
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, said
    for text in (
        "Did you mean templates.keep?",
        "proxmox.api_host: nobody says anything of it. Set it, or give the lookup a default.",
        "the environment variable MISSING is not set",
        "is neither an option nor a reference",
    ):
        assert text in said


# --- a playbook of the collection


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(PreflightCluster(version="9.1.2")) as running:
        yield running


def test_a_playbook_gets_everything_from_the_configuration(site: Site, server: Server) -> None:
    """Connection, places and lines: the inventory only says that there is a cluster."""
    site.write("inventory/hosts.yml", "proxmox_clusters: {hosts: {home: {}}}\n")
    site.configure(
        yaml.safe_dump(
            {
                "proxmox": {
                    "api_host": server.host,
                    "api_port": server.port,
                    "api_token_id": server.token_id,
                    "api_token_secret": {"ref": "env", "name": "PVE_TOKEN"},
                    "ca_path": server.ca_path,
                },
                "templates": {
                    "nodes": ["pve1", "pve2"],
                    "lines": [{"line": "own", "url": "https://192.0.2.1/x.qcow2"}],
                },
                "access": {"storages": ["local-lvm"], "image_storages": ["local"]},
            }
        )
    )
    command = ("ansible-playbook", "-i", str(site.inventory), "homelab.proxmox.preflight", "-vvv")
    done = site.run(*command, PVE_TOKEN=server.token_secret, ANSIBLE_LOCALHOST_WARNING="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.requests
    assert server.token_secret not in done.stdout + done.stderr
