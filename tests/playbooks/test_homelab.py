# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command C(homelab) against the fake server: as nobody, without a terminal, with a home that cannot be written.

What is given on the command line are texts, and texts is what the playbooks get, as from a survey.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controller import Controller
from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.cluster import cluster_storages
from tests.support.pve.images import GIB, qcow2
from tests.support.pve.nodes import package
from tests.support.vendor import Vendor, serve_vendor

PASSWORD = "correct-horse-battery-9"


class Site:
    """A controller, its cluster, and a vendor with one image."""

    def __init__(self, controller: Controller, server: Server, vendor: Vendor) -> None:
        self.homelab, self.server = controller, server
        vendor.publish("cloud/debian-13.qcow2", qcow2(3 * GIB))
        sums = {"url": f"{vendor.url}/cloud/debian-13.qcow2", "checksum_url": f"{vendor.url}/cloud/SHA256SUMS"}
        self.variables: dict[str, t.Any] = {
            "templates_nodes": ["pve1"],
            "templates_defaults": {"storage": "local-lvm"},
            "templates_lines": [{"line": "debian-13", **sums}],
        }
        controller.cluster(server, **self.variables)

    def templates(self) -> list[tuple[str, str]]:
        return sorted((vm.node, vm.name) for vm in self.server.cluster.vms.values() if vm.template)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    cluster = FakeCluster(nodes=("pve1", "pve2"), storages=cluster_storages())
    # Those of pytest are for their owner only.
    with (
        tempfile.TemporaryDirectory(prefix="homelab-controller-") as folder,
        serve_vendor() as vendor,
        serve(cluster) as server,
    ):
        Path(folder).chmod(0o755)
        yield Site(Controller(Path(folder), plain=True), server, vendor)


@pytest.mark.slow
def test_the_runbooks_do_what_they_say(site: Site) -> None:
    """Weekly builds and backs up, monthly restores on another node and removes again, daily finds all in order."""
    homelab = site.homelab
    weekly = homelab.run("run", "weekly", "--set", "storage=nfs", "--json")
    facts = json.loads(weekly.stdout)
    assert (facts["status"], facts["exit"]) == ("ok", 0)
    assert facts["extra_vars"] == {"template_backups_storage": "nfs"}
    assert "TASK" not in weekly.stderr, "progress, not Ansible's screen"
    assert "Keep the templates" in weekly.stderr
    assert site.templates() == [("pve1", "debian-13")]
    backups = [name for name, one in site.server.cluster.volumes().items() if one.content == "backup"]
    assert len(backups) == 1

    site.server.reset_log()
    values = ["line=debian-13", "node=pve2", "backup_storage=nfs", "storage=local-lvm", "prove=no"]
    homelab.run("run", "monthly", *(part for value in values for part in ("--set", value)))
    restored = [
        one.path for one in site.server.writes() if one.method == "POST" and one.path.endswith("/nodes/pve2/qemu")
    ]
    assert len(restored) == 1, "it was really restored"
    assert site.templates() == [("pve1", "debian-13")], "and removed again"

    site.server.cluster.services["pve2"] = {"cron": ("failed", "failed", "enabled")}
    site.server.cluster.packages["pve1"] = [package("openssl", "3.0.1", "3.0.2"), package("pve-manager", "8", "9")]
    site.server.reset_log()
    homelab.run("run", "daily")
    assert site.server.writes() == []
    said = homelab.run("status").stdout
    assert "home/pve1: ok, it answers" in said
    assert "debian-13 on home/pve1: 0 days old" in said
    assert "home/pve2: warning, cron is failed (the service cron)" in said
    assert "Pending updates (just now)" in said
    assert "home/pve1: 2 packages (Debian 2)" in said
    assert "home/pve2: no packages" in said
    facts = json.loads(homelab.run("status", "--json").stdout)
    assert (facts["ok"], len(facts["warnings"])) == (True, 1)
    pending = facts["updates"]["hosts"]["home"]["systems"][0]["updates"]
    assert [row["version"] for row in pending] == ["3.0.2", "9"]


@pytest.mark.slow
def test_what_a_token_may_not_see_of_nodes_is_unknown_and_no_failure(site: Site) -> None:
    cluster = site.server.cluster
    cluster.add_user("auto@pve")
    token = {"proxmox_api_token_id": "auto@pve!ci", "proxmox_api_token_secret": cluster.add_token("auto@pve!ci")}
    site.homelab.cluster(site.server, **{**site.variables, **token})
    site.server.reset_log()
    try:
        site.homelab.run("run", "updates")
    finally:
        site.homelab.cluster(site.server, **site.variables)
    assert {entry.status for entry in site.server.requests} == {200}
    said = site.homelab.run("status").stdout
    assert "home/pve1: packages unknown, Sys.Modify on /nodes/pve1 would show it" in said


@pytest.mark.slow
def test_a_log_of_json_lines_with_shared_ids(site: Site) -> None:
    homelab = site.homelab
    homelab.run("run", "emergency")
    facts = homelab.runs()[0]
    lines = homelab.lines(facts["id"])
    assert {line["run"] for line in lines} == {facts["id"]}
    assert {"begin", "play", "task", "end"} <= {line["event"] for line in lines}
    assert [line["status"] for line in lines if line["event"] == "end"] == ["ok"]
    tasks = [line for line in lines if line["event"] == "task"]
    assert {line["play"] for line in tasks} == {line["play"] for line in lines if line["event"] == "play"}
    assert json.loads(homelab.run("logs", "emergency", "--json").stdout.splitlines()[0])["event"] == "begin"
    assert "Say what can be done" in homelab.run("logs", "emergency").stdout


