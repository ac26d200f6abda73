# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-runner runs every playbook that talks to Proxmox VE as AWX would: the generated project, texts as variables.

No terminal, no root, a home that cannot be written to. One run in check mode of all wrappers together, because it is
the start of Ansible that takes the time; what they do is in the tests of each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import typing as t
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._actions import awx
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.load import load
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.model import Action
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.reference import config_schema
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import State

from tests.support.controller import Controller
from tests.support.door import call
from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.cluster import cluster_storages
from tests.support.report_lab import hashed, plant

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = load(None, config_schema)
PLAYBOOKS = ROOT / "playbooks"


def is_of_its_own(name: str) -> bool:
    """Not one that only imports others, and one that talks to a cluster or to nobody."""
    text = (PLAYBOOKS / f"{name}.yml").read_text(encoding="utf-8")
    return "import_playbook" not in text


ACTIONS = [
    action
    for action in REGISTRY
    if action.target in ("proxmox_clusters", "localhost")
    # One changes the machine that it runs on, as root, the other has nothing to do without a line to bake into. Both
    # have tests of their own.
    and action.id not in ("controller", "templates-bake")
    and is_of_its_own(action.playbook.rpartition(".")[2])
]

# The answers of the surveys, every one a text.
ANSWERS = {
    "preflight_fail_on": "never",
    "preflight_min_free": "1G",
    "templates_report_max_age": "20",
    "templates_report_gather": "sizes,clones",
    "template_prove_line": "web",
    "template_prove_nodes": "pve1",
    "template_prove_clones": "1",
    "template_rollback_line": "web",
    "template_backups_storage": "nfs",
    "template_backups_keep": "2",
    "template_restore_line": "web",
    "template_restore_node": "pve1",
    "template_restore_backup_storage": "nfs",
    "template_restore_publish": "false",
    "templates_prune_confirm": "true",
    "templates_prune_images": "yes",
    "templates_prune_max_deletions": "1",
    "config_backup_reason": "a test",
    "drill_line": "web",
    "drill_node": "pve2",
    "drill_backup_storage": "nfs",
    "drill_storage": "fast",
    "drill_prove": "true",
}


class Job:
    """What AWX prepares for ansible-runner: a project, an inventory, variables, an environment."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.controller = Controller(folder, plain=True)
        lines = [{"line": "web", "url": "https://192.0.2.1/x.qcow2", "checksum": hashed("web"), "hold": True}]
        variables = {"templates_lines": lines, "templates_nodes": ["pve1"], "templates_defaults": {"storage": "fast"}}
        # What is no value of a survey is in the inventory, as ever.
        self.controller.cluster(server, **variables)
        self.folder = self.controller.state / "job"
        project = self.folder / "project" / "playbooks"
        project.mkdir(parents=True)
        for action in ACTIONS:
            (project / f"{action.id}.yml").write_text(awx.wrapper(action), encoding="utf-8")
        every = [{"ansible.builtin.import_playbook": f"{action.id}.yml"} for action in ACTIONS]
        (project / "all.yml").write_text(yaml.safe_dump(every), encoding="utf-8")
        (self.folder / "env").mkdir()
        secret = {"access_api_password": server.password, "access_api_user": server.user}
        pages = {name: str(self.controller.state / f"{name}.html") for name in ("review_path", "templates_report_path")}
        self.write("extravars", {**ANSWERS, **secret, **pages})
        scratch = str(self.controller.state / "ansible")
        self.write("envvars", {"ANSIBLE_HOME": scratch, "ANSIBLE_LOCAL_TEMP": f"{scratch}/tmp"})
        (self.folder / "env" / "cmdline").write_text("--check")
        self.controller.own()

    def write(self, name: str, content: dict[str, str]) -> None:
        (self.folder / "env" / name).write_text(json.dumps(content), encoding="utf-8")

    def run(self) -> subprocess.CompletedProcess[str]:
        runner = str(Path(sys.executable).with_name("ansible-runner"))
        inventory = str(self.controller.etc / "inventory")
        command = [*self.controller.prefix, runner, "run", str(self.folder), "-p", "playbooks/all.yml"]
        environment = {
            **self.controller.environment(),
            "PATH": f"{Path(runner).parent}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.run(
            [*command, "--inventory", inventory, "--ident", "job"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            env=environment,
            # It has a session of its own: no terminal to ask.
            start_new_session=True,
            cwd=self.controller.state,
        )

    def plays(self) -> dict[str, list[str]]:
        """The plays that began, with what failed in each."""
        found: dict[str, list[str]] = {}
        for path in (self.folder / "artifacts/job/job_events").glob("*.json"):
            event = json.loads(path.read_text(encoding="utf-8"))
            data = event.get("event_data", {})
            if event["event"] == "playbook_on_play_start":
                found.setdefault(data["name"], [])
            if event["event"] in ("runner_on_failed", "runner_on_unreachable"):
                found.setdefault(data["play"], []).append(f"{data['task']}: {data['res'].get('msg')}")
        return found


@pytest.fixture
def job() -> Iterator[tuple[Job, Server]]:
    cluster = FakeCluster(nodes=("pve1", "pve2"), storages=cluster_storages())
    now = datetime.now(UTC)
    plant(cluster, "web", 9001, now - timedelta(days=2), image="")
    plant(cluster, "web", 9000, now - timedelta(days=30), image="", state=State.RETIRED)
    plant(cluster, "gone", 9002, now - timedelta(days=90), image="")
    with tempfile.TemporaryDirectory(prefix="homelab-runner-") as folder, serve(cluster) as server:
        Path(folder).chmod(0o755)
        call("vm_template_backup", server, {"line": "web", "storage": "nfs"})
        server.reset_log()
        yield Job(Path(folder), server), server


@pytest.mark.slow
def test_every_playbook_runs_with_texts_and_without_a_terminal(job: tuple[Job, Server]) -> None:
    prepared, server = job
    done = prepared.run()
    plays = prepared.plays()
    assert not {name: failed for name, failed in plays.items() if failed}
    assert done.returncode == 0, done.stdout + done.stderr
    named = {play["name"] for action in ACTIONS for play in plays_of(action)}
    assert named <= plays.keys(), "each of them began"
    assert server.writes() == [], "a check changes nothing"
    assert server.token_secret not in done.stdout + done.stderr


def plays_of(action: Action) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = yaml.safe_load(
        (PLAYBOOKS / f"{action.playbook.rpartition('.')[2]}.yml").read_text()
    )
    return found
