# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doors of the layered configuration: what is refused, what is said, and what is never told."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from tests.support.door import run_module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def call(root: Path, door: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    return run_module(door, {"root": str(root), **options}, check=check)


def done(root: Path, door: str, **options: Any) -> dict[str, Any]:
    result = call(root, door, **options)
    assert not result.get("failed"), result
    return result


def text(root: Path, name: str = "system.yml") -> str:
    return (root / "etc/homelab" / name).read_text(encoding="utf-8")


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(root: Path) -> None:
    result = call(root, "config", values={"templates": {"kepe": 3, "workers": "x"}}, absent=["nowhere.x"])
    assert result["failed"]
    assert len(result["problems"]) == 3
    assert "templates.kepe: is not known. Did you mean templates.keep?" in result["msg"]
    assert "templates.workers: 'x' is not an integer." in result["msg"]
    assert "nowhere: is not known. Sections are" in result["msg"]
    assert not root.exists()


def test_a_secret_in_the_open_is_refused_and_kept_out_of_everything_else(root: Path) -> None:
    values = {"proxmox": {"api_password": "hunter2", "api_host": "pve1"}}
    refused = call(root, "config", values=values)
    assert "values: proxmox.api_password: is a secret. Give it in secret_values" in refused["msg"]
    result = done(root, "config", secret_values=values)
    assert "hunter2" in text(root)
    assert (root / "etc/homelab/system.yml").stat().st_mode & 0o777 == 0o600
    again = done(root, "config", secret_values={"proxmox": {"api_password": "hunter3"}})
    info = done(root, "config_info")
    for found in (refused, result, again, info):
        found.pop("invocation", None)
        assert "hunter" not in json.dumps(found)
    assert again["diff"]["before"] != again["diff"]["after"]


def test_no_secret_goes_into_the_systems_log(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every module writes its options there."""
    logged: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _self, msg, log_args=None: logged.append(f"{msg} {log_args}"))
    secrets = {"proxmox": {"api_password": "hunter2"}, "templates": {"lines": [{"line": "a", "cipassword": "hunter3"}]}}
    done(root, "config", values={"templates": {"keep": 4}}, secret_values=secrets)
    done(root, "config_info")
    assert "keep" in str(logged), "it was looked where modules log"
    assert "hunter" not in str(logged)
    assert "hunter3" in text(root)


def test_references_need_no_secret_values(root: Path) -> None:
    reference = {"ref": "env", "name": "PVE_TOKEN"}
    result = done(root, "config", values={"proxmox": {"api_token_secret": reference}})
    assert result["diff"]["after"]["system.yml: proxmox.api_token_secret"] == reference
    wrong = call(root, "config", values={"proxmox": {"api_token_secret": {"ref": "env", "name": "a b"}}})
    assert "'a b' is no name of an environment variable" in wrong["msg"]


def test_it_is_said_what_wins(root: Path) -> None:
    done(root, "config", layer="module:templates", values={"templates": {"keep": 5}})
    result = done(root, "config", values={"templates": {"keep": 3}})
    said = json.dumps(result["warnings"])
    assert f"templates.keep: {root}/etc/homelab/modules/templates.yml:3 has the last word" in said


def test_an_information_tells_what_is_wrong_and_does_not_fail(root: Path) -> None:
    done(root, "config", values={"templates": {"keep": 5}})
    path = root / "etc/homelab/system.yml"
    path.write_text("templates:\n  kepe: 3\n", encoding="utf-8")
    result = done(root, "config_info", keys=["templates.keep"], defaults=False)
    assert not result["valid"]
    assert result["settings"] == []
    assert result["problems"] == [
        {
            "message": "is not known",
            "layer": "system",
            "source": str(path),
            "line": 2,
            "key": "templates.kepe",
            "suggestion": "Did you mean templates.keep?",
        }
    ]


def test_a_file_that_cannot_be_written_is_a_failure_with_its_reason(root: Path) -> None:
    root.mkdir()
    (root / "etc").write_text("in the way", encoding="utf-8")
    result = call(root, "config", values={"templates": {"keep": 5}})
    assert result["failed"]
    assert "Not a directory" in result["msg"]


@pytest.mark.parametrize(
    ("door", "options", "message"),
    [
        ("config_restore", {"backup": "latest"}, "would restore another one. Give an id; config_info lists them."),
        ("config_restore", {"backup": "nonsense"}, "'nonsense' is no id of a backup"),
        ("config_import", {"src": "/nonexistent/x.yml"}, "/nonexistent/x.yml: there is no such file"),
        ("config_import_conf", {"src": ["/nonexistent/x.conf"]}, "/nonexistent/x.conf: there is no such file"),
        ("config_backup", {}, "there is nothing to back up"),
        ("config_export", {"name": "../x", "dest": "/nonexistent/x"}, "'../x' is no name of a profile"),
        ("config_info", {"keys": ["templates.kepe"]}, "Did you mean templates.keep?"),
        ("config", {"layer": "profil:x", "values": {}}, "'profil:x' is no layer that has a file"),
    ],
)
def test_what_cannot_be_meant_is_refused(root: Path, door: str, options: dict[str, Any], message: str) -> None:
    result = call(root, door, **options)
    assert result["failed"]
    assert message in result["msg"]
    assert not root.exists()


def test_a_version_that_is_not_known_is_refused(root: Path) -> None:
    done(root, "config", values={"templates": {"keep": 5}})
    before = text(root)
    result = call(root, "config_migrate", version=9)
    assert "schema version 9 is not known; this release knows 1 to 2" in result["msg"]
    assert text(root) == before


def test_an_export_does_not_go_out_of_an_unsound_configuration(root: Path, tmp_path: Path) -> None:
    done(root, "config", values={"templates": {"keep": 5}})
    (root / "etc/homelab/user.yml").write_text("", encoding="utf-8")
    (root / "etc/homelab/system.yml").write_text("templates: {kepe: 1}\n", encoding="utf-8")
    result = call(root, "config_export", name="x", dest=str(tmp_path / "x.yml"))
    assert result["failed"]
    assert not (tmp_path / "x.yml").exists()


def test_users_and_systems_files_are_backed_up_apart(root: Path) -> None:
    done(root, "config", layer="user", values={"templates": {"keep": 5}})
    done(root, "config", values={"templates": {"keep": 6}})
    for base in ("user", "system"):
        assert done(root, "config_backup", base=base)["changed"]
    found = done(root, "config_info")["backups"]
    assert {one["base"] for one in found} == {"user", "system"}
    assert len(list((root / "home/.local/state/homelab/backups").iterdir())) == 2
    assert len(list((root / "var/lib/homelab/backups").iterdir())) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_somebody_without_rights_is_told_so(root: Path) -> None:
    """In a fork, where everything that is needed is loaded: the tools' folder may be closed to others."""
    done(root, "config", values={"templates": {"keep": 5}})
    before = text(root)
    for folder in [root, *root.parents]:
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    for folder in (root / "etc", root / "etc/homelab"):
        folder.chmod(0o755)
    (root / "etc/homelab/system.yml").chmod(0o644)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            os.write(writing, json.dumps(call(root, "config", values={"templates": {"keep": 4}})).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    result = json.loads(said)
    assert result["failed"]
    assert "Permission denied" in result["msg"]
    assert "Run it as the account that owns the files" in result["msg"]
    assert text(root) == before
