# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in a guest: as declared, whole or not at all. The guest's shell is a real one, and so are its files."""

from __future__ import annotations

import base64
import grp
import hashlib
import json
import os
import pwd
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guests import add_guest, give_shell
from tests.support.pve.shell import Shell
from tests.support.workbench import Bench, Result, warnings_of

ME = pwd.getpwuid(os.getuid()).pw_name
MY_GROUP = grp.getgrgid(os.getgid()).gr_name
BINARY = random.Random(1).randbytes(200_000)


@pytest.fixture
def shell(bench: Bench, tmp_path: Path) -> Iterator[Shell]:
    """The shell of VM 101."""
    given = give_shell(add_guest(bench), tmp_path / "guest")
    (given.home / "etc").mkdir()
    yield given
    given.close()


@pytest.fixture
def dest(shell: Shell) -> Path:
    return shell.home / "etc" / "app é.conf"


def write(bench: Bench, dest: Path | str, check: bool = False, **options: Any) -> Result:
    return bench.call("guest_file", {"guest": "web", "dest": str(dest), **options}, check=check)


def written(bench: Bench, dest: Path | str, **options: Any) -> Result:
    result = write(bench, dest, **options)
    assert not result.get("failed"), result
    return result


def fetch(bench: Bench, src: Path | str, dest: Path | str, check: bool = False, **options: Any) -> Result:
    return bench.call("guest_file_fetch", {"guest": "web", "src": str(src), "dest": str(dest), **options}, check=check)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def around(dest: Path) -> list[str]:
    """What lies beside the file."""
    return sorted(one.name for one in dest.parent.iterdir())


def acted(bench: Bench) -> list[str]:
    """What was done in the guest in the last call, beside looking."""
    from ansible_collections.homelab.proxmox.plugins.module_utils._seed.guest_scripts import is_look  # noqa: PLC0415

    scripts = [entry.params.get("input-data", "") for entry in bench.writes()]
    return [script for script in scripts if not is_look(script)]


# --- writing


def test_a_file_is_written_once_as_declared(bench: Bench, dest: Path) -> None:
    wish = {"content": "a = 1\né\n", "owner": ME, "group": MY_GROUP, "mode": "0640"}
    planned = write(bench, dest, check=True, **wish)
    assert planned["changed"]
    assert acted(bench) == []
    assert not dest.exists()
    result = written(bench, dest, **wish)
    assert result["diff"] == planned["diff"]
    assert result["diff"]["before"] == {
        f"{dest} in VM 101 (web)": dict.fromkeys(("checksum", "content", "owner", "group", "mode"))
    }
    assert dest.read_text() == "a = 1\né\n"
    assert mode_of(dest) == 0o640
    assert around(dest) == [dest.name]
    assert result["file"] == {
        "path": str(dest),
        "state": "present",
        "size": 9,
        "checksum": hashlib.sha256(dest.read_bytes()).hexdigest(),
        "owner": ME,
        "group": MY_GROUP,
        "mode": "0640",
    }
    again = written(bench, dest, **wish)
    assert again["changed"] is False
    assert acted(bench) == []
    assert again["requests"]["writes"] == 0


def test_a_new_file_is_its_owners_alone_and_an_old_one_stays_as_it_is(bench: Bench, dest: Path) -> None:
    written(bench, dest, content="one", owner=ME, group=MY_GROUP)
    assert mode_of(dest) == 0o600
    dest.chmod(0o4755)
    inode = dest.stat().st_ino
    written(bench, dest, content="two")
    assert (dest.read_text(), mode_of(dest)) == ("two", 0o4755)
    assert dest.stat().st_ino != inode, "it was replaced, not written into"


