# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UPIDs are taken apart exactly as Proxmox puts them together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.upid import TaskResult, Upid

RECORDED = Path(__file__).parents[2] / "support" / "recorded"


def test_a_upid_has_eight_parts() -> None:
    upid = Upid.parse("UPID:pve-1:0000784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam!lab:")
    assert (upid.node, upid.pid, upid.pstart, upid.starttime) == ("pve-1", 30798, 679934, 1795441867)
    assert (upid.type, upid.id, upid.user) == ("qmcreate", "9200", "root@pam!lab")


def test_every_recorded_upid_parses_and_prints_unchanged() -> None:
    texts = set()
    for file in RECORDED.glob("*.json"):
        texts |= set(re.findall(r'"(UPID:[^"]*)"', file.read_text(encoding="utf-8")))
    assert len(texts) > 50
    assert all(str(Upid.parse(text)) == text for text in texts)
    types = {Upid.parse(text).type for text in texts}
    assert {"qmcreate", "qmtemplate", "imgcopy", "download"} <= types


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        7,
        "OK",
        "UPID:pve1:0000784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam",
        "UPID:pve1:784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam:",
        "UPID:pve1:0000784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam:\n",
        "xUPID:pve1:0000784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam:",
        json.dumps("UPID:pve1:0000784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam:"),
    ],
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not the UPID"):
        Upid.parse(text)


@pytest.mark.parametrize(
    ("exit_status", "ok"),
    [("OK", True), ("WARNINGS: 2", True), ("unexpected status", False), ("OKAY", False), ("", False)],
)
def test_what_counts_as_success(exit_status: str, ok: bool) -> None:
    upid = Upid.parse("UPID:a:00000001:00000002:6B0444CB:imgcopy::root@pam:")
    assert upid.id == ""
    assert TaskResult(upid, exit_status).ok is ok
