# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of the controller: what they are made of, which is current, which may go. No package is installed here."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._release import build, durable
from ansible_collections.homelab.proxmox.plugins.module_utils._release.__main__ import main
from ansible_collections.homelab.proxmox.plugins.module_utils._release.errors import ReleaseError
from ansible_collections.homelab.proxmox.plugins.module_utils._release.home import Home, Record
from ansible_collections.homelab.proxmox.plugins.module_utils._release.source import FILES, FOLDERS, look, pack
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
LOCKS = sorted((ROOT / "meta" / "controller").glob("python*.txt"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The least that is a collection."""
    folder = tmp_path / "checkout"
    for name, text in {
        "galaxy.yml": "---\nnamespace: homelab\nname: proxmox\nversion: 1.2.3\n",
        "README.md": "read",
        "plugins/modules/x.py": "x = 1\n",
        "meta/controller/python3.11.txt": "",
        "meta/controller/collections.json": json.dumps({"collections": []}),
        "tests/test_x.py": "not shipped",
        "plugins/modules/__pycache__/x.pyc": "not shipped",
        "plugins/.hidden": "not shipped",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def finish(home: Home, name: str, made: str) -> Path:
    release = home.release(name)
    release.mkdir(parents=True)
    Record(1, name, "1.2.3", "", "0" * 64, "3.11.2", made).write(release)
    return release


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, "-C", str(folder), *words], check=True, capture_output=True)


# --- what a release is made of


def test_shipped_files_are_what_galaxy_leaves_in_the_artifact():
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], check=True, capture_output=True, text=True).stdout
    tops = {line.split("/")[0] for line in listed.splitlines()}
    left = {top for top in tops if not top.startswith(".") and top not in ignored and not top.endswith(".tar.gz")}
    assert left == {*FOLDERS, *FILES, "galaxy.yml"}


def test_release_is_named_by_the_digest_of_its_files_where_no_commit_is_known(checkout: Path):
    found = look(checkout)
    assert (found.version, found.commit) == ("1.2.3", "")
    assert found.name == f"1.2.3-{found.digest[:12]}"


@pytest.mark.parametrize(
    ("name", "same"),
    [("plugins/modules/x.py", False), ("roles/new", False), ("tests/test_x.py", True), ("plugins/__pycache__/y", True)],
)
def test_digest_follows_shipped_files_only(checkout: Path, name: str, same: bool):
    before = look(checkout).digest
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("changed")
    assert (look(checkout).digest == before) is same


def test_release_of_a_clean_checkout_bears_its_commit(checkout: Path):
    git(checkout, "init")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--message", "x")
    commit = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert look(checkout).name == f"1.2.3-{commit.stdout[:12]}"
    (checkout / "tests/test_x.py").write_text("changed, but not shipped")
    assert look(checkout).commit == commit.stdout.strip()
    (checkout / "README.md").write_text("changed")
    assert look(checkout).commit == ""


def test_installed_release_knows_its_commit_until_somebody_edits_it(tmp_path: Path, checkout: Path):
    inside = tmp_path / "releases/x/collections/ansible_collections/homelab/proxmox"
    inside.parent.mkdir(parents=True)
    checkout.rename(inside)
    record = {"digest": look(inside).digest, "commit": "a" * 40}
    (tmp_path / "releases/x/release.json").write_text(json.dumps(record))
    assert look(inside).commit == "a" * 40
    (inside / "README.md").write_text("edited")
    assert look(inside).commit == ""


def test_packed_collection_is_the_same_bytes_and_the_same_release(tmp_path: Path, checkout: Path):
    source = look(checkout)
    pack(source, tmp_path / "a.tar.gz")
    os.utime(checkout / "README.md", (1, 1))
    pack(source, tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xzf", str(tmp_path / "a.tar.gz"), "-C", str(tmp_path / "unpacked")], check=True)
    assert look(tmp_path / "unpacked").digest == source.digest


def no_version(folder: Path) -> None:
    (folder / "galaxy.yml").write_text("name: proxmox\n")


def climbing_version(folder: Path) -> None:
    (folder / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": "../../etc"}}))


def broken_manifest(folder: Path) -> None:
    (folder / "MANIFEST.json").write_text("{}")


def link(folder: Path) -> None:
    (folder / "roles").mkdir()
    (folder / "roles/link").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_version, "neither MANIFEST.json nor a galaxy.yml"),
        (climbing_version, "one like 1.2.3"),
        (broken_manifest, "no manifest of a collection"),
        (link, "symbolic link"),
    ],
)
def test_what_is_no_collection_is_refused(checkout: Path, spoil: Callable[[Path], None], words: str):
    spoil(checkout)
    with pytest.raises(ReleaseError, match=words):
        look(checkout)


def test_commit_that_is_none_is_refused(checkout: Path):
    with pytest.raises(ReleaseError, match="40 hexadecimal"):
        look(checkout, "../x")


# --- which is current, and which may go


def test_switch_replaces_the_link_at_once_and_says_whether_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = Home(tmp_path)
    finish(home, "a", "2026-01-01")
    finish(home, "b", "2026-01-02")
    assert home.switch("a")
    assert not home.switch("a")
    seen: list[bool] = []
    real = Path.replace

    def replace(self: Path, target: Any) -> Any:
        seen.append(home.current.exists())
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    assert home.switch("b")
    assert seen == [True]
    assert (os.readlink(home.current), home.current_name()) == ("releases/b", "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "releases"]


def test_switch_refuses_a_half_made_release_and_what_is_no_link(tmp_path: Path):
    home = Home(tmp_path)
    home.release("half").mkdir(parents=True)
    with pytest.raises(ReleaseError, match="no finished release"):
        home.switch("half")
    finish(home, "a", "2026-01-01")
    home.current.mkdir()
    with pytest.raises(ReleaseError, match="no symbolic link"):
        home.switch("a")


@pytest.mark.parametrize(
    ("keep", "gone"), [(1, ["a", "b", "d", "half"]), (2, ["a", "b", "half"]), (3, ["a", "half"]), (9, ["half"])]
)
def test_newest_releases_stay_and_the_current_one_always(tmp_path: Path, keep: int, gone: list[str]):
    home = Home(tmp_path)
    for day, name in enumerate("abcd", 1):
        finish(home, name, f"2026-01-0{day}")
    home.release("half").mkdir()
    # The current one need not be the newest: it may have been rolled back to.
    home.switch("c")
    assert home.surplus(keep) == gone
    for name in gone:
        home.remove(name)
    assert home.surplus(keep) == []
    assert home.current.is_dir()


def test_release_that_is_removed_is_no_release_from_the_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = Home(tmp_path)
    release = finish(home, "a", "2026-01-01")

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        home.remove("a")
    assert Record.read(release) is None
    assert home.surplus(3) == ["a"]


def test_second_writer_is_told(tmp_path: Path):
    home = Home(tmp_path)
    with home.lock(), (home.releases / ".lock").open("a") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(ReleaseError, match="another run"), home.lock():
            pass
    with home.lock():
        pass


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "release.json"
    durable.write_text(target, "old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write_text(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


# --- making one


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands in for venv and pip, which have tests of their own on hosts; the rest of making a release is real."""
    commands: list[list[str]] = []

    def run(argv: Any, advice: str) -> None:
        commands.append(list(argv))
        if "venv" in argv:
            site = Path(argv[-1], "lib/python3.11/site-packages")
            site.mkdir(parents=True)
            (Path(argv[-1]) / "bin").mkdir()
            (Path(argv[-1]) / "bin/python").symlink_to(sys.executable)

    monkeypatch.setattr(build, "_run", run)
    monkeypatch.setattr(build, "PROBE", "pass")
    monkeypatch.setattr(build, "lock_file", lambda source, python: source.folder / "meta/controller/python3.11.txt")
    return commands


def test_release_is_made_once_and_again_when_somebody_changed_it(
    tmp_path: Path, checkout: Path, offline: list[list[str]]
):
    home, wanted = Home(tmp_path / "opt"), build.Wanted(look(checkout), sys.executable)
    assert build.state(home, wanted.source) == "absent"
    assert build.make(home, wanted)
    assert build.state(home, wanted.source) == "ready"
    assert not build.make(home, wanted)
    installed = home.release(wanted.source.name) / "collections" / build.COLLECTION
    assert not (installed / "tests").exists()
    assert look(installed).name == wanted.source.name
    (installed / "plugins/modules/x.py").write_text("tampered")
    assert build.state(home, wanted.source) == "broken"
    assert build.make(home, wanted)
    assert (installed / "plugins/modules/x.py").read_text() == "x = 1\n"


def test_release_whose_python_is_gone_is_broken(tmp_path: Path, checkout: Path, offline: list[list[str]]):
    home, wanted = Home(tmp_path / "opt"), build.Wanted(look(checkout), sys.executable)
    build.make(home, wanted)
    (home.release(wanted.source.name) / "venv/bin/python").unlink()
    assert build.state(home, wanted.source) == "broken"


def test_interrupted_release_is_half_made_and_the_next_run_makes_it_anew(
    tmp_path: Path, checkout: Path, offline: list[list[str]], monkeypatch: pytest.MonkeyPatch
):
    home, wanted = Home(tmp_path / "opt"), build.Wanted(look(checkout), sys.executable)

    def killed(release: Path) -> None:
        (release / "leftover").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build, "_compile", killed)
        with pytest.raises(KeyboardInterrupt):
            build.make(home, wanted)
    assert build.state(home, wanted.source) == "half"
    with pytest.raises(ReleaseError, match="no finished release"):
        home.switch(wanted.source.name)
    assert build.make(home, wanted)
    assert not (home.release(wanted.source.name) / "leftover").exists()


def test_source_that_changes_while_it_is_copied_is_refused(tmp_path: Path, checkout: Path, offline: list[list[str]]):
    wanted = build.Wanted(look(checkout), sys.executable)
    (checkout / "README.md").write_text("edited meanwhile")
    with pytest.raises(ReleaseError, match="changed while it was copied"):
        build.make(Home(tmp_path / "opt"), wanted)


def test_packages_come_from_the_bundle_only_where_there_is_one(
    tmp_path: Path, checkout: Path, offline: list[list[str]]
):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wanted = build.Wanted(look(checkout), sys.executable, wheels, tmp_path / "collections.zip")
    with pytest.raises(ReleaseError, match="no wheel of pip"):
        build.make(Home(tmp_path / "opt"), wanted)
    (wheels / "pip-1.0-py3-none-any.whl").touch()
    build.make(Home(tmp_path / "opt"), wanted)
    (install,) = (argv for argv in offline if "install" in argv)
    assert install[1] == str(wheels / "pip-1.0-py3-none-any.whl/pip")
    assert {"--no-index", "--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(install)


def test_python_without_a_list_of_packages_is_refused_by_name():
    with pytest.raises(ReleaseError, match=r"python=3\.10 .* known are 3\.11, 3\.12, 3\.13"):
        build.lock_file(look(ROOT), build.Interpreter((3, 10, 0), "x86_64"))


def test_failed_command_is_named_with_what_to_do_next():
    with pytest.raises(ReleaseError, match="failed with status 1; see above. Next: free some space"):
        build._run(["false"], "free some space")
    with pytest.raises(ReleaseError, match="does not run"):
        build._run(["/nonexistent"], "")


def test_errors_of_the_command_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["switch", "--root", str(tmp_path), "--name", "x"]) == 1
    assert capsys.readouterr() == ("", f"error: {tmp_path}/releases/x is no finished release; make it first\n")


def test_command_needs_nothing_but_python(tmp_path: Path, checkout: Path):
    """On a host that has nothing yet, from a folder that is no collection path."""
    program = (
        "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('_release', run_name='__main__')"
    )
    arguments = [str(ROOT / "plugins/module_utils"), "look", "--root", str(tmp_path), "--source", str(checkout)]
    said = subprocess.run(
        # Isolated, and without site-packages.
        [sys.executable, "-ISBc", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(said.stdout)["state"] == "absent"


# --- what is locked


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_has_one_version_and_a_hash(lock: Path):
    lines = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    names = [line.split("==")[0] for line in lines]
    assert len(names) == len(set(names))
    for line in lines:
        name, *hashes = line.split()
        assert name.count("==") == 1
        assert hashes
        assert all(one.startswith("--hash=sha256:") and len(one) == 78 for one in hashes)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_locked_versions_are_those_that_are_required_and_tested(lock: Path):
    locked = dict(line.split()[0].split("==") for line in lock.read_text().splitlines() if not line.startswith("#"))
    required = (ROOT / "meta/ee-requirements.txt").read_text().splitlines()
    required += [
        line
        for line in (ROOT / "requirements/test.txt").read_text().splitlines()
        if line.startswith(("ansible-core==", "ansible-runner=="))
    ]
    python = lock.stem.removeprefix("python")
    for requirement in map(Requirement, required):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name = requirement.name.lower().replace("_", "-")
            assert requirement.specifier.contains(locked[name]), f"{requirement}: {locked[name]}; run make lock"
