# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a run has ended is told from its process, real ones here."""

from __future__ import annotations

import os
import subprocess
import sys

from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.run_id import is_gone, run_id


def test_a_run_is_gone_when_its_process_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        run = run_id(process.pid)
        assert not is_gone(run)
        process.communicate(b"\n")
    assert is_gone(run)


def test_nobody_needs_to_ask_how_it_ended() -> None:
    """A container without an init keeps what a killed playbook leaves as zombies."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        run = run_id(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process.returncode is None
        assert is_gone(run)


def test_a_run_of_this_process_is_over_and_one_of_elsewhere_cannot_be_known() -> None:
    assert is_gone(run_id())
    place, _dash, rest = run_id().partition("-")
    assert not is_gone(f"{place[::-1]}x-{rest}")
    assert not is_gone(place)
