# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the role docker, as Ansible has them, on their way to the planner and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.common.yaml import yaml_dump

from .._images.catalog_file import CatalogError, parse_yaml
from .._plan.docker_host import plan
from .._plan.docker_project import Project


def docker_plan(survey: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """All decisions for one host. Raises KeyError where an option is missing."""
    # Values of Ansible carry tags and templates; what is planned and written is plain.
    plain = _plain(options)
    return plan(plain, _plain(survey), map(_project, plain["projects"]))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return json.loads(json.dumps(value, default=str))


def _project(declared: Mapping[str, Any]) -> Project:
    compose = declared.get("compose")
    parsed: Mapping[str, Any] | None = None
    text = unreadable = ""
    if isinstance(compose, Mapping):
        parsed, text = compose, str(yaml_dump(compose, default_flow_style=False, sort_keys=False))
    elif compose:
        text = str(compose).rstrip("\n") + "\n"
        parsed, unreadable = _parsed(text)
    return Project(
        name=str(declared["name"]),
        present=declared.get("state", "present") == "present",
        text=text,
        parsed=parsed,
        unreadable=unreadable,
        env=declared.get("env") or {},
        files=tuple({"mode": "0644", **file} for file in declared.get("files") or ()),
        wait_timeout=int(declared.get("wait_timeout") or 120),
        allow_unpinned=bool(declared.get("allow_unpinned", False)),
    )


def _parsed(text: str) -> tuple[Mapping[str, Any] | None, str]:
    try:
        value = parse_yaml(text, "compose")
    except CatalogError as error:
        return None, str(error)
    return (value, "") if isinstance(value, Mapping) else (None, "it holds no mapping")
