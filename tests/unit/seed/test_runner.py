# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's script, run for real by sh in a folder of its own, and what the controller reads of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.customize import Customize, PackageFile, Script
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.errors import SeedError
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.runner import (
    interpreter,
    runner,
    runner_files,
    steps_of,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.status import (
    Progress,
    cksum,
    parse_serial,
    parse_status,
)

RUN = "place-1-1"
SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


def script(name: str, text: str, timeout: int = 60, by: str | None = None) -> Script:
    return Script(name=name, content=text.encode(), timeout=timeout, interpreter=by)


def scripts(*given: Script, runcmd: tuple = ()) -> tuple:
    return steps_of(Customize(agent="none", scripts=given), runcmd)


@dataclass
class Guest:
    """A folder that stands for /run/homelab, and files for the log folder and the serial console."""

    folder: Path

    def run(self, *steps, shell: str = "sh", console: bool = True) -> int:
        for path, data in runner_files(RUN, steps, str(self.folder)).items():
            Path(path).write_bytes(data)
        (self.folder / "console").write_bytes(b"")
        env = {
            "HOMELAB_LOG": str(self.folder / "log"),
            "HOMELAB_CONSOLE": str(self.folder / ("console" if console else "none")),
        }
        program = shutil.which(shell) or shell
        command = [program, "sh"] if shell == "busybox" else [program]
        return subprocess.run(
            [*command, str(self.folder / "run.sh")],
            env=env,
            cwd="/",
            check=False,
            timeout=300,
            stdin=subprocess.DEVNULL,
        ).returncode

    @property
    def progress(self) -> Progress:
        return parse_status((self.folder / "status.jsonl").read_text(encoding="ascii"), RUN)

    @property
    def serial(self) -> str:
        return (self.folder / "console").read_bytes().decode("ascii")


def is_alive(pid: str) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_steps_run_in_their_order_and_tell_what_they_wrote(guest, shell):
    trace = guest.folder / "trace"
    status = guest.run(
        *scripts(
            script("b-first", f"echo one >>{trace}; echo out; echo err >&2"),
            script("a-second", f"#!/bin/bash\n[[ 1 ]] && echo two >>{trace}"),
            runcmd=(f"echo zero >>{trace}", ["touch", f"{guest.folder}/it's here"], None),
        ),
        shell=shell,
    )
    assert status == 0
    assert trace.read_text().split() == ["zero", "one", "two"]
    assert (guest.folder / "it's here").exists()
    progress = guest.progress
    assert progress.result == "done"
    assert progress.steps == 3
    assert [(step.number, step.name, step.status) for step in progress.ended] == [
        (1, "runcmd", 0),
        (2, "script b-first", 0),
        (3, "script a-second", 0),
    ]
    assert progress.ended[1].output == "out\nerr\n"
    assert progress.failure is None
    assert parse_serial(guest.serial, RUN) == progress


@pytest.mark.parametrize("shell", SHELLS)
def test_the_first_failure_ends_the_run_and_is_told_with_its_output(guest, shell):
    trace = guest.folder / "trace"
    status = guest.run(
        *scripts(script("one", "echo boom >&2\nexit 7"), script("two", f"touch {trace}")),
        shell=shell,
    )
    assert status == 1
    assert not trace.exists()
    progress = guest.progress
    assert (progress.result, progress.running) == ("failed", None)
    assert progress.failure is progress.ended[0]
    assert str(progress.failure) == "step 1, script one, ended with status 7:\nboom"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_step_that_takes_too_long_is_stopped_with_its_children(guest, shell):
    pids = guest.folder / "pids"
    text = f"echo begun\nsleep 600 & echo $! $$ >{pids}\nsleep 600"
    assert guest.run(*scripts(script("slow", text, timeout=1)), shell=shell) == 1
    assert not [pid for pid in pids.read_text().split() if is_alive(pid)]
    failure = guest.progress.failure
    assert failure is not None
    assert failure.timed_out
    assert 1 <= failure.seconds < 300
    assert str(failure) == f"step 1, script slow, was stopped after {failure.seconds} s:\nbegun"


def test_a_step_that_only_fails_fast_is_not_called_late(guest):
    guest.run(*scripts(script("one", "exit 124", timeout=600)))
    assert [(step.status, step.timed_out) for step in guest.progress.ended] == [(124, False)]


def test_a_child_that_stays_does_not_hold_the_run(guest):
    pid = guest.folder / "pid"
    began = time.monotonic()
    assert guest.run(*scripts(script("daemon", f"sleep 600 & echo $! >{pid}"))) == 0
    os.kill(int(pid.read_text()), 15)
    assert time.monotonic() - began < 300


def test_output_is_cut_at_its_beginning_and_may_be_anything(guest):
    guest.run(
        *scripts(
            script("long", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"),
            script("strange", "printf 'gr\\303\\274\\303\\237 \\342\\202\\254 \\377 \"q\" \\\\ \\000 \\r\\n'"),
        )
    )
    long, strange = guest.progress.ended
    assert long.output.endswith("line 1998\nline 1999\n")
    assert len(long.output) == 4096
    assert strange.output == 'grüß € \ufffd "q" \\ \x00 \r\n'
    assert (guest.folder / "log" / "1.log").stat().st_size > 4096
    assert parse_serial(guest.serial, RUN) == guest.progress


def test_a_step_sees_no_input_starts_in_the_root_folder_and_knows_its_home(guest):
    guest.run(*scripts(script("look", 'cat; pwd; echo "$HOME"; umask; echo "$PATH"')))
    folder, home, umask, path = guest.progress.ended[0].output.split()
    assert (folder, home, umask) == ("/", "/root", "0022")
    assert "/usr/sbin" in path.split(":")


def test_a_guest_without_serial_line_is_as_good(guest):
    assert guest.run(*scripts(script("one", "true")), console=False) == 0
    assert guest.serial == ""
    assert guest.progress.result == "done"


def test_a_run_that_is_ended_says_so(guest):
    steps = scripts(Script(name="one", content=b'kill -TERM $(cat "$folder/pid")', timeout=60))
    for path, data in runner_files(RUN, steps, str(guest.folder)).items():
        Path(path).write_bytes(data.replace(b"set -u\n", b'set -u\necho $$ >"$(dirname "$0")/pid"\n', 1))
    env = {"HOMELAB_LOG": str(guest.folder / "log"), "HOMELAB_CONSOLE": "/none"}
    assert subprocess.run(["sh", str(guest.folder / "run.sh")], env=env, check=False, timeout=300).returncode == 1
    assert guest.progress.result == "failed"


def test_the_status_file_is_for_root_alone(guest):
    guest.run(*scripts(script("one", "true")))
    assert (guest.folder / "status.jsonl").stat().st_mode & 0o777 == 0o600
    assert (guest.folder / "log").stat().st_mode & 0o777 == 0o700


# --- reading


def test_progress_of_a_run_that_still_works(guest):
    guest.run(*scripts(script("one", "true"), script("two", "true")))
    lines = (guest.folder / "status.jsonl").read_text().splitlines(keepends=True)
    assert [len(lines), parse_status("".join(lines[:4]), RUN).running] == [6, "script two"]
    half = "".join(lines[:4]) + lines[4][:20]
    assert parse_status(half, RUN) == parse_status("".join(lines[:4]), RUN)
    assert parse_status(half, RUN).result is None
    assert parse_status("".join(lines), "another") == Progress()
    assert parse_status("", RUN) == Progress()


def test_lines_into_which_the_kernel_wrote_do_not_count(guest):
    guest.run(*scripts(script("one", "exit 3")))
    damaged = guest.serial.replace('"status":3', '"status":[   12.3] random: crng init done\r\n3')
    assert parse_serial(damaged, RUN).ended == ()
    assert parse_serial(guest.serial.replace('"status":3', '"status":0'), RUN).ended == ()
    noisy = "[ 1.0] boot\r\n" + guest.serial.replace("\r\nhomelab-seed", "\r\n[ 9.9] x homelab-seed") + "login: "
    assert parse_serial(noisy, RUN) == guest.progress


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"v":2,"run":"place-1-1","event":"finished","result":"done"}',
        '{"v":1,"run":"place-1-1","event":"finished"}',
        '{"v":1,"run":"place-1-1","event":"end","step":"1"}',
        '{"v":1,"run":"place-1-1","event":"other"}',
    ],
)
def test_other_lines_do_not_count(line):
    assert parse_status(line + "\n", RUN) == Progress()


