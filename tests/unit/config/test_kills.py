# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes that are killed, and writers that meet: a whole file always, and what was there in a backup."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._config.backups import (
    backup_files,
    list_backups,
    read_backup,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._config.change import Change, Site, carry_out
from ansible_collections.homelab.proxmox.plugins.module_utils._config.disk import Disk, Probe
from ansible_collections.homelab.proxmox.plugins.module_utils._config.documents import parse
from ansible_collections.homelab.proxmox.plugins.module_utils._config.operations import back_up_all, set_values
from ansible_collections.homelab.proxmox.plugins.module_utils._config.profiles import (
    export_profile,
    import_profile,
    read_profile,
)

from tests.support.config_site import do, killed_at, loaded, make_site, silent, write

OLD = "schema_version: 2\nconfig: {keep_backups: 2}\ntemplates:\n  keep: 3\n"
STALE = ".system.yml.1.homelab-tmp"
Act = Callable[[Site], Change]


def set_keep(site: Site) -> Change:
    return do(site, lambda: set_values(site, "system", {"templates": {"keep": 7}}))


def take_in(site: Site) -> Change:
    profile = read_profile(site.paths.etc / "lab.export")
    return do(site, lambda: import_profile(site, profile, activate=True))


def prepared(root: Path) -> Path:
    """A site with a file, more backups than it will keep, an export, and what a killed writer left."""
    site = make_site(root)
    write(site.paths, system=OLD)
    for keep in (4, 5, 3):
        do(site, lambda keep=keep: set_values(site, "system", {"templates": {"keep": keep}}))
    write(site.paths, system=OLD)
    export = export_profile(loaded(root), "lab").text
    (site.paths.etc / "lab.export").write_text(export, encoding="utf-8")
    (site.paths.etc / STALE).write_text("half", encoding="utf-8")
    return root


def copied(origin: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(origin, to)
    return to


def texts(site: Site) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in site.base("system").files()}


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.endswith(".homelab-tmp")]


@pytest.mark.parametrize("act", [set_keep, take_in], ids=lambda act: act.__name__)
def test_a_kill_at_any_step_leaves_whole_files_and_a_backup(tmp_path: Path, act: Act) -> None:
    origin = prepared(tmp_path / "origin")
    steps: list[str] = []
    done = make_site(copied(origin, tmp_path / "done"), probe=steps.append)
    before = texts(done)
    act(done)
    after = texts(done)
    # Every kind of step is among those that a kill is tried at, on both of its sides.
    for kind in ("lock", "create", "write", "mode", "fsync", "rename", "fsync folder", "sweep", "unlink"):
        for side in ("before", "after"):
            assert any(step.startswith(f"{side} {kind} ") or step == f"{side} {kind}" for step in steps), kind
    assert any(step.startswith("before rename 2026") for step in steps), "the backup is a step too"
    for number, step in enumerate(steps):
        root = copied(origin, tmp_path / "killed")
        assert killed_at(number, lambda probe, root=root: act(make_site(root, probe=probe))), step
        site = make_site(root)
        found = texts(site)
        for name, text in found.items():
            assert text in (before.get(name), after.get(name)), f"{step}: {name} is neither the old nor the new one"
        assert set(before) <= set(found)
        backups = [read_backup(site.base("system"), path.stem) for path in backup_files(site.base("system"))]
        if found != before:
            assert any(one.files.get("system.yml") == before["system.yml"] for one in backups), step
        for path in root.rglob("*"):
            if path.is_file() and path.name not in ("lab.export", STALE):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        # The next run finishes, and cleans up.
        act(site)
        assert texts(site) == after, step
        if found != after:
            assert leftovers(root) == [], step
        assert not loaded(root).problems
    # One past the last step it is not killed any more: none was left out.
    assert not killed_at(len(steps), lambda probe: act(make_site(copied(origin, tmp_path / "whole"), probe=probe)))


