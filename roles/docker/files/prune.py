# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what nobody uses any more on a Docker host: containers that ended, images and networks; never a volume.

C(docker system prune) takes several labels to keep as one condition: it keeps only what bears all of them (moby,
api/types/filters, MatchKVList). Here one label is enough. A network that a stopped container belongs to stays too,
since the container could not be started any more without it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys

UNITS = {"m": 60, "h": 3600, "d": 86400}


def seconds(age):
    """168h, 7d or 90m in seconds."""
    found = re.fullmatch(r"([0-9]+)([mhd])", age)
    if not found:
        raise argparse.ArgumentTypeError("write a number with m, h or d, such as 168h")
    return int(found.group(1)) * UNITS[found.group(2)]


def moment(text):
    """When something was made. Docker writes nanoseconds, which Python does not read."""
    plain = re.sub(r"\.[0-9]+", "", text).replace("Z", "+00:00")
    return datetime.datetime.fromisoformat(re.sub(r" ([+-][0-9:]+).*$", r"\1", plain))


def kept(labels, keep):
    """Whether a thing bears one of the labels: by its name, or by name and value."""
    labels = labels or {}
    return any(name in labels and (not equals or labels[name] == value) for name, equals, value in keep)


def old_containers(containers, keep, before):
    """Those that ended before C(before)."""
    ended = [c for c in containers if c["State"]["Status"] in ("created", "exited", "dead")]
    # What never ran has a finishing time in the year 1.
    return [
        c
        for c in ended
        if not kept(c["Config"]["Labels"], keep)
        and max(moment(c["Created"]), moment(c["State"]["FinishedAt"])) < before
    ]


def old_images(images, containers, keep, before, dangling):
    """Those that no container uses; C(dangling) takes only those without a name."""
    used = {c["Image"] for c in containers}
    return [
        i
        for i in images
        if i["Id"] not in used
        and not kept((i.get("Config") or {}).get("Labels"), keep)
        and moment(i["Created"]) < before
        and not (dangling and i.get("RepoTags"))
    ]


def old_networks(networks, containers, keep, before):
    """Those that no container belongs to, running or not; the three of Docker itself are none of ours."""
    used = {n["NetworkID"] for c in containers for n in c["NetworkSettings"]["Networks"].values()}
    used |= {name for c in containers for name in c["NetworkSettings"]["Networks"]}
    return [
        n
        for n in networks
        if n["Name"] not in ("bridge", "host", "none")
        and n["Id"] not in used
        and n["Name"] not in used
        and not n.get("Containers")
        and not n.get("Ingress")
        and not kept(n["Labels"], keep)
        and moment(n["Created"]) < before
    ]


def docker(*argv):
    """What it prints. A failure ends the program with its text."""
    done = subprocess.run(["docker", *argv], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit("docker {} failed".format(" ".join(argv[:2])))
    return done.stdout


def inspected(kind, *options):
    """All things of a kind; one that goes meanwhile is none."""
    ids = sorted(set(docker(kind, "ls", "--quiet", "--no-trunc", *options).split()))
    if not ids:
        return []
    done = subprocess.run(
        ["docker", kind, "inspect", *ids],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return json.loads(done.stdout or "[]")


def main():
    """Look, say, and remove."""
    parser = argparse.ArgumentParser(description="Remove what nobody uses any more on a Docker host.")
    parser.add_argument("--age", type=seconds, default="168h", help="spare what is younger, such as 168h")
    parser.add_argument("--keep", action="append", default=[], metavar="LABEL[=VALUE]", help="spare what bears it")
    parser.add_argument("--dangling", action="store_true", help="of images, take only those without a name")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    options = parser.parse_args()
    keep = [label.partition("=") for label in options.keep]
    # datetime.UTC is newer than the Python of some hosts.
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=options.age)  # noqa: UP017
    failed = False
    for kind in ("container", "image", "network"):
        # What goes first frees what comes next.
        containers = inspected("container", "--all")
        if kind == "container":
            gone = [(c["Id"], c["Name"].lstrip("/")) for c in old_containers(containers, keep, before)]
        elif kind == "image":
            images = inspected("image", "--all")
            found = old_images(images, containers, keep, before, options.dangling)
            gone = [(i["Id"], ", ".join(i.get("RepoTags") or []) or i["Id"]) for i in found]
        else:
            gone = [(n["Id"], n["Name"]) for n in old_networks(inspected("network"), containers, keep, before)]
        for identity, name in gone:
            print("{} {} {}".format("would remove" if options.dry_run else "removing", kind, name), flush=True)
            if not options.dry_run:
                force = ["--force"] if kind == "image" else []
                argv = ["docker", kind, "rm", *force, identity]
                failed |= bool(subprocess.run(argv, stdout=subprocess.DEVNULL, check=False).returncode)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
