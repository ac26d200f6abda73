# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshots of VMs: two requests for each, and a third where another snapshot is to be taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .._model.cluster import GuestRow
from .._model.snapshot import Snapshots, parse_snapshots
from .._model.vm_config import VmConfig
from .._pve.client import api_path
from .cluster import Reader
from .guest_states import side_by_side


def read_snapshots(
    reader: Reader, rows: Sequence[GuestRow], *, more: Callable[[Snapshots], bool] = lambda _one: False
) -> tuple[Snapshots, ...]:
    """The snapshots of each VM; C(more) says whether it gets another one, so that it has to be asked if it can."""

    def ask(row: GuestRow) -> Snapshots:
        one = read_one(reader, row)
        if not more(one) or one.config.is_template:
            return one
        path = api_path("nodes", row.node, "qemu", row.vmid, "feature")
        return replace(one, able=bool(int(reader.get(path, feature="snapshot").get("hasFeature") or 0)))

    return side_by_side(rows, ask)


def read_one(reader: Reader, row: GuestRow) -> Snapshots:
    """The snapshots of one VM."""
    path = ("nodes", row.node, "qemu", row.vmid)
    config = VmConfig(reader.get(api_path(*path, "config")))
    taken, parent, running = parse_snapshots(reader.get(api_path(*path, "snapshot")))
    return Snapshots(row=row, config=config, taken=taken, parent=parent, running=running)
