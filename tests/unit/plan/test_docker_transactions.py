# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts on a Docker host, ended at each of their writes: the next run ends where a run that was not would have.

Docker and systemd are scripted here; tests/hosts/molecule/docker has the real ones.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "docker" / "files"
OLD, NEW, BAD = ('{"mtu": 1400}\n', '{"mtu": 1500}\n', '{"bad": true}\n')


class Ended(Exception):
    """Stands for SIGKILL: nothing of the script catches it."""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FILES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ending_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """End at the write of that number: before it if even, after it if odd. What is returned lets all go on."""
    done = 0
    real = {name: getattr(os, name) for name in ("replace", "unlink")}

    def guarded(name: str) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            nonlocal done
            if done == number:
                raise Ended
            real[name](*arguments)
            if done + 1 == number:
                done = number
                raise Ended
            done += 2

        return call

    for name in real:
        monkeypatch.setattr(os, name, guarded(name))

    def release() -> None:
        for name, function in real.items():
            monkeypatch.setattr(os, name, function)

    return release


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine loses its power here."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, for a daemon that refuses BAD when it starts, and nothing before."""
    module = load("daemon")
    monkeypatch.setattr(module, "DAEMON_JSON", str(tmp_path / "daemon.json"))
    monkeypatch.setattr(module, "stumbles", lambda _text: "")
    monkeypatch.setattr(module, "untrue", lambda _effects: "")

    def restarted(_limit: float) -> str:
        text = (tmp_path / "daemon.json").read_text() if (tmp_path / "daemon.json").exists() else "{}"
        (tmp_path / "running").write_text(text)
        return "it is bad" if "bad" in text else ""

    monkeypatch.setattr(module, "restarted", restarted)
    return module


def settings(folder: Path, text: str) -> dict[str, Any]:
    return {"text": text, "effects": {}, "folder": str(folder), "timeout": 1}


@pytest.mark.parametrize("former", [OLD, None])
@pytest.mark.parametrize("number", range(8))
def test_settings_are_replaced_as_a_whole_wherever_a_run_is_ended(daemon, tmp_path, monkeypatch, number, former):
    if former:
        (tmp_path / "daemon.json").write_text(former)
    release = ending_at(number, monkeypatch)
    with contextlib.suppress(Ended):
        assert daemon.apply(settings(tmp_path, NEW)) == {"changed": True}
    assert not (tmp_path / "daemon.json").exists() or (tmp_path / "daemon.json").read_text() in (OLD, NEW)
    release()
    daemon.apply(settings(tmp_path, NEW))
    assert (tmp_path / "daemon.json").read_text() == (tmp_path / "running").read_text() == NEW
    assert not (tmp_path / "daemon.json.before").exists()
    assert daemon.apply(settings(tmp_path, NEW)) == {"changed": False}


@pytest.mark.parametrize("former", [OLD, None])
@pytest.mark.parametrize("number", range(10))
def test_settings_come_back_wherever_the_way_back_is_ended(daemon, tmp_path, monkeypatch, number, former):
    if former:
        (tmp_path / "daemon.json").write_text(former)
    release = ending_at(number, monkeypatch)
    with contextlib.suppress(Ended):
        assert daemon.apply(settings(tmp_path, BAD))["restored"]
    release()
    # The same settings again, as the next run of an unchanged playbook.
    result = daemon.apply(settings(tmp_path, BAD))
    assert result == {"failed": True, "restored": True, "msg": "it is bad"}
    assert (tmp_path / "running").read_text() == (former or "{}")
    assert (tmp_path / "daemon.json").exists() == (former is not None)
    assert not (tmp_path / "daemon.json.before").exists()


def test_settings_that_stumble_beside_are_not_put_into_place(daemon, tmp_path, monkeypatch):
    (tmp_path / "daemon.json").write_text(OLD)
    monkeypatch.setattr(daemon, "stumbles", lambda text: "no" if text == BAD else "")
    assert daemon.apply(settings(tmp_path, BAD)) == {"failed": True, "untouched": True, "msg": "no"}
    assert (tmp_path / "daemon.json").read_text() == OLD
    assert not (tmp_path / "running").exists()
    # Where nothing comes up beside, a trial says nothing.
    monkeypatch.setattr(daemon, "stumbles", lambda _text: "no")
    assert daemon.apply(settings(tmp_path, NEW)) == {"changed": True}


