# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake server in a process of its own: JSON lines on stdin are commands, each is answered by one line on stdout."""

from __future__ import annotations

import json
import sys
import time
import typing as t

from tests.support.pve import FakeCluster, Server, serve

FIRST_GUEST = 10000
"""VMIDs from here on belong to the inventory's benchmark."""
STATUS_POLL = "/nodes/{node}/tasks/{upid}/status"


class TimedCluster(FakeCluster):
    """Notes the moment at which each task ended, on the clock that all processes of this machine share."""

    def __init__(self, **options: t.Any) -> None:
        super().__init__(**options)
        self.ended: dict[str, float] = {}

    async def _work(self, record: dict[str, t.Any], body: t.Any, seconds: float) -> None:
        await super()._work(record, body, seconds)
        self.ended[record["upid"]] = time.monotonic()


class Control:
    """The commands, each a method; they run in the server's thread."""

    def __init__(self, cluster: TimedCluster) -> None:
        self.cluster = cluster

    def reset(self) -> None:
        """Begin to count anew."""
        self.cluster.meter.reset()
        self.cluster.ended.clear()
        self.cluster.faults.reset()

    def counts(self) -> dict[str, t.Any]:
        """What came since reset(): C(requests) as [method, path class, status], without their order's times."""
        meter = self.cluster.meter
        return {
            "requests": [[seen.method, seen.template, seen.status] for seen in meter.seen],
            "connections": meter.connections,
            "open": meter.max_open,
            "in_flight": meter.max_in_flight,
        }

    def guests(self, count: int) -> None:
        """So many VMs with an agent, spread over the nodes, every second of them running; those of before go."""
        for vmid in [vmid for vmid in self.cluster.vms if vmid >= FIRST_GUEST]:
            self.cluster.remove_vm(vmid)
        nodes = list(self.cluster.nodes)
        for number in range(count):
            vmid = FIRST_GUEST + number
            mac = f"BC:24:11:{vmid >> 16 & 255:02X}:{vmid >> 8 & 255:02X}:{vmid & 255:02X}"
            config = {
                "name": f"guest-{vmid}", "memory": "1024", "cores": 1, "ostype": "l26", "agent": "enabled=1",
                "tags": f"group-{number % 10};linux", "scsi0": f"local-lvm:vm-{vmid}-disk-0,size=8G",
                "net0": f"virtio={mac},bridge=vmbr0", "ciuser": "ops", "ipconfig0": "ip=dhcp",
                "boot": "order=scsi0", "scsihw": "virtio-scsi-single", "description": "A guest of the benchmark",
            }  # fmt: skip
            vm = self.cluster.add_vm(vmid, node=nodes[number % len(nodes)], config=config)
            if number % 2:
                vm.status = vm.qmpstatus = "running"
                self.cluster.wake_guest(vm)

    def latency(self, seconds: float) -> None:
        """What is added to every answer from now on."""
        self.cluster.limits.latency = seconds

    def durations(self, seconds: dict[str, float]) -> None:
        """Seconds that tasks take by their type, C(*) for all others."""
        self.cluster.durations = dict(seconds)

    def ended(self) -> dict[str, float]:
        """When each task since reset() ended, by UPID."""
        return self.cluster.ended

    def fail_task(self, method: str, path: str, exitstatus: str, log: list[str]) -> None:
        """The next task that such a request begins ends badly."""
        self.cluster.faults.add("fail_task", method, path, exitstatus=exitstatus, log=log)


def obey(server: Server, control: Control) -> None:
    """Read commands until stdin ends."""
    for line in sys.stdin:
        command = json.loads(line)
        answer = server.call(lambda wanted=command: getattr(control, wanted.pop("do"))(**wanted))
        print(json.dumps(answer), flush=True)


def main() -> None:
    """C(argv[1]) is JSON: C(nodes), C(latency) and C(workers)."""
    options = json.loads(sys.argv[1])
    cluster = TimedCluster(nodes=options["nodes"])
    cluster.limits.latency = options["latency"]
    cluster.limits.proxy_workers = cluster.limits.daemon_workers = options["workers"]
    with serve(cluster) as server:
        names = ("host", "port", "token_id", "token_secret", "ca_path", "url")
        print(json.dumps({name: getattr(server, name) for name in names}), flush=True)
        obey(server, Control(cluster))


if __name__ == "__main__":
    main()
