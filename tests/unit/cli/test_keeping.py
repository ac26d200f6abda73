# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs keep: folders, logs, locks; and how they end."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import typing as t
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.load import load
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.model import Invocation
from ansible_collections.homelab.proxmox.plugins.module_utils._actions.resolve import find, resolve
from ansible_collections.homelab.proxmox.plugins.module_utils._cli import cancel, processes, runs, status
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.context import make
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.journal import Journal
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.locks import Busy, locked, target_of
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.progress import Watcher
from ansible_collections.homelab.proxmox.plugins.module_utils._cli.reference import config_schema

REGISTRY = load(None, config_schema)
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def invocation(name: str = "health", **options: t.Any) -> Invocation:
    return resolve(find(REGISTRY, name), {}, **options)


# --- runs


def test_a_run_has_a_folder_that_only_its_owner_reads(tmp_path: Path) -> None:
    run = runs.begin(tmp_path / "runs", tmp_path / "logs", invocation())
    assert run.folder.stat().st_mode & 0o777 == 0o700
    assert run.facts.stat().st_mode & 0o777 == 0o600
    facts = run.read()
    assert (facts["status"], facts["action"], facts["playbook"]) == ("running", "health", "homelab.proxmox.health")
    assert run.process() == processes.identity(os.getpid())


def test_a_run_whose_process_is_gone_is_lost(tmp_path: Path) -> None:
    run = runs.begin(tmp_path / "runs", tmp_path / "logs", invocation())
    run.update(process=[os.getpid(), "1"])
    assert run.read()["status"] == "lost"
    assert run.process() is None


def test_another_boot_is_another_process(tmp_path: Path) -> None:
    run = runs.begin(tmp_path / "runs", tmp_path / "logs", invocation())
    run.update(boot="another")
    assert run.read()["status"] == "lost"


def old_run(tmp_path: Path, days: int, action: str = "health") -> runs.Run:
    """A finished run of that age."""
    name = f"{NOW - timedelta(days=days):%Y%m%dT%H%M%SZ}-{action}-{days:04x}"
    run = runs.Run(tmp_path / "runs" / name, tmp_path / "logs" / f"{name}.jsonl")
    run.folder.mkdir(parents=True)
    run.log.parent.mkdir(exist_ok=True)
    run.log.write_text('{"event": "begin"}\nnot whole')
    run.update(id=name, status="ok", action=action, begin=(NOW - timedelta(days=days)).isoformat())
    return run


def test_old_and_surplus_runs_go_with_their_logs(tmp_path: Path) -> None:
    every = [old_run(tmp_path, days) for days in (1, 2, 3, 100)]
    alive = old_run(tmp_path, 200)
    alive.update(status="running", boot=processes.boot(), process=processes.identity(os.getpid()))
    gone = runs.prune(tmp_path / "runs", tmp_path / "logs", NOW, keep=2, days=90)
    assert gone == [every[2].id, every[3].id]
    left = [run.id for run in runs.all_runs(tmp_path / "runs", tmp_path / "logs")]
    assert left == [every[0].id, every[1].id, alive.id], "what still runs stays"
    assert sorted(path.stem for path in (tmp_path / "logs").iterdir()) == sorted(left)


def test_secrets_of_a_killed_run_are_removed_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    folders = tmp_path / "runs", tmp_path / "logs"
    killed, alive = runs.begin(*folders, invocation()), runs.begin(*folders, invocation())
    killed.update(process=[os.getpid(), "1"])
    for run in (killed, alive):
        run.secrets.write_text("{}")
    runs.forget_secrets(*folders)
    assert (killed.secrets.exists(), alive.secrets.exists()) == (False, True)


def test_runs_are_found_by_their_beginning_or_their_action(tmp_path: Path) -> None:
    first, second = old_run(tmp_path, 2), old_run(tmp_path, 1, "template-prove")
    folders = tmp_path / "runs", tmp_path / "logs"
    assert runs.find(*folders, first.id[:12]) == [first]
    assert runs.find(*folders, "template-prove") == [second]
    assert runs.find(*folders, "nothing") == []
    assert list(runs.log_lines(first)) == [{"event": "begin"}], "a line that is not whole is left out"


# --- locks


def never(_run: str) -> bool:
    return False


def test_what_changes_things_locks_its_target_and_what_reads_does_not() -> None:
    assert target_of(invocation("health")) is None
    assert target_of(invocation("templates")) == "proxmox_clusters"
    assert target_of(invocation("templates", limit="home")) == "proxmox_clusters"
    assert target_of(invocation("templates", check=True)) is None
    assert target_of(invocation("hardening")) == "guests"


