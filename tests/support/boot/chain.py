# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain that a line goes through in the lab: built, customised, baked with roles, sealed, proved, published.

It goes on in the background, on one of two cores: beside its builder another one boots, whose script fails, and then
what the tests ask for. While the clones of its proof are looked at, a play logs in to both of them.
"""

from __future__ import annotations

import json
import subprocess
import time
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from .site import BOOT_LIMIT, NODE, PAUSE, BootSite

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
        # From the repository inside the image. The role that is baked in needs it.
        "packages": ["auditd"],
        "users": [{"name": "ops", "sudo": ["ALL=(ALL) NOPASSWD:ALL"], "shell": "/bin/bash"}],
        "files": [{"path": "/etc/motd", "content": "Grüße\n", "permissions": "0644"}],
        "scripts": [{"name": "marker", "content": "#!/bin/sh\nset -e\ntest -s /etc/motd\necho made > /etc/made-by\n"}],
    },
    "prove": {
        "timeout": 1800,
        "services": ["ssh", "qemu-guest-agent", "auditd"],
        "ports": [22],
        "users": ["ops"],
        "packages": ["openssh-server", "auditd"],
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
            # The play that logs in says that it was there.
            {"command": f"timeout {BOOT_LIMIT:.0f} sh -c 'until test -e /run/visited; do sleep 1; done'"},
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
      ansible.builtin.lineinfile:
        line: "by {{ ansible_facts.env.SUDO_USER }} on {{ ansible_facts.distribution }}, grüße"
        path: /etc/baked
        create: true
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


VISIT = """
- name: Log in to the clones of a proof
  hosts: clones
  become: true
  gather_facts: false
  tasks:
    - name: Ask who it is
      ansible.builtin.command: cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub
      changed_when: false
      register: who

    - name: Say that it was visited
      ansible.builtin.lineinfile:
        line: "by {{ ansible_user }}"
        path: /run/visited
        create: true
        mode: "0644"

    - name: Keep what it said
      ansible.builtin.copy:
        content: "{{ who.stdout }}"
        dest: "{{ visited }}-{{ inventory_hostname }}"
        mode: "0600"
      delegate_to: localhost
      become: false
      vars:
        ansible_connection: local
        ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""


@dataclass(frozen=True, slots=True)
class Baked:
    """What became of the chain: the playbook's run, and the published template, 0 where there is none.

    C(visit) is the play that logged in to the clones of the proof, None where it did not come so far; what they said is
    in C(visited-clone-1) and so on.
    """

    run: subprocess.CompletedProcess[str]
    vmid: int
    visit: subprocess.CompletedProcess[str] | None

    @property
    def told(self) -> str:
        """What a failure of it has to show."""
        return self.run.stdout[-8000:] + self.run.stderr[-4000:]


class Chain:
    """Both lines, begun at once. Four guests boot: two builders, and the two clones of the proof."""

    def __init__(self, site: BootSite) -> None:
        self._site = site
        self._pool = ThreadPoolExecutor(max_workers=3)
        write_way_in(site)
        extra = json.dumps({"baked_dir": str(site.folder)})
        hosts = {"proxmox_clusters": site.cluster(**variables(site))}
        broken = {"proxmox_clusters": site.cluster(**declared(site.line(**BROKEN)))}
        self._run = self._pool.submit(site.play, PLAYBOOK, hosts, "-e", extra)
        self._refused = self._pool.submit(site.play, "homelab.proxmox.templates", broken)
        self._visit = self._pool.submit(visit, site, self._run)

    def refused(self) -> subprocess.CompletedProcess[str]:
        """The run of the line whose script fails, when it has ended."""
        return self._refused.result()

    def baked(self) -> Baked:
        """The other line, when its run has ended."""
        run, visit = self._run.result(), self._visit.result()
        found = [vm.vmid for vm in self._site.lab.vms.values() if vm.template and vm.name == LINE]
        return Baked(run=run, vmid=found[0] if len(found) == 1 else 0, visit=visit)

    def close(self) -> None:
        """Wait for what still runs."""
        self._pool.shutdown()


def visit(site: BootSite, run: Future[t.Any]) -> subprocess.CompletedProcess[str] | None:
    """Log in to the clones of the proof with the key that the line declares, as soon as both of them have booted.

    None when the run ends before.
    """
    while len(clones := proof_clones(site)) < 2 or not all("finished at" in site.lab.serial(one) for one in clones):
        if run.done():
            return None
        time.sleep(PAUSE)
    playbook = site.folder / "visit.yml"
    playbook.write_text(VISIT, encoding="utf-8")
    own = {"visited": str(site.folder / "visited"), "ansible_python_interpreter": "/usr/bin/python3"}
    hosts = {f"clone-{number}": {**site.host(vmid, "ops"), **own} for number, vmid in enumerate(clones, 1)}
    return site.play(str(playbook), {"clones": hosts})


def proof_clones(site: BootSite) -> list[int]:
    """The VMIDs of clones that run for a proof."""
    names = {vm.vmid: vm.name for vm in list(site.lab.vms.values())}
    return sorted(vmid for vmid in list(site.lab.machines) if names.get(vmid, "").startswith(f"{LINE}-proof-"))


def line(site: BootSite) -> dict[str, t.Any]:
    """Options of vm_template for the line. Its image has no agent, which rides on the seed."""
    packages = [str(path) for path in site.images.agent_packages]
    (ops,) = OPTIONS["customize"]["users"]
    users = [{**ops, "ssh_authorized_keys": [site.public_key]}]
    customize = {**OPTIONS["customize"], "users": users, "agent_packages": packages}
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
