# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates, surveys and credential types of AWX, as data for awx.awx.job_template and awx.awx.credential_type.

AWX cannot run the playbook of a collection by its full name, so there is a project with one small playbook for each.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from .model import Action, ActionError, Danger, Parameter, Registry
from .values import text

PROJECT, INVENTORY = "homelab", "homelab"
"""What the project and the inventory are called in AWX."""
API_CREDENTIAL = "Proxmox VE API token"

Data = dict[str, t.Any]

_API_FIELDS = {
    "host": ("Host", False, "PROXMOX_HOST"),
    "token_id": ("Token", False, "PROXMOX_TOKEN_ID"),
    "token_secret": ("The token's secret", True, "PROXMOX_TOKEN_SECRET"),
}


def is_portable(action: Action) -> bool:
    """Whether another machine has its playbook: that of a collection, not a file of one's own."""
    return "/" not in action.playbook


def job_templates(registry: Registry) -> list[Data]:
    """One job template for each action."""
    return [job_template(action) for action in registry if is_portable(action)]


def job_template(action: Action) -> Data:
    """What is destructive starts as a check, and asks at each launch whether it is to be more."""
    careful = action.danger is Danger.DESTRUCTIVE or action.check
    questions = [_question(one) for one in action.parameters if not one.secret]
    secret = [f"{_credential_name(action)}"] if any(one.secret for one in action.parameters) else []
    found: Data = {
        "name": f"homelab {action.id}",
        "description": action.help,
        "job_type": "check" if careful else "run",
        "project": PROJECT,
        "playbook": f"playbooks/{action.id}.yml",
        "inventory": INVENTORY,
        "credentials": [API_CREDENTIAL, *secret] if action.target == "proxmox_clusters" else secret,
        "extra_vars": dict(action.fixed),
        "ask_job_type_on_launch": not action.check,
        "ask_diff_mode_on_launch": True,
        "diff_mode": action.check,
        "ask_limit_on_launch": action.target != "localhost",
        "allow_simultaneous": action.danger is Danger.NONE,
        "survey_enabled": bool(questions),
    }
    if questions:
        found["survey_spec"] = {"name": action.title, "description": action.help, "spec": questions}
    return found


def credential_types(registry: Registry) -> list[Data]:
    """The token of the API by environment, and for each action the secrets that it asks for, as variables."""
    types = [
        {
            "name": API_CREDENTIAL,
            "description": "Host and token of the API of Proxmox VE, for the modules of homelab.proxmox",
            "kind": "cloud",
            "inputs": {
                "fields": [
                    {"id": name, "type": "string", "label": label, "secret": secret}
                    for name, (label, secret, _variable) in _API_FIELDS.items()
                ],
                "required": list(_API_FIELDS),
            },
            "injectors": {"env": {variable: f"{{{{ {name} }}}}" for name, (_l, _s, variable) in _API_FIELDS.items()}},
        }
    ]
    for action in registry:
        secrets = [one for one in action.parameters if one.secret]
        if secrets and is_portable(action):
            types.append(_secrets_of(action, secrets))
    return types


def wrapper(action: Action) -> str:
    """The playbook of the project."""
    return (
        f"---\n# {action.title}. Made by homelab generate awx; do not edit.\n"
        f"- name: {action.title}\n  ansible.builtin.import_playbook: {action.playbook}\n"
    )


def launched(template: Mapping[str, t.Any], answers: Mapping[str, str], limit: str = "") -> Data:
    """What AWX gives to ansible-playbook for typed answers: the survey's types, and an empty answer is none.

    Raises ActionError for an answer that AWX would not take.
    """
    variables = dict(template["extra_vars"])
    questions = {one["variable"]: one for one in template.get("survey_spec", {}).get("spec", [])}
    unknown = [name for name in answers if name not in questions]
    if unknown:
        raise ActionError(f"{template['name']}: the survey does not ask for {', '.join(unknown)}")
    for variable, question in questions.items():
        answer = answers.get(variable, "")
        if not answer:
            if question["required"]:
                raise ActionError(f"{template['name']}: {question['question_name']} is required")
            continue
        variables[variable] = _answer(question, answer)
    if limit and not template["ask_limit_on_launch"]:
        raise ActionError(f"{template['name']}: the limit is not asked for")
    return {"playbook": template["playbook"], "limit": limit, "extra_vars": variables}


def _answer(question: Mapping[str, t.Any], answer: str) -> t.Any:
    kind, choices = question["type"], question["choices"]
    chosen = answer.split(",") if kind == "multiselect" else [answer]
    if choices and not set(chosen) <= set(choices):
        raise ActionError(f"{question['variable']}: {answer!r} is not among {', '.join(choices)}")
    if kind == "multiselect":
        return chosen
    if kind == "integer":
        return int(answer)
    return float(answer) if kind == "float" else answer


def _question(parameter: Parameter) -> Data:
    schema = parameter.schema
    kind = {"integer": "integer", "number": "float"}.get(parameter.kind, "text")
    if parameter.choices:
        kind = "multiselect" if parameter.kind == "array" else "multiplechoice"
    low, high = ("minimum", "maximum") if kind in ("integer", "float") else ("minLength", "maxLength")
    return {
        "type": kind,
        "question_name": parameter.title,
        "question_description": parameter.help,
        "variable": parameter.variable,
        "required": parameter.required,
        # A default of a survey would be sent; left alone, the playbook and the configuration decide.
        "default": "",
        "choices": list(parameter.choices),
        "min": schema.get(low, 0 if kind == "text" else None),
        "max": schema.get(high, 1024 if kind == "text" else None),
        "new_question": True,
    }


def _credential_name(action: Action) -> str:
    return f"homelab {action.id}"


def _secrets_of(action: Action, secrets: list[Parameter]) -> Data:
    return {
        "name": _credential_name(action),
        "description": f"Secrets that the action {action.id} asks for",
        "kind": "cloud",
        "inputs": {
            "fields": [{"id": one.name, "type": "string", "label": text(one.title), "secret": True} for one in secrets],
            "required": [one.name for one in secrets if one.required],
        },
        "injectors": {"extra_vars": {one.variable: f"{{{{ {one.name} }}}}" for one in secrets}},
    }
