# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and replaces daemon.json on a host: C(check) or C(apply), with a task as JSON on standard input.

It prints a result as JSON. C(apply) goes on where it was interrupted: as long as C(daemon.json.before) lies beside the
state, the new file is not proven, and what was there before comes back if the daemon does not come up.
"""

from __future__ import annotations

import glob
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

DAEMON_JSON = "/etc/docker/daemon.json"
UNIT = "docker.service"
# Seconds for a daemon that is tried.
TRIAL = 60
# Where a daemon lies and listens, which is another place for one that is tried.
PLACES = frozenset({"data-root", "exec-root", "pidfile", "hosts", "containerd", "metrics-addr"})
# What needs plugins that only the real data has, or makes users: no trial can say anything of these.
BESIDE = frozenset({"authorization-plugins", "userns-remap"})
BUILT_IN = frozenset({"none", "local", "json-file", "journald", "syslog", "gelf", "fluentd"})


def run(*argv, limit=None):
    """Status and both outputs of a command; C(limit) in seconds."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return 124, f"{argv[0]} did not end within {limit} s"
    return done.returncode, done.stdout.strip()


def unit_flags():
    """What the unit passes to the daemon besides the file, with the variables of its environment file."""
    _status, told = run("systemctl", "show", UNIT, "--property", "ExecStart", "--value")
    _before, found, rest = told.partition("argv[]=")
    words = shlex.split(rest.partition(" ; ")[0]) if found else []
    known = {}
    _status, files = run("systemctl", "show", UNIT, "--property", "EnvironmentFiles", "--value")
    for line in files.splitlines():
        path = line.partition(" (")[0]
        if os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                settings = [item.partition("=") for item in shlex.split(stream.read(), comments=True)]
            known.update({name: value for name, equals, value in settings if equals})
    flags = []
    for word in words[1:]:
        flags += shlex.split(known.get(word[1:].strip("{}"), "")) if word.startswith("$") else [word]
    return flags


def refused(text):
    """Why the installed daemon refuses a configuration; nothing when it takes it."""
    daemon = shutil.which("dockerd")
    if daemon is None:
        return ""
    with tempfile.TemporaryDirectory(dir="/run", prefix="docker-check-") as folder:
        path = os.path.join(folder, "daemon.json")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
        flags = [*unit_flags(), "--config-file", path]
        _status, told = run(daemon, "--help")
        if "--validate" in told:
            status, told = run(daemon, "--validate", *flags, limit=60)
            return "" if status == 0 else told
        # Before 23.0 there is no --validate. A daemon that finds the pid of a living process in its pid file ends
        # right after it took its configuration, and says so; this is what the trial is led to.
        pid = os.path.join(folder, "pid")
        with open(pid, "w", encoding="utf-8") as stream:
            stream.write(str(os.getpid()))
        flags += ["--pidfile", pid]
        for name in ("data-root", "exec-root"):
            if name not in json.loads(text) and not [flag for flag in flags if flag.startswith("--" + name)]:
                flags += ["--" + name, os.path.join(folder, name)]
        # It mounts its root onto itself, which is to end with it.
        _status, told = run("unshare", "--mount", daemon, *flags, limit=60)
        return "" if "pid file found" in told else told.splitlines()[-1] if told else "dockerd said nothing"


def stumbles(text):
    """Why a daemon does not come up with a configuration, tried beside the one that runs; nothing when it does.

    A real daemon that gives up in the middle of its start unmounts what running containers stand on (26.1, tried with
    an unknown storage driver). This one has data, network and processes of its own.
    """
    settings = json.loads(text)
    if BESIDE & set(settings) or settings.get("log-driver", "local") not in BUILT_IN:
        return ""
    # On the file system of the real data, since drivers depend on it.
    root = json.loads(read(DAEMON_JSON) or "{}").get("data-root", "/var/lib/docker")
    os.makedirs(root, mode=0o710, exist_ok=True)
    for left in glob.glob(os.path.join(root, "homelab-trial-*")):
        shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.mkdtemp(dir=root, prefix="homelab-trial-")
    place = tempfile.mkdtemp(dir="/run", prefix="docker-trial-")
    try:
        kept = {name: value for name, value in settings.items() if name not in PLACES}
        write(os.path.join(place, "daemon.json"), json.dumps(kept), 0o600)
        return started(folder, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)


