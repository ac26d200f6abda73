# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of the configuration: sound in itself, and equal to the roles and playbooks that it feeds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._config.keys import Key, show_key
from ansible_collections.homelab.proxmox.plugins.module_utils._config.schema import (
    SCHEMA,
    SECTIONS,
    defaults,
    key_of,
    option,
)
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parent.parent.parent
ROLES = sorted(path.parent.parent.name for path in ROOT.glob("roles/[a-z]*/meta/argument_specs.yml"))
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
OF_PLAYBOOKS = ("homelab", "proxmox", "preflight", "templates_prune", "templates_report")
TYPES = {"str": "string", "path": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array"}
TYPES |= {"dict": "object", "raw": ""}
NO_SECRETS = {
    "access.token",
    "access.api_token_id",
    "proxmox.api_token_id",
    "docker.vendor_key_url",
    "hardening.ssh_password_login",
    "container_registry.key_file",
}
"""Options that are called like secrets, and name something else."""
KEYWORDS = {"x-merge", "x-secret", "x-once", "x-variables"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def places(schema: Mapping[str, Any], key: Key = ()) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """Every place that the schema describes."""
    yield key, schema
    for name, inner in schema.get("properties", {}).items():
        yield from places(inner, (*key, name))
    if isinstance(schema.get("items"), Mapping):
        yield from places(schema["items"], (*key, 0))


EVERYWHERE = [(key, schema) for key, schema in places(SCHEMA) if key]


@pytest.mark.parametrize("role", ROLES)
def test_a_section_has_the_variables_of_its_role(role: str) -> None:
    spec = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options", {})
    literal = load(ROOT / "roles" / role / "defaults" / "main.yml")
    assert role in SECTIONS, f"run scripts/build_config_sections.py {role}, and name the section in _config/schema.py"
    assert {f"{role}_{name}" for name in SECTIONS[role]["properties"]} == set(spec)
    for variable, said in spec.items():
        key = key_of(variable)
        assert key is not None, variable
        found = option(key)
        assert found.variable == variable
        assert found.type == TYPES[said.get("type", "str")], variable
        if variable in literal and "{{" not in str(literal[variable]):
            assert found.default == literal[variable], variable
        choices = found.schema.get("items", {}).get("enum", []) if found.type == "array" else list(found.choices)
        assert choices == said.get("choices", []), variable


@pytest.mark.parametrize("script", ["build_config_sections.py", "build_config_page.py"])
def test_sections_and_their_page_are_as_the_scripts_would_write_them(script: str) -> None:
    """Also what is inside of options."""
    command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_variables_that_playbooks_ask_for_are_options() -> None:
    names = "|".join(OF_PLAYBOOKS)
    asked = {
        name
        for playbook in PLAYBOOKS
        for name in re.findall(rf"\b((?:{names})_[a-z_]+)\s*\|\s*default", playbook.read_text(encoding="utf-8"))
    }
    assert asked
    assert [name for name in sorted(asked) if key_of(name) is None] == []


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_defaults_fit_the_schema() -> None:
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(defaults())] == []


def test_places_say_what_is_needed_and_nothing_unknown() -> None:
    for key, schema in EVERYWHERE:
        assert {name for name in schema if name.startswith("x-")} <= KEYWORDS, show_key(key)
        # Nothing is the removal of what lower layers say.
        assert schema.get("type") != "null", show_key(key)
        assert not isinstance(schema.get("type"), list), show_key(key)
        if schema.get("type") == "object" and "properties" in schema:
            assert schema["additionalProperties"] is False, show_key(key)


def test_merge_rules_can_be_followed() -> None:
    for key, schema in EVERYWHERE:
        rule = schema.get("x-merge")
        if rule is None:
            continue
        if rule == "replace":
            assert schema["type"] == "object", show_key(key)
            continue
        assert schema["type"] == "array", show_key(key)
        if rule.startswith("by_key:"):
            name = rule.removeprefix("by_key:")
            assert schema["items"]["properties"][name]["type"] == "string", show_key(key)
            assert name in schema["items"]["required"], show_key(key)
        else:
            assert rule in ("append", "union"), show_key(key)


def test_what_is_called_like_a_secret_says_whether_it_is() -> None:
    for key, schema in EVERYWHERE:
        name = str(key[-1])
        suspicious = re.search(r"passw|passphrase|secret|token|(^|_)key(_|$)|credential", name)
        text = schema.get("type") == "string" and "enum" not in schema
        if suspicious and text and show_key(key) not in NO_SECRETS:
            assert schema.get("x-secret"), show_key(key)
