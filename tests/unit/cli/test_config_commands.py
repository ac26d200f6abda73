# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(homelab config …): what it shows and writes, and what it refuses."""

from __future__ import annotations

import io
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.main import main

PASSWORD = "correct-horse-battery-9"


class Told(t.NamedTuple):
    out: str
    err: str


class Homelab:
    """The command in this process, with a root of its own."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._root, self._patch, self._capsys = root, monkeypatch, capsys

    def __call__(self, *arguments: str, given: str = "", status: int = 0) -> Told:
        self._patch.setattr("sys.stdin", io.StringIO(given))
        found = main(["--root", str(self._root), *arguments])
        told = Told(*self._capsys.readouterr())
        assert found == status, told
        return told


@pytest.fixture
def homelab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Homelab:
    return Homelab(tmp_path / "here", monkeypatch, capsys)


def test_set_shows_what_differs_and_writes(homelab: Homelab, tmp_path: Path) -> None:
    assert homelab("config", "validate").out == "The configuration is in order.\n"
    shown = homelab("config", "set", "templates.nodes=pve1,pve2", "--check").out
    assert "+ system.yml: templates.nodes: ['pve1', 'pve2']" in shown
    assert not (tmp_path / "here/etc/homelab/system.yml").exists()
    homelab("config", "set", "templates.nodes=pve1,pve2", "templates_report.max_age=20")
    assert homelab("config", "get", "templates.nodes").out == "- pve1\n- pve2\n"
    assert homelab("config", "get", "templates_report.max_age", "--json").out == "20\n"
    assert homelab("config", "set", "templates.nodes=pve1,pve2").out == "Nothing to do.\n"
    explained = json.loads(homelab("config", "explain", "templates.nodes", "--json").out)
    assert [one["layer"] for one in explained] == ["default", "system"]
    assert "system.yml:" in homelab("config", "explain", "templates.nodes").out


def test_every_problem_of_a_set_at_once(homelab: Homelab) -> None:
    told = homelab("config", "set", "templates.nodez=1", "templates_report.max_age=soon", "templates.nodes", status=3)
    assert "Did you mean templates.nodes?" in told.err
    assert "'soon' is not an integer" in told.err
    assert "write KEY=VALUE" in told.err
    assert "Set the list templates.lines" in homelab("config", "set", "templates.lines[0].cores=2", status=3).err


def test_a_secret_is_taken_from_standard_input_and_never_shown(homelab: Homelab) -> None:
    refused = homelab("config", "set", f"proxmox.api_password={PASSWORD}", status=3)
    assert "arguments can be seen" in refused.err
    assert PASSWORD not in refused.err
    told = homelab("config", "set", "proxmox.api_password=-", given=f"{PASSWORD}\n")
    told_more = homelab("config", "get").out + homelab("config", "explain", "proxmox.api_password").out
    assert PASSWORD not in told.out + told.err + told_more
    exported = homelab("config", "export", "lab")
    assert PASSWORD not in exported.out
    assert "HOMELAB_SECRET_PROXMOX_API_PASSWORD" in exported.err
    homelab("config", "set", "proxmox.api_password={ref: env, name: THE_PASSWORD}")


def test_a_profile_says_the_same_on_another_host(
    homelab: Homelab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    homelab("config", "set", "templates.nodes=pve1,pve2", "templates_report.max_age=20")
    file = tmp_path / "lab.yml"
    homelab("config", "export", "lab", "--output", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    there = Homelab(tmp_path / "there", monkeypatch, capsys)
    assert "+ profiles/lab.yml" in there("config", "import", str(file), "--activate", "--check").out
    there("config", "import", str(file), "--activate")
    for key in ("templates", "templates_report"):
        assert there("config", "get", key).out == homelab("config", "get", key).out
    file.write_text(file.read_text().replace("pve2", "pve3"))
    assert "its digest does not fit" in there("config", "import", str(file), status=3).err


def test_what_was_there_comes_back(homelab: Homelab) -> None:
    homelab("config", "set", "templates_report.max_age=20")
    assert ": made" in homelab("config", "backup").out
    assert "holds just what is there" in homelab("config", "backup").out
    homelab("config", "unset", "templates_report.max_age")
    assert "not set" in homelab("config", "get", "templates_report.max_age", status=1).err
    backup = homelab("config", "backup", "--list").out.splitlines()[-1].split()[0]
    homelab("config", "restore", backup)
    assert homelab("config", "get", "templates_report.max_age").out == "20\n"


def test_files_of_the_predecessor(homelab: Homelab, tmp_path: Path) -> None:
    conf = tmp_path / "templates.conf"
    conf.write_text('TEMPLATES_NODES="pve1 pve2"\nSOMETHING_ELSE=1\n')
    assert "SOMETHING_ELSE" in homelab("config", "import", str(conf), status=3).err
    told = homelab("config", "import", str(conf), "--skip-unknown")
    assert "left out" in told.err
    assert "SOMETHING_ELSE" in told.err
    assert homelab("config", "get", "templates.nodes").out == "- pve1\n- pve2\n"
    assert "one exported profile" in homelab("config", "import", str(conf), "lab.yml", status=2).err


def test_a_broken_file_is_named_and_ends_with_its_status(homelab: Homelab, tmp_path: Path) -> None:
    folder = tmp_path / "here/etc/homelab"
    folder.mkdir(parents=True)
    (folder / "system.yml").write_text("templates:\n  nodez: [pve1]\n")
    told = homelab("config", "validate", status=3)
    assert "system.yml:2" in told.out
    assert homelab("config", "get", "templates.nodes", status=3).err
    assert json.loads(homelab("config", "validate", "--json", status=3).out)["ok"] is False


def test_actions_are_listed_and_shown(homelab: Homelab) -> None:
    listed = json.loads(homelab("list", "--json").out)
    assert {"health", "templates", "weekly"} <= {one["id"] for one in listed}
    assert "! Prune templates" in homelab("list").out
    shown = json.loads(homelab("show", "template-prove", "--set", "line=web", "--limit", "home", "--json").out)
    assert shown["invocation"] == {
        "action": "template-prove",
        "playbook": "homelab.proxmox.template_prove",
        "limit": "home",
        "extra_vars": {"template_prove_line": "web"},
        "check": False,
        "diff": False,
    }
    assert "Line, needed" in homelab("show", "template-prove").out


def test_what_is_generated(homelab: Homelab, tmp_path: Path) -> None:
    for what in ("awx", "semaphore", "docs"):
        listed = homelab("generate", what, str(tmp_path / what)).out.splitlines()
        assert listed
        assert all(Path(line).is_file() for line in listed)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    assert "blocked" in homelab("generate", "docs", str(blocked), status=1).err
