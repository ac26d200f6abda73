# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made from the actions: data for AWX and Semaphore, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._actions import awx, semaphore
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.load import load
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.model import Action, ActionError, Danger
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.page import page
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.reference import config_schema

ROOT = Path(__file__).resolve().parents[3]
REGISTRY = load(None, config_schema)
ACTIONS = list(REGISTRY)

# The options of awx.awx.job_template and awx.awx.credential_type that the data uses, with their types (awx 24.6.1,
# awx_collection/plugins/modules), and the types of questions of its API (/api/v2/job_templates/ID/survey_spec/).
JOB_TEMPLATE = {
    "name": str,
    "description": str,
    "job_type": str,
    "project": str,
    "playbook": str,
    "inventory": str,
    "credentials": list,
    "extra_vars": dict,
    "ask_job_type_on_launch": bool,
    "ask_diff_mode_on_launch": bool,
    "ask_limit_on_launch": bool,
    "diff_mode": bool,
    "allow_simultaneous": bool,
    "survey_enabled": bool,
    "survey_spec": dict,
}
CREDENTIAL_TYPE = {"name": str, "description": str, "kind": str, "inputs": dict, "injectors": dict}
QUESTIONS = {"text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect"}
# The fields of Semaphore's TemplateRequest and TemplateSurveyVar (its api-docs).
TEMPLATE = {
    *(
        "project_id",
        "inventory_id",
        "repository_id",
        "environment_id",
        "name",
        "description",
        "app",
        "type",
        "playbook",
    ),
    *("arguments", "allow_override_args_in_task", "suppress_success_alerts", "survey_vars"),
}
SURVEY_VAR = {"name", "title", "description", "type", "required", "values"}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_job_template_has_options_that_awx_knows(action: Action) -> None:
    found = awx.job_template(action)
    for name, value in found.items():
        assert isinstance(value, JOB_TEMPLATE[name]), name
    assert found["job_type"] in ("run", "check")
    for question in found.get("survey_spec", {}).get("spec", []):
        assert question["type"] in QUESTIONS
        assert question["question_name"]
        assert bool(question["choices"]) == question["type"].startswith("multi")
    variables = {one["variable"] for one in found.get("survey_spec", {}).get("spec", [])}
    assert variables == {one.variable for one in action.parameters if not one.secret}


def test_what_is_destructive_starts_as_a_check() -> None:
    destructive = [action for action in ACTIONS if action.danger is Danger.DESTRUCTIVE]
    assert destructive
    for action in destructive:
        found = awx.job_template(action)
        assert (found["job_type"], found["ask_job_type_on_launch"]) == ("check", True)


def test_secrets_are_credentials_and_no_questions() -> None:
    types = {one["name"]: one for one in awx.credential_types(REGISTRY)}
    for one in types.values():
        assert all(isinstance(value, CREDENTIAL_TYPE[name]) for name, value in one.items())
        fields = {field["id"] for field in one["inputs"]["fields"]}
        named = [value for injected in one["injectors"].values() for value in injected.values()]
        assert {value.strip("{} ") for value in named} == fields
    access = types["homelab access"]
    assert access["inputs"]["fields"][0]["secret"] is True
    assert access["injectors"] == {"extra_vars": {"access_api_password": "{{ password }}"}}
    template = awx.job_template(next(action for action in ACTIONS if action.id == "access"))
    assert "homelab access" in template["credentials"]
    assert types[awx.API_CREDENTIAL]["injectors"]["env"]["PROXMOX_TOKEN_SECRET"] == "{{ token_secret }}"


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_semaphore_template_has_fields_that_its_api_knows(action: Action) -> None:
    found = semaphore.template(action)
    assert found.keys() == TEMPLATE
    assert isinstance(json.loads(found["arguments"]), list)
    for question in found["survey_vars"]:
        assert question.keys() <= SURVEY_VAR
        assert question["type"] in ("", "int", "enum", "secret")
        assert ("values" in question) == (question["type"] == "enum")
    secrets = {one.variable for one in action.parameters if one.secret}
    assert {one["name"] for one in found["survey_vars"] if one["type"] == "secret"} == secrets


def test_fixed_variables_go_along_to_semaphore() -> None:
    prune = next(action for action in ACTIONS if action.id == "templates-prune")
    assert json.loads(semaphore.template(prune)["arguments"]) == ["-e", "templates_prune_confirm=true"]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_wrapper_is_a_playbook_that_imports_the_collections_one(action: Action) -> None:
    (play,) = yaml.safe_load(awx.wrapper(action))
    assert play["ansible.builtin.import_playbook"] == action.playbook


def test_a_survey_refuses_what_awx_would() -> None:
    template = awx.job_template(next(action for action in ACTIONS if action.id == "preflight"))
    with pytest.raises(ActionError, match="not among"):
        awx.launched(template, {"preflight_fail_on": "sometimes"})
    with pytest.raises(ActionError, match="does not ask for"):
        awx.launched(template, {"other": "x"})
    drill = awx.job_template(next(action for action in ACTIONS if action.id == "drill"))
    with pytest.raises(ActionError, match="is required"):
        awx.launched(drill, {})


def test_the_page_is_up_to_date() -> None:
    made = (ROOT / "docs" / "actions.md").read_text(encoding="utf-8")
    assert made == page(REGISTRY), "run scripts/build_actions_page.py"
