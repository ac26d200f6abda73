# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the actions: the shipped file, and beside it those of a person in actions.d."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .form import FORM
from .model import Action, ActionError, Danger, Group, Parameter, Registry
from .values import KINDS, wire

try:
    import jsonschema
    import yaml
except ImportError:
    HAS_LIBRARIES = False
else:
    HAS_LIBRARIES = True

SHIPPED = Path(__file__).with_name("registry.yml")
COLLECTION = "homelab.proxmox."
MAX_BYTES = 1024 * 1024
_FQCN = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+\.[a-z0-9_]+")

Reference = Callable[[str], "Mapping[str, t.Any] | None"]
"""The schema of a key of the configuration, None where there is no such key."""


def load(own: Path | None, reference: Reference) -> Registry:
    """The shipped actions and those in C(own)/*.yml. Raises ActionError with every problem of every file."""
    if not HAS_LIBRARIES:
        raise ActionError("actions need the Python libraries PyYAML and jsonschema. Install both")
    files = [SHIPPED]
    if own is not None and own.is_dir():
        files += sorted(path for path in own.glob("*.y*ml") if path.suffix in (".yml", ".yaml"))
    problems: list[str] = []
    groups: dict[str, Group] = {}
    actions: dict[str, Action] = {}
    for file in files:
        document, found = _read(file)
        problems += found
        if document is None:
            continue
        for group in document.get("groups", []):
            groups.setdefault(group["id"], Group(**group))
        for entry in document["actions"]:
            action, found = _action(entry, file, reference)
            if action.id in actions:
                found.append(f"{file}: {action.id}: {actions[action.id].source} has that id already. Choose another")
            if action.group not in groups:
                found.append(f"{file}: {action.id}: group={action.group!r}: there are {', '.join(groups)}")
            problems += found
            actions.setdefault(action.id, action)
    if problems:
        raise ActionError(problems)
    return Registry(groups=tuple(groups.values()), actions=tuple(actions.values()))


def _read(file: Path) -> tuple[dict[str, t.Any] | None, list[str]]:
    """The document of a file, or why it cannot be used."""
    try:
        if file.stat().st_size > MAX_BYTES:
            return None, [f"{file}: has more than {MAX_BYTES} bytes: this is no file with actions"]
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=_loader())  # noqa: S506 - derives from SafeLoader
    except OSError as error:
        return None, [f"{file}: cannot be read: {error.strerror}"]
    except UnicodeDecodeError as error:
        return None, [f"{file}: is not UTF-8 text (byte {error.start})"]
    except yaml.YAMLError as error:
        return None, [f"{file}: is no YAML: {' '.join(str(error).split())}"]
    validator = jsonschema.Draft202012Validator(FORM)
    errors = sorted(validator.iter_errors(document), key=lambda error: [str(part) for part in error.absolute_path])
    problems = [f"{file}: {_place(document, error.absolute_path)}: {_text(error)}" for error in errors]
    return (None if problems else document), problems


def _loader() -> t.Any:
    class Loader(yaml.SafeLoader):
        """SafeLoader that refuses a key that stands twice."""

        def construct_mapping(self, node: t.Any, deep: bool = False) -> t.Any:
            seen: dict[t.Any, int] = {}
            for key, _value in node.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    problem = f"line {line}: the key {key.value!r} already stands in line {seen[key.value]}"
                    raise yaml.constructor.ConstructorError(None, None, problem)
                seen[key.value] = line
            return super().construct_mapping(node, deep)

    return Loader


def _place(document: t.Any, parts: Sequence[t.Any]) -> str:
    """Where in the document, by the id of the action where it has one."""
    way = list(parts)
    if way[:1] == ["actions"] and len(way) > 1:
        entry = document["actions"][way[1]]
        name = entry.get("id") if isinstance(entry, dict) else None
        way[:2] = [name if isinstance(name, str) else f"action {way[1] + 1}"]
    return ".".join(str(part) for part in way) or "(top)"


def _text(error: t.Any) -> str:
    if error.validator == "oneOf" and error.absolute_path and error.absolute_path[-1] == "schema":
        return "the type is one of string, integer, number, boolean, or array with items of these"
    if error.validator == "oneOf":
        return "give either config or schema"
    if error.validator == "enum":
        return f"{error.instance!r} is not one of {', '.join(str(choice) for choice in error.validator_value)}"
    if error.validator == "pattern":
        return f"{error.instance!r} does not have the form {error.validator_value}"
    return str(error.message)


def _action(entry: Mapping[str, t.Any], file: Path, reference: Reference) -> tuple[Action, list[str]]:
    problems: list[str] = []
    parameters = []
    for given in entry.get("parameters", []):
        parameter, found = _parameter(given, reference)
        problems += found
        parameters.append(parameter)
    for field in ("name", "variable"):
        names = [getattr(parameter, field) for parameter in parameters]
        twice = sorted({name for name in names if names.count(name) > 1})
        problems += [f"two parameters have the {field} {name!r}" for name in twice]
    playbook, found = _playbook(entry["playbook"], file)
    problems += found
    action = Action(
        id=entry["id"],
        title=entry["title"],
        help=" ".join(entry["help"].split()),
        group=entry["group"],
        playbook=playbook,
        target=entry.get("target", "proxmox_clusters"),
        danger=Danger(entry["danger"]),
        minutes=float(entry.get("minutes", 1)),
        parameters=tuple(parameters),
        fixed=dict(entry.get("fixed", {})),
        check=bool(entry.get("check", False)),
        root=bool(entry.get("root", False)),
        source=str(file),
    )
    return action, [f"{file}: {action.id}: {problem}" for problem in problems]


def _playbook(named: str, file: Path) -> tuple[str, list[str]]:
    """The full name as it is; a path counts from the folder of the file that names it."""
    if _FQCN.fullmatch(named) and not named.endswith((".yml", ".yaml")):
        if file == SHIPPED and not named.startswith(COLLECTION):
            return named, [f"playbook={named!r} is none of this collection"]
        return named, []
    path = (file.parent / named).resolve()
    if path.suffix not in (".yml", ".yaml") or not path.is_file():
        return str(path), [f"playbook={named!r} is neither the full name of a playbook nor a file ({path})"]
    return str(path), []


def _parameter(given: Mapping[str, t.Any], reference: Reference) -> tuple[Parameter, list[str]]:
    name = given["name"]
    problems = []
    schema = given.get("schema")
    if schema is None:
        schema = reference(given["config"])
        if schema is None:
            problems.append(f"{name}: config={given['config']!r}: the configuration has no such key")
            schema = {"type": "string"}
        elif not _can_be_asked(schema):
            problems.append(f"{name}: config={given['config']!r}: nobody can type a value of that form into one line")
            schema = {"type": "string"}
    if "default" in schema and "schema" in given:
        try:
            wire(schema, schema["default"])
        except ValueError as problem:
            problems.append(f"{name}: its default: {problem}")
    secret = bool(given.get("secret", schema.get("x-secret", False)))
    parameter = Parameter(
        name=name,
        variable=given.get("variable", given["config"].replace(".", "_") if "config" in given else name),
        title=given["title"],
        help=" ".join(str(given.get("help", schema.get("description", ""))).split()),
        schema=schema,
        required=bool(given.get("required", False)),
        secret=secret,
    )
    return parameter, problems


def _can_be_asked(schema: Mapping[str, t.Any]) -> bool:
    kind = schema.get("type", "string")
    if kind == "array":
        items = schema.get("items", {})
        return isinstance(items, Mapping) and items.get("type", "string") in KINDS and items.get("type") != "array"
    return kind in KINDS
