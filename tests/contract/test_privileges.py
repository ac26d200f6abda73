# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of privileges says what Proxmox's own API descriptions say.

The descriptions are cut down to the calls in use by tests/support/trim_api_descriptions.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privilege_table import (
    ADMIN_NEEDS,
    CAPABILITIES,
    NEEDS,
    CallNeeds,
    Need,
    Right,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privileges import role_privileges

from tests.support.privilege_guide import GUIDE, filled

RECORDED = Path(__file__).parents[1] / "support" / "recorded"
FILES = {8: "api-8.4.json", 9: "api-9.json"}
CASES = [
    pytest.param(major, name, entry, id=f"{major}-{name}")
    for major in FILES
    for name, entry in {**NEEDS[major], **ADMIN_NEEDS}.items()
]
# Calls whose words in the description have no part in the table, and why.
WORDS_WITHOUT_NEED = {
    "POST /access/users": "the words repeat the check",
    "POST /nodes/{node}/storage/{storage}/download-url": "the words repeat the check",
    "POST /nodes/{node}/qemu/{vmid}/template": "the words repeat the check",
    "DELETE /pools": "You can only delete empty pools (no members).",
}

Clauses = frozenset[frozenset[frozenset[Right]]]
"""All of these; of each, any; of each, all."""


@cache
def described(major: int) -> Mapping[str, Any]:
    return json.loads((RECORDED / FILES[major]).read_text(encoding="utf-8"))


def clauses(check: list[Any]) -> Clauses:
    """A C(check) of the description in conjunctive form; its terms are those of exec_api2_perm_check."""
    match check[0]:
        case "and":
            return frozenset().union(*(clauses(part) for part in check[1:]))
        case "or":
            parts = [clauses(part) for part in check[1:] if part != ["userid-param", "self"]]
            # An alternative is one way to satisfy every clause of a part.
            ways = [frozenset(right for way in combo for right in way) for part in parts for combo in product(*part)]
            return frozenset({frozenset(ways)})
        case "perm":
            return _perm(_path(check[1]), check[2], dict(zip(check[3::2], check[4::2], strict=True)))
        case "userid-param":
            return _perm("/access/realm/{realm}", [check[1]], {})
        case "userid-group":
            return _perm("/access/groups", check[1], {"any": 1})
        case "perm-modify":
            return _perm(check[1], ["Permissions.Modify"], {})
    raise AssertionError(f"unknown test {check[0]}")


def _perm(path: str, privileges: list[str], options: Mapping[str, Any]) -> Clauses:
    single = [frozenset({Right(path, privilege)}) for privilege in privileges]
    return frozenset({frozenset(single)}) if options.get("any") else frozenset(frozenset({one}) for one in single)


def _path(template: str) -> str:
    return template.replace("{poolid}", "{pool}")


def of_table(needs: tuple[Need, ...]) -> Clauses:
    return frozenset(frozenset(frozenset(alternative) for alternative in need) for need in needs)


@pytest.mark.parametrize(("major", "name", "entry"), CASES)
def test_what_the_description_checks_is_in_the_table(major: int, name: str, entry: CallNeeds) -> None:
    permissions = described(major)["permissions"][entry.endpoint]
    expected = clauses(permissions["check"]) if "check" in permissions else frozenset()
    assert of_table(entry.checked) == expected, f"{name}: {entry.endpoint} of PVE {major} says {permissions}"


@pytest.mark.parametrize(("name", "entry"), {**NEEDS[8], **ADMIN_NEEDS}.items())
def test_words_of_the_description_are_quoted_as_they_stand(name: str, entry: CallNeeds) -> None:
    """Words cannot be compared with data, so the table quotes them: when Proxmox rewords them, somebody has to look."""
    words = described(8)["permissions"][entry.endpoint].get("description", "")
    quoted = [part for part in entry.origin.split("; ") if part.startswith(("You ", "If you ", "The "))]
    for part in quoted:
        assert part in words, f"{name}: the table quotes {part!r}, {entry.endpoint} says {words!r}"
        privileges = set(re.findall(r"'([A-Z]\w+\.[\w.]+)'", part))
        in_table = {right.privilege for need in entry.unlisted for way in need for right in way}
        assert privileges <= in_table, f"{name}: {part!r} names {privileges - in_table}, which the table lacks"


def test_every_privilege_in_words_is_in_the_table() -> None:
    """Of calls described in words only, no privilege is overlooked, but for the options nobody here uses."""
    unused = {
        "POST /nodes/{node}/vzdump": {"Sys.Modify"},  # bwlimit, performance, ionice and stop
        "POST /nodes/{node}/qemu": {"VM.Backup"},  # archive, that is a restore
        "DELETE /nodes/{node}/storage/{storage}/content/{volume}": {"Datastore.AllocateSpace", "VM.Backup"},  # backups
        "POST /nodes/{node}/qemu/{vmid}/status/suspend": {"VM.Config.Disk", "Datastore.AllocateSpace"},  # todisk
    }
    for endpoint, permissions in described(8)["permissions"].items():
        if endpoint in WORDS_WITHOUT_NEED:
            continue
        named = set(
            re.findall(
                r"\b((?:VM|Datastore|SDN|Sys|Pool|User|Realm)\.\w+(?:\.\w+)?)", permissions.get("description", "")
            )
        )
        entries = [entry for entry in {**NEEDS[8], **ADMIN_NEEDS}.values() if entry.endpoint == endpoint]
        known = {right.privilege for entry in entries for need in entry.needs for way in need for right in way}
        assert named - known <= unused.get(endpoint, set()), f"{endpoint}: {permissions['description']}"


@pytest.mark.parametrize("major", FILES)
def test_every_privilege_exists_in_that_version(major: int) -> None:
    known = set(described(major)["privileges"])
    used = {right.privilege for entry in NEEDS[major].values() for need in entry.needs for way in need for right in way}
    assert used <= known
    assert set().union(*role_privileges(major).values()) <= known


@pytest.mark.parametrize("major", FILES)
def test_needs_without_a_check_give_their_origin(major: int) -> None:
    assert [
        name for name, entry in {**NEEDS[major], **ADMIN_NEEDS}.items() if entry.unlisted and not entry.origin
    ] == []


@pytest.mark.parametrize("major", FILES)
def test_every_call_belongs_to_a_capability(major: int) -> None:
    assert set().union(*CAPABILITIES.values()) == set(NEEDS[major])


def test_the_guide_says_what_the_table_says() -> None:
    """Written anew by tests/support/privilege_guide.py."""
    text = GUIDE.read_text(encoding="utf-8")
    assert filled(text) == text
