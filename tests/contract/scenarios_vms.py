# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors about VMs are tried with by the contract tests."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping

from tests.support.workbench import KEY, LINE, Bench

Params = Mapping[str, t.Any]

WEB: Params = {"name": "web1", "line": LINE}
EVERYTHING: Params = {
    **WEB,
    "vmid": 150,
    "full": True,
    "storage": "local-lvm",
    "description": "One of the **web** servers",
    "tags": ["web"],
    "protection": True,
    "cores": 4,
    "memory": 4096,
    "balloon": 1024,
    "onboot": True,
    "net": [{"bridge": "vmbr0", "tag": 20}, {"bridge": "vmbr0", "firewall": True}],
    "disks": [{"size": "8G", "discard": True}, {"slot": "scsi2", "size": "4G", "storage": "local-lvm"}],
    "boot": ["scsi0", "net0"],
    "ciuser": "ops",
    "cipassword": "correct-horse-7",
    "sshkeys": [KEY],
    "ipconfig": [{"ip": "192.0.2.11/24", "gw": "192.0.2.1"}, {"ip": "dhcp"}],
    "nameserver": ["192.0.2.53"],
    "started": True,
}


def build(bench: Bench) -> None:
    """A line to clone from."""
    bench.build()


def make(*vms: Params) -> Callable[[Bench], None]:
    """VMs that exist."""

    def prepare(bench: Bench) -> None:
        bench.build()
        for vm in vms:
            made = bench.call("vm", vm)
            assert made.get("changed"), made

    return prepare


def make_and_renew(bench: Bench) -> None:
    """A VM whose line has got a newer generation since."""
    make(WEB)(bench)
    bench.later(hours=1)
    bench.build(disk={"size": "10G"})


def by_hand(bench: Bench) -> None:
    """A VM that somebody cloned by hand."""
    vmid = bench.build().vmid
    bench.clone(vmid, 120, name="web1")


def params(**options: t.Any) -> Callable[[Bench], Params]:
    return lambda _bench: {**WEB, **options}


def fleet(*vms: Params, **options: t.Any) -> Callable[[Bench], Params]:
    return lambda _bench: {"vms": list(vms), **options}


TWO = ({**WEB, "memory": 4096}, {"name": "web2", "line": LINE, "started": True})


VMS: list[dict[str, t.Any]] = [
    {"door": "vm", "about": "first clone", "prepare": build, "params": params(), "keyed": True},
    {"door": "vm", "about": "everything declared", "prepare": build, "params": params(**EVERYTHING), "keyed": True},
    {
        "door": "vm",
        "about": "drift of a running VM",
        "prepare": make({**EVERYTHING, "protection": False}),
        "params": params(**{**EVERYTHING, "memory": 8192, "tags": ["db"], "reboot": "when_required"}),
        "keyed": True,
    },
    {
        "door": "vm",
        "about": "a disk that grows and one that is added",
        "prepare": make(WEB),
        "params": params(disks=[{"size": "9G"}, {"slot": "virtio1", "size": "1G"}]),
        "keyed": True,
    },
    {"door": "vm", "about": "no change", "prepare": make(WEB), "params": params(), "changes": False},
    {
        "door": "vm",
        "about": "stopped",
        "prepare": make({**WEB, "started": True}),
        "params": params(started=False),
        "keyed": True,
    },
    {"door": "vm", "about": "replaced", "prepare": make_and_renew, "params": params(replace=True), "keyed": True},
    {"door": "vm", "about": "taken over", "prepare": by_hand, "params": params(adopt=True, memory=4096), "keyed": True},
    {
        "door": "vm",
        "about": "absent",
        "prepare": make({**WEB, "started": True}),
        "params": lambda _bench: {"name": "web1", "state": "absent", "force_stop": True},
        "keyed": True,
    },
    {
        "door": "vm",
        "about": "absent already",
        "prepare": build,
        "params": params(state="absent", line=None),
        "changes": False,
    },
    {"door": "vm_fleet", "about": "first clones", "prepare": build, "params": fleet(*TWO), "keyed": True},
    {"door": "vm_fleet", "about": "no change", "prepare": make(*TWO), "params": fleet(*TWO), "changes": False},
    {
        "door": "vm_fleet",
        "about": "one goes, one changes, one comes",
        "prepare": make(*TWO),
        "params": fleet(
            {"name": "web1", "state": "absent"}, {**TWO[1], "tags": ["web"]}, {"name": "web3", "line": LINE}
        ),
        "keyed": True,
    },
    {
        "door": "vm_info",
        "about": "all, with addresses",
        "prepare": make(*TWO),
        "params": lambda _bench: {"addresses": True},
        "changes": False,
    },
    {
        "door": "vm_info",
        "about": "somebody else's",
        "prepare": by_hand,
        "params": lambda _bench: {"name": ["web1"], "ours": False},
        "changes": False,
    },
]
