# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook C(homelab.proxmox.templates_bake), as a person runs it; its roles run through the guest agent."""

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

from tests.support.builders import SEALED, STATUS
from tests.support.local_guest import run_here
from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.guest import Guest
from tests.support.pve.images import GIB, qcow2
from tests.support.pve.vm import Vm
from tests.support.site import plain
from tests.support.vendor import Vendor, serve_vendor

TOKEN_SECRET = "5ecre7ed-0000-4000-8000-0123456789ab"
PASSWORD = "correct-horse-battery-7"
TASKS = """
- name: Leave a mark
  ansible.builtin.copy:
    content: "{{ proxmox_vmid }} {{ ansible_facts.system }}\\n"
    dest: "{{ mark }}"
    mode: "0644"

- name: Fail where that is asked for
  ansible.builtin.command: "{{ command | default('true') }}"
  changed_when: false
"""


class Site:
    """One cluster with a line that is baked and one that is not."""

    def __init__(self, server: Server, vendor: Vendor, folder: Path) -> None:
        self.server = server
        self.home = folder
        self.mark = folder / "mark"
        vendor.publish("cloud/debian-13.qcow2", qcow2(3 * GIB))
        own = {"url": f"{vendor.url}/cloud/debian-13.qcow2", "checksum_url": f"{vendor.url}/cloud/SHA256SUMS"}
        self.line: dict[str, Any] = {"line": "web", **own, "cipassword": PASSWORD, "bake_version": "1"}
        self.plain = {"line": "plain", **own}
        (folder / "tasks.yml").write_text(TASKS, encoding="utf-8")
        server.cluster.guest_setup.append(self._boot)

    def _boot(self, vm: Vm, guest: Guest) -> None:
        (generation,) = (tag[4:] for tag in vm.config["tags"].split(";") if tag.startswith("gen-"))
        finished = {"v": 1, "run": f"{vm.vmid}-{generation}", "event": "finished", "result": "done"}
        guest.files[STATUS] = (
            json.dumps({**finished, "event": "start", "steps": 0}) + "\n" + json.dumps(finished) + "\n"
        )
        guest.on("build_user=.*machine-id", out="sealing\n")
        guest.on("base64", out=SEALED)
        room = self.home / f"run-{vm.vmid}"
        room.mkdir(exist_ok=True)
        run_here(guest, room)

    def play(self, *arguments: str, playbook: str = "templates_bake", **extra: Any) -> subprocess.CompletedProcess[str]:
        """Run the playbook; the journal of the server begins anew."""
        self.server.reset_log()
        variables = {
            "proxmox_api_host": self.server.host,
            "proxmox_api_port": self.server.port,
            "proxmox_api_token_id": self.server.token_id,
            "proxmox_api_token_secret": self.server.token_secret,
            "proxmox_ca_path": self.server.ca_path,
            "templates_nodes": ["pve1"],
            "templates_allow_unverified": True,
            "templates_defaults": {"storage": "local-lvm"},
            "templates_lines": [self.line, self.plain],
            "templates_bake_tasks": str(self.home / "tasks.yml"),
        }
        inventory = self.home / "hosts.json"
        inventory.write_text(json.dumps({"proxmox_clusters": {"hosts": {"home": variables}}}), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
        command += [f"homelab.proxmox.{playbook}", *arguments, "-e", json.dumps({"mark": str(self.mark), **extra})]
        environment = {**os.environ, "HOME": str(self.home)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
        for output in (done.stdout, done.stderr):
            assert PASSWORD not in output
            assert TOKEN_SECRET not in output
        return done

    def states(self) -> dict[int, str]:
        """The state of each VM by its tags."""
        return {
            vmid: next(tag[6:] for tag in vm.config["tags"].split(";") if tag.startswith("state-"))
            for vmid, vm in self.server.cluster.vms.items()
        }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    cluster = FakeCluster(nodes=("pve1",))
    cluster.ensure_token("root@pam!test", TOKEN_SECRET)
    with serve_vendor() as vendor, serve(cluster) as server:
        yield Site(server, vendor, tmp_path_factory.mktemp("controller"))


def recap(done: subprocess.CompletedProcess[str], host: str) -> dict[str, int]:
    last = done.stdout[done.stdout.rindex("PLAY RECAP") :]
    (line,) = (line for line in last.splitlines() if line.startswith(f"{host} "))
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)}


@pytest.mark.slow
def test_check_mode_shows_the_plan_and_reads_only(site: Site) -> None:
    planned = site.play("--check", "--diff", "-vvv")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "stop the new VM of line web on node pve1 before the seal" in planned.stdout
    assert site.server.writes() == []


def roles_are_baked_into_the_line_and_into_no_other(site: Site) -> None:
    done = site.play("-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.mark.read_text() == "9000 Linux\n"
    assert site.states() == {9000: "current"}
    assert "bake: 1" in site.server.cluster.vms[9000].config["description"]
    assert recap(done, "bake-home-9000")["failed"] == 0
    # What the connection laid down for its commands is gone.
    assert list((site.home / "run-9000").iterdir()) == []


def the_second_run_begins_nothing(site: Site) -> None:
    site.mark.unlink()
    again = site.play()
    assert again.returncode == 0, again.stdout + again.stderr
    assert site.server.writes() == []
    assert recap(again, "home")["changed"] == 0
    assert not site.mark.exists()


def roles_that_fail_cost_the_builder_and_not_the_line(site: Site) -> None:
    site.line["bake_version"] = "2"
    failed = site.play(command="false")
    assert failed.returncode == 2, failed.stdout
    told = plain(failed.stdout)
    assert "Line web on node pve1: its roles failed, as bake-home-9001 tells above. VM 9001 was removed" in told
    assert site.states() == {9000: "current"}
    assert [volid for volid in site.server.cluster.volumes("pve1") if "homelab-seed" in volid] == []


def a_builder_is_kept_when_that_is_asked_for_and_refuses_others(site: Site) -> None:
    kept = site.play(command="false", templates_bake_keep_failed=True)
    assert kept.returncode == 2
    found = re.search(
        r"VM 9001 is left running until \S+ Remove it earlier with abandon: '([^']+)'", plain(kept.stdout)
    )
    assert found, kept.stdout
    assert site.states() == {9000: "current", 9001: "building"}
    refused = site.play()
    assert refused.returncode == 2
    assert f"VM 9001 was made by run {found[1]} and waits for its roles" in plain(refused.stdout)
    assert site.states() == {9000: "current", 9001: "building"}


@pytest.mark.slow
def test_a_line_is_baked_kept_and_baked_again(site: Site) -> None:
    """Each step goes on where the one before ended."""
    roles_are_baked_into_the_line_and_into_no_other(site)
    the_second_run_begins_nothing(site)
    roles_that_fail_cost_the_builder_and_not_the_line(site)
    a_builder_is_kept_when_that_is_asked_for_and_refuses_others(site)
