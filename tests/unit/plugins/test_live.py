# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The garbage collector rests while Ansible packs a module, and only then."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from unittest import mock

import pytest
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.homelab.proxmox.plugins.plugin_utils.live import LiveAction


@pytest.fixture
def collector() -> Iterator[None]:
    yield
    gc.enable()


def pack(answer: object) -> tuple[object, dict[str, object]]:
    """What packing gave or raised, and what Ansible's own method saw."""
    seen: dict[str, object] = {}

    def configure(_self: object, **arguments: object) -> object:
        seen.update(arguments, collecting=gc.isenabled())
        if isinstance(answer, Exception):
            raise answer
        return answer

    action = LiveAction.__new__(LiveAction)
    with mock.patch.object(NormalAction, "_configure_module", configure):
        try:
            return action._configure_module(module_name="x", module_args={}, task_vars={}), seen
        except ValueError as error:
            return error, seen


def test_the_collector_rests_while_a_module_is_packed(collector: None) -> None:
    found, seen = pack("packed")
    assert found == "packed" and gc.isenabled()
    assert seen == {"module_name": "x", "module_args": {}, "task_vars": {}, "collecting": False}


def test_it_goes_on_after_a_failure(collector: None) -> None:
    error = ValueError("no such module")
    found, _seen = pack(error)
    assert found is error and gc.isenabled()


def test_who_has_switched_it_off_finds_it_so(collector: None) -> None:
    gc.disable()
    pack("packed")
    assert not gc.isenabled()
