# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as AWX runs it: ansible-runner over the generated project, the surveys' answers as texts.

No terminal, no root, a home that cannot be written to. One run in check mode of all wrappers together, because the
start of Ansible takes the time; what the playbooks do is in the tests of each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._actions import awx
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.load import load
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.model import Action
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.reference import config_schema

from .controller import Controller

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
HOSTS = ("docker", "docker-upgrade", "container-registry", "container-app", "hardening", "controller")
"""Actions that need a host that is no cluster: tests/hosts has one."""
# Seconds; ten times what it takes on idle cores.
LIMIT = 900


def actions(*, of_hosts: bool) -> list[Action]:
    """Every action whose playbook does not merely import others: those of hosts, or the rest."""
    return [
        action
        for action in load(None, config_schema)
        if (action.id in HOSTS) is of_hosts and "import_playbook" not in playbook_of(action)
    ]


def playbook_of(action: Action) -> str:
    """The text of its playbook."""
    return (PLAYBOOKS / f"{action.playbook.rpartition('.')[2]}.yml").read_text(encoding="utf-8")


class Job:
    """What AWX prepares for ansible-runner: a project, variables, an environment. The inventory is the controller's."""

    def __init__(
        self,
        controller: Controller,
        chosen: Sequence[Action],
        answers: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.controller = controller
        self.actions = chosen
        self.folder = controller.state / "job"
        project = self.folder / "project" / "playbooks"
        project.mkdir(parents=True)
        for action in chosen:
            (project / f"{action.id}.yml").write_text(awx.wrapper(action), encoding="utf-8")
        every = [{"ansible.builtin.import_playbook": f"{action.id}.yml"} for action in chosen]
        (project / "all.yml").write_text(yaml.safe_dump(every), encoding="utf-8")
        (self.folder / "env").mkdir()
        self._write("extravars", answers)
        scratch = str(controller.state / "ansible")
        self._write("envvars", {"ANSIBLE_HOME": scratch, "ANSIBLE_LOCAL_TEMP": f"{scratch}/tmp", **(environment or {})})
        (self.folder / "env" / "cmdline").write_text("--check")
        controller.own()

    def _write(self, name: str, content: Mapping[str, str]) -> None:
        (self.folder / "env" / name).write_text(json.dumps(content), encoding="utf-8")

    def run(self) -> str:
        """Every playbook to its end, none of which may fail or be left out. What it has printed."""
        runner = str(Path(sys.executable).with_name("ansible-runner"))
        inventory = str(self.controller.etc / "inventory")
        command = [*self.controller.prefix, runner, "run", str(self.folder), "-p", "playbooks/all.yml"]
        environment = {
            **self.controller.environment(),
            "PATH": f"{Path(runner).parent}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            [*command, "--inventory", inventory, "--ident", "job"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
            env=environment,
            # It has a session of its own: no terminal to ask.
            start_new_session=True,
            cwd=self.controller.state,
        )
        plays = self._plays()
        failures = {name: failed for name, failed in plays.items() if failed}
        assert not failures, failures
        assert done.returncode == 0, done.stdout + done.stderr
        named = {play["name"] for action in self.actions for play in yaml.safe_load(playbook_of(action))}
        assert named <= plays.keys(), f"these did not begin: {named - plays.keys()}"
        return done.stdout + done.stderr

    def _plays(self) -> dict[str, list[str]]:
        """The plays that began, with what failed in each."""
        found: dict[str, list[str]] = {}
        for path in (self.folder / "artifacts/job/job_events").glob("*.json"):
            event: dict[str, t.Any] = json.loads(path.read_text(encoding="utf-8"))
            data = event.get("event_data", {})
            if event["event"] == "playbook_on_play_start":
                found.setdefault(data["name"], [])
            if event["event"] in ("runner_on_failed", "runner_on_unreachable"):
                found.setdefault(data["play"], []).append(f"{data['task']}: {data['res'].get('msg')}")
        return found
