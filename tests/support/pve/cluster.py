# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FakeCluster: a Proxmox VE cluster in memory that behaves like the recorded 8.4.21 server.

It is fakepve 0.5.0's FakePve with every known gap closed by a mixin. A mixin may define

* ``_init_<name>(self)``         called once at the end of FakeCluster.__init__;
* ``_routes_<name>(self)``       list of (METHOD, path template, ``async handler(values, user)``), permission and
                                 parameters already checked; replaces the handler of that method and path;
* ``_middlewares_<name>(self)``  list of aiohttp middlewares put around every request, sorted by <name>; inside them
                                 ``request.rel_url.raw_path`` is known, the user not yet.

``cluster.vms`` is a dict {vmid: Vm}; volumes are kept per node (see storage.py), never in fakepve's own dicts.
"""

from __future__ import annotations

import shutil
import tempfile
import typing as t
import weakref
from pathlib import Path

from fakepve.server import FakePve

from .access import AccessMixin
from .agent import AgentMixin
from .backup import BackupMixin
from .clone import CloneMixin
from .cloudinit import CloudinitMixin
from .config import ConfigMixin
from .disks import DisksMixin
from .faults import FaultsMixin
from .ha import HaMixin
from .limits import LimitsMixin
from .move import MoveMixin
from .nodes import NodesMixin
from .power import PowerMixin
from .qemu import QemuMixin
from .snapshots import SnapshotsMixin
from .static import StaticMixin
from .status import StatusMixin
from .storage import StorageMixin
from .tasks import TasksMixin
from .transfer import TransferMixin
from .wire import Request, WireMixin

GIB = 1024**3
CONTENT_ALL = "images,rootdir,vztmpl,backup,iso,snippets,import"


def default_storages() -> dict[str, dict[str, t.Any]]:
    """local and fast (directories), local-lvm (thin), as on the recorded server."""
    return {
        "local": {"type": "dir", "path": "/var/lib/vz", "content": CONTENT_ALL, "prune-backups": "keep-all=1"},
        "fast": {"type": "dir", "path": "/var/lib/pve-fast", "content": CONTENT_ALL},
        "local-lvm": {"type": "lvmthin", "vgname": "pve", "thinpool": "data", "content": "images,rootdir"},
    }


def cluster_storages() -> dict[str, dict[str, t.Any]]:
    """The default ones and one of every other kind: shared NFS, Ceph, ZFS, thick LVM."""
    return {
        **default_storages(),
        "nfs": {"type": "nfs", "server": "10.99.0.9", "export": "/pve", "shared": 1, "content": CONTENT_ALL},
        "ceph": {"type": "rbd", "pool": "rbd", "shared": 1, "content": "images,rootdir"},
        "tank": {"type": "zfspool", "pool": "rpool/data", "content": "images,rootdir"},
        "thick": {"type": "lvm", "vgname": "thick", "content": "images,rootdir"},
    }


class FakeCluster(
    WireMixin,
    FaultsMixin,
    LimitsMixin,
    AccessMixin,
    ConfigMixin,
    CloneMixin,
    PowerMixin,
    CloudinitMixin,
    AgentMixin,
    BackupMixin,
    HaMixin,
    MoveMixin,
    TransferMixin,
    QemuMixin,
    SnapshotsMixin,
    DisksMixin,
    StorageMixin,
    TasksMixin,
    StatusMixin,
    NodesMixin,
    StaticMixin,
    FakePve,
):
    """The whole cluster; ``version`` is what GET /version answers and decides which API description rules."""

    def __init__(
        self,
        *,
        nodes: t.Sequence[str] = ("pve1",),
        storages: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
        version: str = "8.4.21",
        password: str = "secret",
    ) -> None:
        super().__init__(user="root@pam", password=password, host="127.0.0.1", port=0)
        self.version = version
        self.major = int(version.split(".", maxsplit=1)[0])
        self.release_version = ".".join(version.split(".")[:2])
        self.nodes = {name: {"online": True} for name in nodes}
        self.storages = {}
        for name, options in (default_storages() if storages is None else storages).items():
            self.add_storage(name, **options)
        self.client_max_size = 1 << 50  # uploads are streamed; other bodies have their own limit, see wire.py
        self.log: list[Request] = []
        self.workdir = Path(tempfile.mkdtemp(prefix="fake-pve-"))
        self._tidy = weakref.finalize(self, shutil.rmtree, self.workdir, ignore_errors=True)
        for hook in sorted(name for name in dir(self) if name.startswith("_init_")):
            getattr(self, hook)()

    def add_storage(self, name: str, **options: t.Any) -> None:
        """Define a storage; ``total`` (bytes), ``active`` and ``files`` are the fake's own keys."""
        self.storages[name] = {"active": 1, "files": set(), "volumes": {}, **options}

    def ensure_token(self, token: str, secret: str) -> str:
        """Give root@pam a token without privilege separation; returns its secret."""
        return self.add_token(token, privsep=0, secret=secret)

    # ------------------------------------------------------------ inspection

    def reset_log(self) -> None:
        """Forget the journal."""
        self.log.clear()

    def writes(self) -> list[Request]:
        """The journalled requests that may change something: everything but GET and the login."""
        return [entry for entry in self.log if entry.method != "GET" and entry.path != "/access/ticket"]

    def close(self) -> None:
        """Remove the files that downloads and uploads left."""
        self._tidy()