def test_a_second_run_on_the_target_is_refused_and_told_whose_it_is(tmp_path: Path) -> None:
    with locked(tmp_path, "lab", "first", never):
        with pytest.raises(Busy, match="another run works on lab: first"), locked(tmp_path, "lab", "second", never):
            pass
        with locked(tmp_path, "other", "third", never), locked(tmp_path, None, "fourth", never):
            pass
    with locked(tmp_path, "lab", "fifth", never):
        assert (tmp_path / "lab.lock").read_text() == "fifth\n"


def test_a_killed_run_whose_ansible_lives_still_holds_its_target(tmp_path: Path) -> None:
    with locked(tmp_path, "lab", "killed", never):
        pass
    with pytest.raises(Busy, match="killed"), locked(tmp_path, "lab", "next", lambda run: run == "killed"):
        pass


# --- logs


def test_lines_bear_the_run_and_come_to_systemds_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        with Journal("run-1", tmp_path / "log", "health", "info", path) as journal:
            journal.say("task", "two\nlines", level="error", host="home", none=None)
            journal.say("output", "too little", level="debug")
        told = systemd.recv(65536)
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(1)
    (line,) = [json.loads(text) for text in (tmp_path / "log").read_text().splitlines()]
    assert (line["run"], line["action"], line["event"], line["host"]) == ("run-1", "health", "task", "home")
    assert "none" not in line
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    assert b"MESSAGE\n" + struct.pack("<Q", 9) + b"two\nlines\n" in told
    assert b"PRIORITY=3\n" in told
    assert b"HOMELAB_RUN=run-1\n" in told
    assert b"SYSLOG_IDENTIFIER=homelab\n" in told


def test_a_journal_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("no socket")
    with Journal("run-1", tmp_path / "log", "health", "info", tmp_path / "journal") as journal:
        journal.say("begin", "one")
        journal.say("end", "two")
    assert len((tmp_path / "log").read_text().splitlines()) == 2


# --- events


def watch(*events: dict[str, t.Any]) -> tuple[Watcher, list[str], list[dict[str, t.Any]]]:
    said: list[str] = []
    logged: list[dict[str, t.Any]] = []
    watcher = Watcher(
        said.append, lambda event, message, **more: logged.append({"event": event, "message": message, **more})
    )
    for event in events:
        watcher.take(event)
    return watcher, said, logged


def result(kind: str, **more: t.Any) -> dict[str, t.Any]:
    data = {"task": "Do", "host": "home", "res": more.pop("res", {}), **more}
    return {"event": f"runner_on_{kind}", "event_data": data}


def test_a_failure_is_told_and_an_ignored_one_is_not() -> None:
    watcher, said, logged = watch(
        result("failed", res={"msg": "broken\x1b[31m"}), result("failed", res={"msg": "fine"}, ignore_errors=True)
    )
    assert watcher.tally.failed == ["home"]
    assert said == ["  FAILED home: broken"]
    assert [line["level"] for line in logged] == ["error", "info"]


def test_what_no_log_hides_is_in_no_line() -> None:
    _watcher, said, logged = watch(result("failed", res={"msg": "hunter2", "_ansible_no_log": True}))
    assert "hunter2" not in f"{said} {logged}"


def test_facts_and_counts_are_kept() -> None:
    stats = {"ok": {"home": 2}, "changed": {"home": 1}, "artifact_data": {"homelab_health": {}}}
    watcher, _said, _logged = watch(
        {"event": "playbook_on_task_start", "pid": 7, "event_data": {"name": "Do"}},
        result("ok", res={"changed": True}),
        {"event": "playbook_on_stats", "event_data": stats},
        {"event": "verbose", "stdout": "\x1b[0;35mhalf done\x1b[0m\n"},
    )
    tally = watcher.tally
    assert (tally.tasks, tally.changed, tally.ansible) == (1, 1, 7)
    assert tally.facts == {"homelab_health": {}}
    assert tally.hosts["home"]["ok"] == 2


# --- ending

SLEEPER = "import signal, time\nsignal.signal(signal.SIGINT, {0})\nprint('up', flush=True)\ntime.sleep(60)\n"


def sleeper(on_interrupt: str) -> subprocess.Popen[str]:
    """A process that begins another, which begins a third, as Ansible does with workers and modules."""
    inner = SLEEPER.format(on_interrupt)
    begin = "import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {0!r}])\ntime.sleep(60)"
    outer = begin.format(begin.format(inner))
    process = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def settle(until: t.Callable[[], bool]) -> None:
    """Wait for the kernel to have ended a process."""
    end = datetime.now(UTC) + timedelta(seconds=20)
    while not until():
        assert datetime.now(UTC) < end
        os.sched_yield()


