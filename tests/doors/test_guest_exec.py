# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in a guest: they run as they are meant, and nothing secret shows. The guest's shell is a real one."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guests import add_guest, give_shell
from tests.support.pve.shell import Shell
from tests.support.workbench import Bench, Result, warnings_of


@pytest.fixture
def shell(bench: Bench, tmp_path: Path) -> Iterator[Shell]:
    """The shell of VM 101."""
    given = give_shell(add_guest(bench), tmp_path / "guest")
    yield given
    given.close()


def execute(bench: Bench, *argv: str, check: bool = False, **options: Any) -> Result:
    own = {"argv": list(argv)} if argv else {}
    return bench.call("guest_exec", {"guest": "web", **own, **options}, check=check)


def done(bench: Bench, *argv: str, **options: Any) -> Result:
    result = execute(bench, *argv, **options)
    assert not result.get("failed"), result
    return result


# --- what runs, with what


def test_arguments_arrive_as_they_are(bench: Bench, shell: Shell) -> None:
    words = ["a b", "$HOME", "*", "", "é€", "it's", "-n", "tail\n\n", 'say "x"', "`id`"]
    result = done(bench, "/bin/sh", "-c", 'for one in "$@"; do printf "[%s]" "$one"; done', "sh", *words)
    assert result["stdout"] == "".join(f"[{word}]" for word in words)
    assert (result["rc"], result["stderr"], result["changed"]) == (0, "", True)
    assert result["steps"][0].startswith("run in VM 101 (web): /bin/sh -c ")


def test_a_script_has_its_own_input_folder_and_environment(bench: Bench, shell: Shell) -> None:
    script = 'pwd\nread -r line\necho "$line/$PLAIN/$KEY/$HOME"\numask\n'
    result = done(
        bench,
        cmd=script,
        stdin="naïve",
        chdir=str(shell.home),
        environment={"PLAIN": "it's $5", "limit": "1", "NUMBER": 7},
        secrets={"KEY": "s3cr3t-€"},
    )
    assert result["stdout"].splitlines()[:1] == [str(shell.home)]
    # The module masks what it was told to keep secret, so what arrived is read where it was written.
    assert "naïve/it's $5/" in result["stdout"]
    assert result["stdout"].splitlines()[-1] == "0022"
    assert "s3cr3t" not in json.dumps(result)
    written = done(bench, cmd=f'printf %s "$KEY" >{shell.home}/key', secrets={"KEY": "s3cr3t-€"})
    assert (shell.home / "key").read_text() == "s3cr3t-€"
    assert "s3cr3t" not in json.dumps(written)


def test_nothing_secret_is_an_argument_anywhere(bench: Bench, shell: Shell) -> None:
    look = f"ps -eo args >{shell.home}/seen; tr '\\0' ' ' </proc/$$/cmdline >{shell.home}/self"
    done(bench, cmd=f"{look} # Correct-Horse", secrets={"KEY": "Battery-Staple"}, stdin="Correct-Battery")
    seen = (shell.home / "seen").read_text() + (shell.home / "self").read_text()
    assert "cmd" in seen
    for word in ("Correct-Horse", "Battery-Staple", "Correct-Battery"):
        assert word not in seen
        assert base64.b64encode(word.encode()).decode()[:10] not in seen
    (call,) = [entry for entry in bench.writes() if entry.path.endswith("/agent/exec")]
    assert call.params["command"] == "/bin/sh"
    assert call.params["input-data"].isascii()


def test_the_input_is_not_the_script_itself(bench: Bench, shell: Shell) -> None:
    assert done(bench, "cat")["stdout"] == ""
    assert done(bench, "cat", stdin="one\ntwo")["stdout"] == "one\ntwo"
    assert done(bench, "wc", "-c", stdin="abc", stdin_add_newline=False)["stdout"].strip() == "3"


def test_what_a_command_says_is_returned_and_its_failure_is_one(bench: Bench, shell: Shell) -> None:
    result = execute(bench, cmd="echo out; echo é >&2; exit 3")
    assert result["failed"]
    assert (result["rc"], result["stdout"], result["stderr"]) == (3, "out", "é")
    assert result["msg"] == "VM 101 (web): the command ended with status 3: é"
    assert result["changed"]
    assert execute(bench, "/no/such/program")["rc"] == 127
    assert execute(bench, cmd="kill -9 $$")["rc"] == 137


def test_long_output_is_cut_and_said_to_be(bench: Bench, shell: Shell) -> None:
    result = done(bench, cmd="head -c 200000 /dev/zero | tr '\\0' x; echo no >&2", max_output=1000)
    assert len(result["stdout"]) == 1000
    assert (result["stdout_bytes"], result["stdout_truncated"]) == (200000, True)
    assert (result["stderr"], result["stderr_truncated"]) == ("no", False)
    assert warnings_of(result) == [
        "VM 101 (web): stdout has 200000 bytes, of which the first 1000 are returned (max_output)"
    ]


