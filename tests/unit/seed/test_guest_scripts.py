# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts for guests, run by the shells of this machine: each has to do the same in all of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import typing as t
from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.guest_file import Command, Seen
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.guest_scripts import (
    discard_script,
    is_look,
    look_script,
    parse_ended,
    parse_look,
    remove_script,
    run_script,
    set_script,
    write_scripts,
)

SHELLS = [
    pytest.param(argv, id=" ".join(argv))
    for argv in (["dash"], ["bash", "--posix"], ["busybox", "sh"])
    if shutil.which(argv[0])
]


class Done(t.NamedTuple):
    """How a script ended."""

    returncode: int
    stdout: str
    stderr: str


OWNER = f"{os.getuid()}:{os.getgid()}"


def run(argv: list[str], script: str, home: Path) -> Done:
    """As an agent does: the script through a pipe, no terminal, hardly any environment."""
    assert script.isascii()
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TMPDIR": str(home)}
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
        start_new_session=True,
    )
    out, err = process.communicate(script.encode(), 60)
    with suppress(ProcessLookupError):
        # What would clean up a minute later.
        os.killpg(process.pid, signal.SIGKILL)
    return Done(process.returncode, out.decode(), err.decode())


def look(argv: list[str], path: Path, home: Path) -> Seen:
    done = run(argv, look_script([str(path)], sums=True), home)
    assert (done.returncode, done.stderr) == (0, "")
    return parse_look(done.stdout)[str(path)]


@pytest.mark.parametrize("argv", SHELLS)
def test_a_look_tells_what_is_there_and_changes_nothing(argv: list[str], tmp_path: Path) -> None:
    file = tmp_path / "it's é"
    file.write_bytes(b"x\n")
    file.chmod(0o4640)
    link = tmp_path / "link"
    link.symlink_to("it's é")
    before = sorted(tmp_path.iterdir())
    seen = look(argv, file, tmp_path)
    assert (seen.kind, seen.mode, seen.size, seen.folder) == ("file", 0o4640, 2, True)
    assert seen.sum == hashlib.sha256(b"x\n").hexdigest()
    assert (seen.uid, seen.gid) == (str(os.getuid()), str(os.getgid()))
    assert (look(argv, link, tmp_path).kind, look(argv, link, tmp_path).target) == ("link", "it's é")
    assert look(argv, tmp_path, tmp_path).kind == "folder"
    assert look(argv, Path("/dev/null"), tmp_path).kind == "other"
    gone = look(argv, tmp_path / "no" / "such", tmp_path)
    assert (gone.kind, gone.exists, gone.folder) == ("none", False, False)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("argv", SHELLS)
def test_a_command_runs_the_same_in_every_shell(argv: list[str], tmp_path: Path) -> None:
    words = ("sh", "-c", 'printf "[%s]" "$@"; cat; printf "%s" "$A" >&2; exit 7', "x", "a b\n", "é", "-n")
    command = Command(argv=words, stdin=b"in", folder="/tmp", environment={"A": "it's\n"}, limit=60, most=1000)
    done = run(argv, run_script(command, "0a"), tmp_path)
    line, _newline, rest = done.stdout.partition("\n")
    assert parse_ended(line, "0a") == (7, False, len("[a b\n][é][-n]in".encode()), 5)
    assert rest == "[a b\n][é][-n]in"
    assert done.stderr == "it's\n"
    assert parse_ended(line, "0b") is None
    assert parse_ended("x " + line, "0a") is None


@pytest.mark.parametrize("argv", SHELLS)
def test_a_file_is_written_changed_and_removed_in_every_shell(argv: list[str], tmp_path: Path) -> None:
    path = tmp_path / "[a]*é"
    data = bytes(range(256)) * 400
    digest = hashlib.sha256(data).hexdigest()
    seen = look(argv, path, tmp_path)
    scripts = write_scripts(seen, data, digest, owner=OWNER, mode=0o640, token="0a")
    assert len(scripts) == 3
    for script in scripts:
        done = run(argv, script, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes() == data
    assert parse_look(done.stdout)[str(path)].mode == 0o640
    done = run(argv, set_script(seen, owner=OWNER, mode=0o2600), tmp_path)
    assert parse_look(done.stdout)[str(path)].mode == 0o2600
    done = run(argv, remove_script(seen), tmp_path)
    assert parse_look(done.stdout)[str(path)].kind == "none"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", SHELLS)
def test_what_arrives_damaged_is_not_put_into_place(argv: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    seen = look(argv, path, tmp_path)
    (script,) = write_scripts(seen, b"new", "0" * 64, owner=OWNER, mode=0o600, token="0a")
    done = run(argv, script, tmp_path)
    assert done.returncode == 1
    assert "another checksum" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("argv", SHELLS)
def test_a_file_of_that_name_beside_it_is_never_written_into(argv: list[str], tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    other.write_text("other")
    (tmp_path / ".file.homelab-0a").symlink_to(other)
    seen = look(argv, path, tmp_path)
    (script,) = write_scripts(seen, b"new", hashlib.sha256(b"new").hexdigest(), owner=OWNER, mode=0o600, token="0a")
    assert run(argv, script, tmp_path).returncode != 0
    assert other.read_text() == "other"
    assert not path.exists()
    assert run(argv, discard_script(seen, "0a"), tmp_path).returncode == 0
    assert [one.name for one in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "rm -rf /\n",
        lambda text: "rm -rf /\n" + text,
        lambda text: text.replace("' yes", "'; rm -rf / ; echo ' yes"),
        lambda text: text.replace("readlink", "rm"),
        lambda text: text.partition("look '")[0],
        lambda text: "",
    ],
)
def test_only_a_look_is_a_look(change: t.Callable[[str], str]) -> None:
    text = look_script(["/etc/passwd", "/é"], sums=True)
    assert is_look(text)
    assert not is_look(change(text))


def test_no_other_script_is_a_look() -> None:
    seen = Seen(path="/etc/x", kind="none", folder=True)
    command = Command(text="true", limit=1, most=1)
    scripts = [run_script(command, "0a"), remove_script(seen), set_script(seen, owner="0:0", mode=0o600)]
    scripts += write_scripts(seen, b"x", "0" * 64, owner="0:0", mode=0o600, token="0a")
    assert not any(is_look(script) for script in scripts)


@pytest.mark.parametrize("out", ["path=L2V0Yw==\n", "path=L2V0Yw==\nkind=file\nsum=\n"])
def test_a_look_that_says_too_little_is_no_look(out: str) -> None:
    with pytest.raises(ValueError, match="it needs stat and sha256sum"):
        parse_look(out)