@pytest.mark.parametrize("on_interrupt", ["signal.SIG_DFL", "signal.SIG_IGN"])
def test_a_run_ends_in_steps_and_nothing_is_left(on_interrupt: str) -> None:
    clock = Clock()
    canceler = cancel.Canceler(lambda _line: None, clock)
    with sleeper(on_interrupt) as process:
        everyone = processes.family(process.pid)
        assert len(everyone) == 3
        canceler.work(lambda: [process.pid])
        assert all(map(processes.lives, everyone)), "nobody asked yet"
        canceler.ask("SIGTERM")
        canceler.work(lambda: [process.pid])
        if on_interrupt == "signal.SIG_DFL":
            settle(lambda: not processes.lives(everyone[2]))
        assert all(map(processes.lives, everyone[:2])), "the module first"
        for seconds in (cancel.MODULES, cancel.ANSIBLE, cancel.TERM):
            clock.now += seconds
            canceler.work(lambda: [process.pid])
        settle(lambda: canceler.is_over)
        assert not any(map(processes.lives, everyone))
        assert process.wait(timeout=10) in (-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL, 1)


def test_asked_twice_it_hurries() -> None:
    canceler = cancel.Canceler(lambda _line: None, Clock())
    with sleeper("signal.SIG_IGN") as process:
        canceler.ask("SIGINT")
        canceler.work(lambda: [process.pid])
        canceler.ask("SIGINT")
        canceler.work(lambda: [process.pid])
        canceler.work(lambda: [process.pid])
        canceler.finish()
        settle(lambda: canceler.is_over)


# --- status


def test_what_nobody_looked_at_is_unknown(tmp_path: Path) -> None:
    context = make({}, str(tmp_path), [])
    found = status.collect(context, NOW)
    assert found["ok"]
    text = "\n".join(status.lines(found))
    assert text.count("unknown: homelab run health") == 2
    assert "unknown: homelab run updates" in text


def test_what_the_last_runs_found(tmp_path: Path) -> None:
    context = make({}, str(tmp_path), [])
    run = runs.begin(context.paths.runs, context.paths.logs, invocation())
    node = {"check": "node", "subject": "pve1", "level": "error", "message": "it is offline"}
    template = {"line": "web", "node": "pve2", "age_days": 40, "vmid": 9000}
    health = {"home": {"nodes": [node], "trouble": [node], "templates": [template]}}
    updates = {"home": {"newer": ["web"], "unknown": ["odd"]}}
    run.update(status="ok", facts={"homelab_health": health, "homelab_updates": updates})
    found = status.collect(context, datetime.now(UTC) + timedelta(hours=48))
    assert not found["ok"]
    text = "\n".join(status.lines(found))
    assert "home/pve1: error, it is offline" in text
    assert "web on home/pve2: 40 days old, VM 9000" in text
    assert "home: web" in text
    assert "unknown for odd" in text
    assert "48 h ago, old" in text


def test_services_of_nodes_are_warnings_and_packages_are_counted(tmp_path: Path) -> None:
    context = make({}, str(tmp_path), [])
    run = runs.begin(context.paths.runs, context.paths.logs, invocation())
    cron = {"service": "cron", "description": "Regular jobs", "active_state": "failed"}
    closed = {"services": "Sys.Audit on /nodes/pve2 would show it"}
    health = [{"node": "pve1", "services": [cron]}, {"node": "pve2", "services": None, "unknown": closed}]
    pending = [{"package": whose.lower(), "origin": whose} for whose in ("Proxmox", "Debian", "Debian")]
    updates = [
        {"node": "pve1", "updates": pending, "unknown": {}},
        {"node": "pve2", "updates": pending[:1]},
        {"node": "pve3", "updates": []},
        {"node": "pve4", "updates": None, "unknown": {"updates": "the node is offline"}},
    ]
    facts = {"homelab_health": {"home": {"systems": health}}, "homelab_updates": {"home": {"systems": updates}}}
    run.update(status="ok", facts=facts)
    found = status.collect(context, datetime.now(UTC))
    assert found["ok"], "a service of a node is no reason to fail"
    assert found["wrong"] == []
    assert found["warnings"] == ["home/pve1: cron is failed (Regular jobs)"]
    assert found["updates"]["hosts"]["home"]["systems"] == updates
    nodes, rest = "\n".join(status.lines(found)).split("Templates")
    assert nodes.splitlines()[1:] == [
        "  home/pve1: warning, cron is failed (Regular jobs)",
        "  home/pve2: services unknown, Sys.Audit on /nodes/pve2 would show it",
    ]
    assert [line for line in rest.splitlines() if "/pve" in line] == [
        "  home/pve1: 3 packages (Debian 2, Proxmox 1)",
        "  home/pve2: 1 package (Proxmox 1)",
        "  home/pve3: no packages",
        "  home/pve4: packages unknown, the node is offline",
    ]
