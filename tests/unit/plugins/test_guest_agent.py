# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge of the connection guest_agent: its options, and what its errors become."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.connection import guest_agent
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import agent_door
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.agent_door import AgentUnusable, open_shell
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.spec import connection_options
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import ConnectionFailed

GIVEN: dict[str, t.Any] = {**dict.fromkeys(guest_agent.OPTIONS), "timeout": 60}


class Told(Exception):
    """What the connection would raise."""


def told(error: Exception) -> Exception:
    return Told(type(error).__name__, str(error))


def test_all_options_of_the_connection_are_there_under_their_names() -> None:
    """But for one: an option called timeout is set by Ansible, to the ten seconds of C(-T)."""
    options = yaml.safe_load(guest_agent.DOCUMENTATION)["options"]
    assert {*guest_agent.OPTIONS} == {*connection_options()} - {"timeout"}
    assert options.keys() == {*guest_agent.OPTIONS, "node", "vmid", "command_timeout"}
    assert all(option["vars"][0]["name"].startswith("proxmox_") for option in options.values())


def test_options_that_cannot_be_meant_are_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "USER", "PASSWORD", "TOKEN_ID", "TOKEN_SECRET", "CONNECTION_FILE"):
        monkeypatch.delenv(f"PROXMOX_{name}", raising=False)
    with pytest.raises(Told) as caught, open_shell(GIVEN, "pve1", 100, told):
        pass
    assert caught.value.args[0] == AgentUnusable.__name__
    assert "api_host" in caught.value.args[1]


def test_a_server_that_does_not_answer_is_an_unreachable_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_params: t.Any) -> t.NoReturn:
        raise ConnectionFailed("nobody there", sent=False)

    monkeypatch.setattr(agent_door, "open_client", fails)
    with pytest.raises(Told) as caught, open_shell(GIVEN, "pve1", 100, told):
        pass
    assert caught.value.args == ("ConnectionFailed", "nobody there")
