# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers of a site: their order, what is wrong with them and how that is told, and who said what."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._config.cache import load_again
from ansible_collections.homelab.proxmox.plugins.module_utils._config.load import load
from ansible_collections.homelab.proxmox.plugins.module_utils._config.paths import find_paths
from ansible_collections.homelab.proxmox.plugins.module_utils._config.problems import ConfigError
from ansible_collections.homelab.proxmox.plugins.module_utils._config.schema import (
    SCHEMA,
    SECTIONS,
    UNSET,
    key_of,
    option,
    options,
    secrets,
    variable_of,
)

from tests.support.config_site import loaded, write


def test_each_layer_wins_over_the_ones_before(tmp_path: Path) -> None:
    layers: dict[str, str] = {}
    expected = 2
    assert loaded(tmp_path).value("templates.keep") == expected
    for number, name in enumerate(["system", "user", "profile_lab", "module_templates"], 3):
        profile = "profile: lab\n" if name == "system" else ""
        layers[name] = f"{profile}templates: {{keep: {number}}}\n"
        if name == "system":
            write(find_paths({}, tmp_path), profile_lab="hardening: {umask: '022'}\n")
        assert loaded(tmp_path, **layers).value("templates.keep") == number
    found = loaded(tmp_path, {"HOMELAB__TEMPLATES__KEEP": "9"}, **layers)
    assert found.value("templates.keep") == 9
    chain = [(said.layer, said.value, said.line) for said in found.explain("templates.keep")]
    assert chain == [
        ("default", 2, None),
        ("system", 3, 2),
        ("user", 4, 1),
        ("profile", 5, 1),
        ("module", 6, 1),
        ("environment", 9, None),
    ]
    assert found.explain("templates.keep")[-1].source == "HOMELAB__TEMPLATES__KEEP"
    assert [file.name for file in found.files] == ["system", "user", "profile:lab", "module:templates"]


