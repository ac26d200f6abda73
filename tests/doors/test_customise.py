# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line that is customised: booted with its seed, watched through the agent, sealed, and only then a template."""

from __future__ import annotations

import base64
import json
import re
import typing as t

import pytest

from tests.support.builders import Script, isos
from tests.support.workbench import Bench

CUSTOMIZE = {"packages": ["htop"], "scripts": [{"name": "motd", "content": "#!/bin/sh\necho hello > /etc/motd\n"}]}
WRITES = [
    r"POST /nodes/pve1/storage/local/download-url$",
    r"POST /nodes/pve1/qemu$",
    r"POST /nodes/pve1/storage/local/upload$",
    r"PUT /nodes/pve1/qemu/9000/config$",
    r"POST /nodes/pve1/qemu/9000/status/start$",
    r"POST /nodes/pve1/qemu/9000/status/shutdown$",
    r"PUT /nodes/pve1/qemu/9000/config$",
    r"DELETE /nodes/pve1/storage/local/content/.*homelab-seed-9000\.iso$",
    r"POST /nodes/pve1/qemu/9000/template$",
    r"PUT /nodes/pve1/qemu/9000/config$",
]


@pytest.fixture
def script(bench: Bench) -> Script:
    found = Script(bench)
    found.steps(("agent", 0, ""), ("packages", 0, "installed"), ("script motd", 0, ""))
    return found


def test_a_customised_line_is_booted_sealed_and_published(bench: Bench, script: Script) -> None:
    planned = bench.template(customize=CUSTOMIZE, check=True)
    assert bench.writes() == []
    result = bench.template(customize=CUSTOMIZE)
    assert not result.get("failed"), result
    assert planned["steps"] == result["steps"]
    assert [step.split(" of ")[0] for step in result["steps"][2:]] == [
        "boot the new VM",
        "seal the new VM",
        "convert the new VM",
        "publish the new generation as the current line debian-13 on node pve1",
    ]
    agent = re.compile(r"/agent/(ping|exec|exec-status|file-read)")
    sent = [line for line in bench.sent() if not line.startswith("GET") and not agent.search(line)]
    assert len(sent) == len(WRITES), sent
    for line, pattern in zip(sent, WRITES, strict=True):
        assert re.fullmatch(pattern, line), line
    vm = bench.cluster.vms[9000]
    assert vm.template
    assert not vm.running
    assert "cloudinit" in vm.config["scsi1"]
    assert "scsi2" not in vm.config
    assert vm.config["agent"] == "enabled=1"
    assert isos(bench) == []
    assert bench.state(9000) == "current"
    again = bench.template(customize=CUSTOMIZE)
    assert again["changed"] is False
    assert bench.writes() == []


def test_what_is_customised_belongs_to_the_recipe(bench: Bench, script: Script) -> None:
    bench.build(customize=CUSTOMIZE)
    bench.later(hours=1)
    same = {"packages": ["htop"], "scripts": [{**CUSTOMIZE["scripts"][0], "timeout": 60}]}
    assert bench.template(customize=same)["changed"] is False
    result = bench.template(customize={**CUSTOMIZE, "packages": ["htop", "jq"]}, check=True)
    assert "the recipe changed" in str(result["diff"]["after"])


def test_nothing_to_customise_is_not_booted(bench: Bench, script: Script) -> None:
    bench.build(customize={})
    assert script.boots == []


def test_the_failing_command_and_its_output_are_the_error(bench: Bench, script: Script) -> None:
    script.steps(("agent", 0, ""), ("packages", 100, "E: Unable to locate package nosuch"))
    result = bench.template(customize=CUSTOMIZE)
    assert "step 2, packages, ended with status 100:\nE: Unable to locate package nosuch" in result["msg"]
    assert "Nothing was left behind" in result["msg"]
    assert bench.cluster.vms == {}
    assert isos(bench) == []


def test_an_agent_that_never_answers_is_told_and_cleaned_up(bench: Bench, script: Script) -> None:
    script.refusals = 10**9
    result = bench.call("vm_template", {**bench.line(customize=CUSTOMIZE), "timeout": 5})
    assert result["failed"]
    assert "the guest agent of VM 9000" in result["msg"]


def test_a_guest_that_is_not_sealed_becomes_no_template(bench: Bench, script: Script) -> None:
    left = base64.b64encode(b"/etc/ssh/ssh_host_rsa_key").decode()
    script.verdict = json.dumps({"ok": False, "checks": {"host-keys": False}, "left": left})
    result = bench.template(customize=CUSTOMIZE)
    assert "VM 9000 is not sealed (host-keys):\n/etc/ssh/ssh_host_rsa_key" in result["msg"]
    assert bench.cluster.vms == {}


def test_cloud_init_that_ends_before_the_steps_is_told(bench: Bench, script: Script) -> None:
    script.reports = []
    script.cloud_init = ["error"]
    script.errors = ["('scripts-user', RuntimeError('boom'))"]
    result = bench.template(customize=CUSTOMIZE)
    assert "ended without beginning what was declared" in result["msg"]


def test_the_old_generation_stays_current(bench: Bench, script: Script) -> None:
    bench.build()
    bench.later(hours=1)
    script.steps(("agent", 1, "no route to host"))
    result = bench.template(customize=CUSTOMIZE)
    assert "no route to host" in result["msg"]
    assert bench.state(9000) == "current"
    assert sorted(bench.cluster.vms) == [9000]


def test_a_builder_that_was_left_running_is_cleaned_up_by_the_next_run(bench: Bench, script: Script) -> None:
    """As after SIGKILL in the middle of the boot: the VM runs, and its seed lies on the storage."""
    bench.cluster.faults.add("cut_after", "POST", r"/agent/exec$", times=None)
    bench.cluster.faults.add("status", "POST", r"/status/stop$", code=500, reason="no", times=None)
    hurt = bench.template(customize=CUSTOMIZE)
    assert hurt["failed"]
    bench.server.call(bench.cluster.faults.reset)
    assert bench.cluster.vms[9000].running
    assert isos(bench) == ["local:iso/homelab-seed-9000.iso"]
    bench.later(hours=2)
    result = bench.template(customize=CUSTOMIZE)
    assert not result.get("failed"), result
    assert [vmid for vmid, vm in bench.cluster.vms.items() if vm.running] == []
    assert isos(bench) == []
    assert bench.template(customize=CUSTOMIZE)["changed"] is False


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"customize": {"packages": ["a b"]}}, "customize.packages"),
        ({"customize": {"scripts": [{"name": "x"}]}}, "customize.scripts[0]: give either content or src"),
        ({"customize": {"files": [{"path": "etc/x", "content": ""}]}}, "customize.files[0].path"),
        ({"customize": {"scripts": [{"name": "x", "src": "/nope"}]}}, "customize.scripts[0].src='/nope'"),
        ({"customize": {"user_data": {"packges": ["x"]}}}, "customize.user_data"),
        ({"customize": CUSTOMIZE, "agent": {"enabled": False}}, "agent.enabled=False"),
        ({"customize": CUSTOMIZE, "net": []}, "net=[]: without a network"),
        ({"customize": CUSTOMIZE, "iso_storage": "local-lvm"}, "iso_storage='local-lvm': its content has no 'iso'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_customised_is_told_before_anything_is_touched(
    bench: Bench, options: dict[str, t.Any], text: str
) -> None:
    result = bench.template(**options)
    assert result["failed"]
    assert text in result["msg"]
    assert bench.writes() == []
