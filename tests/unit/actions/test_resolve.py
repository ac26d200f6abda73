# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an action and what was given to what is run: one answer, or every problem at once."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.load import load
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.model import (
    Action,
    ActionError,
    Danger,
    Parameter,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.resolve import assignments, find, resolve
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.reference import config_schema

ACTION = Action(
    id="do-it",
    title="Do it",
    help="It does it.",
    group="daily",
    playbook="homelab.proxmox.preflight",
    target="proxmox_clusters",
    danger=Danger.CHANGES,
    minutes=1,
    fixed={"sure": "true"},
    parameters=(
        Parameter(name="line", variable="x_line", title="Line", help="", schema={"type": "string"}, required=True),
        Parameter(name="many", variable="x_many", title="Many", help="", schema={"type": "integer", "minimum": 1}),
        Parameter(
            name="word",
            variable="x_word",
            title="Word",
            help="",
            schema={"type": "string", "minLength": 8},
            secret=True,
        ),
    ),
)


def test_values_go_by_parameter_or_variable() -> None:
    found = resolve(ACTION, {"line": "web", "x_many": "3"}, limit="home")
    assert found.variables == {"sure": "true", "x_line": "web", "x_many": 3}
    assert (found.playbook, found.limit, found.check) == ("homelab.proxmox.preflight", "home", False)


def test_an_empty_value_is_none() -> None:
    assert resolve(ACTION, {"line": "web", "many": ""}).variables == {"sure": "true", "x_line": "web"}


def test_every_problem_at_once() -> None:
    with pytest.raises(ActionError) as caught:
        resolve(ACTION, {"many": "0", "mony": "1", "word": "hunter2"}, limit="a b")
    assert set(caught.value.problems) == {
        "do-it: many: 0 is not a whole number of 1 or more",
        "do-it: it has no parameter 'mony'. Did you mean many?",
        "do-it: word: the value given does not fit",
        "do-it: line is needed: Line",
        "do-it: limit='a b' is no pattern of hosts. Name hosts or groups, with commas between",
    }


def test_a_secret_stays_out_of_what_is_shown() -> None:
    found = resolve(ACTION, {"line": "web", "word": "correct-horse"})
    assert found.secrets == {"x_word": "correct-horse"}
    assert "correct-horse" not in f"{found} {found.shown()} {found.variables}"
    assert found.shown()["extra_vars"]["x_word"] == "<secret>"


@pytest.mark.parametrize("limit", ["home", "home,away", "home:!away", "web*", "all:&lab", "~web[0-9]", "lab[1:3]"])
def test_patterns_of_hosts(limit: str) -> None:
    assert resolve(ACTION, {"line": "web"}, limit=limit).limit == limit


@pytest.mark.parametrize("limit", ["@hosts", "-i x", "a;b", "$(x)", "a b", "{{ x }}", "'"])
def test_what_is_no_pattern(limit: str) -> None:
    with pytest.raises(ActionError, match="no pattern of hosts"):
        resolve(ACTION, {"line": "web"}, limit=limit)


def test_assignments() -> None:
    assert assignments(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(ActionError) as caught:
        assignments(["a", "b=1", "b=2", "=3"])
    assert len(caught.value.problems) == 3


def test_an_unknown_action_names_those_that_are_alike() -> None:
    registry = load(None, config_schema)
    with pytest.raises(ActionError, match="Did you mean templates"):
        find(registry, "templatez")
    with pytest.raises(ActionError, match="homelab list"):
        find(registry, "xyzzy")
