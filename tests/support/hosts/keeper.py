# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a Docker daemon for as long as somebody holds its standard input open: C(python -m ...keeper FOLDER).

It prints one line of JSON when the daemon is ready. Whoever started it may end in any way: the daemon, its containers,
network, rules and folder go when the pipe closes. Nothing is shared with a Docker of this machine: data, socket,
bridge and addresses are its own, and it leaves the tables of iptables alone but for three rules.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.boot.tools import ToolError, run

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# Seconds.
START = 120.0
STOP = 60.0


def free_network() -> ipaddress.IPv4Network:
    """A network of 256 addresses that no route of this machine leads to."""
    routes = json.loads(run("ip", "-json", "-4", "route"))
    taken = [ipaddress.ip_network(r["dst"], strict=False) for r in routes if r["dst"] != "default"]
    # An odd corner of the private addresses first.
    for candidate in ipaddress.ip_network("10.213.0.0/16").subnets(new_prefix=24):
        if isinstance(candidate, ipaddress.IPv4Network) and not any(candidate.overlaps(net) for net in taken):
            return candidate
    raise ToolError("no free network below 10.213.0.0/16")


@contextlib.contextmanager
def forwarding(network: str, bridge: str) -> Iterator[None]:
    """Let the hosts out into the world, for as long as it takes."""
    rules = (
        ("nat", "POSTROUTING", "-s", network, "!", "-o", bridge, "-j", "MASQUERADE"),
        ("filter", "FORWARD", "-i", bridge, "-j", "ACCEPT"),
        ("filter", "FORWARD", "-o", bridge, "-j", "ACCEPT"),
    )
    before = FORWARD.read_text()
    for table, chain, *rule in rules:
        run("iptables", "-w", "-t", table, "-I", chain, *rule)
    try:
        FORWARD.write_text("1")
        yield
    finally:
        for table, chain, *rule in rules:
            with contextlib.suppress(ToolError):
                run("iptables", "-w", "-t", table, "-D", chain, *rule)
        FORWARD.write_text(before)


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[str]:
    """A daemon; its socket as a URL."""
    socket = f"unix://{folder}/docker.sock"
    config = folder / "daemon.json"
    config.write_text("{}")
    places = {"data-root": folder / "data", "exec-root": folder / "exec", "pidfile": folder / "docker.pid"}
    argv = ["dockerd", "--config-file", str(config), "--host", socket, "--log-level", "warn"]
    argv += [f"--{option}={place}" for option, place in places.items()]
    argv += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + START
        while not _answers(socket):
            if process.poll() is not None or time.monotonic() > end:
                raise ToolError(f"dockerd did not start: {(folder / 'dockerd.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield socket
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(socket: str) -> bool:
    return subprocess.run(["docker", "-H", socket, "version"], capture_output=True, check=False).returncode == 0


def keep(folder: Path) -> None:
    """Start, say so, wait for the end of standard input, and clean up."""
    os.environ.pop("DOCKER_HOST", None)
    network = str(free_network())
    bridge = f"hosts{os.getpid()}"[:15]
    with forwarding(network, bridge), daemon(folder) as socket:
        option = f"com.docker.network.bridge.name={bridge}"
        run("docker", "-H", socket, "network", "create", "--subnet", network, "--opt", option, "hosts")
        try:
            print(json.dumps({"socket": socket, "network": network}), flush=True)
            sys.stdin.buffer.read()
        finally:
            with contextlib.suppress(ToolError):
                containers = run("docker", "-H", socket, "ps", "--all", "--quiet").split()
                if containers:
                    run("docker", "-H", socket, "rm", "--force", "--volumes", *containers)
                run("docker", "-H", socket, "network", "rm", "hosts")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
