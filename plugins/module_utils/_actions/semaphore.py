# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of Semaphore, as bodies for POST /api/project/ID/templates; the ids are those of the reader's project."""

from __future__ import annotations

import json
import typing as t

from .awx import is_portable
from .model import Action, Danger, Parameter, Registry

IDS = ("project_id", "inventory_id", "repository_id", "environment_id")
"""What the body needs besides, and only the server knows."""


def templates(registry: Registry) -> list[dict[str, t.Any]]:
    """One template for each action."""
    return [template(action) for action in registry if is_portable(action)]


def template(action: Action) -> dict[str, t.Any]:
    """The body, with a placeholder for each id. Fixed variables go along as arguments of ansible-playbook."""
    arguments = [part for name, value in action.fixed.items() for part in ("-e", f"{name}={value}")]
    if action.check:
        arguments += ["--check", "--diff"]
    return {
        **dict.fromkeys(IDS, 0),
        "name": f"homelab {action.id}",
        "description": action.help + (" Destructive." if action.danger is Danger.DESTRUCTIVE else ""),
        "app": "ansible",
        "type": "",
        "playbook": f"playbooks/{action.id}.yml",
        "arguments": json.dumps(arguments),
        # Where a limit, --check and --diff are given.
        "allow_override_args_in_task": True,
        "suppress_success_alerts": action.danger is Danger.NONE,
        "survey_vars": [_question(parameter) for parameter in action.parameters],
    }


def _question(parameter: Parameter) -> dict[str, t.Any]:
    kind = "int" if parameter.kind == "integer" else ""
    found: dict[str, t.Any] = {
        "name": parameter.variable,
        "title": parameter.title,
        "description": parameter.help,
        "required": parameter.required,
    }
    if parameter.secret:
        kind = "secret"
    elif parameter.choices and parameter.kind != "array":
        kind = "enum"
        found["values"] = [{"name": choice, "value": choice} for choice in parameter.choices]
    elif parameter.choices:
        # It has no question with several answers.
        found["description"] = f"{parameter.help} With commas between: {', '.join(parameter.choices)}.".strip()
    return {**found, "type": kind}
