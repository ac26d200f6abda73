# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parity: for each action the command, the menu on a terminal, and AWX come to one playbook, limit and extra vars."""

from __future__ import annotations

import json
import re
import shutil
import sys
import typing as t
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._actions import awx
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.load import load
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.model import Action, Danger, Parameter
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.main import main
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.reference import config_schema

from tests.support.controller import COLLECTIONS
from tests.support.screen import DOWN, ENTER, ESCAPE, Screen, last_page

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = load(None, config_schema)
ACTIONS = list(REGISTRY)
LIMIT = "home,away"

# The real menu, which writes down what it would run instead of running it.
RECORDER = """
import json, sys
sys.path[:0] = [sys.argv[1]]
from ansible_collections.homelab.proxmox.plugins.module_utils._cli import engine
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.exits import Exit, Trouble
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.main import main

def record(context, invocation, say, step):
    say("noted")
    with open(sys.argv[2], "a", encoding="utf-8") as stream:
        shown = invocation.shown()
        shown["extra_vars"] = {**invocation.variables, **invocation.secrets}
        stream.write(json.dumps(shown) + chr(10))
    raise Trouble(Exit.OK, "NOTED")

engine.execute = record
sys.exit(main(["--root", sys.argv[3], "menu", "--front", sys.argv[4]]))
"""


def sample(parameter: Parameter) -> str:
    """Some value, as a person types it."""
    if parameter.secret:
        return "correct-horse-77"
    if parameter.choices:
        # The second of a list of several, to see that it is not always the first that is taken.
        return parameter.choices[-1]
    if parameter.kind in ("integer", "number"):
        return str(parameter.schema.get("minimum", 3))
    words = {
        "backup_storage": "backup",
        "storage": "local-lvm",
        "generation": "20261128101500",
        "path": "/tmp/page.html",
    }
    if parameter.kind == "array":
        return "one,two"
    return words.get(parameter.name, "pve1")


def samples(action: Action) -> dict[str, str]:
    return {one.name: sample(one) for one in action.parameters}


