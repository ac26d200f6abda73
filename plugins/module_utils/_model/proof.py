# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a template has to prove before it is published: that its clones boot, and what they are then."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCheck:
    """A shell command in the clone: its exit status, and a regular expression that its output has to match."""

    command: str
    status: int = 0
    stdout: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofWish:
    """C(timeout) is seconds until a clone's agent answers, and again until its cloud-init is done."""

    clones: int = 2
    timeout: int = 900
    commands: tuple[CommandCheck, ...] = ()
    packages: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    users: tuple[str, ...] = ()
    failed_units: bool = False
    """Whether failed units of systemd are put up with."""
    keep_failed: bool = False
    """Leave the clones of a failed proof, and the template that they hang on, for somebody to look at."""
