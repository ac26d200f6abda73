# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tracks of one run know together: which VMIDs are theirs, and how the cluster looks by now."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, TypeVar

from .._model.cluster import Cluster, GuestRow
from .._model.vm_config import VmConfig
from .._pve.client import Client, api_path
from .._pve.errors import ApiError, Kind
from .._read.cluster import read_cluster

T = TypeVar("T")

_CHOICE = 500
"""Free VMIDs among which one is drawn. Two runs that take the lowest one would meet again and again."""


class Fresh(Generic[T]):
    """A reading that began after it was asked for. Those who ask while one is under way share the next one."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._turn = threading.Condition()
        self._begun = 0
        self._ended = 0
        self._reading = False
        self._latest: list[T] = []

    def get(self) -> T:
        """The value; raises what the reading raises."""
        with self._turn:
            wanted = self._begun + 1
            self._turn.wait_for(lambda: not self._reading)
            if self._ended >= wanted:
                return self._latest[0]
            self._reading = True
            self._begun += 1
        value: list[T] = []
        try:
            value.append(self._read())
        finally:
            with self._turn:
                if value:
                    self._latest, self._ended = value, self._begun
                self._reading = False
                self._turn.notify_all()
        return value[0]


class Together:
    """One for all tracks of a run. C(planned) are the VMIDs that the plan has given to them."""

    def __init__(self, client: Client, planned: Iterable[int]) -> None:
        self._client = client
        self._cluster: Fresh[Cluster] = Fresh(lambda: read_cluster(client))
        self._guard = threading.Lock()
        self._ours = set(planned)
        self._names: dict[int, str] = {}

    def cluster(self) -> Cluster:
        """The cluster as it is now."""
        return self._cluster.get()

    def is_ours(self, vmid: int) -> bool:
        """Whether a track of this run makes, or made, the VM."""
        with self._guard:
            return vmid in self._ours

    def draw(self, first: int, last: int, avoid: frozenset[int]) -> int | None:
        """A VMID of the block that nobody has, which is this run's from now on; None when there is none."""
        used = self.cluster().guests.keys()
        with self._guard:
            free = (v for v in range(first, last + 1) if v not in used and v not in self._ours and v not in avoid)
            choice = list(islice(free, _CHOICE))
            if not choice:
                return None
            vmid = random.choice(choice)
            self._ours.add(vmid)
            return vmid

    def release(self, vmid: int) -> None:
        """Somebody else has the VMID."""
        with self._guard:
            self._ours.discard(vmid)

    def name_of(self, row: GuestRow) -> str:
        """The name of a guest of somebody else; empty while it is being made. The row's own name comes late."""
        if row.is_named:
            return row.name
        with self._guard:
            known = self._names.get(row.vmid, "")
        if known or row.lock == "clone":
            return known
        try:
            config = VmConfig(self._client.get(api_path("nodes", row.node, "qemu", row.vmid, "config")))
        except ApiError as error:
            if error.kind in (Kind.NOT_FOUND, Kind.PERMISSION):
                return ""
            raise
        if config.name:
            with self._guard:
                self._names[row.vmid] = config.name
        return config.name or ""