@pytest.mark.parametrize("data", [b"", b"a", b"homelab", bytes(range(256)) * 3])
def test_cksum_is_that_of_the_program(data):
    told = subprocess.run(["cksum"], input=data, capture_output=True, check=True).stdout
    assert cksum(data) == int(told.split()[0])


# --- making


def test_all_steps_in_their_order():
    customize = Customize(
        packages=("nginx", "curl", "nginx"),
        package_upgrade=True,
        scripts=(script("one", "true", 5),),
        agent_packages=(PackageFile(name="a.deb", content=b"x"),),
    )
    steps = steps_of(customize, ["true"])
    assert [step.name for step in steps] == ["agent", "package_upgrade", "packages", "runcmd", "script one"]
    assert steps[2].text.endswith(b"install_packages nginx curl\n")
    assert steps[4].timeout == 5


@pytest.mark.parametrize(
    ("agent", "packages", "line"),
    [
        ("auto", (), "there || from_packages"),
        ("install", (), "from_packages"),
        ("auto", (PackageFile(name="a.deb", content=b""),), "there || from_seed"),
        ("install", (PackageFile(name="a.deb", content=b""),), "from_seed"),
    ],
)
def test_where_the_agent_comes_from(agent, packages, line):
    (step,) = steps_of(Customize(agent=agent, agent_packages=packages), ())
    assert line in step.text.decode().splitlines()


@pytest.mark.parametrize(
    ("content", "by", "program"),
    [
        (b"echo", None, ("/bin/sh",)),
        (b"#!/bin/bash -eu\n", None, ("/bin/bash", "-eu")),
        (b"#! /usr/bin/env python3\n", None, ("/usr/bin/env", "python3")),
        (b"#!/usr/bin/env -S a b\n", None, ("/usr/bin/env", "-S a b")),
        (b"#!/bin/bash\n", "/usr/bin/python3", ("/usr/bin/python3",)),
    ],
)
def test_the_interpreter_is_read_as_the_kernel_does(content, by, program):
    assert interpreter(Script(name="x", content=content, interpreter=by)) == program


@pytest.mark.parametrize(
    ("content", "by"), [(b"#!\n", None), (b"#!bash\n", None), (b"", "bash"), (b"#!/bin/\xff\n", None)]
)
def test_an_interpreter_without_a_path_is_refused(content, by):
    with pytest.raises(SeedError):
        interpreter(Script(name="x", content=content, interpreter=by))


@pytest.mark.parametrize("name", ['a"b', "a$b", "a`b", "a\\b", "ü", ""])
def test_names_that_would_need_quoting_are_refused(name):
    with pytest.raises(SeedError):
        runner(name, ())
    if name:
        with pytest.raises(SeedError):
            scripts(script(name, "true"))


def test_runcmd_of_another_type_is_refused():
    with pytest.raises(SeedError, match=r"runcmd\[1\]"):
        steps_of(Customize(), ["true", {"a": 1}])
