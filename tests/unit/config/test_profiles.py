# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles that travel, and secrets that do not: export here, import there, the same configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._config.edit import dump
from ansible_collections.homelab.proxmox.plugins.module_utils._config.load import Effective
from ansible_collections.homelab.proxmox.plugins.module_utils._config.operations import set_values
from ansible_collections.homelab.proxmox.plugins.module_utils._config.problems import ConfigError
from ansible_collections.homelab.proxmox.plugins.module_utils._config.profiles import (
    export_profile,
    import_profile,
    profile_digest,
    read_profile,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._config.secrets import is_secret, masked, resolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.config_site import do, loaded, make_site, write

HERE = {
    "system": """\
profile: small
templates:
  keep: 3
  lines:
    - {line: debian-13, memory: 2048, cipassword: plain-secret-1}
    - {line: ubuntu-24.04, tags: [a]}
proxmox:
  api_host: pve1
  api_password: plain-secret-2
  api_token_secret: {ref: file, path: /etc/homelab/token}
hardening:
  ssh_settings: {MaxAuthTries: 3, BannerToken: plain-secret-3}
  audit_rules: ['-w /a']
""",
    "user": """\
templates:
  lines:
    - {line: debian-13, memory: 4096}
    - {line: ubuntu-24.04, $remove: true}
docker: {projects: [{name: web, compose: {services: {}}, env: {DB: plain-secret-4, PORT: "80"}}]}
""",
    "profile_small": "hardening: {workloads: [docker], audit_rules: ['-w /b']}\n",
    "module_templates": "templates: {keep: null, workers: 2}\n",
}
ENVIRON = {"HOMELAB__TEMPLATES__NODES": "pve1,pve2"}
SECRETS = [f"plain-secret-{number}" for number in range(1, 5)]


def supplied(found: Effective, secrets: dict[str, str]) -> Any:
    """The values with references to the environment looked up, as the other site does when it uses them."""

    def look(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("ref") == "env":
                return resolve(value, secrets)
            return {name: look(inner) for name, inner in value.items()}
        return [look(inner) for inner in value] if isinstance(value, list) else value

    values = look(found.values())
    return {name: value for name, value in values.items() if name not in ("profile", "schema_version")}


def test_an_export_taken_in_elsewhere_comes_to_the_same(tmp_path: Path) -> None:
    here = loaded(tmp_path / "here", ENVIRON, **HERE)
    assert [str(problem) for problem in here.problems] == []
    export = export_profile(here, "lab")
    assert not [secret for secret in SECRETS if secret in export.text]
    path = tmp_path / "lab.yml"
    path.write_text(export.text, encoding="utf-8")
    profile = read_profile(path)
    there = make_site(tmp_path / "there")
    change = do(there, lambda: import_profile(there, profile, activate=True))
    assert change.problems == ()
    found = loaded(tmp_path / "there")
    assert found.profile == "lab"
    values = here.values()
    originals = {
        "templates.lines[0].cipassword": values["templates"]["lines"][0]["cipassword"],
        "proxmox.api_password": "plain-secret-2",
        "hardening.ssh_settings.BannerToken": "plain-secret-3",
        "docker.projects[0].env.DB": "plain-secret-4",
        "docker.projects[0].env.PORT": "80",
    }
    assert set(export.needs) == set(originals)
    assert supplied(found, {export.needs[key]: text for key, text in originals.items()}) == supplied(here, {})
    # Exported there, it is the same file again.
    assert export_profile(found, "lab").digest == export.digest
    assert import_profile(there, profile, activate=True).texts == {}


def test_an_import_replaces_what_would_be_joined(tmp_path: Path) -> None:
    """The other site has lines of its own; the profile says what the lines are."""
    export = export_profile(loaded(tmp_path / "here", **HERE), "lab")
    path = tmp_path / "lab.yml"
    path.write_text(export.text, encoding="utf-8")
    there = make_site(tmp_path / "there")
    write(there.paths, system="templates: {lines: [{line: fedora}]}\nhardening: {audit_rules: ['-w /c']}\n")
    do(there, lambda: import_profile(there, read_profile(path), name="other", activate=True))
    found = loaded(tmp_path / "there")
    assert [line["line"] for line in found.value("templates.lines")] == ["debian-13"]
    assert found.value("hardening.audit_rules") == ["-w /a", "-w /b"]
    assert there.paths.profile_file("other").stat().st_mode & 0o777 == 0o600


DAMAGE = [
    (lambda d: d["config"]["templates"].update(workers=3), "digest does not fit"),
    (lambda d: d.update(name="other"), "digest does not fit"),
    (lambda d: d.update(format="x"), "no exported profile"),
    (lambda d: d.update(version=9), "of version 9"),
    (lambda d: d.pop("digest"), "lacks or adds digest"),
    (lambda d: d.update(extra=1), "lacks or adds extra"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[message for _damage, message in DAMAGE])
def test_what_was_touched_is_refused(tmp_path: Path, damage: Any, message: str) -> None:
    document = yaml.safe_load(export_profile(loaded(tmp_path, **HERE), "lab").text)
    damage(document)
    path = tmp_path / "lab.yml"
    path.write_text(dump(document), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_profile(path)


def test_a_profile_that_does_not_fit_is_not_taken_in(tmp_path: Path) -> None:
    """A digest says that nothing was lost on the way, not that it is right."""
    config = {"templates": {"kepe": 3}}
    document = {"format": "homelab.proxmox/profile", "version": 1, "schema_version": 2, "name": "x", "secrets": {}}
    document |= {"digest": profile_digest("x", 2, config), "config": config}
    path = tmp_path / "x.yml"
    path.write_text(dump(document), encoding="utf-8")
    site = make_site(tmp_path / "site")
    for activate in (True, False):
        change = import_profile(site, read_profile(path), activate=activate)
        assert "Did you mean templates.keep?" in str(change.problems[0])
        with pytest.raises(ConfigError):
            do(site, lambda activate=activate: import_profile(site, read_profile(path), activate=activate))
    assert not site.paths.profiles.exists()


def test_a_profile_of_an_older_release_is_taken_in(tmp_path: Path) -> None:
    config = {"templates_keep": 4}
    document = {"format": "homelab.proxmox/profile", "version": 1, "schema_version": 1, "name": "x", "secrets": {}}
    document |= {"digest": profile_digest("x", 1, config), "config": config}
    path = tmp_path / "x.yml"
    path.write_text(dump(document), encoding="utf-8")
    assert read_profile(path).config == {"templates": {"keep": 4}}


def test_each_secret_has_a_variable_of_its_own(tmp_path: Path) -> None:
    text = "hardening: {ssh_settings: {A_TOKEN: one, A.TOKEN: two, A-TOKEN: three}}\n"
    needs = export_profile(loaded(tmp_path, system=text), "x").needs
    name = "HOMELAB_SECRET_HARDENING_SSH_SETTINGS_A_TOKEN"
    assert sorted(needs.values()) == [name, f"{name}_2", f"{name}_3"]


def test_names_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with pytest.raises(ConfigError, match="no name of a profile"):
        export_profile(loaded(tmp_path), "../x")
    config: dict[str, Any] = {}
    document = {"format": "homelab.proxmox/profile", "version": 1, "schema_version": 2, "name": "../x", "secrets": {}}
    document |= {"digest": profile_digest("../x", 2, config), "config": config}
    path = tmp_path / "x.yml"
    path.write_text(dump(document), encoding="utf-8")
    with pytest.raises(ConfigError, match="no usable name"):
        read_profile(path)
    assert not site.paths.profiles.exists()


# --- any configuration

LINE = st.fixed_dictionaries(
    {"line": st.sampled_from(["a", "b", "c"])},
    optional={"memory": st.integers(512, 1024), "cipassword": st.text("xyz", min_size=6, max_size=8)},
)
LAYER = st.fixed_dictionaries(
    {},
    optional={
        "templates": st.fixed_dictionaries(
            {},
            optional={
                "keep": st.integers(0, 5) | st.none(),
                "lines": st.lists(LINE, max_size=2, unique_by=lambda line: line["line"]),
                "defaults": st.dictionaries(st.sampled_from(["cores", "tags"]), st.integers(1, 4), max_size=2),
                "keyring": st.lists(st.sampled_from(["/k1", "/k2"]), max_size=2),
            },
        ),
        "hardening": st.fixed_dictionaries(
            {},
            optional={
                "audit_rules": st.lists(st.sampled_from(["-w /a", "-w /b"]), max_size=2),
                "profiles": st.lists(st.sampled_from(["baseline", "guest"]), max_size=2),
                "ssh_settings": st.dictionaries(st.sampled_from(["A", "B"]), st.booleans() | st.none(), max_size=2),
            },
        ),
    },
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(system=LAYER, user=LAYER)
def test_any_export_comes_to_the_same_elsewhere(tmp_path: Path, system: dict[str, Any], user: dict[str, Any]) -> None:
    here = loaded(tmp_path / "here", system=dump(system), user=dump(user))
    assert here.problems == ()
    export = export_profile(here, "any")
    path = tmp_path / "any.yml"
    path.write_text(export.text, encoding="utf-8")
    config = dict(read_profile(path).config)
    there = loaded(tmp_path / "there", system="profile: any\n", profile_any=dump(config))
    assert [str(problem) for problem in there.problems] == []
    secrets = {
        name: str(line["cipassword"])
        for number, line in enumerate(here.value("templates.lines"))
        if (name := export.needs.get(f"templates.lines[{number}].cipassword"))
    }
    assert supplied(there, secrets) == supplied(here, {})
    assert export_profile(there, "any").digest == export.digest


# --- secrets


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        (("proxmox", "api_password"), True),
        (("proxmox", "api_token_id"), False),
        (("access", "token"), False),
        (("templates", "lines", 3, "cipassword"), True),
        (("templates", "defaults", "cipassword"), True),
        (("hardening", "ssh_settings", "MaxAuthTries"), False),
        (("docker", "projects", 0, "env", "ANYTHING"), True),
        (("docker", "projects", 0, "compose", "services", "db", "environment", "POSTGRES_PASSWORD"), True),
        (("nowhere", "api_key"), True),
        (("nowhere", "keep"), False),
    ],
)
def test_what_is_a_secret(key: tuple[str | int, ...], secret: bool) -> None:
    assert is_secret(key) is secret


def test_shown_values_hide_secrets_and_keep_references() -> None:
    value = {
        "proxmox": {"api_password": "x", "api_token_secret": {"ref": "env", "name": "T"}, "api_host": "h"},
        "templates": {"lines": [{"cipassword": {"ref": "vault", "text": "cipher"}}]},
        "access": {"api_password": ""},
    }
    shown = masked(value)
    assert shown["proxmox"] == {
        "api_password": "<secret>",
        "api_token_secret": {"ref": "env", "name": "T"},
        "api_host": "h",
    }
    assert shown["templates"]["lines"][0]["cipassword"] == {"ref": "vault", "text": "<secret>"}
    assert shown["access"]["api_password"] == ""


def test_references_are_resolved_late_and_errors_tell_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("hunter2\n", encoding="utf-8")
    path.chmod(0o600)
    more = tmp_path / "more.yml"
    more.write_text("registry: {password: hunter3, port: 5}\n", encoding="utf-8")
    more.chmod(0o600)
    vault = {"registry": {"password": "hunter4"}}
    assert resolve({"ref": "env", "name": "S"}, {"S": "hunter1"}) == "hunter1"
    assert resolve({"ref": "file", "path": str(path)}, {}) == "hunter2"
    assert resolve({"ref": "file", "path": str(more), "key": "registry.password"}, {}) == "hunter3"
    assert resolve({"ref": "vault", "path": "/v", "key": "registry.password"}, {}, lambda _r: vault) == "hunter4"
    assert resolve({"ref": "vault", "text": "c"}, {}, lambda _r: "hunter5") == "hunter5"
    path.chmod(0o644)
    bad = tmp_path / "bad.yml"
    bad.write_text("a: *hunter6\n", encoding="utf-8")
    bad.chmod(0o600)
    failures: list[tuple[dict[str, Any], str]] = [
        ({"ref": "env", "name": "MISSING"}, "MISSING is not set"),
        ({"ref": "file", "path": str(path)}, "open to others"),
        ({"ref": "file", "path": str(tmp_path / "no")}, "cannot be read"),
        ({"ref": "file", "path": str(more), "key": "registry.user"}, "has no registry.user"),
        ({"ref": "file", "path": str(more), "key": "registry"}, "no single value"),
        ({"ref": "file", "path": str(bad), "key": "a"}, "no YAML"),
        ({"ref": "vault", "text": "c"}, "only be opened by Ansible"),
        ({"ref": "env"}, "has name"),
    ]
    for reference, message in failures:
        with pytest.raises(ConfigError, match=message) as failed:
            resolve(reference, {})
        assert "hunter" not in str(failed.value)


def test_no_secret_is_in_what_is_shown_returned_or_logged(tmp_path: Path) -> None:
    """Diffs, problems, notes, chains, exports and summaries of backups; the backups are for their owner only."""
    site = make_site(tmp_path)
    write(site.paths, **HERE)
    secret = {"proxmox": {"api_password": "plain-secret-new"}}
    change = do(site, lambda: set_values(site, "system", secret))
    found = loaded(tmp_path)
    broken = loaded(
        tmp_path / "broken", system="proxmox: {api_password: [plain-secret-1], api_pasword: plain-secret-2}\n"
    )
    texts = [
        json.dumps([dict(change.before), dict(change.after), change.steps(), change.notes, change.reason]),
        json.dumps(found.shown()),
        str([found.explain(section) for section in found.values()]),
        export_profile(found, "x").text,
        *(str(problem) for problem in broken.problems),
    ]
    for text in texts:
        assert not [secret for secret in [*SECRETS, "plain-secret-new"] if secret in text], text
    assert change.before["system.yml: proxmox.api_password"] == "<secret>"
    assert change.after["system.yml: proxmox.api_password"] == "<new secret>"
    backups = list(site.paths.backups.iterdir())
    assert backups
    assert {path.stat().st_mode & 0o077 for path in [site.paths.backups, *backups]} == {0}