def test_nothing_configured_says_nothing(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert not found.is_configured()
    assert found.variables() == {}
    assert found.problems == ()
    assert found.value("templates.lines") == []
    assert found.value("proxmox.api_host") is UNSET


def test_variables_are_what_somebody_said(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        system="templates: {keep: 3, defaults: {memory: 1024}}\nruns: {keep: 9}\n",
        user="templates: {keep: null, defaults: {cores: 2}}\nhardening: {workloads: [docker]}\n",
    )
    assert found.variables() == {
        "templates_keep": 2,
        "templates_defaults": {"memory": 1024, "cores": 2},
        "hardening_workloads": ["docker"],
    }


ENVIRONMENT = [
    ("HOMELAB__TEMPLATES__KEEP", "3", "templates.keep", 3),
    ("HOMELAB__templates__Keep", "3", "templates.keep", 3),
    ("HOMELAB__ACCESS__PRIVSEP", "no", "access.privsep", False),
    ("HOMELAB__TEMPLATES__NODES", "pve1, pve2", "templates.nodes", ["pve1", "pve2"]),
    ("HOMELAB__TEMPLATES__NODES", "[pve1]", "templates.nodes", ["pve1"]),
    ("HOMELAB__TEMPLATES__NODES", "", "templates.nodes", []),
    ("HOMELAB__TEMPLATES__LINES", '[{line: a, memory: "512"}]', "templates.lines", [{"line": "a", "memory": 512}]),
    ("HOMELAB__TEMPLATES__DEFAULTS__MEMORY", "512", "templates.defaults.memory", 512),
    ("HOMELAB__TEMPLATES__DEFAULTS__X", "0644", "templates.defaults.x", "0644"),
    ("HOMELAB__TEMPLATES__DEFAULTS__X", "no", "templates.defaults.x", "no"),
    ("HOMELAB__TEMPLATES__DEFAULTS__X", "true", "templates.defaults.x", True),
    ("HOMELAB__TEMPLATES__DEFAULTS__X", "{a: [1]}", "templates.defaults.x", {"a": [1]}),
    ("HOMELAB__HARDENING__UMASK", "027", "hardening.umask", "027"),
    ("HOMELAB__PROXMOX__API_PASSWORD", "{ref: env, name: P}", "proxmox.api_password", {"ref": "env", "name": "P"}),
    ("HOMELAB__TEMPLATES_PRUNE__CONFIRM", "true", "templates_prune.confirm", True),
]


@pytest.mark.parametrize(("variable", "text", "key", "value"), ENVIRONMENT)
def test_texts_of_the_environment_become_what_the_schema_wants(
    tmp_path: Path, variable: str, text: str, key: str, value: Any
) -> None:
    found = loaded(tmp_path, {variable: text})
    assert found.problems == ()
    assert found.value(key) == value


PROBLEMS = [
    ("templates:\n  kepe: 3\n", "2: system layer: templates.kepe: is not known. Did you mean templates.keep?"),
    ("template: {keep: 3}\n", "1: system layer: template: is not known. Did you mean templates?"),
    ("templates_keep: 3\n", "1: system layer: templates_keep: is not known at the top. Did you mean templates.keep?"),
    ("xyzzy: 1\n", "1: system layer: xyzzy: is not known. Sections are homelab, proxmox"),
    ("templates:\n  keep: three\n", '2: system layer: templates.keep: is "three"; this has to be an integer.'),
    ("templates:\n\n  keep: -1\n", "3: system layer: templates.keep: is -1; the least is 0."),
    ("hardening: {state: absnt}\n", 'is "absnt"; choose one of present, absent. Did you mean absent?'),
    ("templates:\n  lines:\n    - memory: 1\n", "3: system layer: templates.lines[0]: lacks line."),
    (
        "templates:\n  lines:\n    - line: a\n      memroy: 1\n",
        "4: system layer: templates.lines[0].memroy: is not known.",
    ),
    ("templates: [a]\n", "templates: is a list; this has to be a mapping."),
    ("templates: {nodes: pve1}\n", 'templates.nodes: is "pve1"; this has to be a list.'),
    (
        "hardening: {umask: 027}\n",
        'hardening.umask: YAML reads 027 as an octal number. Quote it: "027", or drop the zero.',
    ),
    ("hardening: {umask: 27}\n", 'hardening.umask: YAML reads 27 as a number, and this is text. Quote it: "27".'),
    ("hardening: {updates_reboot_time: 12:30}\n", "YAML reads 12:30 as a number of base 60."),
    ("hardening: {ssh_root_login: no}\n", 'YAML reads no as a boolean. Quote it: "no".'),
    (
        "hardening: {ssh_settings: {X11Forwarding: no}}\n",
        "YAML reads no as a boolean. Write true or false, or quote it.",
    ),
    ("templates_prune: {confirm: true}\n", "is asked for in each run and does not stay in a file."),
    ("proxmox: {api_password: {ref: evn, name: P}}\n", "ref is 'evn'; give one of env, file, vault."),
    ("proxmox: {api_password: {ref: env}}\n", "a reference of kind env has name, not nothing."),
    ("proxmox: {api_password: {ref: env, name: 'a b'}}\n", "'a b' is no name of an environment variable."),
    ("proxmox: {api_port: {ref: env, name: P}}\n", "is a mapping; this has to be an integer."),
    ("proxmox: {api_password: 1234}\n", "YAML reads <secret> as a number"),
    ("templates: {keep: 3.0}\n", "templates.keep: is 3.0; this has to be an integer. Write it without a fraction."),
    (
        "templates:\n  lines:\n    - {line: a}\n    - {line: a}\n",
        "4: system layer: templates.lines[1]: line a already stands in item 0. Make one of the two.",
    ),
    ("profile: ../x\n", "it has to fit the pattern"),
    ("profile: lab\n", "there is no profile lab. There is none yet."),
    (
        "schema_version: 99\n",
        "schema version 99 is not known; this release knows 1 to 2. It was written by a newer release",
    ),
    ("templates: {lines: [{line: a, $remove: yes please}]}\n", "$remove"),
    ("a: [1\n", "is no YAML"),
]


@pytest.mark.parametrize(("text", "message"), PROBLEMS, ids=[message[:40] for _text, message in PROBLEMS])
def test_a_problem_says_where_and_what_would_be_right(tmp_path: Path, text: str, message: str) -> None:
    found = loaded(tmp_path, system=text)
    assert len(found.problems) == 1, [str(one) for one in found.problems]
    shown = str(found.problems[0])
    assert message in shown
    assert str(tmp_path / "etc/homelab") in shown or found.problems[0].layer == "profile"
    with pytest.raises(ConfigError) as failed:
        found.require()
    assert shown in str(failed.value)


GOOD = [
    "access: {privsep: yes, validate_certs: off}\n",
    "hardening: {ssh_root_login: 'no'}\n",
    "templates: {keep: null, lines: !reset }\n",
    "templates: {lines: {$replace: [{line: a}]}}\n",
    "templates: {lines: [{line: a, $remove: true}]}\n",
    "templates: {lines: [{line: a, cipassword: {ref: vault, path: /v.yml, key: a.b}}]}\n",
    "proxmox: {api_password: !vault 'x'}\n",
    "hardening: {ssh_settings: {MaxAuthTries: 3, AllowUsers: [a, b]}}\n",
    "schema_version: 2\n",
    "# nothing\n",
    "",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_right_is_no_problem(tmp_path: Path, text: str) -> None:
    assert [str(one) for one in loaded(tmp_path, system=text).problems] == []


def test_all_problems_of_all_layers_come_together(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        {"HOMELAB__TEMPLATES__KEEP": "x", "HOMELAB__NOWHERE": "1", "HOMELAB__A____B": "1"},
        system="templates: {kepe: 1, workers: 0}\n",
        user="a: [\n",
        module_hardening="templates: {keep: 3}\n",
        module_nothing="",
    )
    texts = [str(problem) for problem in found.problems]
    assert len(texts) == 8, texts
    assert any(
        "modules/hardening.yml:1: module layer: templates: this file is about hardening only" in t for t in texts
    )
    assert any("there is no section nothing. Name the file after one of" in text for text in texts)
    assert any(text.startswith("HOMELAB__NOWHERE: environment layer: nowhere: is not known") for text in texts)
    assert "8 problems in the configuration:" in str(ConfigError(found.problems))


def test_what_only_the_whole_needs_is_checked_at_the_end(tmp_path: Path) -> None:
    users = "templates: {lines: [{line: a, customize: {users: [{gecos: X}]}}]}\n"
    (problem,) = loaded(tmp_path, system=users).problems
    assert "users[0]: lacks name" in str(problem)


def test_open_files_are_warned_of(tmp_path: Path) -> None:
    paths = find_paths({}, tmp_path)
    write(paths, system="proxmox: {api_password: x}\n", user="templates: {keep: 3}\n")
    paths.system_file.chmod(0o644)
    paths.user_file.chmod(0o666)
    notes = load(paths, {}).notes
    assert notes == (
        f"{paths.system_file}: others may read the secrets in it; run: chmod 600 {paths.system_file}",
        f"{paths.user_file}: others may write it; run: chmod go-w {paths.user_file}",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_another_persons_file_does_not_configure_what_root_does(tmp_path: Path) -> None:
    paths = find_paths({}, tmp_path)
    write(paths, user="templates: {keep: 3}\n")
    os.chown(paths.user_file, 4711, 4711)
    found = load(paths, {})
    assert found.value("templates.keep") == 2
    assert "belongs to another user (uid 4711) and is left out" in found.notes[0]


def test_older_files_are_understood(tmp_path: Path) -> None:
    found = loaded(tmp_path, system="schema_version: 1\ntemplates_keep: 4\ntemplates_prune_max_deletions: 6\n")
    assert found.problems == ()
    assert (found.value("templates.keep"), found.value("templates_prune.max_deletions")) == (4, 6)
    assert "is of schema version 1" in found.notes[0]


@pytest.mark.parametrize(("library", "package"), [("yaml", "PyYAML"), ("jsonschema", "jsonschema")])
def test_a_missing_library_is_named_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert loaded(tmp_path).problems == ()
    found = loaded(tmp_path, system="templates: {keep: 3}\n")
    (problem,) = found.problems
    assert f"needs the Python library {package}. Install it." in str(problem)


def test_a_key_that_cannot_be_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    with pytest.raises(ConfigError, match="Did you mean templates.keep?"):
        found.value("templates.kep")
    with pytest.raises(ConfigError, match="is no key"):
        found.explain("templates..keep")


# --- paths


def test_paths_follow_the_environment() -> None:
    home = find_paths({"HOME": "/home/me", "XDG_CONFIG_HOME": "relative"})
    assert (home.system_file, home.user_file) == (
        Path("/etc/homelab/system.yml"),
        Path("/home/me/.config/homelab/user.yml"),
    )
    assert home.user_backups == Path("/home/me/.local/state/homelab/backups")
    assert find_paths({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}).user_file == Path("/x/homelab/user.yml")
    moved = find_paths({"HOMELAB_ROOT": "/r", "HOMELAB_STATE": "/s"})
    assert (moved.module_file("docker"), moved.backups) == (
        Path("/r/etc/homelab/modules/docker.yml"),
        Path("/s/backups"),
    )
    root = find_paths({"HOMELAB_ROOT": "/r", "HOMELAB_STATE": "/s"}, "/t")
    assert (root.state, root.user) == (Path("/t/var/lib/homelab"), Path("/t/home/.config/homelab"))


# --- from memory


def test_it_is_read_again_only_when_something_changed(tmp_path: Path) -> None:
    paths = find_paths({}, tmp_path)
    write(paths, system="templates: {keep: 3}\n")
    first = load_again(paths, {})
    assert load_again(paths, {"OTHER": "1"}) is first
    assert load_again(paths, {"HOMELAB__TEMPLATES__KEEP": "5"}).value("templates.keep") == 5
    write(paths, module_templates="templates: {keep: 44}\n")
    assert load_again(paths, {}).value("templates.keep") == 44
    paths.module_file("templates").unlink()
    assert load_again(paths, {}).value("templates.keep") == 3


# --- the schema


def test_options_tell_forms_what_they_need() -> None:
    keep = option("templates.keep")
    assert (keep.title, keep.type, keep.default, keep.variable, keep.merge) == (
        "Keep",
        "integer",
        2,
        "templates_keep",
        "replace",
    )
    assert option("hardening.ssh_root_login").title == "SSH root login"
    assert option("fleet.vmid_range").title == "VMID range"
    assert option("proxmox.api_token_secret").secret
    assert option("hardening.state").choices == ("present", "absent")
    assert option("templates.lines").merge == "by_key:line"
    assert option("templates_prune.confirm").once
    assert option("runs.keep").variable is None
    with pytest.raises(KeyError):
        option("templates.nothing")


def test_every_option_can_be_shown() -> None:
    for section in SECTIONS:
        for one in options(section):
            assert one.title, one.key
            assert one.help, one.key
            assert one.type, one.key


def test_variables_lead_back_to_their_options() -> None:
    names = [(s, o) for s, schema in SECTIONS.items() for o in schema["properties"]]
    found = [variable for key in names if (variable := variable_of(key))]
    assert len(found) == len(set(found)), "two options have one variable"
    assert all(variable_of(key_of(variable) or ()) == variable for variable in found)


def test_secrets_of_the_schema_are_known() -> None:
    marked = set(secrets())
    assert {
        ("proxmox", "api_password"),
        ("access", "api_token_secret"),
        ("templates", "lines", 0, "cipassword"),
    } <= marked
    assert SCHEMA["$schema"].endswith("2020-12/schema")