def by_command(
    action: Action, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> t.Any:
    """What homelab show says would be run."""
    given = samples(action)
    arguments = []
    for one in action.parameters:
        monkeypatch.setenv(f"GIVEN_{one.name.upper()}", given[one.name])
        way = (
            ("--set-from", f"{one.name}=env:GIVEN_{one.name.upper()}")
            if one.secret
            else ("--set", f"{one.name}={given[one.name]}")
        )
        arguments += way
    if action.target != "localhost":
        arguments += ["--limit", LIMIT]
    assert main(["--root", str(tmp_path), "show", action.id, "--plan", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)["invocation"]


def by_awx(action: Action) -> dict[str, t.Any]:
    """What a job of AWX runs: the survey's answers, the secrets of the credential, and the project's playbook."""
    template = awx.job_template(action)
    given = samples(action)
    answers = {one.variable: given[one.name] for one in action.parameters if not one.secret}
    found = awx.launched(template, answers, "" if action.target == "localhost" else LIMIT)
    assert found["playbook"] == f"playbooks/{action.id}.yml"
    (play,) = yaml.safe_load(awx.wrapper(action))
    types = {one["name"]: one for one in awx.credential_types(REGISTRY)}
    for name in template["credentials"]:
        for variable, field in types[name]["injectors"].get("extra_vars", {}).items():
            found["extra_vars"][variable] = given[field.strip("{} ")]
    return {**found, "playbook": play["ansible.builtin.import_playbook"]}


def differences(one: Mapping[str, t.Any], other: Mapping[str, t.Any], secrets: set[str]) -> list[str]:
    found = [name for name in ("playbook", "limit") if one[name] != other[name]]
    ours, theirs = ({k: v for k, v in each["extra_vars"].items() if k not in secrets} for each in (one, other))
    return found + [f"extra_vars: {ours} != {theirs}"] * (
        json.dumps(ours, sort_keys=True) != json.dumps(theirs, sort_keys=True)
    )


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_the_command_and_awx_run_the_same(
    action: Action, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {one.variable for one in action.parameters if one.secret}
    command, job = by_command(action, tmp_path, capsys, monkeypatch), by_awx(action)
    assert differences(command, job, secrets) == []
    assert all(command["extra_vars"][name] == "<secret>" for name in secrets)


# --- the menu


class Typist:
    """Fills in the forms of actions, by their labels."""

    def __init__(self, screen: Screen, front: str) -> None:
        self._screen, self._front = screen, front

    def choose(self, label: str, *, whole: bool = True) -> None:
        """The line with that label, or one that begins so: its tag is the key that jumps to it."""
        self._screen.press(self.tag(label, whole=whole), ENTER)

    def tag(self, label: str, *, whole: bool = True) -> str:
        form = rf"(?m)\s(\S+?)\s+{re.escape(label)}" + (r"\s*([│x].*)?$" if whole else "")
        shown = self._screen.wait(label)
        found = re.search(form, shown)
        assert found, f"{label!r} is no line of\n{shown}"
        return found[1]

    def answer(self, text: str) -> None:
        self._screen.press(text, ENTER)

    def run(self, action: Action, group: str) -> None:
        """From the first page to the run and back."""
        self._screen.wait("What do you want to do?")
        self.choose(group)
        self.choose(action.title)
        if action.target != "localhost":
            self.choose("Limit: ", whole=False)
            self._screen.wait("Hosts or groups of the inventory")
            self.answer(LIMIT)
        for one in action.parameters:
            self.fill(action, one)
        self._screen.wait("Run it", action.title)
        self.choose("Run it")
        if action.danger is not Danger.NONE:
            self._screen.wait(f"{action.title}?")
            destructive = action.danger is Danger.DESTRUCTIVE
            self.confirm(default=not destructive)
            if destructive:
                self._screen.wait(f"Type {action.id} to go on.")
                self.answer(action.id)
        self._screen.wait("NOTED")
        self._screen.press(ENTER)
        self._screen.wait("Run it")
        self.back("Run it")
        self._screen.wait(group)
        self.back(action.title)

    def fill(self, action: Action, parameter: Parameter) -> None:
        self._screen.wait("Run it", action.title)
        self.choose(f"{parameter.title}{' *' if parameter.required else ''}: ", whole=False)
        value = sample(parameter)
        if parameter.choices and parameter.kind == "array":
            self.pick(parameter, value)
        elif parameter.choices:
            self._screen.wait("(not set)" if not parameter.required else value, gone="Run it")
            self.choose(value)
        else:
            self._screen.wait(parameter.title, gone="Run it")
            self.answer(value)

    def pick(self, parameter: Parameter, value: str) -> None:
        self._screen.wait(value, parameter.title, gone="Run it")
        number = parameter.choices.index(value)
        if self._front == "plain":
            self.answer(str(number + 1))
        else:
            # Lists to tick have no keys to jump with in whiptail.
            self._screen.press(*[DOWN] * number, " ", ENTER)

    def confirm(self, *, default: bool) -> None:
        """Yes."""
        if self._front == "plain":
            self.answer("yes")
        elif default:
            self._screen.press(ENTER)
        else:
            self._screen.press("\t", ENTER)

    def back(self, gone: str) -> None:
        if self._front == "plain":
            self._screen.press(ENTER)
            return
        self._screen.press(ESCAPE)
        self._screen.wait(gone=gone)


def by_menu(front: str, actions: list[Action], tmp_path: Path) -> list[dict[str, t.Any]]:
    notes = tmp_path / "notes.jsonl"
    command = [sys.executable, "-c", RECORDER, str(COLLECTIONS), str(notes), str(tmp_path / "root"), front]
    titles = {group.id: group.title for group in REGISTRY.groups}
    page = last_page if front == "plain" else str
    with Screen(command, {"NO_COLOR": "1", "HOME": str(tmp_path)}, lines=40, page=page) as screen:
        typist = Typist(screen, front)
        for action in actions:
            typist.run(action, titles[action.group])
        assert all(
            sample(one).encode() not in screen.raw for action in actions for one in action.parameters if one.secret
        )
        screen.wait("What do you want to do?")
        screen.press(ENTER if front == "plain" else ESCAPE)
        assert screen.end() == 0
    return [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]


# whiptail and dialog: one action with each kind of question; the plain menu has the same pages for all of them.
SOME = ["report", "template-prove", "templates-prune", "access", "config-backup"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("front", "names"),
    [("plain", [action.id for action in ACTIONS]), ("whiptail", SOME), ("dialog", SOME)],
    ids=["plain", "whiptail", "dialog"],
)
def test_the_menu_runs_the_same(front: str, names: list[str], tmp_path: Path) -> None:
    if front != "plain" and shutil.which(front) is None:
        pytest.skip(f"{front} is not installed")
    actions = [action for action in ACTIONS if action.id in names]
    found = by_menu(front, actions, tmp_path)
    assert [one["action"] for one in found] == [action.id for action in actions]
    for action, one in zip(actions, found, strict=True):
        assert differences(one, by_awx(action), set()) == [], action.id


# --- completeness


def test_every_playbook_is_an_action() -> None:
    """Everything that a person can do is one entry."""
    named = {action.playbook.removeprefix("homelab.proxmox.") for action in ACTIONS}
    there = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert named <= there
    assert there <= named, "an entry in _actions/registry.yml is missing"


def test_every_runbook_is_there() -> None:
    assert {"daily", "weekly", "monthly", "emergency", "health", "updates", "config-backup", "review", "drill"} <= {
        action.id for action in ACTIONS
    }


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_a_parameter_is_a_variable_that_the_playbook_or_its_role_knows(action: Action) -> None:
    playbook = ROOT / "playbooks" / f"{action.playbook.rpartition('.')[2]}.yml"
    known = text_of(playbook)
    for variable in [*(one.variable for one in action.parameters), *action.fixed]:
        assert variable in known, variable


def text_of(playbook: Path) -> str:
    """A playbook with those that it imports and the defaults of the roles that it includes."""
    text = playbook.read_text(encoding="utf-8")
    for name in {word for word in text.replace('"', " ").split() if word.startswith("homelab.proxmox.")}:
        stem = name.removeprefix("homelab.proxmox.").rstrip(":,")
        for path in (ROOT / "playbooks" / f"{stem}.yml", ROOT / "roles" / stem / "defaults" / "main.yml"):
            if (
                path.exists()
                and path != playbook
                and f"import_playbook: {name}" in text
                or "roles" in path.parts
                and path.exists()
            ):
                text += path.read_text(encoding="utf-8")
    return text
