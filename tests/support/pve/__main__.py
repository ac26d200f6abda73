# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve a fake cluster for the demo and the benchmarks; prints one JSON line once it listens, ends with its stdin.

python -m tests.support.pve --nodes pve1,pve2,pve3 --guests 100 --latency 0.02 --workers 3
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from .cluster import FakeCluster, cluster_storages, default_storages
from .server import serve


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.pve", description="Serve a fake Proxmox VE cluster.")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; Proxmox VE's own is 8006")
    parser.add_argument("--version", default="8.4.21", help="what GET /version answers (default %(default)s)")
    parser.add_argument("--nodes", default="pve1", help="node names, separated by commas")
    parser.add_argument("--storages", choices=("recorded", "all"), default="recorded", help="which storages exist")
    parser.add_argument("--guests", type=int, default=0, help="number of made-up VMs, ids from 100")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to every answer")
    parser.add_argument("--workers", type=int, help="workers of pveproxy and of pvedaemon per node (really 3)")
    parser.add_argument("--task-seconds", type=float, default=0.0, help="how long every task takes")
    parser.add_argument("--map", action="append", default=[], metavar="FROM=TO", help="lead URLs of vendors elsewhere")
    parser.add_argument("--stay", action="store_true", help="end by a signal, not with stdin")
    return parser.parse_args()


def cluster_of(options: argparse.Namespace) -> FakeCluster:
    storages = cluster_storages() if options.storages == "all" else default_storages()
    cluster = FakeCluster(nodes=options.nodes.split(","), storages=storages, version=options.version)
    cluster.limits.latency = options.latency
    cluster.limits.proxy_workers = cluster.limits.daemon_workers = options.workers
    cluster.durations["*"] = options.task_seconds
    cluster.url_map.update(dict(pair.split("=", 1) for pair in options.map))
    for number in range(options.guests):
        add_guest(cluster, number)
    return cluster


def add_guest(cluster: FakeCluster, number: int) -> None:
    """A made-up VM without a disk behind it; every second one runs."""
    vmid, nodes = 100 + number, list(cluster.nodes)
    mac = f"BC:24:11:00:{vmid // 256 % 256:02X}:{vmid % 256:02X}"
    config = {
        "name": f"vm-{vmid}", "memory": "1024", "cores": 1, "agent": "enabled=1", "tags": f"t{number % 10}",
        "scsi0": f"local-lvm:vm-{vmid}-disk-0,size=8G", "net0": f"virtio={mac},bridge=vmbr0",
    }  # fmt: skip
    vm = cluster.add_vm(vmid, node=nodes[number % len(nodes)], config=config)
    if number % 2:
        vm.status = vm.qmpstatus = "running"
        cluster.wake_guest(vm)


def main() -> None:
    options = arguments()
    with serve(cluster_of(options), host=options.host, port=options.port) as server:
        facts = {
            "host": server.host, "port": server.port, "token_id": server.token_id, "token_secret": server.token_secret,
            "token": f"{server.token_id}={server.token_secret}", "user": server.user, "password": server.password,
            "ca_path": server.ca_path, "fingerprint": server.fingerprint, "url": server.url,
        }  # fmt: skip
        print(json.dumps(facts), flush=True)
        if options.stay:
            signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(0))
            signal.pause()
        sys.stdin.read()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
