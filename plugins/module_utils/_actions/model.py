# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action is: one thing that a person can do, whatever it is started with."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ActionError(Exception):
    """Actions or their values cannot be used; C(problems) holds every finding, each with what would be right."""

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        count = f"{len(self.problems)} problems:\n- " if len(self.problems) > 1 else ""
        super().__init__(count + "\n- ".join(self.problems))


class Danger(StrEnum):
    """What an action may do to what is there."""

    NONE = "none"
    """It only reads."""
    CHANGES = "changes"
    """It makes and changes things, and removes only what its own retention says."""
    DESTRUCTIVE = "destructive"
    """It removes or replaces what nobody can bring back; a person has to confirm it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value that an action takes. C(schema) is JSON Schema; C(variable) is what the playbook calls it."""

    name: str
    variable: str
    title: str
    help: str
    schema: Mapping[str, t.Any]
    required: bool = False
    secret: bool = False

    @property
    def kind(self) -> str:
        """The type of a value: C(string), C(integer), C(number), C(boolean) or C(array)."""
        return str(self.schema.get("type", "string"))

    @property
    def choices(self) -> tuple[str, ...]:
        """The values there are, where they are a closed list; those of its items for a list."""
        if self.kind == "boolean":
            return ("true", "false")
        schema = self.schema.get("items", {}) if self.kind == "array" else self.schema
        return tuple(str(choice) for choice in schema.get("enum", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that a person can do."""

    id: str
    title: str
    help: str
    group: str
    playbook: str
    """The full name of a collection's playbook, or the absolute path of one's own."""
    target: str
    """The group of the inventory that it is for; C(localhost) is the controller itself."""
    danger: Danger
    minutes: float
    """How long it typically takes."""
    parameters: tuple[Parameter, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Variables that it always sets, such as the word that a playbook waits for before it removes anything."""
    check: bool = False
    """Whether it is a look at the plan, never more."""
    root: bool = False
    """Whether it changes the machine that it runs on, as root."""
    source: str = ""
    """The file that it was read from."""

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of a name or of a variable."""
        return next((one for one in self.parameters if name in (one.name, one.variable)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A page of the menu."""

    id: str
    title: str
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All actions, in the order of the files that name them."""

    groups: tuple[Group, ...]
    actions: tuple[Action, ...]

    def __iter__(self) -> Iterator[Action]:
        return iter(self.actions)

    def action(self, name: str) -> Action | None:
        """The action of an id."""
        return next((one for one in self.actions if one.id == name), None)

    def of_group(self, group: str) -> tuple[Action, ...]:
        """The actions of one page."""
        return tuple(one for one in self.actions if one.group == group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What is run in the end; the same whatever it was started with. C(secrets) are variables too, kept apart."""

    action: Action
    limit: str
    variables: Mapping[str, t.Any]
    secrets: Mapping[str, t.Any] = field(default_factory=dict, repr=False)
    check: bool = False
    diff: bool = False

    @property
    def playbook(self) -> str:
        """What ansible-playbook is given."""
        return self.action.playbook

    def shown(self) -> dict[str, t.Any]:
        """As JSON for people and programs; a secret is named, not shown."""
        return {
            "action": self.action.id,
            "playbook": self.playbook,
            "limit": self.limit,
            "extra_vars": {**self.variables, **dict.fromkeys(self.secrets, "<secret>")},
            "check": self.check,
            "diff": self.diff,
        }
