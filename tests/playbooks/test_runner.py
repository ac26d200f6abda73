# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-runner runs every playbook that talks to Proxmox VE, or to nobody, as AWX would.

Those for hosts are in tests/hosts/test_runner.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import State

from tests.support.controller import Controller
from tests.support.door import call
from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.cluster import cluster_storages
from tests.support.report_lab import hashed, plant
from tests.support.runner_job import Job, actions

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
    "templates_bake_roles": "homelab.proxmox.hardening",
}


def prepare(folder: Path, server: Server) -> Job:
    """What is no value of a survey is in the inventory, as ever."""
    controller = Controller(folder, plain=True)
    lines = [{"line": "web", "url": "https://192.0.2.1/x.qcow2", "checksum": hashed("web"), "hold": True}]
    lines[0]["bake_version"] = "1"
    variables = {"templates_lines": lines, "templates_nodes": ["pve1"], "templates_defaults": {"storage": "fast"}}
    vms = {"proxmox_vms": {"hosts": {"web-1": {"fleet_vm": {"line": "web", "node": "pve1", "cores": "2"}}}}}
    controller.cluster(server, vms, **variables)
    secret = {"access_api_password": server.password, "access_api_user": server.user}
    pages = {name: str(controller.state / f"{name}.html") for name in ("review_path", "templates_report_path")}
    return Job(controller, actions(of_hosts=False), {**ANSWERS, **secret, **pages})


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
        yield prepare(Path(folder), server), server


@pytest.mark.slow
def test_every_playbook_runs_with_texts_and_without_a_terminal(job: tuple[Job, Server]) -> None:
    prepared, server = job
    told = prepared.run()
    assert server.writes() == [], "a check changes nothing"
    assert server.token_secret not in told
