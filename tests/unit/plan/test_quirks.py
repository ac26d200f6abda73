# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every quirk that a recipe obeys, broken and kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.build import default_settings
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.quirks import (
    _NOTES,
    _RULES,
    quirk_notes,
    quirk_refusals,
)

from tests.support.lines import IMAGE, line

KEPT = {
    "user-must-be-set": {"settings": {"ciuser": "ops"}},
    "no-user-operator": {"settings": {"ciuser": "ops"}},
    "ci-upgrade-off": {"settings": {"ciupgrade": "0"}},
    "citype-configdrive2": {},
    "dns-required": {"settings": {"ipconfig0": "ip=10.0.0.2/24", "nameserver": "10.0.0.1"}},
    "ipconfig-required": {},
}
BROKEN = {
    "user-must-be-set": {},
    "no-user-operator": {"settings": {"ciuser": "operator"}},
    "ci-upgrade-off": {"settings": {"ciupgrade": "1"}},
    "citype-configdrive2": {"settings": {"citype": "nocloud"}},
    "dns-required": {"settings": {"ipconfig0": "ip=10.0.0.2/24"}},
    "ipconfig-required": {"clears": frozenset({"ipconfig0"})},
    "is-ova": {},
}


def test_every_rule_is_tested() -> None:
    assert BROKEN.keys() == _RULES.keys()


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_rule_names_the_option_and_the_remedy(code: str) -> None:
    (refusal,) = quirk_refusals(line(image=replace(IMAGE, quirks=(code,)), **BROKEN[code]))
    assert refusal.option
    assert refusal.remedy


@pytest.mark.parametrize("code", KEPT)
def test_a_kept_rule_refuses_nothing(code: str) -> None:
    assert list(quirk_refusals(line(image=replace(IMAGE, quirks=(code,)), **KEPT[code]))) == []


def test_notes_come_only_where_they_apply() -> None:
    everything = line(image=replace(IMAGE, quirks=tuple(_NOTES)))
    told = " ".join(quirk_notes(everything))
    assert "published password" in told
    assert "logical volume" not in told


def test_a_quirk_brings_its_setting_to_a_new_build() -> None:
    assert default_settings(line(image=replace(IMAGE, quirks=("citype-configdrive2",))))["citype"] == "configdrive2"
    assert "vga" not in default_settings(line(image=replace(IMAGE, quirks=("needs-vga",))))
    assert default_settings(line(image=replace(IMAGE, cpu_level="x86-64-v3")))["cpu"] == "x86-64-v3"
    assert default_settings(line(image=replace(IMAGE, guest_agent="yes")))["agent"] == "enabled=1"