def test_owner_and_mode_drift_are_mended_without_writing_the_content(bench: Bench, dest: Path) -> None:
    written(bench, dest, content="one", mode="0644")
    dest.chmod(0o666)
    inode = dest.stat().st_ino
    planned = write(bench, dest, content="one", mode="0644", check=True)
    result = written(bench, dest, content="one", mode="0644", owner=str(os.getuid()))
    assert planned["diff"] == result["diff"]
    assert result["diff"]["before"] == {f"{dest} in VM 101 (web)": {"mode": "0666"}}
    assert (mode_of(dest), dest.stat().st_ino) == (0o644, inode)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_an_owner_that_drifted_is_mended(bench: Bench, dest: Path) -> None:
    written(bench, dest, content="one", owner="daemon", group="daemon")
    assert (dest.stat().st_uid, dest.stat().st_gid) == (1, 1)
    os.chown(dest, 0, 0)
    result = written(bench, dest, content="two", owner="daemon", group="1")
    assert dest.stat().st_uid == dest.stat().st_gid == 1
    assert result["diff"]["before"][f"{dest} in VM 101 (web)"]["owner"] == "root"
    dest.write_text("three")
    written(bench, dest, content="four")
    assert dest.stat().st_uid == 1


@pytest.mark.parametrize("data", [b"", b"\0\xff\r\n", BINARY], ids=["empty", "odd", "200 kB"])
def test_binary_content_of_any_length_arrives_whole(bench: Bench, dest: Path, tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(data)
    result = written(bench, dest, src=str(source))
    assert dest.read_bytes() == data
    assert around(dest) == [dest.name]
    assert len(acted(bench)) == max(1, -(-len(data) // 45000))
    assert all(len(script) <= 65536 for script in acted(bench))
    assert "content" not in result["diff"]["after"][f"{dest} in VM 101 (web)"] or data == b""
    assert written(bench, dest, src=str(source))["changed"] is False


def test_differences_show_text_unless_they_must_not(bench: Bench, dest: Path) -> None:
    key = f"{dest} in VM 101 (web)"
    written(bench, dest, content="one\n")
    result = written(bench, dest, content="two\n")
    assert (result["diff"]["before"][key]["content"], result["diff"]["after"][key]["content"]) == ("one\n", "two\n")
    assert "content" not in written(bench, dest, content="three\n", show_diff=False)["diff"]["after"][key]


def test_a_secret_shows_nowhere(bench: Bench, dest: Path) -> None:
    secret = "Correct-Horse-77"
    written(bench, dest, content="old\n")
    texts = []
    for check in (True, False):
        texts.append(json.dumps(write(bench, dest, secret_content=secret, check=check)))
        sent = [entry.params.get("input-data", "") for entry in bench.writes()]
        assert len([script for script in sent if base64.b64encode(secret.encode()).decode() in script]) == (not check)
        assert all(entry.params["command"] == "/bin/sh" for entry in bench.writes())
    for text in texts:
        assert secret not in text
        assert hashlib.sha256(secret.encode()).hexdigest() not in text
        assert "old" not in json.loads(text)["diff"]["before"].popitem()[1].values()
        assert "<another secret>" in text
    assert dest.read_text() == secret
    again = written(bench, dest, secret_content=secret)
    assert again["changed"] is False
    assert again["file"]["checksum"] is None


def test_a_file_is_removed_once(bench: Bench, dest: Path) -> None:
    written(bench, dest, content="one")
    planned = write(bench, dest, state="absent", check=True)
    assert dest.exists()
    result = written(bench, dest, state="absent")
    assert result["diff"] == planned["diff"]
    assert result["file"]["state"] == "absent"
    assert not dest.exists()
    assert written(bench, dest, state="absent")["changed"] is False
    dest.symlink_to("/nowhere")
    assert written(bench, dest, state="absent")["changed"]
    assert not dest.is_symlink()


# --- what is in the way


def test_what_is_there_and_no_file_is_told_before(bench: Bench, shell: Shell, dest: Path) -> None:
    dest.symlink_to(shell.home / "other")
    assert (
        f"there is a symbolic link to {shell.home}/other. Give the file that is meant"
        in (write(bench, dest, content="x")["msg"])
    )
    for path, text in (
        (shell.home / "etc", "there is a folder. Give the file"),
        (shell.home / "none" / "x", "its folder is not there. Make the folder first"),
        ("/dev/null", "there is something that is no file"),
    ):
        assert text in write(bench, path, content="x")["msg"]
        assert acted(bench) == []
    assert not (shell.home / "other").exists()


def test_an_owner_that_is_nobody_leaves_everything_as_it_was(bench: Bench, dest: Path) -> None:
    dest.write_text("one")
    result = write(bench, dest, content="two", owner="nobody-of-that-name")
    assert "nobody-of-that-name" in result["msg"]
    assert "Nothing was left behind" in result["msg"]
    assert dest.read_text() == "one"
    assert around(dest) == [dest.name]


def test_a_write_that_is_cut_off_leaves_the_old_file_and_tidies_up(bench: Bench, dest: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(BINARY)
    dest.write_text("one")
    bench.cluster.faults.add("status", "POST", r"/agent/exec$", nth=4, code=500, reason="no")
    result = write(bench, dest, src=str(source))
    bench.cluster.faults.assert_all_fired()
    assert result["failed"]
    assert dest.read_text() == "one"
    assert around(dest) == [dest.name]
    assert written(bench, dest, src=str(source))["changed"]
    assert dest.read_bytes() == BINARY


def test_what_could_not_be_tidied_up_is_said_and_goes_later(bench: Bench, dest: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(BINARY)
    bench.cluster.faults.add("status", "POST", r"/agent/exec$", nth=4, times=None, code=500, reason="no")
    result = write(bench, dest, src=str(source))
    (left,) = around(dest)
    assert f"{dest.parent}/{left} in VM 101 (web)" in result["left_behind"][0]
    bench.server.call(bench.cluster.faults.reset)
    written(bench, dest, src=str(source))
    assert around(dest) == sorted([left, dest.name])
    subprocess.run(["touch", "-d", "2 hours ago", str(dest.parent / left)], check=True)
    written(bench, dest, content="small")
    assert around(dest) == [dest.name]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"content": "two", "mode": "0640"}, "two"),
        ({"content": "one", "mode": "0640"}, "one"),
        ({"state": "absent"}, ""),
    ],
    ids=["write", "mode", "remove"],
)
def test_an_answer_that_was_lost_is_found_in_the_file(
    bench: Bench, dest: Path, options: dict[str, str], left: str
) -> None:
    dest.write_text("one")
    bench.cluster.faults.add("cut_after", "POST", r"/agent/exec$", nth=2)
    result = written(bench, dest, **options)
    bench.cluster.faults.assert_all_fired()
    assert result["changed"]
    assert around(dest) == ([dest.name] if left else [])
    assert not left or (dest.read_text(), mode_of(dest)) == (left, 0o640)
    assert written(bench, dest, **options)["changed"] is False


def test_a_write_that_never_began_is_told(bench: Bench, dest: Path) -> None:
    bench.cluster.faults.add("cut_before", "POST", r"/agent/exec$", nth=2)
    result = write(bench, dest, content="one")
    assert result["failed"]
    assert "outcome is unknown" in result["msg"]
    assert around(dest) == []
    assert written(bench, dest, content="one")["changed"]


def test_two_runs_at_once_leave_one_whole_file(bench: Bench, dest: Path, tmp_path: Path) -> None:
    """The second run comes between two pieces of the first."""
    source = tmp_path / "source"
    source.write_bytes(BINARY)
    real = bench.cluster._table["POST", "/nodes/{node}/qemu/{vmid}/agent/exec"]
    seen: list[str] = []

    async def exec_(v: dict[str, Any], user: str) -> Any:
        seen.append(str(v.get("input-data")))
        if len(seen) == 3:
            other = dest.parent / f".{dest.name}.homelab-0a0b0c0d"
            other.write_bytes(b"the other run's piece")
        return await real(v, user)

    bench.cluster._table["POST", "/nodes/{node}/qemu/{vmid}/agent/exec"] = exec_
    written(bench, dest, src=str(source))
    assert dest.read_bytes() == BINARY
    assert f".{dest.name}.homelab-0a0b0c0d" in around(dest)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"content": "x", "dest": "etc/x"}, "dest='etc/x': give the whole path"),
        ({"content": "x", "dest": "/etc/"}, "dest='/etc/': give the file, not a folder"),
        ({"content": "x", "dest": "/e\nx"}, "a path with a line end or a NUL"),
        ({"content": "x", "mode": 420}, "mode='420': give four octal digits in quotes"),
        ({"content": "x", "mode": "u=rw"}, "mode='u=rw': give four octal digits"),
        ({"content": "x", "owner": "-R x"}, "owner='-R x': give a name or a number"),
        ({}, "content, secret_content, src: one of them says what the file holds"),
        ({"content": "x", "src": "/x"}, "parameters are mutually exclusive"),
        ({"src": "/no/such/file"}, "src='/no/such/file': it cannot be read: No such file or directory"),
        ({"content": "x", "state": "absent"}, "state='absent': it needs no content"),
        ({"content": "xxx", "max_size": 2}, "max_size=2: 3 bytes are to be written"),
        ({"content": "x", "agent_timeout": -1}, "agent_timeout=-1: give 0 seconds or more"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_options_that_cannot_be_meant(bench: Bench, options: dict[str, Any], text: str) -> None:
    result = bench.call("guest_file", {"guest": "web", "dest": "/etc/x", **options})
    assert text in result["msg"]
    assert bench.server.requests == []


# --- fetching


@pytest.mark.parametrize("data", [b"", b"\0\xff\r\n", BINARY], ids=["empty", "odd", "200 kB"])
def test_a_file_is_fetched_once_as_it_is(bench: Bench, dest: Path, tmp_path: Path, data: bytes) -> None:
    dest.write_bytes(data)
    copy = tmp_path / "copy"
    planned = fetch(bench, dest, copy, check=True)
    assert planned["changed"]
    assert not copy.exists()
    result = fetch(bench, dest, copy)
    assert not result.get("failed"), result
    assert result["diff"] == planned["diff"]
    assert copy.read_bytes() == data
    assert mode_of(copy) == 0o600
    assert acted(bench) == []
    again = fetch(bench, dest, copy)
    assert again["changed"] is False
    assert fetch(bench, dest, copy, mode="0644")["changed"]
    assert mode_of(copy) == 0o644


def test_what_cannot_be_fetched_is_told(bench: Bench, shell: Shell, dest: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    big = shell.home / "big"
    with big.open("wb") as stream:
        stream.truncate(16 * 1024 * 1024 + 1)
    dest.symlink_to(big)
    for src, text in (
        (big, "it has 16777217 bytes, and the agent gives 16777216 at most"),
        (dest, f"it is a symbolic link to {big}"),
        (shell.home / "none", "there is no such file"),
        (shell.home / "etc", "it is no file but a folder"),
    ):
        assert text in fetch(bench, src, copy)["msg"]
    assert not copy.exists()


def test_a_file_that_changes_while_it_is_fetched_is_not_taken(bench: Bench, dest: Path, tmp_path: Path) -> None:
    dest.write_text("one")
    real = bench.cluster._table["GET", "/nodes/{node}/qemu/{vmid}/agent/file-read"]

    async def read(v: dict[str, Any], user: str) -> Any:
        answer = await real(v, user)
        dest.write_text("two")
        return answer

    bench.cluster._table["GET", "/nodes/{node}/qemu/{vmid}/agent/file-read"] = read
    result = fetch(bench, dest, tmp_path / "copy")
    assert "changed while it was fetched. Run again" in result["msg"]
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"src": "x"}, "src='x': give the whole path"),
        ({"dest": "/"}, "dest='/': this is a folder"),
        ({"dest": "/no/such/x"}, "dest='/no/such/x': its folder is not there"),
        ({"mode": "9"}, "mode='9': give four octal digits"),
    ],
    ids=str,
)
def test_fetch_options_that_cannot_be_meant(bench: Bench, options: dict[str, Any], text: str) -> None:
    result = bench.call("guest_file_fetch", {"guest": "web", "src": "/etc/x", "dest": "/tmp/x", **options})
    assert text in result["msg"]
    assert bench.server.requests == []


def test_nothing_warns_where_nothing_is_wrong(bench: Bench, dest: Path) -> None:
    assert warnings_of(written(bench, dest, content="one")) == []
