# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that runs in a process of its own, caught in the middle of its work."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .site import Result, Site

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from tests.support.door import run_module
print(json.dumps(run_module(sys.argv[2], json.load(sys.stdin))))
"""


@contextmanager
def another_run(
    site: Site, request: str, *, door: str = "vm_template", params: t.Mapping[str, t.Any] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, from when it waits for the task of that request, which hangs.

    Without C(params) it is of the site's line.
    """
    fault = site.faults.add("hang_task", *request.split())
    server = site.server
    connection = {
        "api_host": server.host,
        "api_port": server.port,
        "api_token_id": server.token_id,
        "api_token_secret": server.token_secret,
        "ca_path": server.ca_path,
    }
    paths = json.dumps([str(ROOT), str(ROOT / ".venv" / "collections")])
    command = [sys.executable, "-c", SCRIPT, paths, door]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps({**connection, **(params or site.line()), "timeout": 60}))
            process.stdin.close()
            end = time.monotonic() + 30
            while not (fault.fired and polled(site)):
                assert process.poll() is None, result_of(process)
                assert time.monotonic() < end
                time.sleep(0.005)
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def polled(site: Site) -> bool:
    """Whether the hanging task has been asked for: then the answer with its UPID has arrived."""
    asked = [entry.path for entry in site.server.requests if entry.is_poll]
    return any(upid in path or path.endswith("/tasks") for upid in site.cluster.running_tasks() for path in asked)


def result_of(process: subprocess.Popen[str]) -> Result:
    assert process.stdout is not None
    result: Result = json.loads(process.stdout.read())
    process.wait(30)
    return result
