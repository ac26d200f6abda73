# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C, and a job that is cancelled: nothing new begins, what is left is said, and the next run goes on."""

from __future__ import annotations

import signal
import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.interrupt import interruptible
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.run import open_client
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.clock import Deadline, SystemClock
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import Interrupted

from tests.support.another_run import another_run, result_of
from tests.support.ordeal import Ordeal, recover
from tests.support.site import Site, plain

SIGNALS = [signal.SIGINT, signal.SIGTERM]
TASKS = ["POST /download-url$", "POST /qemu$", "PUT /resize$", "POST /template$"]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("request_", TASKS)
def test_a_run_that_is_interrupted_says_what_it_left(site: Site, request_: str, number: signal.Signals) -> None:
    with another_run(site, request_) as process:
        (upid,) = site.cluster.running_tasks()
        process.send_signal(number)
        result = result_of(process)
    assert result["failed"]
    message = plain(result["msg"])
    assert f"interrupted by {number.name} while waiting for the task" in message
    assert "A further run finishes or cleans up" in message
    assert upid in message
    assert upid in " ".join(result["left_behind"])
    site.heal()
    recover(site, Ordeal(name="interrupted"))


def test_every_track_of_a_fleet_stops(site: Site) -> None:
    line = {key: value for key, value in site.line().items() if key not in ("node", "allow_unverified")}
    lines: list[dict[str, t.Any]] = [{**line, "line": f"line-{number}"} for number in range(6)]
    params = {"lines": lines, "nodes": ["pve1", "pve2"], "workers": 3, "allow_unverified": True}
    with another_run(site, "POST /qemu$", door="vm_template_fleet", params=params) as process:
        process.send_signal(signal.SIGTERM)
        result = result_of(process)
    assert result["failed"]
    assert sorted(result["summary"]["failed"] + result["summary"]["built"]) == sorted(
        f"line-{number}@{node}" for number in range(6) for node in ("pve1", "pve2")
    )
    assert result["summary"]["failed"]
    # Of what had not begun nothing is left.
    begun = len([entry for entry in site.server.requests if entry.method == "POST" and entry.path.endswith("/qemu")])
    assert begun < 12


@pytest.fixture
def as_from_a_terminal() -> Iterator[None]:
    """A shell has its background jobs ignore SIGINT, and whoever runs these tests may be one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("as_from_a_terminal")
def test_a_second_signal_ends_the_process_as_ever(site: Site) -> None:
    client = open_client(
        {
            "api_host": site.server.host,
            "api_port": site.server.port,
            "api_token_id": site.server.token_id,
            "api_token_secret": site.server.token_secret,
            "ca_path": site.server.ca_path,
        }
    )
    with interruptible(client):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted, match="SIGINT"):
            client.get("/version")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_every_wait_of_every_thread_ends() -> None:
    deadline = Deadline(SystemClock(), 3600)
    deadline.check("anything")
    deadline.interrupt("SIGINT")
    assert deadline.remaining() == 0.0
    with pytest.raises(Interrupted, match="interrupted by SIGINT while waiting for a lock"):
        deadline.pause(3600, "a lock")
