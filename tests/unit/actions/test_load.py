# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the shipped actions and those of a person: every problem of every file, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.load import SHIPPED, load
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.model import ActionError
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.reference import config_schema

OWN = """
version: 1
groups:
  - {id: mine, title: Mine}
actions:
  - id: greet
    title: Greet
    help: >-
      Says
      hello.
    group: mine
    playbook: ../greet.yml
    target: localhost
    danger: none
    parameters:
      - {name: nodes, config: templates.nodes, title: Nodes}
      - {name: loud, title: Loud, schema: {type: boolean, default: "no"}}
"""


def own(folder: Path, text: str = OWN, name: str = "mine.yml") -> Path:
    (folder / "actions.d").mkdir(exist_ok=True)
    (folder / "actions.d" / name).write_text(text, encoding="utf-8")
    (folder / "greet.yml").write_text("- hosts: localhost\n", encoding="utf-8")
    return folder / "actions.d"


def problems(folder: Path) -> str:
    with pytest.raises(ActionError) as caught:
        load(folder, config_schema)
    return "\n".join(caught.value.problems)


def test_actions_of_ones_own_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    registry = load(own(tmp_path), config_schema)
    greet = registry.action("greet")
    assert greet is not None
    assert greet.help == "Says hello."
    assert greet.playbook == str(tmp_path / "greet.yml")
    assert registry.of_group("mine") == (greet,)
    assert registry.action("templates") is not None
    nodes = greet.parameter("nodes")
    assert nodes is not None
    assert (nodes.variable, nodes.kind) == ("templates_nodes", "array")
    assert nodes.help, "the help comes from the configuration's schema"


def test_no_folder_is_no_problem(tmp_path: Path) -> None:
    assert load(tmp_path / "missing", config_schema).actions == load(None, config_schema).actions


def test_a_conflict_names_both_files(tmp_path: Path) -> None:
    own(tmp_path)
    folder = own(tmp_path, OWN.replace("id: greet", "id: templates"), "other.yml")
    text = problems(folder)
    assert f"{folder / 'other.yml'}: templates: {SHIPPED} has that id already" in text


WRONG = {
    "title: Greet": ("titel: Greet", "greet: 'title' is a required property"),
    "danger: none": ("danger: some", "greet.danger: 'some' is not one of none, changes, destructive"),
    "group: mine": ("group: nobody", "greet: group='nobody': there are daily"),
    "playbook: ../greet.yml": ("playbook: ../gone.yml", "neither the full name of a playbook nor a file"),
    "config: templates.nodes": (
        "config: templates.nodez",
        "config='templates.nodez': the configuration has no such key",
    ),
    "id: greet": ("id: Greet me", "'Greet me' does not have the form"),
    "type: boolean": ("type: object", "the type is one of string, integer"),
    'default: "no"': ('default: "perhaps"', "loud: its default: 'perhaps' is neither true nor false"),
    "name: loud": ("name: nodes", "two parameters have the name 'nodes'"),
    "version: 1": ("version: 2", "version"),
    "    help: >-": ("    id: again\n    help: >-", "the key 'id' already stands in line"),
    "config: templates.nodes,": ("config: templates.lines,", "nobody can type a value of that form"),
}


@pytest.mark.parametrize("right", WRONG, ids=lambda right: right.strip(" :>-,"))
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, right: str) -> None:
    wrong, problem = WRONG[right]
    assert OWN.count(right) >= 1
    folder = own(tmp_path, OWN.replace(right, wrong))
    text = problems(folder)
    assert problem in text
    assert str(folder / "mine.yml") in text


def test_files_that_are_no_yaml(tmp_path: Path) -> None:
    folder = own(tmp_path, "a: [")
    (folder / "bytes.yml").write_bytes(b"\xff")
    text = problems(folder)
    assert "mine.yml: is no YAML" in text
    assert "bytes.yml: is not UTF-8 text" in text
