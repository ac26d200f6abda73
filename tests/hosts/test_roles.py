# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role on real systemd hosts: each folder of tests/hosts/molecule is a scenario, and a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hosts import Daemon, build, images, play

SCENARIOS = sorted(path.parent.name for path in Path(__file__).parent.glob("molecule/*/molecule.yml"))
# Seconds; ten times what the slowest takes on idle cores.
LIMIT = 1500.0
TAIL = 120


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_role_passes_the_whole_sequence(scenario: str, daemon: Daemon, collections: list[Path]) -> None:
    daemon.provide(build(images(scenario)))
    outcome = play(scenario, daemon, collections, seconds=LIMIT)
    print(outcome.table())
    assert outcome.status == 0, "\n".join(outcome.text.splitlines()[-TAIL:])
    # Molecule looks at what changes in the step idempotence, but not at a second check.
    checks = [step.changed for step in outcome.steps if step.name == "check"]
    assert len(checks) == 2, "a sequence checks before and after"
    assert checks[0] > 0, "a host that is new has to change"
    assert checks[1] == 0, "a host that is right has nothing to change"
