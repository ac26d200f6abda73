# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain that a line goes through in the lab: built, customised, baked with roles, sealed, proved, published.

Beside its builder another one boots, whose script fails: two guests with one core each take no longer than one.
"""

from __future__ import annotations

import json
import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .site import NODE, BootSite

LINE = "web-base"
PLAYBOOK = "homelab.proxmox.templates_bake"
OPTIONS: dict[str, t.Any] = {
    "line": LINE,
    # Two clones boot at once, on two cores: with one each they take a quarter less time than with two.
    "cores": 1,
    "disk": {"size": "3G"},
    "vmid_range": "9300-9399",
    "bake_version": "1",
    "customize": {
        "timezone": "Europe/Berlin",
        # From the repository inside the image. The role that is baked in needs them.
        "packages": ["auditd", "unattended-upgrades"],
        "users": [{"name": "ops", "sudo": ["ALL=(ALL) NOPASSWD:ALL"], "shell": "/bin/bash"}],
        "files": [{"path": "/etc/motd", "content": "Grüße\n", "permissions": "0644"}],
        "scripts": [{"name": "marker", "content": "#!/bin/sh\nset -e\ntest -s /etc/motd\necho made > /etc/made-by\n"}],
    },
    "prove": {
        "timeout": 1800,
        "services": ["ssh", "qemu-guest-agent", "auditd"],
        "ports": [22],
        "users": ["ops"],
        "packages": ["openssh-server", "unattended-upgrades"],
        "commands": [
            {"command": "cat /etc/made-by", "stdout": "^made$"},
            {"command": "readlink /etc/localtime", "stdout": "Europe/Berlin"},
            {"command": "test -e /run/homelab", "status": 1},
            # What the roles have left, and what the seal has taken.
            {"command": "cat /etc/baked", "stdout": "^by homelab-bake on Debian, grüße$"},
            {"command": "ls -A /run /var/tmp | grep -c homelab-", "status": 1},
            {"command": "grep homelab-bake /etc/passwd /etc/sudoers.d/*", "status": 1},
            # What the baseline is for, asked of what is in force.
            {"command": "/usr/sbin/sshd -T | grep -cxE '(passwordauthentication|x11forwarding) no'", "stdout": "^2$"},
            {"command": "/usr/sbin/sysctl -n kernel.kptr_restrict net.ipv4.conf.all.rp_filter", "stdout": "^1\\n1$"},
            {"command": "/usr/sbin/auditctl -l", "stdout": "-w /etc/shadow -p wa -k identity"},
            {"command": "apt-config dump APT::Periodic::Unattended-Upgrade", "stdout": '"1"'},
            {"command": "passwd -S root", "stdout": "^root L "},
        ],
    },
}
ROLES = ["homelab.proxmox.hardening"]
TASKS = """
- name: Come through the agent
  vars:
    ansible_connection: homelab.proxmox.guest_agent
    ansible_become: false
  block:
    - name: Leave a mark
      ansible.builtin.copy:
        content: "by {{ ansible_facts.env.SUDO_USER }} on {{ ansible_facts.distribution }}, grüße\\n"
        dest: /etc/baked
        mode: "0644"

    - name: Read it back
      ansible.builtin.fetch:
        src: /etc/baked
        dest: "{{ baked_dir }}/baked"
        flat: true

- name: Keep what the baseline says of itself
  ansible.builtin.copy:
    content: "{{ hardening_findings | to_json }}"
    dest: "{{ baked_dir }}/findings"
    mode: "0600"
  delegate_to: localhost
  vars:
    ansible_connection: local
    ansible_become: false
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""


BROKEN_RANGE = range(9400, 9500)
BROKEN = {
    "line": "broken",
    "cores": 1,
    "vmid_range": f"{BROKEN_RANGE.start}-{BROKEN_RANGE.stop - 1}",
    "customize": {
        "scripts": [
            {"name": "good", "content": "#!/bin/sh\ntrue\n"},
            {"name": "bad", "content": "#!/bin/sh\necho about to fail\nls /no/such\nexit 7\n"},
            {"name": "never", "content": "#!/bin/sh\ntouch /root/never\n"},
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Baked:
    """What became of the chain: the playbook's run, and the published template, 0 where there is none.

    C(refused) is the run of the other line.
    """

    run: subprocess.CompletedProcess[str]
    vmid: int
    refused: subprocess.CompletedProcess[str]

    @property
    def told(self) -> str:
        """What a failure of it has to show."""
        return self.run.stdout[-8000:] + self.run.stderr[-4000:]


def line(site: BootSite) -> dict[str, t.Any]:
    """Options of vm_template for the line. Its image has no agent, which rides on the seed."""
    packages = [str(path) for path in site.images.agent_packages]
    customize = {**OPTIONS["customize"], "agent_packages": packages}
    mine = {"agent": {"enabled": True}, "customize": customize, "bake_keys": [site.public_key]}
    return {**site.line(agent=False, **OPTIONS), **mine}


def variables(site: BootSite) -> dict[str, t.Any]:
    """The variables of the lab's cluster for the playbook."""
    tasks = site.folder / "bake.yml"
    tasks.write_text(TASKS, encoding="utf-8")
    return {**declared(line(site)), "templates_bake_roles": ROLES, "templates_bake_tasks": str(tasks)}


def declared(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A line of vm_template as variables of the role templates."""
    whole = ("node", "allow_unverified")
    given = {name: value for name, value in options.items() if name not in whole}
    return {"templates_nodes": [NODE], "templates_allow_unverified": True, "templates_lines": [given]}


def write_way_in(site: BootSite) -> None:
    """Say how builders are reached where a user says it: their network is QEMU's own, which forwards a port."""
    before, after = str(site.lab.port_file(0)).rsplit("/0/", 1)
    port = f"{{{{ lookup('file', '{before}/' ~ proxmox_vmid ~ '/{after}') }}}}"
    group = {
        "ansible_ssh_private_key_file": str(site.key),
        "ansible_ssh_extra_args": f"-F none -o HostName=127.0.0.1 -o Port={port}",
        "ansible_ssh_pipelining": True,
        "ansible_timeout": 120,
    }
    folder = site.folder / "group_vars"
    folder.mkdir(exist_ok=True)
    (folder / "templates_bake_builders.yml").write_text(json.dumps(group), encoding="utf-8")


def bake(site: BootSite) -> Baked:
    """Bake the line. Four guests boot: its builder and the other line's, and the two clones of its proof."""
    write_way_in(site)
    extra = json.dumps({"baked_dir": str(site.folder)})
    hosts = {"proxmox_clusters": site.cluster(**variables(site))}
    broken = {"proxmox_clusters": site.cluster(**declared(site.line(**BROKEN)))}
    with ThreadPoolExecutor() as pool:
        refused = pool.submit(site.play, "homelab.proxmox.templates", broken)
        run = site.play(PLAYBOOK, hosts, "-e", extra)
    found = [vm.vmid for vm in site.lab.vms.values() if vm.template and vm.name == LINE]
    return Baked(run=run, vmid=found[0] if len(found) == 1 else 0, refused=refused.result())
