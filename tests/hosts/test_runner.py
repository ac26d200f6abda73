# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-runner runs every playbook that is for hosts, as AWX would: on one real host, in check mode, as nobody."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.controller import NOBODY, Controller
from tests.support.hosts import Daemon, Machine, build, machine
from tests.support.runner_job import Job, actions

NAME, IMAGE = "runner-docker", "debian13-docker"
# The answers of the surveys, every one a text.
ANSWERS = {
    # The controller's own playbook is for the machine that it runs on, unless it is told another.
    "homelab_target": "machines",
    "hardening_state": "present",
    "docker_version": "",
    "container_app_name": "web",
    "container_app_state": "present",
}
COMPOSE = """
services:
  web:
    image: example.com/web@sha256:{digest}
"""


@contextmanager
def reachable(daemon: Daemon) -> Iterator[None]:
    """Have the daemon listen to nobody, for as long as it takes."""
    socket = daemon.socket.removeprefix("unix://")
    os.chown(socket, 0, NOBODY)
    try:
        yield
    finally:
        os.chown(socket, 0, 0)


def prepare(host: Machine, folder: Path, collections: list[Path]) -> Job:
    """The host is in every group that a playbook asks for."""
    controller = Controller(folder, plain=True)
    variables = {
        "ansible_connection": "community.docker.docker",
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become": False,
        # What a container may pass on to its containers.
        "docker_default_ulimits": {"nofile": {"soft": 1024, "hard": 4096}},
    }
    groups = ("machines", "docker", "container_registry", "container_registry_clients", "guests")
    controller.inventory({group: {"hosts": {host.name: variables}} for group in groups})
    project = controller.state / "web.yml"
    project.write_text(COMPOSE.format(digest="2" * 64), encoding="utf-8")
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, collections)),
        "DOCKER_HOST": host.daemon.socket,
    }
    return Job(controller, actions(of_hosts=True), {**ANSWERS, "container_app_file": str(project)}, environment)


def test_every_playbook_of_hosts_runs_with_texts_and_without_a_terminal(
    daemon: Daemon, collections: list[Path]
) -> None:
    daemon.provide(build([IMAGE]))
    options = {"volumes": ["/var/lib/docker"], "capabilities": ["NET_ADMIN"]}
    with (
        tempfile.TemporaryDirectory(prefix="homelab-runner-") as folder,
        machine(daemon, IMAGE, NAME, **options) as host,
        reachable(daemon),
    ):
        Path(folder).chmod(0o755)
        # What a project is for.
        host.shell("apt-get -qq update && apt-get -qq install --no-install-recommends docker-compose >/dev/null")
        # But what Ansible needs itself.
        before = host.look("/root/.ansible")
        prepare(host, Path(folder), collections).run()
        assert host.look("/root/.ansible") == before, "a check changes nothing"
