# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The capability C(guests): its privileges are enough for every action on guests, and each of them is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privilege_table import Kind
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privileges import role_privileges

from tests.support.guests import add_guest, give_shell
from tests.support.workbench import Bench

USER, PASSWORD = "ops@pve", "Correct-Horse-1"
VERSIONS = ["8.4.21", "9.1.2"]


@pytest.fixture
def limited(bench: Bench, tmp_path: Path) -> Iterator[Bench]:
    """A VM in a pool, and a user who has on that pool what the capability says, and nothing else."""
    vm = add_guest(bench, pool="lab")
    shell = give_shell(vm, tmp_path / "guest")
    privileges = role_privileges(bench.cluster.major, ["guests"])
    assert set(privileges) == {Kind.POOL}
    bench.cluster.add_role("Guests", privileges[Kind.POOL])
    bench.cluster.add_user(USER, PASSWORD)
    bench.cluster.grant(USER, "/pool/lab", "Guests")
    bench.credentials = {"api_user": USER, "api_password": PASSWORD}
    yield bench
    shell.close()


def uses(bench: Bench) -> list[tuple[str, Mapping[str, Any]]]:
    """One use of each door and each action, in an order that makes sense."""
    home = bench.cluster.vms[101].inside.shell.home
    many: Mapping[str, Any] = {"guests": ["web"]}
    return [
        ("guest_exec", {"guest": "web", "argv": ["true"]}),
        ("guest_file", {"guest": "web", "dest": f"{home}/x", "content": "x", "mode": "0600"}),
        ("guest_file_fetch", {"guest": "web", "src": f"{home}/x", "dest": f"{home}/copy"}),
        ("vm_snapshot", {**many, "name": "auto-1", "vmstate": True}),
        ("vm_snapshot", {**many, "name": "auto-1", "description": "x"}),
        ("vm_snapshot_rollback", {**many, "name": "auto-1", "confirm": True}),
        ("vm_snapshot", {**many, "name": "auto-1", "state": "absent"}),
        *(
            ("vm_power", {**many, "action": action})
            for action in ("suspend", "resume", "reset", "reboot", "shutdown", "start", "stop")
        ),
    ]


@pytest.mark.parametrize("bench", VERSIONS, indirect=True)
def test_the_privileges_are_enough(limited: Bench) -> None:
    for door, params in uses(limited):
        result = limited.call(door, params)
        assert not result.get("failed"), (door, params, result["msg"])
        assert result["changed"], (door, params)


NEEDED = {
    "guest_exec": ("VM.Monitor", "VM.GuestAgent.Unrestricted"),
    "guest_file": ("VM.Monitor", "VM.GuestAgent.Unrestricted"),
    "guest_file_fetch": ("VM.Monitor", "VM.GuestAgent.Unrestricted"),
    "vm_snapshot": ("VM.Snapshot",),
    "vm_power": ("VM.PowerMgmt",),
}


@pytest.mark.parametrize("bench", VERSIONS, indirect=True)
@pytest.mark.parametrize("door", NEEDED)
def test_a_privilege_less_is_told_before_anything_is_touched(limited: Bench, door: str) -> None:
    params = next(params for name, params in uses(limited) if name == door)
    role = limited.cluster.access.roles["Guests"]
    role -= set(NEEDED[door])
    result = limited.call(door, params)
    assert f"api_user='{USER}': it lacks VM." in result["msg"]
    assert "on /pool/lab, needed for" in result["msg"]
    assert "pveum role modify HomelabPool" in result["msg"]
    assert [entry.path for entry in limited.writes()] == []