def test_bytes_that_are_no_text_do_no_harm(bench: Bench, shell: Shell) -> None:
    assert done(bench, cmd="printf 'a\\377b'")["stdout"] == "a\ufffdb"


def test_a_command_that_takes_too_long_is_ended_in_the_guest(bench: Bench, shell: Shell) -> None:
    begun = time.monotonic()
    result = execute(bench, cmd=f"echo begun; sleep 50; touch {shell.home}/over", guest_timeout=1)
    assert time.monotonic() - begun < 20
    assert "did not end within guest_timeout=1 s, and was ended" in result["msg"]
    assert result["stdout"] == "begun"
    assert not (shell.home / "over").exists()
    # A command of its own that ends with the status of a time-out has not been ended for its time.
    assert "status 124" in execute(bench, cmd="exit 124")["msg"]


def test_nothing_is_left_but_for_a_minute_and_nobody_else_reads_it(bench: Bench, shell: Shell) -> None:
    done(bench, cmd="cat", stdin="Correct-Horse")
    (kept,) = (shell.home / "run").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o700
    assert sorted(file.name for file in kept.iterdir()) == ["begun", "ended", "err", "out"]
    waiting = subprocess.run(["pgrep", "-f", "^sleep 60$"], capture_output=True, text=True, check=False).stdout.split()
    assert waiting


def test_what_former_runs_left_is_tidied_up(bench: Bench, shell: Shell) -> None:
    old = shell.home / "run" / "homelab-exec-old"
    old.mkdir()
    (old / "out").write_text("x")
    subprocess.run(["touch", "-d", "3 days ago", str(old)], check=True)
    done(bench, "true")
    assert not old.exists()


# --- whether it runs


def test_creates_and_removes_decide_without_changing_anything(bench: Bench, shell: Shell) -> None:
    mark = shell.home / "mark é"
    wish = {"cmd": f"touch '{mark}'", "creates": str(mark)}
    planned = execute(bench, check=True, **wish)
    assert planned["changed"]
    assert not mark.exists()
    assert done(bench, **wish)["changed"]
    assert mark.exists()
    again = done(bench, **wish)
    assert (again["changed"], again["rc"]) == (False, 0)
    assert again["skipped_reason"] == f"creates: {mark} is there already"
    assert again["requests"]["writes"] == 0
    assert done(bench, cmd="true", removes=str(mark))["changed"]
    assert done(bench, cmd="true", removes=str(shell.home / "none"))["changed"] is False
    assert done(bench, cmd="true", creates=str(shell.home))["changed"] is False


def test_check_mode_runs_nothing(bench: Bench, shell: Shell) -> None:
    result = execute(bench, "touch", "/nowhere/x", check=True)
    assert result["changed"]
    assert result["diff"]["after"] == {"VM 101 (web)": {"ran": "touch /nowhere/x"}}
    assert bench.writes() == []
    assert shell.scripts == []


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (lambda vm: vm.config.update(agent="0"), "its config has no guest agent (agent). Install qemu-guest-agent"),
        (lambda vm: setattr(vm, "qmpstatus", "paused"), "it is paused, so its agent cannot answer. Resume it"),
        (lambda vm: vm.__dict__.update(status="stopped", qmpstatus="stopped"), "it is stopped, not running. Start it"),
        (lambda vm: vm.config.update(template=1), "it is a template, which never runs"),
        (lambda vm: vm.config.update(ostype="win11"), "its system is Windows (ostype=win11), which has no POSIX shell"),
    ],
    ids=["no agent", "paused", "stopped", "template", "Windows"],
)
def test_what_cannot_be_asked_is_told_before(bench: Bench, shell: Shell, prepare: Any, text: str) -> None:
    prepare(bench.cluster.vms[101])
    result = execute(bench, "true", creates="/x")
    assert f"VM 101 (web): guest='web': {text}" in result["msg"]
    assert bench.writes() == []


def test_guests_that_are_none_or_several_are_told(bench: Bench, shell: Shell) -> None:
    bench.cluster.add_ct(103, "dns")
    add_guest(bench, 102, "web")
    assert "this name stands for several guests" in execute(bench, "true")["msg"]
    assert "CT 103 (dns) is a container" in execute(bench, "true", guest="dns")["msg"]
    assert "there is no guest of this VMID" in execute(bench, "true", guest="999")["msg"]


@pytest.mark.parametrize("bench", ["8.4.21", "9.1.2"], indirect=True)
def test_privileges_are_those_of_the_version(bench: Bench, shell: Shell) -> None:
    role = bench.cluster.add_role("Looker", ["VM.Audit"])
    bench.cluster.add_user("ops@pve", "Correct-Horse-1")
    bench.cluster.grant("ops@pve", "/vms/101", role)
    bench.credentials = {"api_user": "ops@pve", "api_password": "Correct-Horse-1"}
    needed = "VM.Monitor" if bench.cluster.major == 8 else "VM.GuestAgent.Unrestricted"
    result = execute(bench, "true", creates="/x")
    assert f"it lacks {needed} on /vms/101, needed for agent_exec" in result["msg"]
    bench.cluster.access.roles[role].add(needed)
    assert done(bench, "true")["rc"] == 0


