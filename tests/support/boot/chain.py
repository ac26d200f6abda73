# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain that a line goes through in the lab: built, customised, baked with roles, sealed, proved, published."""

from __future__ import annotations

import json
import subprocess
import typing as t
from dataclasses import dataclass

from .site import NODE, BootSite

LINE = "web-base"
PLAYBOOK = "homelab.proxmox.templates_bake"
OPTIONS: dict[str, t.Any] = {
    "line": LINE,
    "disk": {"size": "3G"},
    "vmid_range": "9300-9399",
    "bake_version": "1",
    "customize": {
        "timezone": "Europe/Berlin",
        "users": [{"name": "ops", "sudo": ["ALL=(ALL) NOPASSWD:ALL"], "shell": "/bin/bash"}],
        "files": [{"path": "/etc/motd", "content": "Grüße\n", "permissions": "0644"}],
        "scripts": [{"name": "marker", "content": "#!/bin/sh\nset -e\ntest -s /etc/motd\necho made > /etc/made-by\n"}],
    },
    "prove": {
        "timeout": 1800,
        "services": ["ssh", "qemu-guest-agent"],
        "ports": [22],
        "users": ["ops"],
        "packages": ["openssh-server"],
        "commands": [
            {"command": "cat /etc/made-by", "stdout": "^made$"},
            {"command": "readlink /etc/localtime", "stdout": "Europe/Berlin"},
            {"command": "test -e /run/homelab", "status": 1},
            # What the roles have left, and what the seal has taken.
            {"command": "cat /etc/baked", "stdout": "^by roles on Debian, grüße$"},
            {"command": "ls -A /run /var/tmp | grep -c homelab-", "status": 1},
        ],
    },
}
TASKS = """
- name: Leave a mark
  ansible.builtin.copy:
    content: "by roles on {{ ansible_facts.distribution }}, grüße\\n"
    dest: /etc/baked
    mode: "0644"
  register: mark

- name: Read it back
  ansible.builtin.fetch:
    src: /etc/baked
    dest: "{{ baked_dir }}/baked"
    flat: true
"""


@dataclass(frozen=True, slots=True)
class Baked:
    """What became of the chain: the playbook's run, and the published template, 0 where there is none."""

    run: subprocess.CompletedProcess[str]
    vmid: int

    @property
    def told(self) -> str:
        """What a failure of it has to show."""
        return self.run.stdout[-8000:] + self.run.stderr[-4000:]


def line(site: BootSite) -> dict[str, t.Any]:
    """Options of vm_template for the line. Its image has no agent, which rides on the seed."""
    packages = [str(path) for path in site.images.agent_packages]
    customize = {**OPTIONS["customize"], "agent_packages": packages}
    return {**site.line(agent=False, **OPTIONS), "agent": {"enabled": True}, "customize": customize}


def variables(site: BootSite) -> dict[str, t.Any]:
    """The variables of the lab's cluster for the playbook."""
    tasks = site.folder / "bake.yml"
    tasks.write_text(TASKS, encoding="utf-8")
    whole = ("node", "allow_unverified")
    given = {name: value for name, value in line(site).items() if name not in whole}
    return {
        "templates_nodes": [NODE],
        "templates_allow_unverified": True,
        "templates_lines": [given],
        "templates_bake_tasks": str(tasks),
    }


def bake(site: BootSite) -> Baked:
    """Bake the line. Three guests boot: the builder, and the two clones of its proof."""
    extra = json.dumps({"baked_dir": str(site.folder)})
    hosts = {"proxmox_clusters": site.cluster(**variables(site))}
    run = site.play(PLAYBOOK, hosts, "-e", extra)
    found = [vm.vmid for vm in site.lab.vms.values() if vm.template and vm.name == LINE]
    return Baked(run=run, vmid=found[0] if len(found) == 1 else 0)