def test_a_backup_that_is_killed_is_whole_or_not_there(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    write(make_site(origin).paths, system=OLD)
    steps: list[str] = []
    back_up_all(make_site(copied(origin, tmp_path / "done"), probe=steps.append), "system", "tried")
    for number, step in enumerate(steps):
        root = copied(origin, tmp_path / "killed")
        assert killed_at(number, lambda probe, root=root: back_up_all(make_site(root, probe=probe), "system", "tried"))
        base = make_site(root).base("system")
        assert len(list_backups(base)) == len(backup_files(base)), step
        backup, _new = back_up_all(make_site(root), "system", "again")
        assert dict(backup.files) == {"system.yml": OLD}
        assert leftovers(root) == []


ROUNDS = 12


def count_up(root: Path, name: str) -> None:
    site = make_site(root)
    for number in range(1, ROUNDS + 1):
        do(site, lambda number=number: set_values(site, "system", {"templates": {name: number}}))


def test_two_writers_lose_nothing_and_readers_see_whole_files(tmp_path: Path) -> None:
    paths = make_site(tmp_path).paths
    write(paths, system="templates: {keep: 1}\n")
    names = ("workers", "max_deletions")
    children = []
    for name in names:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                count_up(tmp_path, name)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    statuses: list[int] = []
    seen = 0
    while len(statuses) < len(children):
        document = parse(paths.system_file.read_text(encoding="utf-8"), "")
        assert document.problems == []
        assert document.data["templates"]["keep"] == 1
        seen += 1
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended in children:
            statuses.append(os.waitstatus_to_exitcode(status))
    assert statuses == [0, 0]
    assert seen > 2
    effective = loaded(tmp_path)
    assert [effective.value(f"templates.{name}") for name in names] == [ROUNDS, ROUNDS]
    assert leftovers(tmp_path) == []


def test_a_change_is_decided_again_with_the_lock_held(tmp_path: Path) -> None:
    """What another writer did between showing and writing is kept."""
    site = make_site(tmp_path)
    write(site.paths, system=OLD)
    decisions = 0

    def decide() -> Change:
        nonlocal decisions
        decisions += 1
        change = set_values(site, "system", {"templates": {"workers": 3}})
        if decisions == 1:
            write(site.paths, system=OLD.replace("keep: 3", "keep: 9"))
        return change

    decide()
    carry_out(site, "system", decide)
    assert [loaded(tmp_path).value(f"templates.{name}") for name in ("keep", "workers")] == [9, 3]


def test_mode_and_owner_and_a_link_stay(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    write(site.paths, system=OLD)
    real = tmp_path / "elsewhere.yml"
    site.paths.system_file.rename(real)
    site.paths.system_file.symlink_to(real)
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 12345, 54321)
    set_keep(site)
    status = real.stat()
    assert site.paths.system_file.is_symlink()
    assert "keep: 7" in real.read_text(encoding="utf-8")
    assert stat.S_IMODE(status.st_mode) == 0o640
    if os.geteuid() == 0:
        assert (status.st_uid, status.st_gid) == (12345, 54321)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to write for somebody else")
def test_what_root_writes_belongs_to_whom_the_folder_belongs(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    for folder in (site.paths.etc, site.paths.state):
        folder.mkdir(parents=True)
        os.chown(folder, 4711, 4712)
    do(site, lambda: set_values(site, "module:templates", {"templates": {"keep": 3}}))
    made = [path for folder in (site.paths.etc, site.paths.state) for path in folder.rglob("*")]
    assert len(made) == 5, "two folders, the lock, the file, the backup"
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(4711, 4712)}
    link = site.paths.profile_file("lab")
    site.disk.make_folder(link.parent)
    link.symlink_to(tmp_path / "elsewhere.yml")
    os.lchown(link, 4711, 4712)
    with pytest.raises(PermissionError, match="belongs to another user"):
        site.disk.replace(link, b"x: 1\n")
    assert not (tmp_path / "elsewhere.yml").exists()


def test_a_file_that_is_held_is_not_swept(tmp_path: Path) -> None:
    def sweep(step: str) -> None:
        if step == "before fsync held.yml":
            Disk().sweep(tmp_path)

    Disk(sweep).replace(tmp_path / "held.yml", b"a: 1\n")
    assert (tmp_path / "held.yml").read_bytes() == b"a: 1\n"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def full(step: str) -> None:
        if step == "before fsync x.yml":
            raise OSError(28, "No space left on device")

    probe: Probe = full
    (tmp_path / "x.yml").write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match="No space"):
        Disk(probe).replace(tmp_path / "x.yml", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x.yml"]
    assert (tmp_path / "x.yml").read_text(encoding="utf-8") == "old"
    Disk(silent).replace(tmp_path / "x.yml", b"new")
