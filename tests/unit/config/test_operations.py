# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on a site: set, take back, back up, restore, migrate; and the files of the predecessor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._config.backups import (
    backup_files,
    list_backups,
    read_backup,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._config.change import layer_file
from ansible_collections.homelab.proxmox.plugins.module_utils._config.legacy import import_conf, read_conf
from ansible_collections.homelab.proxmox.plugins.module_utils._config.migrations import (
    MIGRATIONS,
    Migration,
    migrated,
    migrated_text,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._config.operations import (
    back_up_all,
    migrate,
    restore,
    set_values,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._config.problems import ConfigError
from ansible_collections.homelab.proxmox.plugins.module_utils._config.schema import SCHEMA_VERSION, SECTIONS, defaults
from hypothesis import given
from hypothesis import strategies as st

from tests.support.config_site import do, loaded, make_site, write

# --- set


def test_setting_twice_changes_nothing(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    values = {"templates": {"keep": "3", "lines": [{"line": "a", "memory": "512"}]}}
    first = do(site, lambda: set_values(site, "system", values, reset=["hardening.workloads"]))
    assert first.before["system.yml: templates.keep"] is None
    assert first.after["system.yml: templates.keep"] == 3
    assert first.after["system.yml: hardening.workloads"] == "back to the default"
    again = set_values(site, "system", values, reset=["hardening.workloads"])
    assert (again.texts, again.before, again.after) == ({}, {}, {})
    assert site.paths.system_file.read_text(encoding="utf-8").startswith(f"schema_version: {SCHEMA_VERSION}\n")


def test_absent_is_not_reset(tmp_path: Path) -> None:
    """What is absent leaves it to lower layers; what is reset does not."""
    site = make_site(tmp_path)
    write(site.paths, system="templates: {keep: 5}\n", user="templates: {keep: 6}\n")
    do(site, lambda: set_values(site, "user", absent=["templates.keep"]))
    assert loaded(tmp_path).value("templates.keep") == 5
    do(site, lambda: set_values(site, "user", reset=["templates.keep"]))
    assert loaded(tmp_path).value("templates.keep") == 2


def test_it_is_said_when_another_layer_wins(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    write(site.paths, user="\ntemplates: {keep: 6}\n")
    change = set_values(site, "system", {"templates": {"keep": 3}})
    assert change.notes == (f"templates.keep: {site.paths.user_file}:2 has the last word",)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"values": {"templates": {"kep": 1}}}, "Did you mean templates.keep?"),
    ({"values": {"templates": {"keep": "x"}}}, "'x' is not an integer"),
    ({"values": {"templates": {"keep": 1}}, "absent": ["templates.keep"]}, "is given twice"),
    ({"absent": ["templates..keep"]}, "is no key"),
    ({"values": {"access": {"privsep": "maybe"}}}, "neither true nor false"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_set_is_refused_before_anything(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        set_values(make_site(tmp_path), "system", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_change_that_breaks_the_schema_is_not_carried_out(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    change = set_values(site, "module:hardening", {"templates": {"keep": 3}, "hardening": {"state": "gone"}})
    assert len(change.problems) == 2
    with pytest.raises(ConfigError, match="2 problems"):
        do(site, lambda: change)
    assert not site.paths.module_file("hardening").exists()


def test_what_is_broken_elsewhere_does_not_hinder(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    write(site.paths, user="templates: {kepe: 3}\n")
    change = do(site, lambda: set_values(site, "system", {"templates": {"keep": 3}}))
    assert change.problems == ()
    assert len(change.effective.problems) == 1


@pytest.mark.parametrize("layer", ["", "System", "profile:", "profile:../x", "module:nothing", "environment"])
def test_a_layer_without_a_file_is_refused(tmp_path: Path, layer: str) -> None:
    with pytest.raises(ConfigError, match=r"is no layer that has a file.*Give"):
        layer_file(make_site(tmp_path).paths, layer)


# --- backups


def test_every_write_is_backed_up_and_the_oldest_go(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    write(site.paths, system="config: {keep_backups: 3}\n")
    for keep in range(1, 7):
        do(site, lambda keep=keep: set_values(site, "system", {"templates": {"keep": keep}}))
    kept = list_backups(site.base("system"))
    assert len(kept) == 3
    assert [("keep: 3" in str(one.files), one.reason) for one in kept][0] == (True, "set templates.keep")
    assert site.base("system").backups.stat().st_mode & 0o777 == 0o700


def test_a_restore_is_exact_and_can_be_taken_back(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    text = "# mine\ntemplates: {keep: 3}   # three\n"
    write(site.paths, system=text)
    do(site, lambda: set_values(site, "system", {"templates": {"keep": 4}}))
    changed = site.paths.system_file.read_text(encoding="utf-8")
    first = list_backups(site.base("system"))[-1]
    do(site, lambda: restore(site, "system", first.id))
    assert site.paths.system_file.read_text(encoding="utf-8") == text
    assert restore(site, "system", first.id).texts == {}
    second = list_backups(site.base("system"))[-1]
    do(site, lambda: restore(site, "system", second.id))
    assert site.paths.system_file.read_text(encoding="utf-8") == changed


def test_a_file_that_was_not_there_is_removed_by_a_restore(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    do(site, lambda: set_values(site, "module:templates", {"templates": {"keep": 4}}))
    change = do(site, lambda: restore(site, "system", list_backups(site.base("system"))[-1].id))
    assert change.steps() == [f"remove {site.paths.module_file('templates')}"]
    assert change.after["modules/templates.yml"] == "absent"
    assert not site.paths.module_file("templates").exists()


def test_a_backup_of_everything_is_made_once(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    write(site.paths, system="templates: {keep: 3}\n", profile_lab="", module_hardening="", user="runs: {keep: 5}\n")
    first, new = back_up_all(site, "system", "tried")
    assert (new, sorted(first.files)) == (True, ["modules/hardening.yml", "profiles/lab.yml", "system.yml"])
    assert back_up_all(site, "system", "again") == (first, False)
    assert back_up_all(site, "user", "tried")[1]


def test_a_backup_that_was_touched_is_refused(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    write(site.paths, system="templates: {keep: 3}\n")
    backup, _new = back_up_all(site, "system", "tried")
    (path,) = backup_files(site.base("system"))
    document = json.loads(path.read_text(encoding="utf-8"))
    document["files"]["system.yml"] = "templates: {keep: 9}\n"
    for text, message in [(json.dumps(document), "digest does not fit"), ("{", "no JSON"), ("[]", "no backup")]:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=message):
            restore(site, "system", backup.id)
    for name, message in [("../../x", "no id"), (backup.id[:-1] + "0", "there is no backup")]:
        with pytest.raises(ConfigError, match=message):
            read_backup(site.base("system"), name)


def test_a_backup_does_not_write_elsewhere(tmp_path: Path) -> None:
    """Even one whose digest is right."""
    site = make_site(tmp_path)
    write(site.paths, system="templates: {keep: 3}\n")
    outside = tmp_path / "outside.yml"
    base = site.base("system")
    from ansible_collections.homelab.proxmox.plugins.module_utils._config.backups import write_backup  # noqa: PLC0415

    evil = {base.folder / "../../outside.yml": "x: 1\n", base.folder / "system.yml": "templates: {keep: 4}\n"}
    backup = write_backup(site.disk, base, evil, reason="evil", now=site.now(), keep=5)
    do(site, lambda: restore(site, "system", backup.id))
    assert not outside.exists()
    assert loaded(tmp_path).value("templates.keep") == 4


def test_a_clock_that_was_set_back_does_not_lose_the_newest(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    write(site.paths, system="config: {keep_backups: 1}\ntemplates: {keep: 3}\n")
    do(site, lambda: set_values(site, "system", {"templates": {"keep": 4}}))
    do(site, lambda: set_values(site, "system", {"templates": {"keep": 5}}))
    earlier = make_site(tmp_path)
    do(earlier, lambda: set_values(earlier, "system", {"templates": {"keep": 6}}))
    (only,) = list_backups(site.base("system"))
    assert "keep: 5" in str(only.files["system.yml"])


# --- migrations

FLAT = st.dictionaries(
    st.sampled_from(["templates_keep", "templates_prune_images", "access_pool", "hardening_state", "strange", "runs"]),
    st.integers(0, 3) | st.dictionaries(st.sampled_from("ab"), st.integers(0, 3), max_size=2),
)
SECTIONED = st.fixed_dictionaries(
    {},
    optional={
        section: st.dictionaries(
            st.sampled_from(sorted(SECTIONS[section]["properties"])), st.integers(0, 3), max_size=3
        )
        for section in ("templates", "templates_prune", "access", "runs")
    },
)


@given(data=FLAT)
def test_up_and_down_is_where_it_was(data: dict[str, Any]) -> None:
    old = {"schema_version": 1, **data}
    assert migrated(migrated(old, 2), 1) == old


@given(data=SECTIONED)
def test_down_and_up_is_where_it_was(data: dict[str, Any]) -> None:
    new = {"schema_version": 2, **data}
    assert migrated(migrated(new, 1), 2) == new


def test_several_migrations_go_in_order() -> None:
    def add(name: str) -> Migration:
        return Migration(
            int(name),
            name,
            up=lambda data: {**data, "seen": [*data.get("seen", []), name]},
            down=lambda data: {**data, "seen": data["seen"][:-1]} if data["seen"][-1] == name else {"wrong": name},
        )

    steps = (*MIGRATIONS, add("3"), add("4"))
    up = migrated({"schema_version": 1, "templates_keep": 3}, 4, steps)
    assert up == {"schema_version": 4, "templates": {"keep": 3}, "seen": ["3", "4"]}
    assert migrated(up, 2, steps) == {"schema_version": 2, "templates": {"keep": 3}, "seen": []}
    assert [step.number for step in MIGRATIONS] == list(range(2, SCHEMA_VERSION + 1)), "no gap"


def test_migrating_a_site_keeps_what_it_means(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    text = "templates: {keep: 3}  # three\nproxmox: {api_password: hunter2}\n"
    write(site.paths, system=text, profile_lab="hardening: {state: absent}\n")
    before = loaded(tmp_path).values()
    down = do(site, lambda: migrate(site, "system", 1))
    assert "hunter2" not in str((down.before, down.after))
    assert "templates_keep: 3" in site.paths.system_file.read_text(encoding="utf-8")
    found = loaded(tmp_path)
    assert {**before, "schema_version": 2} == found.values()
    do(site, lambda: migrate(site, "system"))
    assert loaded(tmp_path).values() == found.values()
    assert migrate(site, "system").texts == {}
    assert any(one.files.get("system.yml") == text for one in list_backups(site.base("system")))


def test_a_version_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="schema version 7 is not known"):
        migrated_text("a: 1\n", "f", 7)
    with pytest.raises(ConfigError, match="schema version 0 is not known"):
        migrated_text("schema_version: 0\n", "f", 2)
    with pytest.raises(ConfigError, match="no YAML"):
        migrated_text("a: [\n", "f", 1)


# --- the predecessor's files

CONF = """\
#!/bin/sh
# Settings
TEMPLATES_KEEP=4            # four
export HARDENING_WORKLOADS="docker router"
HARDENING_UMASK='027'
NODES=(pve1 'pve2' # comment
  "pve3")
PROXMOX_HOST=pve1.example.org; PROXMOX_TOKEN_SECRET='it'"'"'s $ecret'
ACCESS_PRIVSEP=no
ACCESS_COMMENT=with\\ space
"""


def test_shell_assignments_are_read(tmp_path: Path) -> None:
    path = tmp_path / "templates.conf"
    path.write_text(CONF, encoding="utf-8")
    site = make_site(tmp_path)
    change, skipped = import_conf(site, [path])
    do(site, lambda: import_conf(site, [path])[0])
    values = loaded(tmp_path).values()
    assert skipped == ()
    assert values["templates"]["keep"] == 4
    assert values["templates"]["nodes"] == ["pve1", "pve2", "pve3"]
    assert values["hardening"]["workloads"] == ["docker", "router"]
    assert values["hardening"]["umask"] == "027"
    assert values["proxmox"] == {"api_host": "pve1.example.org", "api_token_secret": "it's $ecret"}
    assert values["access"]["privsep"] is False
    assert values["access"]["comment"] == "with space"
    assert "$ecret" not in str((change.before, change.after))
    assert import_conf(site, [path])[0].texts == {}


SHELL = [
    ("A=$HOME/x", "needs a shell"),
    ("A=`id`", "needs a shell"),
    ("A=$(touch /tmp/pwned)", "needs a shell"),
    ('A="${B}"', "needs a shell"),
    ("A=x | tee", "more behind its value"),
    ("A=a b", "more behind its value"),
    ("A='open", "quote without an end"),
    ('A="open', "quote without an end"),
    ("A=(a b", "list without an end"),
    ("rm -rf /", "no assignment"),
    ("if true; then", "no assignment"),
    (". ./other.conf", "no assignment"),
]


@pytest.mark.parametrize(("line", "message"), SHELL)
def test_what_needs_a_shell_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "x.conf"
    path.write_text(f"# first\nTEMPLATES_KEEP=3\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as failed:
        read_conf(path)
    assert str(failed.value).startswith(f"{path}:3: ")
    assert message in str(failed.value)


def test_all_that_is_wrong_with_files_is_told_and_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("TEMPLATES_KEP=3\nTEMPLATES_WORKERS=x\nA=`id`\n", encoding="utf-8")
    site = make_site(tmp_path / "site")
    with pytest.raises(ConfigError) as failed:
        import_conf(site, [path, tmp_path / "nothing.conf"])
    assert len(failed.value.problems) == 2, "a file that cannot be read says nothing else"
    path.write_text("TEMPLATES_KEP=3\nTEMPLATES_WORKERS=x\nMENU_COLOR=red\n", encoding="utf-8")
    with pytest.raises(ConfigError) as failed:
        import_conf(site, [path])
    assert [problem.line for problem in failed.value.problems] == [1, 2, 3]
    assert "Did you mean templates_keep?" in str(failed.value)
    path.write_text("MENU_COLOR=red\nTEMPLATES_KEEP=3\n", encoding="utf-8")
    change, skipped = import_conf(site, [path], skip_unknown=True)
    assert skipped == (f"{path}:1: MENU_COLOR",)
    assert change.after["system.yml: templates.keep"] == 3


def test_defaults_are_not_shared() -> None:
    """Nobody may change the schema through what it hands out."""
    one = defaults()
    one["templates"]["keep"] = 99
    assert defaults()["templates"]["keep"] == 2