# --- what goes wrong on the way


def test_an_agent_that_is_silent_for_a_while_is_waited_for(bench: Bench, shell: Shell) -> None:
    bench.cluster.vms[101].inside.refusals = 3
    assert done(bench, "true")["rc"] == 0


def test_an_agent_that_does_not_answer_is_told(bench: Bench, shell: Shell) -> None:
    bench.cluster.vms[101].inside.wedged = True
    result = execute(bench, "true", agent_timeout=0)
    assert "QEMU guest agent is not running" in result["msg"]
    assert "The guest agent of VM 101 (web) does not answer. Is qemu-guest-agent installed" in result["msg"]


@pytest.mark.parametrize("options", [{}, {"creates": "/etc/x"}], ids=["command", "look"])
def test_an_agent_that_may_not_run_commands_is_told_with_what_helps(
    bench: Bench, shell: Shell, options: dict[str, str]
) -> None:
    reason = "Agent error: Command guest-exec has been disabled"
    bench.cluster.faults.add("status", "POST", r"/agent/exec$", code=500, reason=reason)
    result = execute(bench, "true", **options)
    assert "is told not to run commands" in result["msg"]
    assert "/etc/sysconfig/qemu-ga" in result["msg"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", r"/agent/exec$"), ("GET", r"/agent/exec-status$")], ids=["begin", "end"]
)
def test_a_lost_answer_loses_no_exit_status(bench: Bench, shell: Shell, method: str, path: str) -> None:
    counter = shell.home / "count"
    # The agent tells an end once: the answer that says so is the one that is lost.
    real = bench.cluster._table["GET", "/nodes/{node}/qemu/{vmid}/agent/exec-status"]

    async def once_ended(v: dict[str, Any], user: str) -> Any:
        guest = bench.cluster.vms[101].inside
        for running in guest.scripts.values():
            running._thread.join(10)
        return await real(v, user)

    bench.cluster._table["GET", "/nodes/{node}/qemu/{vmid}/agent/exec-status"] = once_ended
    bench.cluster.faults.add("cut_after", method, path)
    result = execute(bench, cmd=f"echo x >>{counter}; echo out; echo err >&2; exit 5")
    bench.cluster.faults.assert_all_fired()
    assert (result["rc"], result["stdout"], result["stderr"]) == (5, "out", "err")
    assert counter.read_text() == "x\n"


def test_a_command_that_never_began_is_told(bench: Bench, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.homelab.proxmox.plugins.module_utils._apply import guest_shell  # noqa: PLC0415

    monkeypatch.setattr(guest_shell, "_BEGINS", 0.1)
    bench.cluster.faults.add("cut_before", "POST", r"/agent/exec$")
    result = execute(bench, "touch", f"{shell.home}/x")
    assert (
        "the connection was cut while the command was begun, and did not begin, as far as can be seen"
        in (result["msg"])
    )
    assert not (shell.home / "x").exists()


def test_a_folder_that_is_not_there_runs_nothing(bench: Bench, shell: Shell) -> None:
    result = execute(bench, "touch", f"{shell.home}/x", chdir=f"{shell.home}/none")
    assert f"nothing was run: chdir: there is no folder {shell.home}/none" in result["msg"]
    assert not (shell.home / "x").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"argv": []}, "argv: its first element is the program; it is empty"),
        ({"cmd": " "}, "cmd='': give a command"),
        ({"cmd": "a", "argv": ["b"]}, "parameters are mutually exclusive: argv|cmd"),
        ({}, "one of the following is required: argv, cmd"),
        ({"cmd": "a", "chdir": "etc"}, "chdir='etc': give the whole path"),
        ({"cmd": "a", "creates": "x"}, "creates='x': give the whole path"),
        ({"cmd": "a", "guest_timeout": 0}, "guest_timeout=0: give 1 second or more"),
        ({"cmd": "a", "max_output": 1000001}, "max_output=1000001: give 0 to 1000000 bytes"),
        ({"cmd": "a", "environment": {"A-B": 1}}, "environment: 'A-B' cannot be the name of a variable"),
        ({"cmd": "a", "environment": {"homelab_x": 1}}, "environment: 'homelab_x' cannot be the name"),
        ({"cmd": "a", "environment": {"A": 1}, "secrets": {"A": 2}}, "secrets: A stand in environment too"),
        (
            {"cmd": "a", "stdin": "x" * 50000},
            "and the agent takes 65536. Put what is long into the guest with guest_fi",
        ),
        ({"cmd": "a", "guest": " "}, "guest='': give a name or a VMID"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_options_that_cannot_be_meant(bench: Bench, options: dict[str, Any], text: str) -> None:
    result = bench.call("guest_exec", {"guest": "web", **options})
    assert text in result["msg"]
    assert bench.server.requests == []