# --- compose projects


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, for a Compose that starts whatever the folder holds; services are well unless it says bad."""
    module = load("compose_project")
    running = tmp_path / "running"

    def up(self: Any) -> str:
        text = (Path(self.folder) / "compose.yaml").read_text()
        running.write_text(text)
        return "it is bad" if "bad" in text else ""

    def run(self: Any, _folder: str, *argv: str, **_options: Any) -> tuple[int, str]:
        assert argv[0] == "down"
        running.unlink(missing_ok=True)
        return 0, ""

    monkeypatch.setattr(module.Project, "up", up)
    monkeypatch.setattr(module.Project, "compose", run)
    monkeypatch.setattr(module.Project, "look", lambda _self, pull: None)
    monkeypatch.setattr(module.Project, "well", lambda _self: running.exists() and "bad" not in running.read_text())
    return module


def project(module: ModuleType, folder: Path, text: str, **files: str) -> Any:
    own = [{"path": path, "mode": "0644", "content": content} for path, content in files.items()]
    return module.Project(
        {
            "name": "wiki",
            "root": str(folder / "projects"),
            "state": str(folder / "state"),
            "files": [{"path": "compose.yaml", "mode": "0640", "content": text}, *own],
            "services": ["web"],
            "wait_timeout": 1,
        }
    )


def files(folder: Path) -> dict[str, str]:
    found = sorted(path for path in (folder / "projects").rglob("*") if path.is_file())
    return {path.name: path.read_text() for path in found if not path.name.endswith(".homelab")}


@pytest.mark.parametrize("number", range(16))
def test_a_project_becomes_what_is_declared_wherever_a_run_is_ended(compose, tmp_path, monkeypatch, number):
    assert project(compose, tmp_path, "first", a="1", b="2").present(check=False)["changed"]
    release = ending_at(number, monkeypatch)
    with contextlib.suppress(Ended):
        project(compose, tmp_path, "second", a="3").present(check=False)
    release()
    project(compose, tmp_path, "second", a="3").present(check=False)
    assert files(tmp_path) == {"compose.yaml": "second", "a": "3"}
    assert (tmp_path / "running").read_text() == "second"
    assert project(compose, tmp_path, "second", a="3").present(check=False) == {"changed": False}


@pytest.mark.parametrize("number", range(20))
def test_a_project_comes_back_wherever_the_way_back_is_ended(compose, tmp_path, monkeypatch, number):
    project(compose, tmp_path, "first", a="1").present(check=False)
    release = ending_at(number, monkeypatch)
    with contextlib.suppress(Ended, compose.Trouble):
        project(compose, tmp_path, "bad", b="2").present(check=False)
    release()
    with pytest.raises(compose.Trouble, match="back and healthy"):
        project(compose, tmp_path, "bad", b="2").present(check=False)
    assert files(tmp_path) == {"compose.yaml": "first", "a": "1"}
    assert (tmp_path / "running").read_text() == "first"
    assert project(compose, tmp_path, "first", a="1").present(check=False) == {"changed": False}


@pytest.mark.parametrize("number", range(14))
def test_a_new_project_that_is_not_well_leaves_nothing(compose, tmp_path, monkeypatch, number):
    release = ending_at(number, monkeypatch)
    with contextlib.suppress(Ended, compose.Trouble):
        project(compose, tmp_path, "bad", b="2").present(check=False)
    release()
    with pytest.raises(compose.Trouble, match="taken down again"):
        project(compose, tmp_path, "bad", b="2").present(check=False)
    assert files(tmp_path) == {}
    assert not (tmp_path / "running").exists()


def test_a_difference_shows_no_secret(compose, tmp_path):
    one = project(compose, tmp_path, "first", a="1")
    one.wanted[".env"] = {"path": ".env", "mode": "0600", "content": "PASSWORD=hunter2\n"}
    told = one.present(check=True)["diff"]
    assert "+first" in told
    assert ".env: new" in told
    assert "hunter2" not in told
    assert json.dumps(told)
    assert files(tmp_path) == {}, "a check writes nothing"