def started(folder, place):
    """Start a daemon with its data in one folder and its sockets in another, ask it, and end it."""
    socket = "unix://" + os.path.join(place, "docker.sock")
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "dockerd"]
    argv += ["--config-file", os.path.join(place, "daemon.json"), "--data-root", os.path.join(folder, "data")]
    argv += ["--exec-root", os.path.join(place, "exec"), "--pidfile", os.path.join(place, "pid"), "--host", socket]
    # It would tell firewalld of its bridge.
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=" + os.path.join(place, "none")}
    log = os.path.join(place, "log")
    with open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment)
    try:
        end = time.time() + TRIAL
        while process.poll() is None and time.time() < end:
            if run("docker", "--host", socket, "version", limit=TRIAL)[0] == 0:
                return ""
            time.sleep(0.2)
        return (cause((read(log) or "").splitlines()) or ["it did not answer"])[0]
    finally:
        process.kill()
        process.wait()


def cause(lines):
    """The line in which a daemon says why it ended."""
    plain = [line for line in lines if "level=" not in line or "level=error" in line]
    return ([line for line in plain if "failed to start daemon" in line or "unable to configure" in line] or plain)[-1:]


def write(path, text, mode):
    """All or nothing, and on the disk when it returns."""
    half = path + ".homelab"
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(half, mode)
    os.replace(half, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def read(path):
    """The content, or nothing where there is no file."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def restarted(limit):
    """Restart the daemon. Why it is not there afterwards; nothing when it is."""
    begin = time.time()
    # Three starts within a minute are all that the unit allows.
    run("systemctl", "reset-failed", UNIT, "docker.socket")
    status, told = run("systemctl", "restart", UNIT, limit=limit)
    while status == 0:
        status, told = run("docker", "info", "--format", "{{.ServerVersion}}", limit=limit)
        if status == 0:
            return ""
        if time.time() > begin + limit:
            break
        status = 0
        time.sleep(0.5)
    run("systemctl", "stop", UNIT, limit=limit)
    since = f"@{int(begin)}"
    _status, journal = run("journalctl", "--identifier", "dockerd", "--since", since, "--output", "cat")
    return (cause(journal.splitlines()) or [told or "the daemon did not answer"])[0]


def untrue(effects):
    """What the daemon says differently from what its file says; nothing when all is in force."""
    _status, told = run("docker", "info", "--format", "{{json .}}", limit=60)
    info = json.loads(told.splitlines()[-1])
    other = [f"{name} is {json.dumps(info.get(name))}" for name, value in effects.items() if info.get(name) != value]
    return "the daemon runs with other settings: " + ", ".join(other) if other else ""


def apply(task):
    """Replace, restart, look, and go back if need be."""
    before = os.path.join(task["folder"], "daemon.json.before")
    now = read(DAEMON_JSON)
    pending = os.path.exists(before)
    if now == task["text"] and not pending:
        return {"changed": False}
    why = stumbles(task["text"])
    # Where not even what runs comes up beside itself, a trial says nothing.
    if why and not stumbles(now or "{}"):
        return {"failed": True, "untouched": True, "msg": why}
    if not pending:
        write(before, json.dumps(now), 0o600)
    os.makedirs(os.path.dirname(DAEMON_JSON), exist_ok=True)
    write(DAEMON_JSON, task["text"], 0o600)
    why = restarted(task["timeout"]) or untrue(task["effects"])
    if not why:
        os.unlink(before)
        return {"changed": True}
    former = json.loads(read(before))
    if former is None:
        os.unlink(DAEMON_JSON)
    else:
        write(DAEMON_JSON, former, 0o600)
    still = restarted(task["timeout"])
    if still:
        return {"failed": True, "msg": f"{why} Nor does it with the former file, which is back: {still}"}
    os.unlink(before)
    return {"failed": True, "restored": True, "msg": why}


def main(action):
    """Do it, and print what came of it."""
    task = json.load(sys.stdin)
    if action == "check":
        why = refused(task["text"])
        result = {"failed": bool(why), "msg": why}
    else:
        result = apply(task)
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
