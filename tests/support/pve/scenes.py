# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each recording found on the server when it began, and what happened between its exchanges."""

from __future__ import annotations

import typing as t

from . import images
from .cluster import FakeCluster
from .vm import Vm

Scene = t.Callable[[FakeCluster], None]
KEY = (
    "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMRXd4PolxJgEknmxum7bMWDQ%2FHl2qSp%2Bn6MKO0gUq8G%20lab%40pve-lab"
)
SECRET = "00000000-1111-2222-3333-444444444444"


def server_of_the_recordings() -> FakeCluster:
    """Node pve1 with template 9000, four imported images and the token root@pam!lab."""
    cluster = FakeCluster()
    cluster.add_token("root@pam!lab", privsep=0, secret=SECRET)
    for name in ("debian-12-lab", "empty2g", "up"):
        cluster.put_file(f"local:import/{name}.qcow2", images.qcow2())
    # The real one holds a Debian system; its size is all that the recordings show.
    cluster.volumes()["local:import/debian-12-lab.qcow2"].size = 785_842_176
    cluster.put_file("local:iso/up.iso", bytes(196_640))
    cluster.put_file("local:vztmpl/alpine-3.18-lab_20230607_amd64.tar.gz", bytes(1_032_455))
    cluster.add_vm(9000, "debian-12", template=True, config={
        "name": "debian-12", "memory": "1024", "tags": "debian;template", "serial0": "socket",
        "scsi0": "local-lvm:base-9000-disk-0,size=2G", "scsi1": "local-lvm:vm-9000-cloudinit,media=cdrom",
        "boot": "order=scsi0",
    })  # fmt: skip
    cluster.allocate("pve1", "local-lvm", 9000, 2 * images.GIB, name="base-9000-disk-0")
    cluster.allocate("pve1", "local-lvm", 9000, 4 * 1024**2, name="vm-9000-cloudinit")
    return cluster


def pvestatd_round(cluster: FakeCluster) -> None:
    """From here on the list of resources lags behind."""
    cluster.limits.resources_lag = 3600.0
    cluster.broadcast()


def limited_token(cluster: FakeCluster) -> None:
    cluster.add_token("low@pve!lim", privsep=1, secret=SECRET)


def keep(vm: Vm | None) -> Vm:
    if vm is None:
        raise LookupError("the scene needs a VM that an earlier exchange should have made")
    return vm


SCENES: dict[str, dict[int, Scene]] = {
    "template-life": {11: pvestatd_round, 81: lambda cluster: cluster.broadcast()},
    "refusals": {40: limited_token},
}
# refusals#37 was sent with a wrong secret.
SECRETS: dict[str, dict[int, str]] = {"refusals": {37: "wrong"}}
