# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints as JSON what is on a Docker host. Runs there, reads only, and needs nothing but Python 3.9.

Its argument is JSON: C(state) is the path of the state file, C(packages) and C(users) are names that matter.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import resource
import shutil
import subprocess
import sys

DAEMON_JSON = "/etc/docker/daemon.json"
HARDENING = "/etc/sysctl.d/90-homelab-hardening.conf"


def text(path):
    """The content of a file, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def output(*argv):
    """What a command prints, or nothing where it is missing or fails."""
    if shutil.which(argv[0]) is None:
        return ""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def parsed(told, otherwise):
    """JSON, or something else where there is none."""
    try:
        return json.loads(told)
    except ValueError:
        return otherwise


def routes():
    """Of both families; a host without IPv6 has none there."""
    return [
        {"dst": route.get("dst"), "dev": route.get("dev")}
        for family in ("-4", "-6")
        for route in parsed(output("ip", "-json", family, "route"), [])
    ]


def packages(names):
    """Those of the names that are installed, with versions, and those that are held."""
    if shutil.which("dpkg-query"):
        # Fails when one is unknown, and tells the others all the same.
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Want} ${db:Status-Status} ${Version}\n", *names],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        lines = [line.split() for line in done.stdout.splitlines()]
        installed = {line[0]: line[3] for line in lines if line[2:3] == ["installed"]}
        return installed, [line[0] for line in lines if line[1] == "hold" and line[0] in installed]
    installed = {}
    for name in names:
        version = output("rpm", "-q", "--qf", "%{EPOCHNUM}:%{VERSION}-%{RELEASE}", name)
        if version:
            installed[name] = version
    locked = output("dnf", "-q", "versionlock", "list")
    return installed, [name for name in installed if any(line.startswith(name + "-") for line in locked.splitlines())]


def limits():
    """The hard limit of each kind that processes here have; nothing stands for none."""
    found = {}
    for name in dir(resource):
        if name.startswith("RLIMIT_"):
            hard = resource.getrlimit(getattr(resource, name))[1]
            found[name[7:].lower()] = None if hard == resource.RLIM_INFINITY else hard
    return found


def may_raise():
    """Whether anything on this host may raise a hard limit: CAP_SYS_RESOURCE is number 24. Containers often lack it."""
    bounding = [line.split()[1] for line in (text("/proc/1/status") or "").splitlines() if line.startswith("CapBnd:")]
    return bool(int(bounding[0], 16) >> 24 & 1) if bounding else True


def members():
    """Who is in the group docker."""
    try:
        return grp.getgrnam("docker").gr_mem
    except KeyError:
        return []


def accounts(names):
    """Those of the names that are users here."""
    found = []
    for name in names:
        with contextlib.suppress(KeyError):
            found.append(pwd.getpwnam(name).pw_name)
    return found


def main(asked):
    """Look, and print."""
    installed, held = packages(asked["packages"])
    daemon = shutil.which("dockerd") or ""
    info = parsed(output("docker", "info", "--format", "{{json .}}"), {}) if daemon else {}
    swarm = (info.get("Swarm") or {}).get("LocalNodeState", "inactive")
    # Docker version 26.1.5+dfsg1, build a72d7cd
    words = output(daemon, "--version").replace(",", " ").split() if daemon else []
    unproven = text(os.path.join(os.path.dirname(asked["state"]), "daemon.json.before"))
    print(
        json.dumps(
            {
                # What a run left that was ended half-way is not proven; what was there before it is.
                "daemon_json": parsed(unproven, None) if unproven is not None else text(DAEMON_JSON),
                "state": text(asked["state"]),
                "pending": unproven is not None,
                "hardening": text(HARDENING),
                "routes": routes(),
                "packages": installed,
                "held": held,
                "limits": limits(),
                "may_raise": may_raise(),
                "members": members(),
                "accounts": accounts(asked["users"]),
                "daemon": daemon,
                "version": words[2] if len(words) > 2 else "",
                "running": bool(info.get("ServerVersion")),
                "swarm": swarm not in ("inactive", ""),
                "compose": output("docker", "compose", "version", "--short") if daemon else "",
                "prune": os.path.exists("/etc/systemd/system/homelab-docker-prune.timer"),
                "folders": [path for path in ("/etc/docker",) if os.path.isdir(path)],
            }
        )
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
