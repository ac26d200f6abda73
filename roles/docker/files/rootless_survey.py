# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints as JSON whether a user can have a Docker of its own. Its argument is the user's name; it reads only."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys


def ranges(path, names):
    """How many subordinate ids a user has."""
    if not os.path.exists(path):
        return 0
    with open(path, encoding="utf-8") as stream:
        lines = [line.strip().split(":") for line in stream]
    return sum(int(line[2]) for line in lines if len(line) == 3 and line[0] in names)


def main(name):
    """Look, and print."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        told = f"docker_rootless_user={name!r}: there is no such user. Make the user first"
        print(json.dumps({"problems": [told], "home": "", "runtime": "", "programs": False}))
        return
    problems = []
    if user.pw_uid == 0:
        problems.append("docker_rootless_user='root': this is what rootless is not. Name another user")
    for path, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        if ranges(path, (name, str(user.pw_uid))) < 65536:
            remedy = f"Run usermod {option} 100000-165535 {name}, with a range that is free"
            problems.append(f"docker_rootless_user={name!r}: fewer than 65536 ids of it are in {path}. {remedy}")
    runtime = f"/run/user/{user.pw_uid}"
    needed = ("dockerd", "docker", "newuidmap", "slirp4netns")
    running = subprocess.run(
        ["pgrep", "--uid", str(user.pw_uid), "--full", "dockerd"], stdout=subprocess.DEVNULL, check=False
    )
    print(
        json.dumps(
            {
                "problems": problems,
                "home": user.pw_dir,
                "runtime": runtime,
                "programs": all(shutil.which(program) for program in needed),
                "folder": os.path.isdir(os.path.join(user.pw_dir, ".config/docker")),
                "running": running.returncode == 0,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
