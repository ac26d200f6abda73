# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every door promises: check mode only reads, a second run changes nothing, and the documentation is the spec."""

from __future__ import annotations

import functools
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.spec import connection_options
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.guest_scripts import is_look

from tests.support.door import MODULES, run_module
from tests.support.pve import Request, schema
from tests.support.workbench import Bench

from .scenarios import ACTION_DOORS, SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parent.parent.parent
FQCN = "homelab.proxmox"
DOORS = sorted(file.stem for file in (ROOT / "plugins" / "modules").glob("*.py") if file.stem != "__init__")
FROM_ANSIBLE = {"changed", "diff", "failed", "invocation", "warnings", "deprecations"}
EVENT = re.compile(r"(?:vm|unfinished) \d+")
"""Lines of a difference that are about one VM of a line."""


class Captured(BaseException):
    """Ends a door where it would have begun; not an Exception, so that nothing takes it for a failure."""


@functools.cache
def opened(door: str) -> dict[str, Any]:
    """The arguments that a door really gives to AnsibleModule."""
    given: dict[str, Any] = {}

    def capture(_self: AnsibleModule, argument_spec: Mapping[str, Any], **rest: Any) -> None:
        given.update(rest, argument_spec=argument_spec)
        raise Captured

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnsibleModule, "__init__", capture)
        with pytest.raises(Captured):
            importlib.import_module(f"{MODULES}.{door}").main()
    return given


def spec_of(door: str) -> Mapping[str, Any]:
    return opened(door)["argument_spec"]


