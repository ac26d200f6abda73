# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a compose project to what is declared, or back to what it was: C(check) or C(apply), a task as JSON on stdin.

It prints a result as JSON. A new state is staged, looked at by Compose and its images are fetched before the
project's own folder is touched. Then the former files are kept aside until every service is healthy. The file
C(pending) says that this is not known yet: a run that was ended there is taken up by the next, with the same way back.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

PINNED = re.compile(r"(.+@)?sha256:[0-9a-f]{64}")
LOG_LINES = 20


class Trouble(Exception):
    """What is told to the user."""


def docker(*argv, cwd=None, limit=None):
    """Status and both outputs."""
    try:
        done = subprocess.run(
            ["docker", *argv],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return 124, f"docker {argv[0]} did not end within {limit} s"
    return done.returncode, done.stdout.strip()


def write(path, text, mode):
    """All or nothing, and on the disk when it returns."""
    half = path + ".homelab"
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(half, mode)
    os.replace(half, path)


def read(path):
    """Content and mode, or nothing."""
    try:
        with open(path, encoding="utf-8") as stream:
            return {"content": stream.read(), "mode": f"{os.fstat(stream.fileno()).st_mode & 0o7777:04o}"}
    except (FileNotFoundError, NotADirectoryError):
        return None


class Project:
    """One project on this host. C(state) holds what is known of it: C(proven.json), C(former.json) and C(pending)."""

    def __init__(self, task):
        self.task = task
        self.name = task["name"]
        self.folder = os.path.join(task["root"], self.name)
        self.state = os.path.join(task["state"], self.name)
        self.wanted = {file["path"]: file for file in task["files"]}

    # --- what there is

    def kept(self, name):
        """A file of the state, parsed; nothing where it is missing."""
        found = read(os.path.join(self.state, name))
        return json.loads(found["content"]) if found else None

    def live(self):
        """The files of ours that are in the folder."""
        paths = set(self.wanted) | set(self.kept("proven.json") or []) | set(self.kept("former.json") or {})
        found = {path: read(os.path.join(self.folder, path)) for path in sorted(paths)}
        return {path: file for path, file in found.items() if file is not None}

    def containers(self):
        """What Docker has of the project."""
        mark = "label=com.docker.compose.project=" + self.name
        status, told = docker("ps", "--all", "--no-trunc", "--filter", mark, "--format", "{{.ID}}")
        if status:
            raise Trouble(told)
        if not told:
            return []
        status, told = docker("inspect", *told.split())
        if status:
            raise Trouble(told)
        return json.loads(told)

    def well(self):
        """Whether every service runs, healthy where it has a check; one that ended with status 0 is well too."""
        services = set()
        for container in self.containers():
            state = container["State"]
            health = (state.get("Health") or {}).get("Status", "healthy")
            done = state["Status"] == "exited" and state["ExitCode"] == 0
            if not done and not (state["Status"] == "running" and health == "healthy"):
                return False
            services.add(container["Config"]["Labels"].get("com.docker.compose.service"))
        return services >= set(self.task["services"])

    def difference(self, live):
        """As a unified diff. The contents of files that not everybody may read are left out."""
        lines = []
        for path in sorted(set(live) | set(self.wanted)):
            old, new = live.get(path), self.wanted.get(path)
            if old and new and old["content"] == new["content"] and old["mode"] == new["mode"]:
                continue
            name = os.path.join(self.folder, path)
            secret = any(file and not int(file["mode"], 8) & 0o044 for file in (old, new))
            if secret:
                lines.append("{}: {}".format(name, "changed" if old and new else "removed" if old else "new"))
                continue
            texts = [(file["content"] if file else "").splitlines(keepends=True) for file in (old, new)]
            lines += difflib.unified_diff(*texts, "before: " + name, "after: " + name)
            if old and new and old["mode"] != new["mode"]:
                lines.append("{}: mode {} -> {}\n".format(name, old["mode"], new["mode"]))
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)

    # --- what is done

    def compose(self, folder, *argv, limit=None):
        """Compose, for the files in a folder."""
        file = os.path.join(folder, "compose.yaml")
        return docker("compose", "--project-name", self.name, "--file", file, *argv, cwd=folder, limit=limit)

    def put(self, folder, files):
        """Write files of ours into a folder."""
        os.makedirs(folder, exist_ok=True)
        for path, file in files.items():
            target = os.path.join(folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            write(target, file["content"], int(file["mode"], 8))

    def drop(self, paths):
        """Remove files of ours, and folders that are empty then."""
        for path in paths:
            target = os.path.join(self.folder, path)
            if os.path.exists(target):
                os.unlink(target)
            folder = os.path.dirname(target)
            while folder.startswith(self.folder) and os.path.isdir(folder) and not os.listdir(folder):
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def keep(self, name, value):
        """Write a file of the state."""
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        write(os.path.join(self.state, name), json.dumps(value), 0o600)

    def forget(self, name):
        """Remove one."""
        if os.path.exists(os.path.join(self.state, name)):
            os.unlink(os.path.join(self.state, name))

    def look(self, pull):
        """Have Compose read the new files before they are used, and fetch the images."""
        with tempfile.TemporaryDirectory(dir="/run", prefix="compose-check-") as stage:
            self.put(stage, self.wanted)
            status, told = self.compose(stage, "config", "--format", "json")
            if status:
                raise Trouble("docker compose refuses the file: " + told)
            services = json.loads(told[told.index("{") :])["services"].values()
            images = sorted({service["image"] for service in services if "build" not in service})
            # As Compose resolved them: a variable may hide a tag.
            loose = [image for image in images if not PINNED.fullmatch(image)]
            if loose and not self.task["allow_unpinned"]:
                raise Trouble(f"not pinned by digest: {', '.join(loose)}. Write NAME@sha256:..., or set allow_unpinned")
            if pull:
                self.fetch(images)

    def fetch(self, images):
        """Have the images that are missing."""
        for image in images:
            if docker("image", "inspect", image)[0]:
                status, told = docker("pull", "--quiet", image)
                if status:
                    raise Trouble(f"cannot pull {image}: {told.splitlines()[-1] if told else ''}")

    def up(self):
        """Start everything and wait. Why it is not well; nothing when it is."""
        limit = self.task["wait_timeout"]
        argv = ("up", "--detach", "--remove-orphans", "--wait", "--wait-timeout", str(limit))
        status, told = self.compose(self.folder, *argv, limit=limit + 120)
        if status == 0 or self.well():
            return ""
        return "\n".join([*told.splitlines()[-3:], *self.symptoms()])

    def symptoms(self):
        """What the services that are not well have to say."""
        lines = []
        for container in self.containers():
            state = container["State"]
            health = state.get("Health") or {}
            if state["Status"] == "running" and health.get("Status", "healthy") == "healthy":
                continue
            service = container["Config"]["Labels"].get("com.docker.compose.service")
            ended = f"with status {state['ExitCode']}" if state["Status"] == "exited" else ""
            how = ended or health.get("Status", "")
            lines.append(f"{service}: {state['Status']} {how}".rstrip())
            lines += ["  health check: " + entry["Output"].strip() for entry in health.get("Log") or []][-1:]
            _status, log = docker("logs", "--tail", str(LOG_LINES), container["Id"])
            lines += ["  log: " + line for line in log.splitlines()]
        return lines

    # Where both are forgotten, C(pending) goes first: with it alone a project would be taken for a new one.

    def settle(self):
        """What is in the folder is proven."""
        self.keep("proven.json", sorted(self.wanted))
        self.forget("pending")
        self.forget("former.json")

    def back(self, why):
        """To the former files, or to nothing where there were none."""
        former = self.kept("former.json")
        if not former:
            status, told = self.compose(self.folder, "down", "--remove-orphans", limit=300)
            if status:
                raise Trouble(f"{why}\nIt is new, and taking it down failed too: {told}")
            self.drop(sorted(self.wanted, reverse=True))
            self.forget("pending")
            self.forget("former.json")
            raise Trouble(f"{why}\nIt is new, and was taken down again; its volumes stay.")
        self.put(self.folder, former)
        self.drop(sorted(set(self.wanted) - set(former), reverse=True))
        self.task["services"] = []
        still = self.up()
        if still:
            raise Trouble(f"{why}\nThe former project is back, and is not healthy either: {still}")
        self.forget("pending")
        self.forget("former.json")
        raise Trouble(f"{why}\nThe former project is back and healthy.")

    def present(self, check):
        """Have it as declared."""
        live = self.live()
        pending = read(os.path.join(self.state, "pending")) is not None
        difference = self.difference(live)
        if not difference and not pending and self.well():
            return {"changed": False}
        self.look(pull=not check)
        if check:
            return {"changed": True, "diff": difference}
        if not pending:
            # Of a project that never was healthy there is nothing to go back to.
            self.keep("former.json", live if self.kept("proven.json") else {})
            self.keep("pending", True)
        self.put(self.folder, self.wanted)
        self.drop(sorted(set(live) - set(self.wanted), reverse=True))
        why = self.up()
        if why:
            self.back(why)
        self.settle()
        return {"changed": True, "diff": difference}

    def absent(self, check):
        """Have it away, but for its volumes."""
        live, containers = self.live(), self.containers()
        if not live and not containers and not os.path.isdir(self.state):
            return {"changed": False}
        if not check:
            argv = ["compose", "--project-name", self.name]
            if "compose.yaml" in live:
                argv += ["--file", os.path.join(self.folder, "compose.yaml")]
            status, told = docker(*argv, "down", "--remove-orphans", limit=300)
            if status:
                raise Trouble(told)
            self.drop(sorted(live, reverse=True))
            shutil.rmtree(self.state, ignore_errors=True)
        return {"changed": True, "diff": self.difference(live)}


def main(action):
    """Do it, and print what came of it."""
    task = json.load(sys.stdin)
    project = Project(task)
    try:
        result = (project.present if task["present"] else project.absent)(action == "check")
    except Trouble as trouble:
        result = {"failed": True, "msg": f"{project.name}: {trouble}"}
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
