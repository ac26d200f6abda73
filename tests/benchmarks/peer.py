# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The peer: community.proxmox 2.0.0, out of the PyPI package ansible 14.5.0, kept in .venv/peer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.collections import unpack

VERSION = "community.proxmox 2.0.0"


@dataclass(frozen=True, slots=True)
class Peer:
    """C(path) is a folder for ANSIBLE_COLLECTIONS_PATH, None when C(reason) kept the peer away."""

    path: Path | None
    reason: str = ""


def obtain(folder: Path) -> Peer:
    """The peer, downloaded at the first call. Never raises for want of a network."""
    reason = unpack(folder, ("community/proxmox",))
    return Peer(None, reason) if reason else Peer(folder)