@pytest.fixture(scope="module")
def documented() -> Mapping[str, Any]:
    """What ansible-doc says of every door, fragments merged."""
    command = [str(Path(sys.executable).with_name("ansible-doc")), "--json", *(f"{FQCN}.{door}" for door in DOORS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return {name.removeprefix(f"{FQCN}."): found for name, found in json.loads(done.stdout).items()}


# --- scenarios


def test_every_door_has_a_scenario_and_every_scenario_a_door() -> None:
    assert {scenario.door for scenario in SCENARIOS} == set(DOORS)
    assert set(ACTION_DOORS) <= set(DOORS)
    assert len({str(scenario) for scenario in SCENARIOS}) == len(SCENARIOS)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_that_may_write_has_a_scenario_that_does(documented: Mapping[str, Any], door: str) -> None:
    reads_only = documented[door]["doc"]["attributes"]["diff_mode"]["support"] == "N/A"
    assert any(scenario.changes for scenario in SCENARIOS if scenario.door == door) is not reads_only


def open_door(bench: Bench, scenario: Scenario, params: Mapping[str, Any], *, check: bool = False) -> dict[str, Any]:
    """One call, which must not fail; doors that ask no server get no connection options."""
    if "api_host" in spec_of(scenario.door):
        result = bench.call(scenario.door, params, check=check)
    else:
        bench.server.reset_log()
        result = run_module(scenario.door, params, check=check)
    assert not result.get("failed"), result
    return result


def looks(entry: Request) -> bool:
    """A command in a guest that changes nothing: a read whose method is POST (docs/adr/0022)."""
    script = str(entry.params.get("input-data", ""))
    return entry.path.endswith("/agent/exec") and entry.params["command"] == "/bin/sh" and is_look(script)


def changing(bench: Bench) -> list[Request]:
    """The requests of the last call that may change something."""
    return [entry for entry in bench.writes() if not looks(entry)]


def counted(journal: list[Request]) -> dict[str, int]:
    """The server's own count of what was sent, the login left out."""
    polls = [entry for entry in journal if entry.is_poll]
    reads = [entry for entry in journal if entry.method == "GET" or looks(entry)]
    writes = [entry for entry in journal if entry not in reads and entry.path != "/access/ticket"]
    return {"reads": len(reads) - len(polls), "writes": len(writes), "polls": len(polls)}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_check_mode_sends_reads_only_and_leaves_everything(bench: Bench, scenario: Scenario) -> None:
    scenario.prepare(bench)
    params = scenario.params(bench)
    before, files = bench.snapshot(), sorted(bench.folder.iterdir())
    bench.credentials = {"api_user": bench.server.user, "api_password": bench.server.password}
    result = open_door(bench, scenario, params, check=True)
    assert result["changed"] is scenario.changes
    logins = [entry for entry in bench.server.requests if entry.path == "/access/ticket"]
    assert len(logins) == ("api_host" in spec_of(scenario.door))
    assert {entry.method for entry in bench.server.requests if entry not in logins and not looks(entry)} <= {"GET"}
    assert bench.snapshot() == before
    assert sorted(bench.folder.iterdir()) == files
    assert bench.server.password not in json.dumps(result)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_the_first_run_changes_as_planned_and_the_second_nothing(bench: Bench, scenario: Scenario) -> None:
    scenario.prepare(bench)
    params = scenario.params(bench)
    planned = open_door(bench, scenario, params, check=True)
    first = open_door(bench, scenario, params)
    assert first["changed"] is planned["changed"] is scenario.changes
    assert first.get("diff") == planned.get("diff")
    assert first.get("steps") == planned.get("steps")
    assert bool(changing(bench)) is (scenario.changes and not scenario.here)
    refused = [entry for entry in bench.server.requests if entry.status >= 400]
    assert refused == [], "no request that is known to be refused"
    if scenario.door in ACTION_DOORS:
        return
    state = bench.snapshot()
    second = open_door(bench, scenario, params)
    assert second["changed"] is False, second.get("diff")
    assert changing(bench) == []
    assert "diff" not in second
    assert bench.snapshot() == state


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
def test_counts_and_results_are_what_is_said_of_them(
    bench: Bench, documented: Mapping[str, Any], scenario: Scenario, check: bool
) -> None:
    scenario.prepare(bench)
    result = open_door(bench, scenario, scenario.params(bench), check=check)
    if "api_host" in spec_of(scenario.door):
        assert result["requests"] == counted(bench.server.requests)
    else:
        assert bench.server.requests == []
    returned = documented[scenario.door]["return"]
    assert set(undocumented(result, returned)) - FROM_ANSIBLE == set()


def undocumented(result: Mapping[str, Any], described: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Keys of a result that RETURN does not name, as far down as it has C(contains)."""
    for key, value in result.items():
        if key not in described:
            yield path + key
            continue
        inside = described[key].get("contains")
        for one in value if isinstance(value, list) else [value]:
            if inside and isinstance(one, Mapping):
                yield from undocumented(one, inside, f"{path}{key}.")


# --- the vocabulary of differences


def words(described: Mapping[str, Any]) -> set[str]:
    """Every key that RETURN names: of results, of what they contain, and of their samples."""
    found = set(described)
    for value in described.values():
        found |= words(value.get("contains") or {}) | sample_words(value.get("sample"))
    return found


def sample_words(sample: Any) -> set[str]:
    if isinstance(sample, Mapping):
        return set(sample).union(*(sample_words(value) for value in sample.values()))
    return set().union(*(sample_words(value) for value in sample)) if isinstance(sample, list) else set()


def is_config_key(key: str) -> bool:
    return schema.option(8, key) is not None


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.changes], ids=str)
def test_both_sides_of_a_difference_speak_one_documented_language(
    bench: Bench, documented: Mapping[str, Any], scenario: Scenario
) -> None:
    scenario.prepare(bench)
    diff = open_door(bench, scenario, scenario.params(bench), check=True)["diff"]
    assert set(diff) == {"before", "after"}
    before, after = diff["before"], diff["after"]
    assert before.keys() == after.keys()
    assert before != after
    assert all(before[line] != after[line] for line in after), "what does not differ is not shown"
    known = words(documented[scenario.door]["return"])
    sides = [before.values(), after.values()] if scenario.keyed else [[before], [after]]
    shown = {key for side in sides for line in side if isinstance(line, Mapping) for key in line}
    assert {key for key in shown if key not in known and not is_config_key(key) and not EVENT.fullmatch(key)} == set()


# --- documentation equals the spec

SAID_BY_BOTH = ("type", "required", "default", "choices", "elements", "aliases")


def facts(option: Mapping[str, Any]) -> dict[str, Any]:
    """What both the spec and the documentation say of one option, defaults of Ansible filled in."""
    said = {key: option.get(key) for key in SAID_BY_BOTH}
    return {**said, "type": said["type"] or "str", "required": bool(said["required"]), "aliases": said["aliases"] or []}


def differences(spec: Mapping[str, Any], docs: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name in sorted(spec.keys() ^ docs.keys()):
        yield f"{path}{name} stands in {'the spec' if name in spec else 'the documentation'} only"
    for name in sorted(spec.keys() & docs.keys()):
        mine, theirs = facts(spec[name]), facts(docs[name])
        if mine != theirs:
            yield f"{path}{name}: the spec says {mine}, the documentation {theirs}"
        yield from differences(spec[name].get("options") or {}, docs[name].get("suboptions") or {}, f"{path}{name}.")


@pytest.mark.parametrize("door", DOORS)
def test_documented_options_are_the_spec(documented: Mapping[str, Any], door: str) -> None:
    assert list(differences(spec_of(door), documented[door]["doc"]["options"])) == []


@pytest.mark.parametrize("door", DOORS)
def test_check_mode_is_supported_by_the_module_as_documented(documented: Mapping[str, Any], door: str) -> None:
    assert opened(door)["supports_check_mode"] is True
    assert documented[door]["doc"]["attributes"]["check_mode"]["support"] == "full"


@pytest.mark.parametrize("door", DOORS)
def test_constraints_name_options_that_exist(door: str) -> None:
    rules = {key: value for key, value in opened(door).items() if key.startswith(("mutually", "required"))}
    named = {word for rule in rules.values() for group in rule for word in group if isinstance(word, str)}
    assert {word for word in named if word not in spec_of(door)} <= {"present", "absent"}


# --- examples


def tasks(documented: Mapping[str, Any], door: str) -> list[tuple[str, str, Any]]:
    """The example tasks as (name, module, arguments)."""
    found = []
    for task in yaml.safe_load(documented[door]["examples"]):
        names = [key for key in task if key.count(".") >= 2]
        assert len(names) == 1, f"{task.get('name')}: one module by its full name"
        assert task.get("name"), "an example says what it is for"
        found.append((task["name"], names[0], task[names[0]] or {}))
    return found


def without_templates(value: Any) -> Any:
    """Arguments without what only Jinja knows."""
    if isinstance(value, Mapping):
        return {key: without_templates(item) for key, item in value.items() if "{{" not in str(item)}
    return value


@pytest.mark.parametrize("door", DOORS)
def test_examples_are_accepted_by_the_spec(documented: Mapping[str, Any], door: str) -> None:
    of_this_door = [task for task in tasks(documented, door) if task[1] == f"{FQCN}.{door}"]
    assert of_this_door
    for name, _module, arguments in of_this_door:
        assert set(arguments) <= set(spec_of(door)), name
        checked = ArgumentSpecValidator(dict(spec_of(door))).validate(without_templates(arguments))
        assert checked.error_messages == [], name
        assert checked.unsupported_parameters == set(), name


@pytest.mark.parametrize("door", DOORS)
def test_examples_of_other_modules_are_of_this_collection_or_of_ansible(
    documented: Mapping[str, Any], door: str
) -> None:
    for name, module, _arguments in tasks(documented, door):
        assert module.startswith((f"{FQCN}.", "ansible.builtin.")), name
        if module.startswith(FQCN):
            assert module.removeprefix(f"{FQCN}.") in DOORS, name


def test_the_connection_is_the_same_everywhere() -> None:
    talking = [door for door in DOORS if "api_host" in spec_of(door)]
    assert talking
    for door in talking:
        assert {key: spec_of(door)[key] for key in connection_options()} == connection_options()


@pytest.mark.parametrize("door", DOORS)
def test_secrets_are_not_logged(door: str) -> None:
    """Options whose names sound like secrets say whether they are."""

    def silent(spec: Mapping[str, Any]) -> Iterator[str]:
        for name, option in spec.items():
            text = option.get("type", "str") not in ("bool", "int")
            if text and re.search(r"pass(?!ive)|secret|token|key", name) and "no_log" not in option:
                yield name
            yield from silent(option.get("options") or {})

    assert list(silent(spec_of(door))) == []
