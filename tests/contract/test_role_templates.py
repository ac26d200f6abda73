# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role templates passes every option of vm_template_fleet on, and promises nothing else."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.fleet_door import fleet_options

ROOT = Path(__file__).resolve().parent.parent.parent
ROLE = ROOT / "roles" / "templates"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def options() -> dict[str, Any]:
    return load(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]


@pytest.fixture(scope="module")
def arguments() -> dict[str, str]:
    """What the role's task gives to the module."""
    task = load(ROLE / "tasks" / "main.yml")[0]
    return task["homelab.proxmox.vm_template_fleet"]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_role_spec", ROOT / "scripts" / "build_role_spec.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def facts(option: Mapping[str, Any]) -> dict[str, Any]:
    """What a role's specification has to repeat of the module's."""
    return {
        "type": option.get("type", "str"),
        "elements": option.get("elements"),
        "choices": option.get("choices"),
        "required": bool(option.get("required")),
    }


def differences(module: Mapping[str, Any], role: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name in sorted(module.keys() ^ role.keys()):
        yield f"{path}{name} is known to the {'module' if name in module else 'role'} only"
    for name in sorted(module.keys() & role.keys()):
        if facts(module[name]) != facts(role[name]):
            yield f"{path}{name}: {facts(module[name])} in the module, {facts(role[name])} in the role"
        # The module has the defaults. One that is repeated here must be the same, or it would win over the module's.
        if role[name].get("default", module[name].get("default")) != module[name].get("default"):
            yield f"{path}{name}: default {module[name].get('default')!r} in the module, {role[name]['default']!r} here"
        yield from differences(module[name].get("options") or {}, role[name].get("options") or {}, f"{path}{name}.")


def test_a_line_has_the_options_of_the_module(options: dict[str, Any]) -> None:
    assert list(differences(fleet_options()["lines"]["options"], options["templates_lines"]["options"])) == []


def test_every_option_is_described(options: dict[str, Any]) -> None:
    def silent(spec: Mapping[str, Any]) -> Iterator[str]:
        for name, option in spec.items():
            if not option.get("description"):
                yield name
            yield from silent(option.get("options") or {})

    assert list(silent(options)) == []


def test_the_task_passes_every_option(arguments: dict[str, str]) -> None:
    assert set(arguments) == set(fleet_options())
    for name, value in arguments.items():
        source = "__templates_wanted" if name == "lines" else f"templates_{name}"
        assert value in (f"{{{{ {source} }}}}", f"{{{{ {source} | default(omit, true) }}}}")


def test_the_role_has_the_module_s_defaults(options: dict[str, Any]) -> None:
    for name, option in fleet_options().items():
        if "default" in option:
            assert options[f"templates_{name}"]["default"] == option["default"]


def test_defaults_are_the_specification(options: dict[str, Any]) -> None:
    defaults = load(ROLE / "defaults" / "main.yml")
    assert defaults == {name: option.get("default") for name, option in options.items()}


def test_what_is_generated_is_up_to_date(generator: ModuleType) -> None:
    assert load(ROLE / "meta" / "argument_specs.yml") == generator.argument_specs()
