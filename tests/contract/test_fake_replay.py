# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake answers every recorded exchange as the real server did, but for a table of known differences.

Answers of programs inside a guest are scripted from the recording itself (the fake runs no guest): for those the test
proves the manners of the agent calls, not their content. Hardware facts (CPU models, packages, certificates) are served
from the recording by the fake anyway.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support import pve
from tests.support.pve.normal import differences
from tests.support.pve.recording import FILES, load
from tests.support.pve.replay import replay

TABLE = Path(pve.__file__).parent / "differences.yml"
KNOWN: dict[str, str] = yaml.safe_load(TABLE.read_text())


@pytest.mark.parametrize("name", FILES)
def test_the_fake_answers_as_the_recorded_server_did(name: str) -> None:
    found = replay(name)
    unlisted = [f"{number}: {line}" for number, lines in found.items() if number not in KNOWN for line in lines]
    assert not unlisted, "\n".join(["differences that differences.yml does not list:", *unlisted])
    gone = [number for number in KNOWN if number.startswith(name + "#") and number not in found]
    assert not gone, f"listed in differences.yml but answered as recorded: {gone}"


def test_every_recorded_exchange_is_replayed() -> None:
    exchanges = {exchange.id for name in FILES for exchange in load(name)}
    assert len(exchanges) == 527
    assert set(KNOWN) <= exchanges
    assert all(reason.strip() for reason in KNOWN.values())


@pytest.mark.parametrize(
    ("expected", "got", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": "1"}, ["a: 1 -> '1'"]),
        ({"a": 1}, {}, ["a: missing, recorded 1"]),
        ({}, {"b": 2}, ["b: not recorded, answered 2"]),
        ([1, 2], [1], [": [1, 2] -> [1]"]),
        ({"a": [{"b": None}]}, {"a": [{"b": 0}]}, ["a[0].b: None -> 0"]),
        (1, True, [": 1 -> True"]),
    ],
)
def test_a_difference_is_seen(expected: object, got: object, lines: list[str]) -> None:
    assert differences(expected, got) == lines
