# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook C(homelab.proxmox.templates) is killed again and again, and two of them are started together."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.guarded import NODES, Blow, GuardedCluster, assert_one_of_each, current
from tests.support.pve import Server, serve
from tests.support.pve.images import GIB, qcow2
from tests.support.runs import kill_family
from tests.support.vendor import Vendor, serve_vendor

ALL = ["alpha@pve1", "alpha@pve2", "beta@pve1", "beta@pve2"]
FOREIGN = (120, 130)
PATIENCE = 120
NAME = "cloud/debian-13.qcow2"


class Kill(NamedTuple):
    """SIGKILL at the n-th write of its kind in a run, before or after the server carries it out."""

    request: str
    nth: int
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.request} no. {self.nth}"


DOWNLOAD, CREATE, RESIZE, CONVERT = "POST .*/download-url$", "POST .*/qemu$", "PUT .*/resize$", "POST .*/template$"
WRITE, DESTROY = r"PUT .*/qemu/\d+/config$", "DELETE .*/qemu/"

KILLS = (
    Kill(DOWNLOAD, 1, "before"),
    Kill(DOWNLOAD, 2, "after"),
    Kill(CREATE, 3, "after"),
    Kill(RESIZE, 1, "before"),
    Kill(CONVERT, 2, "after"),
    Kill(WRITE, 1, "before"),
    Kill(WRITE, 3, "after"),
    Kill(RESIZE, 2, "after"),
    Kill(DESTROY, 2, "after"),
    Kill(DESTROY, 1, "before"),
)
MAX_RUNS = 2 * len(KILLS)


class Home:
    """A controller whose inventory has two lines on two nodes, and the server and the vendor that it speaks to."""

    def __init__(self, server: Server, vendor: Vendor, folder: Path) -> None:
        self.server = server
        self.cluster: GuardedCluster = server.cluster  # type: ignore[assignment]
        self.vendor = vendor
        self.folder = folder
        self.builds = 0
        self.digest = ""
        self.newer()

    def newer(self) -> None:
        """The vendor publishes a newer build."""
        self.builds += 1
        self.digest = self.vendor.publish(NAME, qcow2(3 * GIB) + self.builds.to_bytes(512, "big"))

    def inventory(self, token: str) -> Path:
        """An inventory of one cluster; each token has its own file, since two plays may run at once."""
        secret = self.server.cluster.ensure_token(f"root@pam!{token}", self.server.token_secret)
        image = {"url": f"{self.vendor.url}/{NAME}", "checksum_url": f"{self.vendor.url}/cloud/SHA256SUMS"}
        variables = {
            "proxmox_api_host": self.server.host,
            "proxmox_api_port": self.server.port,
            "proxmox_api_token_id": f"root@pam!{token}",
            "proxmox_api_token_secret": secret,
            "proxmox_ca_path": self.server.ca_path,
            "templates_nodes": list(NODES),
            "templates_keep": 1,
            "templates_max_deletions": 99,
            "templates_defaults": {"refresh": "always", "disk": {"size": "4G"}},
            "templates_lines": [
                {"line": "alpha", "storage": "local", **image},
                {"line": "beta", "storage": "local-lvm", "memory": 3072, **image},
            ],
        }
        path = self.folder / f"{token}.json"
        path.write_text(json.dumps({"proxmox_clusters": {"hosts": {"home": variables}}}), encoding="utf-8")
        return path

    def begin(self, token: str = "first") -> subprocess.Popen[str]:
        """Start the playbook."""
        playbook = str(Path(sys.executable).with_name("ansible-playbook"))
        command = [playbook, "-i", str(self.inventory(token)), "homelab.proxmox.templates"]
        environment = {**os.environ, "HOME": str(self.folder)}
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for a playbook; its status and what it said."""
        try:
            said, _nothing = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                kill_family(process.pid)
        self.settle()
        return process.returncode, said

    def play(self) -> str:
        """One undisturbed run, which must go well; the journal of the server begins anew."""
        self.server.reset_log()
        status, said = self.end(self.begin())
        assert status == 0, said
        return said

    def settle(self) -> None:
        """Wait until no task runs."""
        end = time.monotonic() + 30
        while self.cluster.running_tasks() and time.monotonic() < end:
            time.sleep(0.01)

    def writes(self) -> list[str]:
        return [f"{entry.method} {entry.path}" for entry in self.server.writes()]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """The fleet is built, somebody has a VM and a clone of a template beside it, and there is a newer image."""
    cluster = GuardedCluster(nodes=NODES)
    with serve_vendor() as vendor, serve(cluster) as server:
        made = Home(server, vendor, tmp_path)
        made.play()
        template = current(cluster)["alpha@pve1"][0]
        values = {"node": "pve1", "vmid": template, "newid": 120, "full": 1, "name": "mine"}
        server.call(cluster._qm_clone, values, "root@pam")
        made.settle()
        cluster.add_vm(130, "dns", config={"memory": 512})
        cluster.durations = {"*": 0.05, "download": 0.2, "qmcreate": 0.3}
        cluster.guarded = tuple(ALL)
        made.newer()
        yield made


def foreign(home: Home) -> dict[int, Any]:
    return {vmid: copy.deepcopy(home.cluster.vms[vmid].config) for vmid in FOREIGN}


def assert_unharmed(home: Home, before: dict[int, Any]) -> None:
    """At no moment was a current generation lost, and nothing was done to what is not ours."""
    assert home.cluster.lost == []
    assert sorted(current(home.cluster)) == ALL
    assert foreign(home) == before


def assert_settled(home: Home) -> None:
    """The fleet is whole, and a further run writes nothing."""
    assert_one_of_each(home.cluster, ALL, home.digest, FOREIGN)
    said = home.play()
    assert home.writes() == []
    assert " changed=0 " in said, said


@pytest.mark.slow
def test_ten_kills(home: Home) -> None:
    before = foreign(home)
    runs = 0
    for kill in KILLS:
        while True:
            runs += 1
            assert runs <= MAX_RUNS
            process = home.begin()
            blow = Blow(kill.request, kill.nth, kill.when == "before", lambda pid=process.pid: kill_family(pid))
            home.cluster.blow = blow
            status, said = home.end(process)
            if blow.dealt:
                break
            # So much was done already that less was left to do.
            assert status == 0, f"{kill}: {said}"
            assert_one_of_each(home.cluster, ALL, home.digest, FOREIGN)
            home.newer()
        assert status < 0, f"{kill}: it ended by itself: {said}"
        assert_unharmed(home, before)
    home.cluster.blow = None
    home.play()
    assert_unharmed(home, before)
    assert_settled(home)


@pytest.mark.slow
def test_two_playbooks_started_together(home: Home) -> None:
    before = foreign(home)
    both = [home.begin(token) for token in ("first", "second")]
    ends = [home.end(process) for process in both]
    for status, said in ends:
        text = " ".join(said.split())
        assert status == 0 or "another run has meanwhile made" in text or "is being built by run" in text, said
        assert "Traceback" not in said
    assert_unharmed(home, before)
    if all(status for status, _said in ends):
        # Two that create at the same moment may see each other and both step back.
        home.play()
    assert_unharmed(home, before)
    assert_settled(home)