@pytest.mark.slow
def test_a_failing_run_says_so_and_where(site: Site) -> None:
    done = site.homelab.run("run", "template-rollback", "--set", "line=nosuch", status=1)
    assert "FAILED home: " in done.stderr
    assert "nosuch" in done.stderr
    assert "failed after" in done.stderr
    assert site.homelab.runs()[0]["failed"] == ["home"]


@pytest.mark.slow
def test_a_secret_is_nowhere_but_in_the_run(site: Site) -> None:
    homelab = site.homelab
    homelab.environ = {"ADMIN_PASSWORD": PASSWORD, "PROXMOX_SECRET_THING": PASSWORD}
    done = homelab.run("run", "access", "--check", "--set-from", "password=env:ADMIN_PASSWORD", status=1)
    assert PASSWORD not in done.stdout + done.stderr
    for path, content in homelab.everything():
        assert PASSWORD.encode() not in content, path
    assert homelab.runs()[0]["extra_vars"] == {"access_api_password": "<secret>"}
    homelab.environ = {}
    refused = homelab.run("run", "access", "--set", f"password={PASSWORD}", status=2)
    assert "is a secret" in refused.stderr
    assert PASSWORD not in refused.stderr


def test_what_is_destructive_is_not_done_without_a_word(site: Site) -> None:
    refused = site.homelab.run("run", "templates-prune", status=4)
    assert "Give --yes, or --check first" in refused.stderr
    assert "templates-prune" not in {run["action"] for run in site.homelab.runs()}


@pytest.mark.slow
def test_what_needs_root_does_not_begin_without(site: Site) -> None:
    told = site.homelab.run("run", "controller", status=8)
    assert "controller changes this machine as root" in told.stderr
    assert "/bootstrap.sh --yes as root" in told.stderr
    assert "controller" not in [run["action"] for run in site.homelab.runs()]


def test_a_run_for_nobody_is_no_success(site: Site) -> None:
    done = site.homelab.run("run", "hardening", status=3)
    assert "no host was matched: the inventory has none in guests" in done.stderr
    broken = site.homelab.state / "broken.json"
    broken.write_text('{"proxmox_clusters": ')
    failed = site.homelab.run("run", "health", "-i", str(broken), status=1)
    assert "broken.json" in failed.stderr


def test_usage_and_configuration_have_their_statuses(site: Site) -> None:
    homelab = site.homelab
    assert "Did you mean" in homelab.run("run", "templatez", status=2).stderr
    assert "one of error, warning, never" in homelab.run("run", "preflight", "--set", "fail_on=x", status=2).stderr
    assert "NAME=VALUE" in homelab.run("run", "preflight", "--set", "fail_on", status=2).stderr
    missing = homelab.run("run", "preflight", "-i", "/nonexistent/hosts", status=3)
    assert "'/nonexistent/hosts' is not there" in missing.stderr
    homelab.environ = {"HOMELAB__TEMPLATES__KEEP": "many"}
    try:
        assert "many" in homelab.run("run", "preflight", status=3).stderr
    finally:
        homelab.environ = {}
    assert homelab.run("menu", status=2).stderr.startswith("homelab: the menu needs a terminal")


# --- a run that takes its time


@pytest.fixture
def slow(tmp_path: Path) -> Controller:
    """A controller with an action of one's own that waits for a file, and cleans up when it is ended."""
    homelab = Controller(tmp_path)
    homelab.inventory(
        {
            "proxmox_clusters": {
                "hosts": {"home": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
            }
        }
    )
    (homelab.etc / "actions.d").mkdir()
    (homelab.etc / "actions.d" / "wait.yml").write_text(
        json.dumps(
            {
                "version": 1,
                "actions": [
                    {
                        "id": "wait",
                        "title": "Wait",
                        "help": "Waits.",
                        "group": "daily",
                        "playbook": "../wait.yml",
                        "danger": "changes",
                    }
                ],
            }
        )
    )
    script = f"trap 'echo cleaned > {tmp_path}/cleaned; exit 1' INT; echo $$ > {tmp_path}/up; sleep 60 & wait"
    (homelab.etc / "wait.yml").write_text(
        json.dumps(
            [
                {
                    "hosts": "proxmox_clusters",
                    "gather_facts": False,
                    "tasks": [{"name": "Wait", "ansible.builtin.shell": script}],
                }
            ]
        )
    )
    return homelab


def wait_for(what: t.Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def begun(homelab: Controller) -> subprocess.Popen[str]:
    process = homelab.start("run", "wait")
    wait_for(lambda: (homelab.top / "up").exists() and bool((homelab.top / "up").read_text()))
    return process


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
def test_a_second_run_waits_for_nobody_and_a_cancelled_one_cleans_up(slow: Controller) -> None:
    with begun(slow) as process:
        refused = slow.run("run", "wait", status=5)
        assert "another run works on proxmox_clusters" in refused.stderr
        assert slow.run("cancel", "wait").stdout.strip().endswith(": canceled")
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "modules may clean up" in err
    assert is_gone(int((slow.top / "up").read_text()))
    statuses = {run["id"]: run["status"] for run in slow.runs()}
    assert sorted(statuses.values()) == ["canceled", "failed"]


@pytest.mark.slow
def test_the_ansible_of_a_killed_run_still_holds_the_target_until_it_is_ended(slow: Controller) -> None:
    with begun(slow) as process:
        wait_for(lambda: slow.runs()[0].get("ansible") is not None)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert slow.runs()[0]["status"] == "lost"
        refused = slow.run("run", "wait", status=5)
        assert "homelab cancel" in refused.stderr
        slow.run("cancel")
        assert is_gone(int((slow.top / "up").read_text()))
        assert "canceled" in {run["status"] for run in slow.runs()}
        # Nobody reads any more; the process itself is gone.
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
